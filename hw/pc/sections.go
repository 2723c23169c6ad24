package pc

import (
	"io"

	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/memory"
	"goemu/internal/netdev"
	"goemu/migration/vmstate"
	"goemu/target/x86"
)

// timers is section "timer": the clocks that all devices and CPUs go by.
type timers struct{ m *Machine }

var timersState = vmstate.Description[timers]{
	Name: "timer", Version: 2, MinVersion: 1,
	Fields: []vmstate.Field[timers]{
		vmstate.Computed("cpu_ticks_offset", func(t *timers) int64 { return int64(t.m.tsc()) }, func(t *timers, v int64) { t.m.setTSC(uint64(v)) }),
		vmstate.Unused[timers](8),
		vmstate.Computed("cpu_clock_offset", func(*timers) int64 { return clock.Virtual.Now() }, func(_ *timers, ns int64) { clock.Virtual.Set(ns) }).Since(2),
	},
}

// TSCClock is an accelerator whose CPUs share a time stamp counter. SetTSC is called while it stands still.
type TSCClock interface {
	TSC() uint64
	SetTSC(uint64)
}

func (m *Machine) tsc() uint64 {
	if c, ok := m.accel.(TSCClock); ok {
		return c.TSC()
	}
	return 0
}

func (m *Machine) setTSC(v uint64) {
	if c, ok := m.accel.(TSCClock); ok {
		c.SetTSC(v)
	}
}

// Sections lists the machine's state as a migration stream has it: the clocks, the CPUs, then the devices in the order of their making.
// Preconditions: the machine is stopped and its lock is held.
func (m *Machine) Sections() []qdev.Section { return m.sections(false) }

// LoadSections lists the sections that can be loaded. After all were loaded LoadDone must be called. Preconditions: as for Sections.
func (m *Machine) LoadSections() []qdev.Section {
	m.loaded, m.fromKVM = make([]x86.State, len(m.cpus)), false
	for i, c := range m.cpus {
		m.loaded[i] = *c.State()
	}
	return m.sections(true)
}

func (m *Machine) sections(load bool) []qdev.Section {
	out := []qdev.Section{{Name: timersState.Name, State: timersState.Bind(&timers{m})}}
	for i, c := range m.cpus {
		for _, d := range []*vmstate.Description[x86.State]{&x86.CPUCommonState, &x86.CPUState} {
			out = append(out, qdev.Section{Name: d.Name, Instance: c.Index(), State: cpuSection{m, i, d}})
		}
	}
	out = append(out, m.pvClockSection(load)...)
	for i, st := range netdev.Main.States() {
		out = append(out, qdev.Section{Name: st.Layout().Name, Instance: i, State: st})
	}
	out = append(out, m.Tree.Sections()...)
	return append(out, m.keptSections(out, load)...)
}

// LoadDone gives the interrupt lines of PCI the levels that follow from what was loaded, and the CPUs their state, now that their local
// APICs have theirs.
func (m *Machine) LoadDone() {
	if m.pci != nil {
		m.pci.RestoreLines()
	}
	for i := range m.loaded {
		s := &m.loaded[i]
		if m.fromKVM {
			s.PhysicalOrder()
		}
		s.WaitSIPI = m.units[i].apic.WaitsForSIPI()
		m.cpus[i].SetState(s)
	}
	m.loaded = nil
}

// RAM lists the memory that a migration stream carries.
func (m *Machine) RAM() []*memory.RAMBlock { return m.blocks.All() }

// PrintRAM shows the blocks of RAM as they are in a migration.
func (m *Machine) PrintRAM(w io.Writer) { m.blocks.Print(w) }

// cpuSection is one of the sections of a CPU.
type cpuSection struct {
	m    *Machine
	cpu  int
	desc *vmstate.Description[x86.State]
}

// Save implements vmstate.State.
func (c cpuSection) Save(w *vmstate.Writer) {
	s := c.m.cpus[c.cpu].State()
	if c.m.pvClock() != nil {
		s.StackOrder()
	}
	c.desc.Save(s, w)
}

// Load implements vmstate.State.
func (c cpuSection) Load(r *vmstate.Reader, version int) error {
	s := &c.m.loaded[c.cpu]
	if err := c.desc.Load(s, r, version); err != nil || c.desc != &x86.CPUState {
		return err
	}
	if a, ok := c.m.accel.(StateChecker); ok {
		return a.CheckState(s)
	}
	return nil
}

// StateChecker is an accelerator that cannot go on from every state.
type StateChecker interface {
	CheckState(*x86.State) error
}

// Layout implements vmstate.State.
func (c cpuSection) Layout() *vmstate.Layout { return c.desc.Layout() }
