//go:build linux && amd64

package amd64

import "golang.org/x/sys/cpu"

func cpuid(leaf, sub uint32) (a, b, c, d uint32)

// Bits of CPUID that golang.org/x/sys/cpu does not tell.
const (
	cpuid1CxF16C        = 29
	cpuid7BxSHA         = 29
	cpuid7CxGFNI        = 8
	cpuid7CxVAES        = 9
	cpuid7CxVPCLMULQDQ  = 10
	cpuidFeaturesLeaf   = 1
	cpuidExtendedLeaf   = 7
	cpuidMaxLeafAllowed = 0
)

// hostFeats finds what the host can do with vectors.
func hostFeats() (f [numHostFeats]bool) {
	x := &cpu.X86
	_, _, c1, _ := cpuid(cpuidFeaturesLeaf, 0)
	var b7, c7 uint32
	if top, _, _, _ := cpuid(cpuidMaxLeafAllowed, 0); top >= cpuidExtendedLeaf {
		_, b7, c7, _ = cpuid(cpuidExtendedLeaf, 0)
	}
	bit := func(w uint32, n uint) bool { return w>>n&1 != 0 }
	return [numHostFeats]bool{
		hfBase: x.HasSSE2, hfSSE3: x.HasSSE3, hfSSSE3: x.HasSSSE3, hfSSE41: x.HasSSE41, hfSSE42: x.HasSSE42, hfAES: x.HasAES,
		hfPCLMUL: x.HasPCLMULQDQ, hfSHA: bit(b7, cpuid7BxSHA), hfGFNI: bit(c7, cpuid7CxGFNI) && x.HasAVX, hfAVX: x.HasAVX, hfAVX2: x.HasAVX2,
		hfFMA: x.HasFMA, hfF16C: x.HasAVX && bit(c1, cpuid1CxF16C), hfVAES: x.HasAVX && bit(c7, cpuid7CxVAES),
		hfVPCLMUL: x.HasAVX && bit(c7, cpuid7CxVPCLMULQDQ),
	}
}
