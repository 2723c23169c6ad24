package x86

import "testing"

// TestCPUIDqemu64 compares with what a guest sees under QEMU 7.2 with -cpu qemu64.
func TestCPUIDqemu64(t *testing.T) {
	cfg, missing := NewConfig(FindModel("qemu64"), &TCGFeatures)
	if missing != (Features{}) {
		t.Errorf("missing %x", missing)
	}
	s := &CPUIDState{APICBase: APICBaseEnable, XCR0: 1}
	for _, c := range []struct {
		leaf, sub uint32
		want      Regs
	}{
		{0, 0, Regs{0xd, 0x68747541, 0x444d4163, 0x69746e65}},
		{1, 0, Regs{0x00060fb1, 0x00000800, 0x80002001, 0x078bfbfd}},
		{5, 0, Regs{0, 0, 3, 0}},
		{0xb, 0, Regs{0, 1, 0x100, 0}},
		{0xb, 1, Regs{0, 1, 0x201, 0}},
		{0xd, 0, Regs{}},
		{0x40000000, 0, Regs{0x40000001, 0x54474354, 0x43544743, 0x47435447}},
		{0x80000000, 0, Regs{0x8000000a, 0x68747541, 0x444d4163, 0x69746e65}},
		{0x80000001, 0, Regs{0x00060fb1, 0, 5, 0x2193fbfd}},
		{0x80000002, 0, Regs{0x554d4551, 0x72695620, 0x6c617574, 0x55504320}},
		{0x80000008, 0, Regs{0x00003028, 0, 0, 0}},
	} {
		if got := cfg.CPUID(c.leaf, c.sub, s); got != c.want {
			t.Errorf("leaf %#x.%d: %08x, want %08x", c.leaf, c.sub, got, c.want)
		}
	}
}

func TestFeatureNames(t *testing.T) {
	for name, want := range map[string]Feature{
		"fpu": FeatFPU, "apic": FeatAPIC, "ht": FeatHT, "pcid": FeatPCID, "x2apic": FeatX2APIC, "avx": FeatAVX, "hypervisor": FeatHypervisor,
		"smep": FeatSMEP, "smap": FeatSMAP, "umip": FeatUMIP, "la57": FeatLA57, "rdpid": FeatRDPID, "pks": FeatPKS, "nx": FeatNX, "lm": FeatLM,
		"rdtscp": FeatRDTSCP, "svm": FeatSVM, "xsaves": FeatXSAVES, "pdpe1gb": FeatPDPE1GB, "sse3": Feature(F1ECX) << 5, "tsc-deadline": FeatDeadline,
	} {
		if got, ok := FeatureByName(name); !ok || got != want {
			t.Errorf("%s: %d %v, want %d", name, got, ok, want)
		}
	}
	if _, ok := FeatureByName("nosuch"); ok {
		t.Error("nosuch is known")
	}
}
