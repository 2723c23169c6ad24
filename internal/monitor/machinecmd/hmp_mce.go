package machinecmd

import (
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/internal/trace"
	"goemu/qapi"
	"goemu/target/x86"
)

// hmpMCE is the command mce.
func (s *Service) hmpMCE(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	first := t.cpu(int(a.Int("cpu_index")))
	if first < 0 {
		return nil
	}
	e := x86.MachineCheck{Bank: int(a.Int("bank")), Status: uint64(a.Int("status")), MCGStatus: uint64(a.Int("mcg_status")),
		Addr: uint64(a.Int("addr")), Misc: uint64(a.Int("misc"))}
	mcgCap := t.CPUState(t.CPUs[first].Index()).MCGCap
	switch {
	case mcgCap == 0:
		m.Printf("MCE injection not supported\n")
	case e.Bank < 0 || e.Bank >= int(mcgCap&x86.MCGBanks):
		m.Printf("Invalid MCE bank number\n")
	case e.Status&x86.MCStatusVal == 0:
		m.Printf("Invalid MCE status code\n")
	case a.Bool("broadcast") && !t.CPU.BroadcastsMCE():
		m.Printf("Guest CPU does not support MCA broadcast\n")
	default:
		s.machineCheck(m, t.CPUs[first], e)
		if !a.Bool("broadcast") {
			return nil
		}
		told := x86.MachineCheck{Bank: 1, Status: x86.MCStatusVal | x86.MCStatusUC, MCGStatus: x86.MCGStatusMCIP | x86.MCGStatusRIPV}
		for i, c := range t.CPUs {
			if i != first {
				s.machineCheck(m, c, told)
			}
		}
	}
	return nil
}

// machineCheck reports an error to a CPU. Preconditions: the machine lock is held.
func (s *Service) machineCheck(m *hmp.Monitor, c CPU, e x86.MachineCheck) {
	var r x86.MCEffect
	s.Machine().Stopped(func() {
		c.ChangeMC(func(st *x86.State) bool {
			r = st.Report(c.Index(), e)
			return r.Interrupt
		})
	})
	m.Printf("%s", r.Text)
	ev := &qapi.MemoryFailureEvent{Recipient: qapi.MemoryFailureRecipientGuest, Action: qapi.MemoryFailureActionInject,
		Flags: &qapi.MemoryFailureFlags{ActionRequired: e.Status&x86.MCStatusAR != 0, Recursive: r.Recursive}}
	switch {
	case r.Ignored:
		return
	case r.Reset:
		ev.Action = qapi.MemoryFailureActionReset
		trace.Printf(trace.Reset, "%s\n", r.Text)
		s.Machine().VM.RequestReset(mainloop.CauseGuestReset)
	}
	s.Emit(ev)
}
