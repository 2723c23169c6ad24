// Package hotplug has the registers by which CPUs and memory modules of the PC machines come and go with the help of ACPI methods. It knows
// neither what a CPU is nor what memory is: a slot holds a device.
package hotplug

import "goemu/hw/qdev"

// Kind is what slots are for.
type Kind string

// The kinds of slots, by their names in the monitor's protocol.
const (
	DIMM Kind = "DIMM"
	CPU  Kind = "CPU"
)

// OST is what a guest has said last about a slot, by the ACPI method _OST (ACPI 6.3.5).
type OST struct {
	Kind           Kind
	Slot           int
	Device         string // identifier of the device in the slot, "" for none
	Source, Status uint32
}

// Config is how registers are connected to the machine.
type Config struct {
	Notify func()    // raises the general purpose event
	Report func(OST) // tells the user what the guest says
}

// slot is a place for a device; state that migrates comes first.
type slot struct {
	enabled, inserting, removing bool
	event, status                uint32

	device qdev.Device // nil while the slot is empty
}

// ost is what the guest has said about slot n.
func (s *slot) ost(kind Kind, n int) OST {
	o := OST{Kind: kind, Slot: n, Source: s.event, Status: s.status}
	if s.device != nil {
		o.Device = s.device.Dev().ID()
	}
	return o
}

// insert puts a device into the slot; the guest is told of one that comes while the machine runs.
func (s *slot) insert(d qdev.Device, notify func()) {
	s.device, s.enabled = d, true
	if d.Dev().Hotplugged() {
		s.inserting = true
		notify()
	}
}

// request asks the guest to let go of the device.
func (s *slot) request(notify func()) {
	s.removing = true
	notify()
}

// remove empties the slot.
func (s *slot) remove() { s.device, s.enabled = nil, false }

// Bits of a slot's flags: the device is there, it is new, it is to go; written: the events are cleared, the device may go.
const (
	flagEnabled = 1 << iota
	flagInserting
	flagRemoving
	flagEject
	flagFirmware // the firmware is to eject it
)

func (s *slot) flags() (v uint32) {
	if s.enabled {
		v |= flagEnabled
	}
	if s.inserting {
		v |= flagInserting
	}
	if s.removing {
		v |= flagRemoving
	}
	return v
}

// acknowledge clears the event that a write to the flags names; more tells whether the write asks for something else.
func (s *slot) acknowledge(v uint64) (more bool) {
	switch {
	case v&flagInserting != 0:
		s.inserting = false
	case v&flagRemoving != 0:
		s.removing = false
	default:
		return true
	}
	return false
}
