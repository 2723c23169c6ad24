package x86

import "strings"

// FeatureWord is one 32-bit register of CPUID (or a feature MSR) that holds feature bits.
type FeatureWord int

// The feature words.
const (
	F1EDX FeatureWord = iota
	F1ECX
	F7EBX
	F7ECX
	F7EDX
	F71EAX
	F80000001EDX
	F80000001ECX
	F80000007EDX
	F80000008EBX
	F8000000AEDX
	F6EAX
	FXSAVE // leaf 0xd, subleaf 1, EAX
	FC0000001EDX
	F40000001EAX // KVM's interface for guests
	F40000001EDX // … and hints
	NumFeatureWords
)

// Features is the set of feature bits of a CPU.
type Features [NumFeatureWords]uint32

// Feature is one feature bit: word<<5 | bit.
type Feature uint16

// WordInfo describes a feature word: where CPUID reports it and what its bits are called on the command line ("" = no name).
type WordInfo struct {
	Leaf, Sub uint32
	Reg       int // 0 EAX, 1 EBX, 2 ECX, 3 EDX
	Names     [32]string
}

func names(s string) (n [32]string) {
	for i, f := range strings.Fields(s) {
		if f != "-" {
			n[i] = f
		}
	}
	return n
}

// Words describes every feature word; the names are QEMU's.
var Words = [NumFeatureWords]WordInfo{
	F1EDX: {1, 0, 3, names(`fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - ds acpi mmx fxsr sse
		sse2 ss ht tm ia64 pbe`)},
	F1ECX: {1, 0, 2, names(`pni pclmulqdq dtes64 monitor ds-cpl vmx smx est tm2 ssse3 cid - fma cx16 xtpr pdcm - pcid dca sse4.1 sse4.2
		x2apic movbe popcnt tsc-deadline aes xsave - avx f16c rdrand hypervisor`)},
	F7EBX: {7, 0, 1, names(`fsgsbase tsc-adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm - - mpx - avx512f avx512dq rdseed adx smap
		avx512ifma pcommit clflushopt clwb intel-pt avx512pf avx512er avx512cd sha-ni avx512bw avx512vl`)},
	F7ECX: {7, 0, 2, names(`- avx512vbmi umip pku - waitpkg avx512vbmi2 - gfni vaes vpclmulqdq avx512vnni avx512bitalg -
		avx512-vpopcntdq - la57 - - - - - rdpid - bus-lock-detect cldemote - movdiri movdir64b - sgxlc pks`)},
	F7EDX: {7, 0, 3, names(`- - avx512-4vnniw avx512-4fmaps fsrm - - - avx512-vp2intersect - md-clear - - - serialize - tsx-ldtrk - -
		arch-lbr - - amx-bf16 avx512-fp16 amx-tile amx-int8 spec-ctrl stibp - arch-capabilities core-capability ssbd`)},
	F71EAX: {7, 1, 0, names(`- - - - avx-vnni avx512-bf16 - - - - - - - - - - - - - - - - - - - - - - - - - -`)},
	F80000001EDX: {0x80000001, 0, 3, names(`- - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - fxsr-opt pdpe1gb rdtscp - lm
		3dnowext 3dnow`)},
	F80000001ECX: {0x80000001, 0, 2, names(`lahf-lm cmp-legacy svm extapic cr8legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop
		skinit wdt - lwp fma4 tce - nodeid-msr - tbm topoext perfctr-core perfctr-nb - - - - - - -`)},
	F80000007EDX: {0x80000007, 0, 3, names(`- - - - - - - - invtsc - - - - - - - - - - - - - - - - - - - - - - -`)},
	F80000008EBX: {0x80000008, 0, 1, names(`clzero - xsaveerptr - - - - - - wbnoinvd - - ibpb - ibrs amd-stibp - - - - - - - - amd-ssbd
		virt-ssbd amd-no-ssb - - - - -`)},
	F8000000AEDX: {0x8000000A, 0, 3, names(`npt lbrv svm-lock nrip-save tsc-scale vmcb-clean flushbyasid decodeassists - - pause-filter -
		pfthreshold avic - v-vmsave-vmload vgif - - - - - - - - - - - svme-addr-chk - - -`)},
	F6EAX:        {6, 0, 0, names(`- - arat - - - - - - - - - - - - - - - - - - - - - - - - - - - - -`)},
	FXSAVE:       {0xd, 1, 0, names(`xsaveopt xsavec xgetbv1 xsaves xfd - - - - - - - - - - - - - - - - - - - - - - - - - - -`)},
	FC0000001EDX: {0xC0000001, 0, 3, names(`- - xstore xstore-en - - xcrypt xcrypt-en ace2 ace2-en phe phe-en pmm pmm-en`)},
	F40000001EAX: {0x40000001, 0, 0, names(`kvmclock kvm-nopiodelay kvm-mmu kvmclock kvm-asyncpf kvm-steal-time kvm-pv-eoi kvm-pv-unhalt
		- kvm-pv-tlb-flush - kvm-pv-ipi kvm-poll-control kvm-pv-sched-yield kvm-asyncpf-int kvm-msi-ext-dest-id - - - - - - - -
		kvmclock-stable-bit - - - - - - -`)},
	F40000001EDX: {0x40000001, 0, 3, names(`kvm-hint-dedicated`)},
}

// aliases are further spellings that QEMU accepts.
var aliases = map[string]string{
	"sse3": "pni", "sse4-1": "sse4.1", "sse4-2": "sse4.2", "xd": "nx", "ffxsr": "fxsr-opt", "i64": "lm", "pclmuldq": "pclmulqdq",
	"ds_cpl": "ds-cpl", "tsc_adjust": "tsc-adjust", "fxsr_opt": "fxsr-opt", "lahf_lm": "lahf-lm", "cmp_legacy": "cmp-legacy",
	"nodeid_msr": "nodeid-msr", "perfctr_core": "perfctr-core", "perfctr_nb": "perfctr-nb", "sse4_1": "sse4.1", "sse4_2": "sse4.2",
	"svm_lock": "svm-lock", "nrip_save": "nrip-save", "tsc_scale": "tsc-scale", "vmcb_clean": "vmcb-clean",
	"pause_filter": "pause-filter", "kvm_nopiodelay": "kvm-nopiodelay", "kvm_mmu": "kvm-mmu", "kvm_asyncpf": "kvm-asyncpf",
	"kvm_asyncpf_int": "kvm-asyncpf-int", "kvm_steal_time": "kvm-steal-time", "kvm_pv_eoi": "kvm-pv-eoi", "kvm_pv_unhalt": "kvm-pv-unhalt",
	"kvm_poll_control": "kvm-poll-control",
}

// FeatureByName finds a feature bit by the name used on the command line.
func FeatureByName(name string) (Feature, bool) {
	if a, ok := aliases[name]; ok {
		name = a
	}
	if name == "" {
		return 0, false
	}
	for w := range Words {
		for b, n := range Words[w].Names {
			if n == name {
				return Feature(w<<5 | b), true
			}
		}
	}
	return 0, false
}

// Has tells whether a feature is in the set.
func (f *Features) Has(b Feature) bool { return f[b>>5]>>(b&31)&1 != 0 }

// Set puts a feature in or out.
func (f *Features) Set(b Feature, on bool) {
	f[b>>5] &^= 1 << (b & 31)
	if on {
		f[b>>5] |= 1 << (b & 31)
	}
}

// Features that code asks for by name.
const (
	FeatFPU       = Feature(F1EDX) << 5
	FeatVME       = Feature(F1EDX)<<5 | 1
	FeatDE        = Feature(F1EDX)<<5 | 2
	FeatPSE       = Feature(F1EDX)<<5 | 3
	FeatTSC       = Feature(F1EDX)<<5 | 4
	FeatPAE       = Feature(F1EDX)<<5 | 6
	FeatMCE       = Feature(F1EDX)<<5 | 7
	FeatMCA       = Feature(F1EDX)<<5 | 14
	FeatCX8       = Feature(F1EDX)<<5 | 8
	FeatAPIC      = Feature(F1EDX)<<5 | 9
	FeatSEP       = Feature(F1EDX)<<5 | 11
	FeatMTRR      = Feature(F1EDX)<<5 | 12
	FeatPGE       = Feature(F1EDX)<<5 | 13
	FeatPSE36     = Feature(F1EDX)<<5 | 17
	FeatFXSR      = Feature(F1EDX)<<5 | 24
	FeatSSE       = Feature(F1EDX)<<5 | 25
	FeatHT        = Feature(F1EDX)<<5 | 28
	FeatPCID      = Feature(F1ECX)<<5 | 17
	FeatX2APIC    = Feature(F1ECX)<<5 | 21
	FeatMONITOR   = Feature(F1ECX)<<5 | 3
	FeatDeadline  = Feature(F1ECX)<<5 | 24
	FeatXSAVE     = Feature(F1ECX)<<5 | 26
	FeatAVX       = Feature(F1ECX)<<5 | 28
	FeatFSGSBase  = Feature(F7EBX) << 5
	FeatTSCAdj    = Feature(F7EBX)<<5 | 1
	FeatSMEP      = Feature(F7EBX)<<5 | 7
	FeatINVPCID   = Feature(F7EBX)<<5 | 10
	FeatSMAP      = Feature(F7EBX)<<5 | 20
	FeatUMIP      = Feature(F7ECX)<<5 | 2
	FeatPKU       = Feature(F7ECX)<<5 | 3
	FeatLA57      = Feature(F7ECX)<<5 | 16
	FeatRDPID     = Feature(F7ECX)<<5 | 22
	FeatPKS       = Feature(F7ECX)<<5 | 31
	FeatSYSCALL   = Feature(F80000001EDX)<<5 | 11
	FeatNX        = Feature(F80000001EDX)<<5 | 20
	FeatFFXSR     = Feature(F80000001EDX)<<5 | 25
	FeatPDPE1GB   = Feature(F80000001EDX)<<5 | 26
	FeatRDTSCP    = Feature(F80000001EDX)<<5 | 27
	FeatLM        = Feature(F80000001EDX)<<5 | 29
	FeatCR8Legacy = Feature(F80000001ECX)<<5 | 4
	FeatSVM       = Feature(F80000001ECX)<<5 | 2
	FeatVGIF      = Feature(F8000000AEDX)<<5 | 16
	FeatInvTSC    = Feature(F80000007EDX)<<5 | 8
	FeatMPX       = Feature(F7EBX)<<5 | 14
	FeatAVX512F   = Feature(F7EBX)<<5 | 16
	FeatAMXTile   = Feature(F7EDX)<<5 | 24
	FeatPDCM      = Feature(F1ECX)<<5 | 15
	FeatXFD       = Feature(FXSAVE)<<5 | 4
	FeatARAT      = Feature(F6EAX)<<5 | 2
	FeatXSAVEOPT  = Feature(FXSAVE) << 5
	FeatXSAVEC    = Feature(FXSAVE)<<5 | 1
	FeatXSAVES    = Feature(FXSAVE)<<5 | 3
)

// TCGFeatures are the features that the translator implements; a model's others are dropped.
var TCGFeatures = Features{
	F1EDX: 0x0fcbfbff, // all of QEMU's
	F1ECX: 1<<0 | 1<<1 | 1<<3 | 1<<9 | 1<<12 | 1<<13 | 1<<17 | 1<<19 | 1<<20 | 1<<21 | 1<<22 | 1<<23 | 1<<24 | 1<<25 | 1<<26 | 1<<28 | 1<<29 | 1<<30 | 1<<31,
	F7EBX: 1<<0 | 1<<3 | 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<18 | 1<<19 | 1<<20 | 1<<23 | 1<<24 | 1<<29,
	F7ECX: 1<<2 | 1<<3 | 1<<9 | 1<<10 | 1<<16 | 1<<22 | 1<<31,
	F7EDX: 1 << 4,
	F80000001EDX: 0x0183f3ff | // bits shared with leaf 1
		1<<11 | 1<<20 | 1<<22 | 1<<26 | 1<<27 | 1<<29 | 1<<30 | 1<<31,
	F80000001ECX: 1<<0 | 1<<2 | 1<<4 | 1<<5 | 1<<6 | 1<<8,
	F8000000AEDX: 1<<0 | 1<<16 | 1<<28,
	F6EAX:        1 << 2,
	FXSAVE:       1<<0 | 1<<1 | 1<<2 | 1<<3,
}
