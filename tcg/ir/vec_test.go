package ir

import "testing"

// Every operation has a unique name and a consistent row.
func TestVecTable(t *testing.T) {
	names := map[string]bool{}
	check := func(i *VecInfo, what int) {
		if i.Name == "" || names[i.Name] {
			t.Errorf("operation %d: missing or double name %q", what, i.Name)
		}
		names[i.Name] = true
		if i.Use&UseVC2 != 0 && i.Use&UseVC != 0 {
			t.Errorf("%s: VC is both operand and result", i.Name)
		}
	}
	for o := VInvalid + 1; o < NumVecOps; o++ {
		i := o.Info()
		check(i, int(o))
		if i.Sizes == 0 || i.Sizes&3 != 0 {
			t.Errorf("%s: sizes %#x", i.Name, i.Sizes)
		}
		for s := uint8(4); s <= 8; s *= 2 {
			if i.Scalar && i.Sizes&s != 0 && s != i.Elem && i.Elem != 0 && o != VCvtF64F32 && o != VCvtF32F64 {
				t.Errorf("%s: scalar size %d with elements of %d", i.Name, s, i.Elem)
			}
		}
	}
	for o := X87Invalid + 1; o < NumX87Ops; o++ {
		check(o.Info(), int(o))
	}
	if VecOp(0xffff).Info().Name != "" || X87Op(0xffff).Info().Name != "" {
		t.Error("an unknown operation has a row")
	}
}

func TestVecLayout(t *testing.T) {
	l := VecLayout{V: 1000, FP: 100}
	for _, c := range []struct {
		v    VReg
		want uint32
	}{{0, 1000}, {15, 1480}, {VT0, 1512}, {VT2, 1576}, {VF0, 100}, {VF7, 212}} {
		if got := l.Offset(c.v); got != c.want {
			t.Errorf("Offset(%d) = %d, want %d", c.v, got, c.want)
		}
	}
}
