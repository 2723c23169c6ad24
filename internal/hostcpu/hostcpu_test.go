package hostcpu

import (
	"runtime"
	"testing"

	"golang.org/x/sys/cpu"
)

// TestCPUID compares some bits with those that another package finds.
func TestCPUID(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		if r := CPUID(LeafFeatures, 0); r != [4]uint32{} {
			t.Errorf("leaf 1 = %#x on %s", r, runtime.GOARCH)
		}
		return
	}
	const ecx, ebx = 2, 1
	for _, c := range []struct {
		name      string
		leaf, sub uint32
		reg, bit  int
		want      bool
	}{
		{"ssse3", LeafFeatures, 0, ecx, 9, cpu.X86.HasSSSE3},
		{"popcnt", LeafFeatures, 0, ecx, 23, cpu.X86.HasPOPCNT},
		{"bmi1", LeafExtFeatures, 0, ebx, 3, cpu.X86.HasBMI1},
		{"adx", LeafExtFeatures, 0, ebx, 19, cpu.X86.HasADX},
	} {
		if got := CPUID(c.leaf, c.sub)[c.reg]>>c.bit&1 != 0; got != c.want {
			t.Errorf("%s = %v, want %v", c.name, got, c.want)
		}
	}
	if r := CPUID(0x0fffffff, 0); r != [4]uint32{} {
		t.Errorf("a leaf that no CPU has = %#x", r)
	}
}
