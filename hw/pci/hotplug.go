package pci

import (
	"goemu/hw/qdev"
	"goemu/internal/qom"
)

// HotplugHandler implements qdev.Hotplugger.
func (b *Bus) HotplugHandler() qdev.HotplugHandler { return b.handler }

// SetHandler says who looks after the devices that come and go, nil if none may.
func (b *Bus) SetHandler(h qdev.HotplugHandler) { b.handler = h }

// Selector is the number by which the ACPI hot-plug registers know the bus, -1 if they do not.
func (b *Bus) Selector() int { return b.selector }

// SetSelector gives the bus its number.
func (b *Bus) SetSelector(n int) {
	b.selector = n
	b.QOM().AddProperty(qom.Property{Name: "acpi-pcihp-bsel", Type: "uint32", Get: func() any { return uint64(b.selector) }})
}

// Buses calls f for the bus and all behind it: parents first, and of several bridges the newest first.
func (b *Bus) Buses(f func(*Bus)) {
	f(b)
	for _, c := range b.Secondaries() {
		c.Buses(f)
	}
}

// Secondaries are the buses behind the bridges on the bus, the newest first.
func (b *Bus) Secondaries() (out []*Bus) {
	devs := b.Devices()
	for i := len(devs) - 1; i >= 0; i-- {
		if br, ok := devs[i].(BridgeDevice); ok && br.AsBridge().sec != nil {
			out = append(out, br.AsBridge().sec)
		}
	}
	return out
}
