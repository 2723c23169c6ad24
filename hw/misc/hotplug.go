package misc

import "goemu/migration/vmstate"

// The registers of ACPI's hot-plugging as they migrate. These machines do not offer them to their guests; a guest that comes from QEMU has
// used them, and what they held goes along when it moves on.

// MemoryHotplug is the state of the memory hot-plug registers. The machines have no memory slots, so it is the selector that a guest may
// have written.
type MemoryHotplug struct{ Selector uint32 }

// memorySlot is the state of a slot; there is none.
type memorySlot struct {
	enabled, inserting bool
	event, status      uint32
}

var memorySlotState = vmstate.Description[memorySlot]{Name: "memory hotplug device state", Version: 1, MinVersion: 1, Fields: []vmstate.Field[memorySlot]{
	vmstate.Of("is_enabled", func(s *memorySlot) *bool { return &s.enabled }),
	vmstate.Of("is_inserting", func(s *memorySlot) *bool { return &s.inserting }),
	vmstate.Of("ost_event", func(s *memorySlot) *uint32 { return &s.event }),
	vmstate.Of("ost_status", func(s *memorySlot) *uint32 { return &s.status }),
}}

// MemoryHotplugState describes it.
var MemoryHotplugState = vmstate.Description[MemoryHotplug]{Name: "memory hotplug state", Version: 1, MinVersion: 1, Fields: []vmstate.Field[MemoryHotplug]{
	vmstate.Of("selector", func(m *MemoryHotplug) *uint32 { return &m.Selector }),
	vmstate.Structs("devs", &memorySlotState, func(*MemoryHotplug) []memorySlot { return nil }),
}}

// CPUHotplug is the state of the CPU hot-plug registers. It migrates once the guest has left the older interface.
type CPUHotplug struct {
	modern   bool
	selector uint32
	command  uint8
	slots    []cpuSlot
}

// cpuSlot is a possible CPU.
type cpuSlot struct {
	inserting, removing bool
	event, status       uint32
}

// SetCPUs tells how many CPUs are possible.
func (c *CPUHotplug) SetCPUs(n int) { c.slots = make([]cpuSlot, n) }

var cpuSlotState = vmstate.Description[cpuSlot]{Name: "CPU hotplug device state", Version: 1, MinVersion: 1, Fields: []vmstate.Field[cpuSlot]{
	vmstate.Of("is_inserting", func(s *cpuSlot) *bool { return &s.inserting }),
	vmstate.Of("is_removing", func(s *cpuSlot) *bool { return &s.removing }),
	vmstate.Of("ost_event", func(s *cpuSlot) *uint32 { return &s.event }),
	vmstate.Of("ost_status", func(s *cpuSlot) *uint32 { return &s.status }),
}}

var cpuHotplugState = vmstate.Description[CPUHotplug]{Name: "CPU hotplug state", Version: 1, MinVersion: 1, Fields: []vmstate.Field[CPUHotplug]{
	vmstate.Of("selector", func(c *CPUHotplug) *uint32 { return &c.selector }),
	vmstate.Of("command", func(c *CPUHotplug) *uint8 { return &c.command }),
	vmstate.Structs("devs", &cpuSlotState, func(c *CPUHotplug) []cpuSlot { return c.slots }),
}}

// CPUHotplugSection is the subsection of a T that holds the CPU hot-plug registers.
func CPUHotplugSection[T any](name string, at func(*T) *CPUHotplug) *vmstate.Description[T] {
	return &vmstate.Description[T]{Name: name, Version: 1, MinVersion: 1,
		Needed:  func(p *T) bool { return at(p).modern },
		PreLoad: func(p *T) { at(p).modern = true },
		Fields:  []vmstate.Field[T]{vmstate.Struct("cpuhp_state", &cpuHotplugState, at).Since(1)},
	}
}
