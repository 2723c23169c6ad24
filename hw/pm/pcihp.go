package pm

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Registers of QEMU's interface for hot-plugging PCI devices with ACPI (its docs/specs/acpi_pci_hotplug.txt): 32 bits each, most of them
// a bit for each slot of the bus that the selector names.
const (
	hpUp        = 0x00 // slots with a new device; reading clears it
	hpDown      = 0x04 // slots whose device is to go
	hpEject     = 0x08 // written: the devices of a slot may go
	hpRemovable = 0x0c
	hpSelect    = 0x10
	hpIndex     = 0x14 // written: a slot, read: the acpi-index of its device
	// PCIHotplugPorts is the number of ports.
	PCIHotplugPorts = 0x18

	hpBuses  = 256
	maxIndex = 16*1024 - 1 // the largest that operating systems name devices by
)

// hpSlots is what happens on a bus; the first members are migrated.
type hpSlots struct{ up, down, removable uint32 }

// PCIHotplug is the interface: it looks after the devices of the buses that have it as their handler. The owner sets the exported members
// before Init.
type PCIHotplug struct {
	Root    *pci.Bus
	Bridges bool   // the buses behind bridges have it, too; else only the root bus, with the interface of old
	RootOff bool   // not the root bus
	Notify  func() // raises the general purpose event

	selected, index uint32
	buses           [hpBuses]hpSlots
	numbered        bool
}

// Region returns the registers.
func (h *PCIHotplug) Region() *memory.Region {
	r := memory.NewIO("acpi-pci-hotplug", PCIHotplugPorts, (*hpOps)(h))
	r.Valid = memory.Access{Min: 4, Max: 4}
	return r
}

// Number gives the buses their selectors, once: when all devices are there that are there from the start.
func (h *PCIHotplug) Number() {
	if h.numbered {
		return
	}
	h.numbered = true
	if h.RootOff {
		h.Root.SetHandler(nil)
	}
	n := 0
	h.Root.Buses(func(b *pci.Bus) {
		if b.HotplugHandler() != nil {
			b.SetSelector(n)
			n++
		}
	})
}

// Reset ends what is under way: devices that were asked to go do so.
func (h *PCIHotplug) Reset() {
	h.Number()
	for i := range h.buses {
		s := &h.buses[i]
		for s.down != 0 {
			before := s.down
			h.eject(i, s.down)
			if s.down == before { // no such bus
				s.down = 0
			}
		}
		s.removable = ^uint32(0)
		b := h.find(i)
		if b == nil {
			continue
		}
		for _, d := range b.Devices() {
			if fixed(d) {
				s.removable &^= 1 << slotOf(d)
			}
		}
	}
}

// find is the bus that a selector means, nil if it is none on which devices come and go.
func (h *PCIHotplug) find(n int) *pci.Bus {
	var found *pci.Bus
	h.Root.Buses(func(b *pci.Bus) {
		if b.Selector() == n {
			found = b
		}
	})
	if found == nil && n == 0 {
		found = h.Root
	}
	if found == nil || found.HotplugHandler() == nil {
		return nil
	}
	return found
}

func slotOf(d qdev.Device) int { return int(d.(pci.Function).PCI().DevFn() >> 3) }

// fixed tells whether a device stays: bridges do unless they were plugged in while the machine was running.
func fixed(d qdev.Device) bool {
	_, bridge := d.(pci.BridgeDevice)
	return bridge && !d.Dev().Hotplugged() || d.Dev().Class().NoHotplug
}

// eject takes out the devices of the lowest of some slots.
func (h *PCIHotplug) eject(bus int, slots uint32) {
	b := h.find(bus)
	slot := bits.TrailingZeros32(slots)
	if b == nil || slot > 31 {
		return
	}
	s := &h.buses[bus]
	s.up &^= 1 << slot
	s.down &^= 1 << slot
	for _, d := range slices.Clone(b.Devices()) {
		if slotOf(d) == slot && !fixed(d) {
			d.Dev().Tree().Unplugged(d)
		}
	}
}

// PrePlug implements qdev.HotplugHandler.
func (h *PCIHotplug) PrePlug(d qdev.Device) error {
	f, ok := d.(pci.Function)
	if !ok {
		return nil
	}
	if b, ok := d.Dev().Parent().(*pci.Bus); ok && d.Dev().Hotplugged() && b.Selector() < 0 {
		return errNoSelector
	}
	switch n := f.PCI().ACPIIndex; {
	case n > maxIndex:
		return fmt.Errorf("acpi-index should be less or equal to %d", maxIndex)
	case n != 0 && h.taken(n):
		return fmt.Errorf("a PCI device with acpi-index = %d already exist", n)
	}
	return nil
}

// taken tells whether there is a device with an acpi-index.
func (h *PCIHotplug) taken(index uint32) (found bool) {
	h.Root.Buses(func(b *pci.Bus) {
		found = found || slices.ContainsFunc(b.Devices(), func(d qdev.Device) bool { return d.(pci.Function).PCI().ACPIIndex == index })
	})
	return found
}

var errNoSelector = errors.New("Unsupported bus. Bus doesn't have property 'acpi-pcihp-bsel' set")

// Plugged implements qdev.HotplugHandler.
func (h *PCIHotplug) Plugged(d qdev.Device) error {
	if !d.Dev().Hotplugged() {
		if br, ok := d.(pci.BridgeDevice); ok && h.Bridges {
			h.adopt(br)
		}
		return nil
	}
	b := d.Dev().Parent().(*pci.Bus)
	if slot, ok := b.Owner().(interface{ PowerOn() }); ok {
		slot.PowerOn()
	}
	h.buses[b.Selector()].up |= 1 << slotOf(d)
	h.Notify()
	return nil
}

// adopt makes the interface look after the bus behind a bridge.
func (h *PCIHotplug) adopt(br pci.BridgeDevice) {
	sec := br.AsBridge().Secondary()
	if s, ok := br.(interface{ Hotpluggable() bool }); ok && !s.Hotpluggable() {
		sec.SetHandler(nil)
		return
	}
	sec.SetHandler(h)
}

// RequestUnplug implements qdev.HotplugHandler. It can be repeated at any time, since requests are lost while a guest starts.
func (h *PCIHotplug) RequestUnplug(d qdev.Device) error {
	n := d.Dev().Parent().(*pci.Bus).Selector()
	if n < 0 {
		return errNoSelector
	}
	h.buses[n].down |= 1 << slotOf(d)
	h.Notify()
	return nil
}

// hpOps answers the registers.
type hpOps PCIHotplug

// Read implements memory.Ops.
func (o *hpOps) Read(off uint64, _ int) uint64 {
	if o.selected >= hpBuses {
		return 0
	}
	s := &o.buses[o.selected]
	switch off {
	case hpUp:
		v := s.up
		if o.Bridges {
			s.up = 0
		}
		return uint64(v)
	case hpDown:
		return uint64(s.down)
	case hpRemovable:
		return uint64(s.removable)
	case hpSelect:
		return uint64(o.selected)
	case hpIndex:
		v := o.index
		o.index = 0
		return uint64(v)
	}
	return 0
}

// Write implements memory.Ops.
func (o *hpOps) Write(off uint64, _ int, v uint64) {
	h := (*PCIHotplug)(o)
	h.index = 0
	switch {
	case off == hpSelect && h.Bridges:
		h.selected = uint32(v)
	case off == hpSelect:
		h.selected = 0
	case h.selected >= hpBuses:
	case off == hpEject:
		h.eject(int(h.selected), uint32(v))
	case off == hpIndex:
		h.index = h.indexOf(int(h.selected), bits.TrailingZeros32(uint32(v)))
	}
}

// indexOf is the acpi-index of the device in a slot.
func (h *PCIHotplug) indexOf(bus, slot int) uint32 {
	if b := h.find(bus); b != nil {
		for _, d := range b.Devices() {
			if slotOf(d) == slot {
				return d.(pci.Function).PCI().ACPIIndex
			}
		}
	}
	return 0
}

// hpSlotFields are the migrated members of a bus's state.
func hpSlotFields() []vmstate.Field[hpSlots] {
	return []vmstate.Field[hpSlots]{
		vmstate.Of("up", func(s *hpSlots) *uint32 { return &s.up }),
		vmstate.Of("down", func(s *hpSlots) *uint32 { return &s.down }),
	}
}

var (
	hpBusState = vmstate.Description[hpSlots]{Name: "acpi_pcihp_pci_status", Version: 1, MinVersion: 1, Fields: hpSlotFields()}
	hpOldState = vmstate.Description[hpSlots]{Name: "pci_status", Version: 1, MinVersion: 1, Fields: hpSlotFields()}
)

// PCIHotplugFields are the fields of a device that has the interface.
func PCIHotplugFields[T any](of func(*T) *PCIHotplug) []vmstate.Field[T] {
	return []vmstate.Field[T]{
		vmstate.Of("acpi_pci_hotplug.hotplug_select", func(t *T) *uint32 { return &of(t).selected }),
		vmstate.Structs("acpi_pci_hotplug.acpi_pcihp_pci_status", &hpBusState, func(t *T) []hpSlots { return of(t).buses[:] }).Since(1),
		vmstate.Of("acpi_pci_hotplug.acpi_index", func(t *T) *uint32 { return &of(t).index }),
	}
}

// OldPCIHotplugField is the field of the interface for the root bus alone.
func OldPCIHotplugField[T any](of func(*T) *PCIHotplug) vmstate.Field[T] {
	return vmstate.Struct("acpi_pci_hotplug.acpi_pcihp_pci_status[0x0]", &hpOldState, func(t *T) *hpSlots { return &of(t).buses[0] }).
		When(func(t *T) bool { return !of(t).Bridges })
}
