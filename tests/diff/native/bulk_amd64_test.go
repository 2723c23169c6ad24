//go:build amd64

package native

import (
	"fmt"
	"testing"

	"goemu/target/x86"
	"goemu/tcg/backend/amd64"
	frontend "goemu/tcg/frontend/x86"
)

// TestBulk compares repeated string instructions, which generated code does in one go where it can, with the host: every element
// size, overlapping strings, counts from zero to beyond a page, both directions. What the helper would do is not tried here.
func TestBulk(t *testing.T) {
	e, err := amd64.New(frontend.Globals, amd64.Options{Bulk: &frontend.Bulk})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f := newFixture(t, e)
	c := &Case{Mem: make([]byte, WindowSize)}
	inline := 0
	for n := range 4000 {
		op := [...]byte{0xa4, 0xa5, 0xaa, 0xab}[f.gen.Rnd.IntN(4)]
		size := uint64(1)
		c.Code = []byte{0xf3, op}
		if op&1 != 0 {
			switch f.gen.Rnd.IntN(3) {
			case 0:
				c.Code, size = []byte{0x66, 0xf3, op}, 2
			case 1:
				c.Code, size = []byte{0xf3, op}, 4
			case 2:
				c.Code, size = []byte{0xf3, 0x48, op}, 8
			}
		}
		for i := range c.Mem {
			c.Mem[i] = byte(f.gen.Rnd.Uint32())
		}
		for i := range c.In.GPR {
			c.In.GPR[i] = f.gen.Rnd.Uint64()
		}
		c.In.GPR[x86.RSP] = f.h.WindowBase() + WindowSize/2
		down := f.gen.Rnd.IntN(8) == 0
		c.In.GPR[x86.RCX] = f.gen.Rnd.Uint64N(0x1100 / size)
		if f.gen.Rnd.IntN(3) == 0 {
			c.In.GPR[x86.RCX] &= 31
		}
		span := c.In.GPR[x86.RCX] * size
		for _, r := range []int{x86.RSI, x86.RDI} {
			c.In.GPR[r] = f.h.WindowBase() + f.gen.Rnd.Uint64N(WindowSize-span)
			if down {
				c.In.GPR[r] += span
			}
		}
		c.In.Flags = 2
		if down {
			c.In.Flags |= x86.FlagDF
		}
		res, diff := f.try(c)
		if diff != "" {
			t.Fatalf("case %d, % x, rcx %#x, rsi %#x, rdi %#x: %s", n, c.Code, c.In.GPR[x86.RCX], c.In.GPR[x86.RSI], c.In.GPR[x86.RDI], diff)
		}
		if res == ran {
			inline++
		}
	}
	if inline < 1000 {
		t.Fatal(fmt.Sprint("only ", inline, " of 4000 cases ran without the helper"))
	}
}
