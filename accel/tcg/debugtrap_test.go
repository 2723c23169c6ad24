package tcg

import (
	"testing"

	"goemu/target/x86"
)

// TestDebugHits: a debug trap forgets the breakpoints of earlier ones in DR6, but not that it was a single step.
func TestDebugHits(t *testing.T) {
	for _, tt := range []struct{ old, watch, want uint64 }{
		{x86.DR6Fixed | 2, 4, x86.DR6Fixed | 4},
		{x86.DR6Fixed | x86.DR6BS | 3, 8, x86.DR6Fixed | x86.DR6BS | 8},
		{x86.DR6Fixed | 2, x86.DR6BS, x86.DR6Fixed | x86.DR6BS | 2},
	} {
		c := &CPU{env: new(x86.Env), watchDR6: tt.watch}
		c.env.DR[6] = tt.old
		c.setHits()
		if c.env.DR[6] != tt.want || c.watchDR6 != 0 {
			t.Errorf("DR6 %#x, hits %#x: %#x, want %#x", tt.old, tt.watch, c.env.DR[6], tt.want)
		}
	}
}

// TestDropInner: a return to user mode unloads kernel data segments; the bases of FS and GS outlive that in long mode only.
func TestDropInner(t *testing.T) {
	for _, tt := range []struct{ efer, want uint64 }{{0, 0}, {x86.EFERLMA, 0x1234000}} {
		c := &CPU{env: new(x86.Env)}
		c.env.EFER = tt.efer
		c.env.Seg[x86.DS] = x86.Segment{Selector: 16, Base: 1, Flags: x86.SegP | x86.SegS | x86.SegW}
		c.env.Seg[x86.GS] = x86.Segment{Selector: 16, Base: 0x1234000, Flags: x86.SegP | x86.SegS | x86.SegW}
		c.dropInner(3)
		if gs, ds := c.env.Seg[x86.GS], c.env.Seg[x86.DS]; gs.Selector != 0 || gs.Base != tt.want || ds != (x86.Segment{}) {
			t.Errorf("EFER %#x: GS %+v, DS %+v", tt.efer, gs, ds)
		}
	}
}
