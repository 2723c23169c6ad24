package misc

import "goemu/migration/vmstate"

// MemoryHotplug is the migrated state of ACPI's memory hot-plug registers. The machines have no memory slots, so it is the selector
// that a guest may have written.
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
