package pci

import (
	"fmt"

	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// busState is the migrated state of a bus: how many functions drive each line. What was loaded is counted anew by RestoreLines.
var busState = vmstate.Description[Bus]{
	Name: "PCIBUS", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Bus]{
		vmstate.Custom("nirq", 4, func(b *Bus, w *vmstate.Writer) { w.U32(uint32(len(b.counts))) }, func(b *Bus, r *vmstate.Reader) error {
			if n := r.U32(); r.Err() == nil && int(n) != len(b.counts) {
				return fmt.Errorf("%d interrupt lines, want %d", n, len(b.counts))
			}
			return r.Err()
		}),
		vmstate.Array("irq_count", func(b *Bus) []int32 { return b.counts }),
	},
}

// BusState implements qdev.StateBus.
func (b *Bus) BusState() vmstate.State { return busState.Bind(b) }

// RestoreLines drives the lines of a bus as the pins of all functions at and below it want, after the state of a machine was loaded.
func (b *Bus) RestoreLines() {
	clear(b.counts)
	b.Walk(func(dev qdev.Device) bool {
		if fn, ok := dev.(Function); ok {
			b.count(fn.PCI())
		}
		return true
	})
	for i, l := range b.lines {
		l.Set(b.counts[i] != 0)
	}
}

// count adds the pins of a function.
func (b *Bus) count(d *Device) {
	for pin, level := range d.intx {
		if !level || d.intxOff {
			continue
		}
		if on, line := d.line(pin); on == b {
			b.counts[line]++
		}
	}
}
