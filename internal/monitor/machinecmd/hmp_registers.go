package machinecmd

import (
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
)

// infoRegisters shows the registers of one CPU or of all.
func (s *Service) infoRegisters(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	first, last := m.CPU, m.CPU
	switch {
	case a.Bool("cpustate_all"):
		first, last = 0, len(t.CPUs)-1
	case a.Has("vcpu"):
		first = int(a.Int("vcpu"))
		if first < 0 || first >= len(t.CPUs) {
			m.Printf("CPU#%d not available\n", first)
			return nil
		}
		last = first
	case len(t.CPUs) == 0:
		m.Printf("No CPU available\n")
		return nil
	}
	for i := first; i <= last; i++ {
		m.Printf("\nCPU#%d\n", i)
		t.CPUState(i).Print(m, true)
	}
	return nil
}
