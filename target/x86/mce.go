package x86

import "fmt"

// Machine check banks have four registers each: control, status, address and more about it.
const (
	MCBanks    = 10
	MCBankRegs = 4
)

// Bits of IA32_MCG_CAP, IA32_MCG_STATUS and IA32_MCi_STATUS (Intel SDM volume 3, 16.3).
const (
	MCGBanks = 0xff
	MCGCtlP  = 1 << 8
	MCGSerP  = 1 << 24

	MCGStatusRIPV = 1 << 0
	MCGStatusMCIP = 1 << 2

	MCStatusVal  = 1 << 63
	MCStatusOver = 1 << 62
	MCStatusUC   = 1 << 61
	MCStatusAR   = 1 << 55
)

// MCGCap is IA32_MCG_CAP: 0 if CPUs of the model have no machine check.
func (c *Config) MCGCap() uint64 {
	const oldest = 6
	if c.Model.Family < oldest || !c.Features.Has(FeatMCE) || !c.Features.Has(FeatMCA) {
		return 0
	}
	return MCGCtlP | MCGSerP | MCBanks
}

// BroadcastsMCE tells whether machine checks of such a CPU are told to all of them.
func (c *Config) BroadcastsMCE() bool {
	const family, model = 6, 14
	return c.Model.Family > family || c.Model.Family == family && c.Model.Model >= model
}

// EnableMC gives a CPU after power-up all kinds of reports.
func (s *State) EnableMC(mcgCap uint64) {
	if s.MCGCap = mcgCap; mcgCap == 0 {
		return
	}
	s.MCGCtl = ^uint64(0)
	for i := 0; i < len(s.MCBanks); i += MCBankRegs {
		s.MCBanks[i] = ^uint64(0)
	}
}

// MachineCheck is an error that hardware reports.
type MachineCheck struct {
	Bank                          int // less than what MCGCap says
	Status, MCGStatus, Addr, Misc uint64
}

// MCEffect is what a machine check does to a CPU.
type MCEffect struct {
	Interrupt bool   // it enters the handler of #MC
	Reset     bool   // it cannot: triple fault
	Ignored   bool   // reports of its kind are off
	Recursive bool   // another one was being handled
	Text      string // why there is no interrupt
}

// Report records a machine check in the registers of CPU number cpu.
func (s *State) Report(cpu int, e MachineCheck) (r MCEffect) {
	bank := s.MCBanks[MCBankRegs*e.Bank:][:MCBankRegs]
	r.Recursive = s.MCGStatus&MCGStatusMCIP != 0
	record := func() {
		if bank[1]&MCStatusVal != 0 {
			e.Status |= MCStatusOver
		}
		bank[1], bank[2], bank[3] = e.Status, e.Addr, e.Misc
	}
	switch {
	case e.Status&MCStatusUC == 0 && bank[1]&MCStatusVal != 0 && bank[1]&MCStatusUC != 0:
		bank[1] |= MCStatusOver
	case e.Status&MCStatusUC == 0:
		record()
	case s.MCGCap&MCGCtlP != 0 && s.MCGCtl != ^uint64(0):
		r.Ignored, r.Text = true, fmt.Sprintf("CPU %d: Uncorrected error reporting disabled\n", cpu)
	case bank[0] != ^uint64(0):
		r.Ignored, r.Text = true, fmt.Sprintf("CPU %d: Uncorrected error reporting disabled for bank %d\n", cpu, e.Bank)
	case s.CR4&CR4MCE == 0:
		r.Reset, r.Text = true, fmt.Sprintf("CPU %d: MCE capability is not enabled, raising triple fault", cpu)
	case r.Recursive:
		r.Reset, r.Text = true, fmt.Sprintf("CPU %d: Previous MCE still in progress, raising triple fault", cpu)
	default:
		record()
		s.MCGStatus = e.MCGStatus
		r.Interrupt = true
	}
	return r
}
