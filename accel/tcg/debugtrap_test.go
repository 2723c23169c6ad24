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
