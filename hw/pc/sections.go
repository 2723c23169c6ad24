package pc

import (
	"goemu/hw/qdev"
	"goemu/migration/vmstate"
	"goemu/target/x86"
)

// Sections lists the machine's state as a migration stream has it: the CPUs, then the devices in the order of their making. After all of
// them were loaded LoadDone must be called. Preconditions: the machine is stopped and its lock is held.
func (m *Machine) Sections() []qdev.Section {
	m.loaded = make([]x86.State, len(m.cpus))
	var out []qdev.Section
	for i := range m.cpus {
		for _, d := range []*vmstate.Description[x86.State]{&x86.CPUCommonState, &x86.CPUState} {
			out = append(out, qdev.Section{Name: d.Name, Instance: i, State: cpuSection{m, i, d}})
		}
	}
	return append(out, m.Tree.Sections()...)
}

// LoadDone gives the CPUs the state that was loaded, now that their local APICs have theirs.
func (m *Machine) LoadDone() {
	for i := range m.loaded {
		s := &m.loaded[i]
		s.WaitSIPI = m.localAPICs[i].WaitsForSIPI()
		m.cpus[i].SetState(s)
	}
}

// cpuSection is one of the sections of a CPU.
type cpuSection struct {
	m    *Machine
	cpu  int
	desc *vmstate.Description[x86.State]
}

// Save implements vmstate.State.
func (c cpuSection) Save(w *vmstate.Writer) { c.desc.Save(c.m.cpus[c.cpu].State(), w) }

// Load implements vmstate.State.
func (c cpuSection) Load(r *vmstate.Reader, version int) error {
	return c.desc.Load(&c.m.loaded[c.cpu], r, version)
}

// Layout implements vmstate.State.
func (c cpuSection) Layout() *vmstate.Layout { return c.desc.Layout() }
