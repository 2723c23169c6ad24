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
	shown := []int{m.CPU}
	switch {
	case a.Bool("cpustate_all"):
		shown = nil
		for _, c := range t.CPUs {
			shown = append(shown, c.Index())
		}
	case a.Has("vcpu"):
		shown[0] = int(a.Int("vcpu"))
		if t.cpu(shown[0]) < 0 {
			m.Printf("CPU#%d not available\n", shown[0])
			return nil
		}
	case t.cpu(m.CPU) < 0:
		m.Printf("No CPU available\n")
		return nil
	}
	for _, i := range shown {
		m.Printf("\nCPU#%d\n", i)
		t.CPUState(i).Print(m, true)
	}
	return nil
}
