package pc

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"goemu/hw/firmware/fwcfg"
	"goemu/hw/intc/apic"
	"goemu/hw/qdev"
	"goemu/target/x86"
)

// noAPICID is the APIC identifier of a CPU that says where it is by its place in the topology.
const noAPICID = 0xffffffff

// cpuDevice is a CPU as a device: the types are those of the models.
type cpuDevice struct {
	qdev.Base
	cpuProps
	m     *Machine // nil on a machine without CPUs
	index int
	cpu   CPU // nil while the device is out of operation
	apic  *apic.APIC
}

// cpuProps says where a CPU is; -1 for what follows from the rest.
type cpuProps struct {
	APICID   uint32 `prop:"apic-id,default=0xffffffff"`
	NodeID   int32  `prop:"node-id,default=-1"`
	SocketID int32  `prop:"socket-id,default=-1"`
	DieID    int32  `prop:"die-id,default=-1"`
	CoreID   int32  `prop:"core-id,default=-1"`
	ThreadID int32  `prop:"thread-id,default=-1"`
}

// CPUClasses are the device types of the CPU models.
func CPUClasses() (list []*qdev.Class) {
	for _, m := range append(x86.ModelNames(nil), x86.ModelName{Name: x86.HostModel}) {
		list = append(list, cpuClass(m.Name+x86.TypeSuffix))
	}
	return list
}

func cpuClass(name string) *qdev.Class {
	return &qdev.Class{Name: name, Parents: []string{"x86_64-cpu", "cpu"}, Category: qdev.CPUs, New: func() qdev.Device { return new(cpuDevice) }}
}

// isCPUType tells whether a type of devices is that of a CPU model, or what these have in common.
func isCPUType(name string) bool {
	return len(name) >= len(x86.TypeSuffix) && name[len(name)-len(x86.TypeSuffix):] == x86.TypeSuffix || name == "x86_64-cpu" || name == "cpu"
}

// newCPU makes a CPU that the machine has from the start.
func (m *Machine) newCPU(index int) error {
	name := m.cfg.CPU.TypeName()
	d, err := m.Tree.New(cmp.Or(m.cfg.Registry.Lookup(name), cpuClass(name)))
	if err != nil {
		return err
	}
	d.(*cpuDevice).APICID = m.cfg.CPU.Topology.APICID(index)
	return qdev.Realize(d, nil)
}

// prePlugCPU finds the place of a new CPU.
func (m *Machine) prePlugCPU(c *cpuDevice) error {
	t := m.cfg.CPU.Topology
	if want := m.cfg.CPU.TypeName(); c.Class().Name != want {
		return fmt.Errorf("Invalid CPU type, expected cpu type: '%s'", want)
	}
	if m.chips != nil {
		if err := m.chips.mayPlugCPU(); err != nil {
			return err
		}
	}
	if c.APICID == noAPICID {
		if err := c.findID(t); err != nil {
			return err
		}
	}
	p := t.PlaceOf(c.APICID)
	if c.index = t.Index(p); c.index >= t.CPUs() || t.APICID(c.index) != c.APICID {
		return fmt.Errorf("Invalid CPU [socket: %d, die: %d, core: %d, thread: %d] with APIC ID %d, valid index range 0:%d", p.Socket, p.Die, p.Core, p.Thread, c.APICID, t.CPUs()-1)
	}
	if m.unit(c.index) != nil {
		return fmt.Errorf("CPU[%d] with APIC ID %d exists", c.index, c.APICID)
	}
	for _, f := range []struct {
		name string
		id   *int32
		is   int
	}{{"socket-id", &c.SocketID, p.Socket}, {"die-id", &c.DieID, p.Die}, {"core-id", &c.CoreID, p.Core}, {"thread-id", &c.ThreadID, p.Thread}} {
		if *f.id != -1 && int(*f.id) != f.is {
			return fmt.Errorf("property %s: %d doesn't match set apic-id: 0x%x (%s: %d)", f.name, *f.id, c.APICID, f.name, f.is)
		}
		*f.id = int32(f.is)
	}
	if node, ok := m.Node(c.index); ok {
		if c.NodeID != -1 && int(c.NodeID) != node {
			return fmt.Errorf("invalid node-id, must be %d", node)
		}
		c.NodeID = int32(node)
	}
	c.m = m
	return nil
}

// findID makes the APIC identifier of what the user says about the place.
func (c *cpuDevice) findID(t x86.Topology) error {
	if c.DieID < 0 && t.Dies <= 1 {
		c.DieID = 0
	}
	for _, f := range []struct {
		name string
		id   int32
		n    int
	}{{"socket", c.SocketID, t.Sockets}, {"die", c.DieID, t.Dies}, {"core", c.CoreID, t.Cores}, {"thread", c.ThreadID, t.Threads}} {
		switch {
		case f.id < 0:
			return fmt.Errorf("CPU %s-id is not set", f.name)
		case int(f.id) >= max(f.n, 1):
			return fmt.Errorf("Invalid CPU %s-id: %d must be in range 0:%d", f.name, f.id, max(f.n, 1)-1)
		}
	}
	c.APICID = t.APICID(t.Index(x86.Place{Socket: int(c.SocketID), Die: int(c.DieID), Core: int(c.CoreID), Thread: int(c.ThreadID)}))
	return nil
}

// Realize implements qdev.Device: the CPU gets its local APIC.
func (c *cpuDevice) Realize() (err error) {
	m := c.m
	if m == nil {
		return errors.New("apic-id property was not initialized properly")
	}
	cpu, err := m.accel.NewCPU(c.index, c.APICID)
	if err != nil {
		return err
	}
	if c.apic, err = m.apics.New(m.Tree, cpu, m.cfg.CPU.Features.Has(x86.FeatX2APIC)); err != nil {
		m.accel.Remove(cpu)
		return err
	}
	cpu.SetInterruptController(c.apic)
	c.apic.QOM().Remove()
	c.QOM().MustAdd("lapic", c.apic.QOM())
	c.describe()
	c.cpu = cpu
	at, _ := slices.BinarySearchFunc(m.units, c.index, func(u *cpuDevice, i int) int { return u.index - i })
	m.setUnits(slices.Insert(slices.Clone(m.units), at, c))
	return nil
}

// Unrealize implements qdev.Device. The CPU may be the one that asks for it; it ends when it is between two instructions.
func (c *cpuDevice) Unrealize() {
	m := c.m
	if m.chips != nil {
		if s, _ := m.chips.slots(); s != nil {
			s.Unplugged(c.index)
		}
	}
	m.setUnits(slices.DeleteFunc(slices.Clone(m.units), func(u *cpuDevice) bool { return u == c }))
	m.apics.Remove(c.apic)
	qdev.Unrealize(c.apic)
	m.accel.Remove(c.cpu)
	c.cpu = nil
	m.countCPUs()
}

// Reset implements qdev.Device.
func (c *cpuDevice) Reset() { c.cpu.Reset() }

// unit is the CPU of a number, nil if it is not there.
func (m *Machine) unit(index int) *cpuDevice {
	for _, u := range m.units {
		if u.index == index {
			return u
		}
	}
	return nil
}

// setUnits replaces the list of CPUs. Who goes through the old one is not disturbed.
func (m *Machine) setUnits(units []*cpuDevice) {
	cpus := make([]CPU, len(units))
	for i, u := range units {
		cpus[i] = u.cpu
	}
	m.units, m.cpus = units, cpus
}

// pluggedCPU makes a new CPU known.
func (m *Machine) pluggedCPU(c *cpuDevice) {
	if m.chips == nil { // the chipset is yet to be made
		return
	}
	if s, _ := m.chips.slots(); s != nil {
		s.Plugged(c.index, c)
	}
	m.countCPUs()
	if c.Hotplugged() {
		m.accel.Start()
	}
}

// countCPUs tells firmware how many CPUs there are, and the emulator that it is other ones.
func (m *Machine) countCPUs() {
	if m.rtc != nil {
		m.rtc.SetCPUs(len(m.cpus))
	}
	if m.fw != nil {
		m.fw.SetU16(fwcfg.KeyCPUs, uint16(len(m.cpus)))
	}
	if m.CPUsChanged != nil {
		m.CPUsChanged()
	}
}

// unplugCPU asks the guest to let go of a CPU.
func (m *Machine) unplugCPU(c *cpuDevice) error {
	s, _ := m.chips.slots()
	switch {
	case s == nil:
		return errors.New("CPU hot unplug not supported without ACPI")
	case c.index == 0:
		return errors.New("Boot CPU is unpluggable")
	case !s.Modern():
		return fmt.Errorf("acpi: device unplug request for not supported device type: %s", c.Class().Name)
	}
	if err := m.chips.mayUnplugCPU(); err != nil {
		return err
	}
	s.RequestUnplug(c.index)
	return nil
}

// apicIDs are the APIC identifiers of all CPUs that there may be.
func (m *Machine) apicIDs() (ids []uint32) {
	for i := range m.cfg.CPU.Topology.CPUs() {
		ids = append(ids, m.cfg.CPU.Topology.APICID(i))
	}
	return ids
}
