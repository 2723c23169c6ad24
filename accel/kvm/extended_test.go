package kvm

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"goemu/accel"
	"goemu/accel/acceltest"
	"goemu/target/x86"
)

// bigHost is a fake kernel on a processor with all extended components, counters and Hyper-V's interface.
func bigHost() *fake {
	f := newFake()
	f.guest = func([]byte) error { return unix.EINTR }
	f.caps[capXsave2], f.caps[capAddressSpaces] = 12288, 2
	add := func(leaf, sub uint32, r x86.Regs) {
		f.cpuid = append(f.cpuid, cpuidEntry{Function: leaf, Index: sub, Flags: cpuidIndexed, Regs: r})
	}
	bit := func(list ...x86.Feature) (v uint32) {
		for _, b := range list {
			v |= 1 << (b & 31)
		}
		return v
	}
	add(0, 0, x86.Regs{0x1f})
	add(1, 0, x86.Regs{0, 0, bit(x86.FeatXSAVE, x86.FeatAVX, x86.FeatPDCM), ^uint32(0)})
	add(7, 0, x86.Regs{0, bit(x86.FeatAVX512F, x86.FeatMPX), bit(x86.FeatPKU), bit(x86.FeatAMXTile)})
	add(leafPMU, 0, x86.Regs{0x00300802, 0, 0, 3})
	add(leafXSAVE, 0, x86.Regs{0x602ff, 0x240, 0x2b00})
	add(leafXSAVE, 1, x86.Regs{bit(x86.FeatXFD)})
	for _, x := range x86.XComponents {
		add(leafXSAVE, uint32(x.Bit), x86.Regs{uint32(x.Size), uint32(x.Offset)})
	}
	add(leafTiles, 0, x86.Regs{1})
	add(leafTiles, 1, x86.Regs{0x04002000, 0x00080040, 16})
	add(leafCache, 0, x86.Regs{0xfc1fc121, 0x1c0003f, 0x3f})
	f.listed = []uint32{0x1c4, 0x1c5, 0xd90, hvReferenceTSC, hvVPIndex, hvRuntime, hvCrashControl, hvSTimer0Config, hvAssistPage, hvReenlightenment, hvTSCEmulation,
		hvTSCEmulationStatus, hvSControl, hvSVersion}
	for i := range uint32(x86.HVCrashParams) {
		f.listed = append(f.listed, hvCrash0+i)
	}
	for _, leaf := range []uint32{x86.HVLeafFeatures, x86.HVLeafAdvice} {
		f.hyperv = append(f.hyperv, cpuidEntry{Function: leaf, Regs: x86.Regs{^uint32(0) &^ (1 << 18), 7, 0, ^uint32(0)}})
	}
	return f
}

// bigMachine makes a machine with a CPU of the host's kind on it; cpu are further settings.
func bigMachine(t *testing.T, f *fake, cpu string, smm bool) (*acceltest.Machine, *Accel) {
	t.Helper()
	h, err := open(f)
	if err != nil {
		t.Fatal(err)
	}
	p := &x86.Host{Vendor: "GenuineIntel", Features: h.Features(accel.ChipsAll), PhysBits: 46, Level: 0x1f, XLevel: 0x80000008}
	if p.HyperV, err = h.HyperV(); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := x86.ParseHostOption("host"+cpu, p)
	if err != nil {
		t.Fatal(err)
	}
	m := acceltest.New(t, nil)
	o := Options{Host: h, Config: cfg, Memory: m.AS, Machine: m, Chips: accel.ChipsAll}
	if smm {
		o.SMM = m.AS
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	if _, err := a.NewCPU(0, 0); err != nil {
		t.Fatal(err)
	}
	return m, a
}

// fill gives a value's numbers, all but those of bool, random values.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	default:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	}
}

// TestExtendedState: what is set of the extended components, counters and Hyper-V's registers is what the kernel gets and gives back.
func TestExtendedState(t *testing.T) {
	const all = ",hv-relaxed,hv-vapic,hv-time,hv-crash,hv-reset,hv-vpindex,hv-runtime,hv-synic,hv-stimer,hv-frequencies,hv-reenlightenment,hv-tlbflush,hv-ipi,hv-avic"
	f := bigHost()
	_, a := bigMachine(t, f, all, true)
	c := a.CPUs()[0]
	r := rand.New(rand.NewPCG(1, 2))
	want := c.State()
	for _, p := range []any{&want.AVX512, &want.Tiles, &want.Bounds, &want.PMU, &want.HyperV, &want.XFD, &want.XFDErr, &want.PKRU, &want.PDPTR, &want.TripleFault, &want.Vec} {
		fill(r, reflect.ValueOf(p).Elem())
	}
	for i := 8; i < x86.MaxCounters; i++ { // as many as the leaf says
		want.PMU.Counter[i], want.PMU.Select[i] = 0, 0
	}
	want.CR0, want.CR4, want.CR3, want.PDPTRValid = x86.CR0PG|x86.CR0PE, x86.CR4PAE, 0x1000, true
	c.pdptrFor = want.CR3
	want.Mode |= x86.ModeSMM
	want.Mode2 |= x86.Mode2SMMInsideNMI
	c.SetState(want)
	if err := c.push(); err != nil {
		t.Fatal(err)
	}
	c.rest, c.synced = x86.State{}, false
	got := c.State()
	for _, name := range []string{"AVX512", "Tiles", "Bounds", "PMU", "HyperV", "XFD", "XFDErr", "PKRU", "PDPTRValid", "PDPTR", "TripleFault", "Vec"} {
		x, y := reflect.ValueOf(got).Elem().FieldByName(name), reflect.ValueOf(want).Elem().FieldByName(name)
		if !x.Equal(y) {
			t.Errorf("%s: got %v, want %v", name, x, y)
		}
	}
	if got.Mode&x86.ModeSMM == 0 || got.Mode2&x86.Mode2SMMInsideNMI == 0 {
		t.Errorf("modes %#x, %#x", got.Mode, got.Mode2)
	}
	if !slices.Contains(f.made, reqGetXsave2) {
		t.Error("the area is as large as ever")
	}
	if f.msrs[hvVPIndex] != 0 || f.msrs[hvCrashControl] != hvCrashNotify || f.msrs[pmuControl] != want.PMU.Control {
		t.Errorf("%#x", f.msrs)
	}
	second, err := a.NewCPU(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !second.hasHyperV(hvAssistPage) || second.hasHyperV(hvHypercall) || second.hasHyperV(hvReferenceTSC) {
		t.Error("the machine's registers are those of the first CPU")
	}
	if s := (&x86.State{Mode: x86.ModeSMM}); a.CheckState(s) != nil {
		t.Error("system management mode is refused")
	}
}

// TestCPUIDLeaves: Hyper-V's leaves take the first place, KVM's follow them; the host's counters, tiles and caches are there if asked for.
func TestCPUIDLeaves(t *testing.T) {
	leaf := func(a *Accel, f, sub uint32) (r x86.Regs) {
		for _, e := range a.cpuid.Entries[:a.cpuid.N] {
			if e.Function == f && (e.Flags&cpuidIndexed == 0 || e.Index == sub) {
				return e.Regs
			}
		}
		return r
	}
	_, a := bigMachine(t, bigHost(), ",hv-vapic,hv-spinlocks=0x1fff,hv-vpindex,hv-synic,hv-vendor-id=goemu,hv-version-id-minor=3,host-cache-info=on", false)
	for want, got := range map[x86.Regs]x86.Regs{
		{0x40000005, 0x6d656f67, 0x75}:             leaf(a, 0x40000000, 0),
		{0x31237648}:                               leaf(a, 0x40000001, 0),
		{0x3839, 0xa0003}:                          leaf(a, 0x40000002, 0),
		{0x74, 0, 0, 8}:                            leaf(a, 0x40000003, 0),
		{8, 0x1fff}:                                leaf(a, 0x40000004, 0),
		{0xffffffff, 64}:                           leaf(a, 0x40000005, 0),
		{0x00300802, 0, 0, 3}:                      leaf(a, leafPMU, 0),
		{0x04002000, 0x80040, 16}:                  leaf(a, leafTiles, 1),
		{0x121, 0x1c0003f, 0x3f}:                   leaf(a, leafCache, 0),
		{0x40000101, 0x4b4d564b, 0x564b4d56, 0x4d}: leaf(a, 0x40000100, 0),
	} {
		if got != want {
			t.Errorf("got %#x, want %#x", got, want)
		}
	}
	_, a = bigMachine(t, bigHost(), ",pmu=off", false)
	if r := leaf(a, leafPMU, 0); r != (x86.Regs{}) || leaf(a, 1, 0)[2]&(1<<(x86.FeatPDCM&31)) != 0 || leaf(a, 0x40000000, 0)[1] != 0x4b4d564b {
		t.Errorf("%#x", r)
	}
}

// TestHyperVRefused: what the kernel lacks is named, and so is what else is needed.
func TestHyperVRefused(t *testing.T) {
	f := bigHost()
	h, err := open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	p := &x86.Host{Vendor: "GenuineIntel", PhysBits: 40, Level: 0xd, XLevel: 0x80000008, Features: h.Features(accel.ChipsAll)}
	try := func(cpu string) string {
		if p.HyperV, err = h.HyperV(); err == nil {
			_, _, err = x86.ParseHostOption("qemu64,"+cpu, p)
		}
		if err == nil {
			return ""
		}
		return err.Error()
	}
	f.caps[capSysHyperVCPUID] = 0
	delete(h.caps, capSysHyperVCPUID)
	delete(h.caps, capHyperVTime)
	for cpu, want := range map[string]string{
		"hv-relaxed,hv-spinlocks=0x1000": "",
		"hv-time":                        "Hyper-V clocksources (hv-time) is not supported by kernel",
		"hv-frequencies":                 "Hyper-V frequency MSRs (hv-frequencies) is not supported by kernel",
		"hv-synic":                       "Hyper-V synthetic interrupt controller (hv-synic) requires Hyper-V VP_INDEX MSR (hv-vpindex)",
		"hv-tlbflush":                    "Hyper-V paravirtualized TLB flush (hv-tlbflush) requires Hyper-V VP_INDEX MSR (hv-vpindex)",
		"hv-passthrough":                 "",
	} {
		if got := try(cpu); got != want {
			t.Errorf("%s: %q, want %q", cpu, got, want)
		}
	}
	delete(h.caps, capHyperV)
	if got := try("hv-relaxed"); !strings.Contains(got, "KVM_CAP_HYPERV") {
		t.Error(got)
	}
	if _, _, err := x86.ParseOption("max,hv-relaxed", &x86.TCGFeatures, "TCG"); err == nil || err.Error() != "Hyper-V enlightenments (hv-*) need KVM" {
		t.Error(err)
	}
}

// TestSMM: the address space of system management mode has slots of its own, the interrupt goes to the kernel, accesses see that space.
func TestSMM(t *testing.T) {
	f := bigHost()
	in, done := make(chan struct{}, 1), make(chan struct{})
	told := false
	f.guest = func([]byte) error {
		f.mu.Lock()
		if sent := slices.Contains(f.made, reqSMI); sent && !told {
			told = true
			close(done)
		}
		f.mu.Unlock()
		select {
		case in <- struct{}{}:
		default:
		}
		<-f.signals
		return unix.EINTR
	}
	_, a := bigMachine(t, f, "", true)
	spaces := map[uint32]int{}
	for _, r := range f.regions {
		spaces[r.Slot>>spaceShift]++
	}
	if spaces[0] == 0 || spaces[0] != spaces[1] {
		t.Errorf("slots by space: %v", spaces)
	}
	a.Start()
	<-in
	a.CPUs()[0].Raise(accel.IRQSMI)
	<-done
	if err := a.CheckState(&x86.State{Mode: x86.ModeGuest}); err == nil {
		t.Error("a nested guest is accepted")
	}
}

// TestHyperVExits: hypercalls that nobody answers get the interface's errors.
func TestHyperVExits(t *testing.T) {
	for call, want := range map[uint64]uint64{hvPostMessage: hvInvalidConnection, hvSignalEvent | 1<<16: hvInvalidConnection, 0x69: hvInvalidCode} {
		f := bigHost()
		got := make(chan uint64, 1)
		n := 0
		f.guest = func(p []byte) error {
			switch n++; n {
			case 1:
				le.PutUint32(p[runReason:], exitHyperV)
				le.PutUint32(p[hvType:], hvExitCall)
				le.PutUint64(p[hvInput:], call)
			case 2:
				got <- le.Uint64(p[hvResult:])
				le.PutUint32(p[hvType:], hvExitSynIC)
			default:
				<-f.signals
				return unix.EINTR
			}
			return nil
		}
		_, a := bigMachine(t, f, ",hv-relaxed", false)
		a.Start()
		if v := <-got; v != want {
			t.Errorf("call %#x: %d, want %d", call, v, want)
		}
	}
}
