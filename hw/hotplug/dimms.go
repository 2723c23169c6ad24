package hotplug

import (
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Registers for memory modules (QEMU's docs/specs/acpi_mem_hotplug.rst); reading and writing are different ones.
const (
	dimmAddr      = 0x00 // 64 bits
	dimmSize      = 0x08 // 64 bits
	dimmNode      = 0x10
	dimmFlags     = 0x14
	dimmSelect    = 0x00 // written, as the next two
	dimmOSTEvent  = 0x04
	dimmOSTStatus = 0x08
	// DIMMPorts is the number of ports.
	DIMMPorts = 0x18
	// DIMMBase is where the PC machines have them.
	DIMMBase = 0x0a00
)

// Module is a memory module as its slot shows it.
type Module interface {
	qdev.Device
	// Range is where it lies in guest memory.
	Range() (addr, size uint64)
	// Node is its NUMA node.
	Node() uint32
}

// DIMMs are the registers for memory modules.
type DIMMs struct {
	Config
	selector uint32
	slots    []slot
}

// Map puts the registers for a number of slots into the port space; without slots there are none.
func (m *DIMMs) Map(io *memory.Region, port uint64, slots int, cfg Config) {
	m.Config, m.slots = cfg, make([]slot, slots)
	if slots == 0 {
		return
	}
	r := memory.NewIO("acpi-mem-hotplug", DIMMPorts, (*dimmOps)(m))
	r.Valid = memory.Access{Min: 1, Max: 4}
	io.Add(r, port, 0)
}

// Plugged puts a module into its slot.
func (m *DIMMs) Plugged(n int, d Module) { m.slots[n].insert(d, m.Notify) }

// RequestUnplug asks the guest to let go of a module.
func (m *DIMMs) RequestUnplug(n int) { m.slots[n].request(m.Notify) }

// Unplugged empties the slot of a module.
func (m *DIMMs) Unplugged(n int) { m.slots[n].remove() }

// Status lists what the guest has said about the modules.
func (m *DIMMs) Status() (list []OST) {
	for i := range m.slots {
		list = append(list, m.slots[i].ost(DIMM, i))
	}
	return list
}

// dimmOps answers the registers.
type dimmOps DIMMs

// selected is the slot that the selector names, nil if there is none.
func (o *dimmOps) selected() *slot {
	if uint64(o.selector) >= uint64(len(o.slots)) {
		return nil
	}
	return &o.slots[o.selector]
}

// Read implements memory.Ops.
func (o *dimmOps) Read(off uint64, _ int) uint64 {
	s := o.selected()
	if s == nil {
		return 0
	}
	var addr, size uint64
	node := uint32(0)
	if m, ok := s.device.(Module); ok {
		addr, size = m.Range()
		node = m.Node()
	}
	switch off {
	case dimmAddr:
		return addr & 0xffffffff
	case dimmAddr + 4:
		return addr >> 32
	case dimmSize:
		return size & 0xffffffff
	case dimmSize + 4:
		return size >> 32
	case dimmNode:
		return uint64(node)
	case dimmFlags:
		return uint64(s.flags())
	}
	return 0xffffffff
}

// Write implements memory.Ops.
func (o *dimmOps) Write(off uint64, _ int, v uint64) {
	if off == dimmSelect {
		o.selector = uint32(v)
		return
	}
	s := o.selected()
	if s == nil {
		return
	}
	switch off {
	case dimmOSTEvent:
		s.event = uint32(v)
	case dimmOSTStatus:
		s.status = uint32(v)
		o.Report(s.ost(DIMM, int(o.selector)))
	case dimmFlags:
		if s.acknowledge(v) && v&flagEject != 0 && s.device != nil {
			s.device.Dev().Tree().Unplugged(s.device)
		}
	}
}

var dimmState = vmstate.Description[slot]{Name: "memory hotplug device state", Version: 1, MinVersion: 1, Fields: []vmstate.Field[slot]{
	vmstate.Of("is_enabled", func(s *slot) *bool { return &s.enabled }),
	vmstate.Of("is_inserting", func(s *slot) *bool { return &s.inserting }),
	vmstate.Of("ost_event", func(s *slot) *uint32 { return &s.event }),
	vmstate.Of("ost_status", func(s *slot) *uint32 { return &s.status }),
}}

// DIMMsState describes the registers for memory modules.
var DIMMsState = vmstate.Description[DIMMs]{Name: "memory hotplug state", Version: 1, MinVersion: 1, Fields: []vmstate.Field[DIMMs]{
	vmstate.Of("selector", func(m *DIMMs) *uint32 { return &m.selector }),
	vmstate.Structs("devs", &dimmState, func(m *DIMMs) []slot { return m.slots }),
}}
