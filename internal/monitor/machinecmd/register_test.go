package machinecmd

import (
	"testing"

	"goemu/target/x86"
)

func TestRegister(t *testing.T) {
	st := &x86.State{RIP: 0xfff0, RFLAGS: 2}
	for i := range st.Regs {
		st.Regs[i] = uint64(i) << 40
	}
	st.Seg[x86.CS] = x86.SegmentState{Selector: 0xf000, Base: 0xffff0000, Limit: 0xffff}
	for name, want := range map[string]uint64{
		"eip": 0xfff0, "rip": 0xfff0, "pc": 0xfffffff0, "eflags": 2, "eax": 0, "rcx": 1 << 40, "esp": 4 << 40, "sp": 4 << 40, "fp": 5 << 40, "ebp": 5 << 40,
		"r8": 8 << 40, "r15": 15 << 40, "cs": 0xf000, "cs.base": 0xffff0000, "cs.limit": 0xffff, "es": 0, "gs.base": 0,
	} {
		if v, ok := register(st, name); !ok || v != want {
			t.Errorf("$%s = %#x %v, want %#x", name, v, ok, want)
		}
	}
	for _, name := range []string{"", "r7", "r16", "e8", "xax", "cs.foo", "cs.", "foo", "r", "ax"} {
		if v, ok := register(st, name); ok {
			t.Errorf("$%s = %#x, but there is no such register", name, v)
		}
	}
}
