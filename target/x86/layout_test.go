package x86

import "testing"

// Generated code uses aligned accesses on the vector state.
func TestVecLayoutAligned(t *testing.T) {
	if VecLayout.V%32 != 0 || VecLayout.FP%16 != 0 {
		t.Errorf("V at %d, FP at %d: not aligned", VecLayout.V, VecLayout.FP)
	}
}
