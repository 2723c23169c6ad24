package hotplug

import (
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Registers for CPUs (QEMU's docs/specs/acpi_cpu_hotplug.rst).
const (
	cpuSelect = 0 // written
	cpuFlags  = 4
	cpuCmd    = 5
	cpuData   = 8
	cpuPorts  = 12

	cmdNextEvent = 0 // select the next CPU with an event
	cmdOSTEvent  = 1
	cmdOSTStatus = 2
	cmdAPICID    = 3
	numCommands  = 4

	// The older interface is a bit for each APIC identifier of a CPU that is there. A guest leaves it by writing zero to its start.
	oldPorts = 32
)

// CPUs are the registers for CPUs. The guest begins with an older interface, of which nothing but the switch to this one is used.
type CPUs struct {
	Config
	modern   bool
	selector uint32
	command  uint8
	slots    []cpuSlot

	present [oldPorts]byte // for the older interface
	io      *memory.Region // the port space
	port    uint64
	old     *memory.Region // the older interface, nil once the guest has left it
}

// cpuSlot is the place of a CPU.
type cpuSlot struct {
	slot
	firmware bool // is to eject it
	apicID   uint32
}

// Map puts the registers into the port space. ids are the APIC identifiers of all CPUs that there may be; the first one's stays.
func (c *CPUs) Map(io *memory.Region, port uint64, ids []uint32, cfg Config) {
	c.Config, c.io, c.port = cfg, io, port
	c.slots = make([]cpuSlot, len(ids))
	for i, id := range ids {
		c.slots[i].apicID = id
	}
	c.old = memory.NewIO("acpi-cpu-hotplug", oldPorts, (*oldCPUs)(c))
	c.old.Valid, c.old.Impl = memory.Access{Min: 1, Max: 4}, memory.Access{Min: 1, Max: 1}
	io.Add(c.old, port, 0)
}

// modernize replaces the older interface.
func (c *CPUs) modernize() {
	if c.modern || c.io == nil {
		return
	}
	memory.Begin()
	defer memory.Commit()
	c.modern = true
	c.io.Remove(c.old)
	c.old = nil
	r := memory.NewIO("acpi-cpu-hotplug", cpuPorts, (*cpuOps)(c))
	r.Valid = memory.Access{Min: 1, Max: 4}
	c.io.Add(r, c.port, 0)
}

// Modern tells whether the guest has left the older interface, by which no CPU can go.
func (c *CPUs) Modern() bool { return c.modern }

// Plugged puts a CPU into its slot.
func (c *CPUs) Plugged(n int, d qdev.Device) {
	s := &c.slots[n]
	if c.modern {
		s.insert(d, c.Notify)
		return
	}
	s.device, s.enabled = d, true
	if s.apicID/8 >= oldPorts {
		c.modernize()
		return
	}
	c.present[s.apicID/8] |= 1 << (s.apicID % 8)
	if d.Dev().Hotplugged() {
		c.Notify()
	}
}

// RequestUnplug asks the guest to let go of a CPU.
func (c *CPUs) RequestUnplug(n int) { c.slots[n].request(c.Notify) }

// Unplugged empties the slot of a CPU.
func (c *CPUs) Unplugged(n int) { c.slots[n].remove() }

// Status lists what the guest has said about the CPUs.
func (c *CPUs) Status() (list []OST) {
	if !c.modern {
		return nil
	}
	for i := range c.slots {
		list = append(list, c.slots[i].ost(CPU, i))
	}
	return list
}

// oldCPUs answers the older interface.
type oldCPUs CPUs

// Read implements memory.Ops.
func (o *oldCPUs) Read(off uint64, _ int) uint64 { return uint64(o.present[off]) }

// Write implements memory.Ops.
func (o *oldCPUs) Write(off uint64, _ int, v uint64) {
	if off == 0 && v == 0 {
		(*CPUs)(o).modernize()
	}
}

// cpuOps answers the registers.
type cpuOps CPUs

// selected is the slot that the selector names, nil if there is none.
func (o *cpuOps) selected() *cpuSlot {
	if uint64(o.selector) >= uint64(len(o.slots)) {
		return nil
	}
	return &o.slots[o.selector]
}

// Read implements memory.Ops.
func (o *cpuOps) Read(off uint64, _ int) uint64 {
	s := o.selected()
	if s == nil {
		return 0
	}
	switch {
	case off == cpuFlags && s.firmware:
		return uint64(s.flags() | flagFirmware)
	case off == cpuFlags:
		return uint64(s.flags())
	case off == cpuData && o.command == cmdNextEvent:
		return uint64(o.selector)
	case off == cpuData && o.command == cmdAPICID:
		return uint64(s.apicID)
	}
	return 0 // at 0, the high half of the data, which APIC identifiers do not fill
}

// Write implements memory.Ops.
func (o *cpuOps) Write(off uint64, _ int, v uint64) {
	if off == cpuSelect {
		o.selector = uint32(v)
		return
	}
	s := o.selected()
	if s == nil {
		return
	}
	switch off {
	case cpuFlags:
		o.writeFlags(s, v)
	case cpuCmd:
		if v < numCommands {
			o.command = uint8(v)
		}
		if v == cmdNextEvent {
			o.findEvent()
		}
	case cpuData:
		switch o.command {
		case cmdOSTEvent:
			s.event = uint32(v)
		case cmdOSTStatus:
			s.status = uint32(v)
			o.Report(s.ost(CPU, int(o.selector)))
		}
	}
}

// writeFlags acts on a write to the flags of the selected slot.
func (o *cpuOps) writeFlags(s *cpuSlot, v uint64) {
	if !s.acknowledge(v) || s.device == nil || o.selector == 0 {
		return
	}
	switch {
	case v&flagEject != 0:
		s.firmware = false
		s.device.Dev().Tree().Unplugged(s.device)
	case v&flagFirmware != 0:
		s.firmware = true
	}
}

// findEvent selects the next CPU with an event, from the selected one on. Without any, the selector stays.
func (o *cpuOps) findEvent() {
	for i := range o.slots {
		n := (int(o.selector) + i) % len(o.slots)
		if s := &o.slots[n]; s.inserting || s.removing || s.firmware {
			o.selector = uint32(n)
			return
		}
	}
}

var cpuSlotState = vmstate.Description[cpuSlot]{Name: "CPU hotplug device state", Version: 1, MinVersion: 1, Fields: []vmstate.Field[cpuSlot]{
	vmstate.Of("is_inserting", func(s *cpuSlot) *bool { return &s.inserting }),
	vmstate.Of("is_removing", func(s *cpuSlot) *bool { return &s.removing }),
	vmstate.Of("ost_event", func(s *cpuSlot) *uint32 { return &s.event }),
	vmstate.Of("ost_status", func(s *cpuSlot) *uint32 { return &s.status }),
}}

var cpusState = vmstate.Description[CPUs]{Name: "CPU hotplug state", Version: 1, MinVersion: 1, Fields: []vmstate.Field[CPUs]{
	vmstate.Of("selector", func(c *CPUs) *uint32 { return &c.selector }),
	vmstate.Of("command", func(c *CPUs) *uint8 { return &c.command }),
	vmstate.Structs("devs", &cpuSlotState, func(c *CPUs) []cpuSlot { return c.slots }),
}}

// CPUsSection is the subsection of a T that holds the registers for CPUs, sent once the guest has left the older interface.
func CPUsSection[T any](name string, at func(*T) *CPUs) *vmstate.Description[T] {
	return &vmstate.Description[T]{Name: name, Version: 1, MinVersion: 1,
		Needed:  func(p *T) bool { return at(p).modern },
		PreLoad: func(p *T) { at(p).modernize() },
		Fields:  []vmstate.Field[T]{vmstate.Struct("cpuhp_state", &cpusState, at).Since(1)},
	}
}
