package amd64

import (
	"golang.org/x/sys/cpu"

	"goemu/internal/hostcpu"
)

// Bits of CPUID that golang.org/x/sys/cpu does not tell.
const (
	cpuid1CxF16C       = 29
	cpuid7BxSHA        = 29
	cpuid7CxGFNI       = 8
	cpuid7CxVAES       = 9
	cpuid7CxVPCLMULQDQ = 10
	cpuidExtCxLZCNT    = 5
)

// hostHas tells a bit of a register (0 … 3: EAX … EDX) of a leaf of CPUID.
func hostHas(leaf uint32, reg, bit int) bool { return hostcpu.CPUID(leaf, 0)[reg]>>bit&1 != 0 }

// hostFeats finds what the host can do with vectors. VEX encodings need a kernel that saves the upper halves, which HasAVX tells.
func hostFeats() (f [numHostFeats]bool) {
	const ebx, ecx = 1, 2
	x := &cpu.X86
	avx := func(leaf uint32, reg, bit int) bool { return x.HasAVX && hostHas(leaf, reg, bit) }
	return [numHostFeats]bool{
		hfBase: x.HasSSE2, hfSSE3: x.HasSSE3, hfSSSE3: x.HasSSSE3, hfSSE41: x.HasSSE41, hfSSE42: x.HasSSE42, hfAES: x.HasAES,
		hfPCLMUL: x.HasPCLMULQDQ, hfSHA: hostHas(hostcpu.LeafExtFeatures, ebx, cpuid7BxSHA), hfGFNI: avx(hostcpu.LeafExtFeatures, ecx, cpuid7CxGFNI),
		hfAVX: x.HasAVX, hfAVX2: x.HasAVX2, hfFMA: x.HasFMA, hfF16C: avx(hostcpu.LeafFeatures, ecx, cpuid1CxF16C),
		hfVAES: avx(hostcpu.LeafExtFeatures, ecx, cpuid7CxVAES), hfVPCLMUL: avx(hostcpu.LeafExtFeatures, ecx, cpuid7CxVPCLMULQDQ),
	}
}

// hostLacks names the first integer instruction that generated code cannot do without and the host has not, "" if it has them all.
func hostLacks() string {
	const ecx = 2
	x := &cpu.X86
	for _, f := range [...]struct {
		name string
		has  bool
	}{
		{"SSE4.2", x.HasSSE42}, {"POPCNT", x.HasPOPCNT}, {"BMI1", x.HasBMI1}, {"BMI2", x.HasBMI2}, {"ADX", x.HasADX},
		{"LZCNT", hostHas(hostcpu.LeafExtFlags, ecx, cpuidExtCxLZCNT)},
	} {
		if !f.has {
			return f.name
		}
	}
	return ""
}
