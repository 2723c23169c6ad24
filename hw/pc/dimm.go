package pc

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"goemu/hw/firmware"
	"goemu/hw/firmware/acpi"
	"goemu/hw/hotplug"
	"goemu/hw/qdev"
	"goemu/internal/hostmem"
	"goemu/internal/memory"
	"goemu/internal/qom"
)

// dimm is a memory module, the device type pc-dimm.
type dimm struct {
	qdev.Base
	dimmProps
	m      *Machine // nil on a machine without slots
	region *memory.Region
	block  *memory.RAMBlock
}

// dimmProps are the options of a memory module; the address 0 and the slot -1 stand for the first that is free.
type dimmProps struct {
	Addr   uint64                `prop:"addr,default=0"`
	NodeID uint32                `prop:"node,default=0"`
	Slot   int32                 `prop:"slot,default=-1"`
	Memdev *hostmem.Backend      `prop:"memdev"`
	Bytes  qdev.ReadOnly[uint64] `prop:"size"`
}

// DIMMClass is the device type of memory modules.
var DIMMClass = qdev.Class{Name: "pc-dimm", Desc: "DIMM memory module", Category: qdev.Other, New: func() qdev.Device { return new(dimm) }}

// Range implements hotplug.Module.
func (d *dimm) Range() (addr, size uint64) { return d.Addr, d.Memdev.Size() }

// Node implements hotplug.Module.
func (d *dimm) Node() uint32 { return d.NodeID }

// end is the address after the module.
func (d *dimm) end() uint64 { return d.Addr + d.Memdev.Size() }

// prePlugDIMM finds a slot and an address for a module.
func (m *Machine) prePlugDIMM(d *dimm) error {
	if _, s := m.chips.slots(); s == nil {
		return errors.New("memory hotplug is not enabled: missing acpi device or acpi disabled")
	}
	if err := m.findSlot(d); err != nil {
		return err
	}
	if d.Memdev == nil {
		return errors.New("'memdev' property must be set")
	}
	if err := m.findAddress(d); err != nil {
		return err
	}
	d.m = m
	return nil
}

// findSlot gives a module the slot that it is to have, or the first that is free.
func (m *Machine) findSlot(d *dimm) error {
	n := m.cfg.MemorySlots
	taken := func(slot int32) bool {
		return slices.ContainsFunc(m.dimms, func(o *dimm) bool { return o.Slot == slot })
	}
	switch {
	case d.Slot != -1 && (d.Slot < 0 || int(d.Slot) >= n):
		return fmt.Errorf("invalid slot number %d, valid range is [0-%d]", d.Slot, uint64(n)-1)
	case n == 0:
		return errors.New("no slots where allocated, please specify the 'slots' option")
	case d.Slot != -1 && taken(d.Slot):
		return fmt.Errorf("slot %d is busy", d.Slot)
	case d.Slot != -1:
		return nil
	}
	for d.Slot = 0; taken(d.Slot); d.Slot++ {
	}
	if int(d.Slot) == n {
		return errors.New("no free slots available")
	}
	return nil
}

// findAddress gives a module the address that it is to have, or the first where there is room.
func (m *Machine) findAddress(d *dimm) error {
	base, room := m.map_.deviceBase, m.map_.deviceSize
	size, align := d.Memdev.Size(), d.Memdev.Alignment()
	used := m.PluggedMemory()
	switch total := m.cfg.MaxRAM - m.cfg.RAM; {
	case room == 0:
		return errors.New("memory devices (e.g. for memory hotplug) are not enabled, please specify the maxmem option")
	case used+size > total:
		return fmt.Errorf("not enough space, currently 0x%x in use of total space for memory devices 0x%x", used, total)
	case d.Addr%align != 0:
		return fmt.Errorf("address must be aligned to 0x%x bytes", align)
	case size%align != 0:
		return fmt.Errorf("backend memory size must be multiple of 0x%x", align)
	case d.Addr != 0 && (d.Addr < base || d.Addr-base > room || room-(d.Addr-base) < size):
		return fmt.Errorf("can't add memory device [0x%x:0x%x], usable range for memory devices [0x%x:0x%x]", d.Addr, size, base, room)
	}
	at := cmp.Or(d.Addr, (base+align-1)&^(align-1))
	for _, o := range m.dimms {
		switch {
		case at >= o.end() || at+size <= o.Addr:
		case d.Addr != 0:
			return fmt.Errorf("address range conflicts with memory device id='%s'", cmp.Or(o.ID(), "(unnamed)"))
		default:
			at = (o.end() + align - 1) &^ (align - 1)
		}
	}
	if at+size > base+room {
		return errors.New("could not find position in guest address space for memory device - memory fragmented due to alignments")
	}
	d.Addr = at
	return nil
}

// Realize implements qdev.Device.
func (d *dimm) Realize() (err error) {
	m := d.m
	if m == nil {
		return errors.New("memory devices (e.g. for memory hotplug) are not supported by the machine")
	}
	if n := max(len(m.cfg.NUMA), 1); int(d.NodeID) >= n {
		return fmt.Errorf("'DIMM property node has value %d' which exceeds the number of numa nodes: %d", d.NodeID, n)
	}
	if d.block, err = d.Memdev.Take(); err != nil {
		return err
	}
	d.region = memory.NewRAMFrom(d.block)
	m.map_.modules.Add(d.region, d.Addr-m.map_.deviceBase, 0)
	d.QOM().AddProperty(qom.Property{Name: "size", Type: "uint64", Get: func() any { return d.Memdev.Size() }})
	at, _ := slices.BinarySearchFunc(m.dimms, d, func(a, b *dimm) int { return cmp.Compare(a.Addr, b.Addr) })
	m.dimms = slices.Insert(m.dimms, at, d)
	return nil
}

// Unrealize implements qdev.Device.
func (d *dimm) Unrealize() {
	m := d.m
	if _, s := m.chips.slots(); s != nil {
		s.Unplugged(int(d.Slot))
	}
	m.memory.MarkDirty(d.Addr, d.Memdev.Size()) // forgets code
	m.map_.modules.Remove(d.region)
	d.block.Forget()
	d.block.Retire()
	d.Memdev.Release()
	m.dimms = slices.DeleteFunc(m.dimms, func(o *dimm) bool { return o == d })
}

// PluggedMemory is the size of all memory modules together.
func (m *Machine) PluggedMemory() (sum uint64) {
	for _, d := range m.dimms {
		sum += d.Memdev.Size()
	}
	return sum
}

// MemoryModule describes a memory module.
type MemoryModule struct {
	ID, Backend string
	Addr, Size  uint64
	Slot, Node  int
	Hotplugged  bool
}

// MemoryModules lists the memory modules by their addresses.
func (m *Machine) MemoryModules() (list []MemoryModule) {
	for _, d := range m.dimms {
		list = append(list, MemoryModule{ID: d.ID(), Backend: d.Memdev.ID(), Addr: d.Addr, Size: d.Memdev.Size(), Slot: int(d.Slot), Node: int(d.NodeID), Hotplugged: d.Hotplugged()})
	}
	return list
}

// describeDIMMs tells the tables of the slots.
func (m *Machine) describeDIMMs(f *firmware.Machine) {
	f.ACPI.MemorySlots, f.ACPI.MemoryHotplug = m.cfg.MemorySlots, hotplug.DIMMBase
	f.ACPI.DeviceMemory = acpi.Range{Addr: m.map_.deviceBase, Size: m.map_.deviceSize}
}
