package x86

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	const valid, uncorrected = MCStatusVal, uint64(MCStatusVal | MCStatusUC)
	for _, c := range []struct {
		name   string
		set    func(s *State)
		status uint64
		want   MCEffect
		bank   uint64 // status afterwards
		mcg    uint64
	}{
		{"corrected", nil, valid | 5, MCEffect{}, valid | 5, 0},
		{"corrected twice", func(s *State) { s.MCBanks[9] = valid }, valid | 5, MCEffect{}, valid | 5 | MCStatusOver, 0},
		{"corrected after uncorrected", func(s *State) { s.MCBanks[9] = uncorrected | 1 }, valid | 5, MCEffect{}, uncorrected | 1 | MCStatusOver, 0},
		{"uncorrected", nil, uncorrected, MCEffect{Interrupt: true}, uncorrected, 7},
		{"over", func(s *State) { s.MCBanks[9] = valid }, uncorrected, MCEffect{Interrupt: true}, uncorrected | MCStatusOver, 7},
		{"off", func(s *State) { s.MCGCtl = 1 }, uncorrected, MCEffect{Ignored: true, Text: "CPU 1: Uncorrected error reporting disabled\n"}, 0, 0},
		{"bank off", func(s *State) { s.MCBanks[8] = 0 }, uncorrected,
			MCEffect{Ignored: true, Text: "CPU 1: Uncorrected error reporting disabled for bank 2\n"}, 0, 0},
		{"not enabled", func(s *State) { s.CR4 = 0 }, uncorrected,
			MCEffect{Reset: true, Text: "CPU 1: MCE capability is not enabled, raising triple fault"}, 0, 0},
		{"recursive", func(s *State) { s.MCGStatus = MCGStatusMCIP }, uncorrected,
			MCEffect{Reset: true, Recursive: true, Text: "CPU 1: Previous MCE still in progress, raising triple fault"}, 0, MCGStatusMCIP},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := new(State)
			s.EnableMC(MCGCtlP | MCGSerP | MCBanks)
			s.CR4 = CR4MCE
			if c.set != nil {
				c.set(s)
			}
			require.Equal(t, c.want, s.Report(1, MachineCheck{Bank: 2, Status: c.status, MCGStatus: 7, Addr: 8, Misc: 9}))
			require.Equal(t, c.bank, s.MCBanks[9])
			require.Equal(t, c.mcg, s.MCGStatus)
		})
	}
}

func TestMCGCap(t *testing.T) {
	for model, want := range map[string][2]uint64{"qemu64": {0x100010a, 1}, "486": {}, "pentium": {}, "pentium2": {0x100010a}, "qemu64,-mca": {0, 1}, "coreduo": {0x100010a, 1}} {
		cfg, _, err := ParseOption(model, &TCGFeatures, "TCG")
		require.NoError(t, err)
		require.Equal(t, want, [2]uint64{cfg.MCGCap(), map[bool]uint64{true: 1}[cfg.BroadcastsMCE()]}, model)
	}
}
