package tcg

import (
	"encoding/hex"
	"slices"
	"testing"
	"unsafe"

	"goemu/target/x86"
	eng "goemu/tcg"
	"goemu/tcg/backend/amd64"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/ir"
	"goemu/tcg/opt"
)

type codeBytes []byte

func (c codeBytes) Fetch(linear uint64) []byte { return c[linear&^pageMask:] }

// TestPattern compares code that a pattern gives with code that is translated where it is wanted.
func TestPattern(t *testing.T) {
	if !amd64.Supported {
		t.Skip("the engine does not run on this host")
	}
	e, err := amd64.New(front.Globals, amd64.Options{Vec: x86.VecLayout, CacheSize: 1 << 20})
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	const flags = x86.HFCS64 | x86.HFCS32 | x86.HFSS32 | x86.HFPE | x86.HFLMA | 3
	tr, op := front.New(front.Config{}), opt.New(front.Globals)
	for _, c := range []struct {
		name, code string
		none       bool
	}{
		{name: "RIP-relative load and call", code: "488b0d10000000e8f0ffffff"},
		{name: "conditional jump", code: "4839c87505"},
		{name: "jump to another page", code: "e900200000"},
		{name: "address and constant", code: "488d050000010048bb8877665544332211ff20"},
		{name: "indirect jump through a table", code: "488d1500040000486304824801d0ffe0"},
		{name: "system call", code: "b8010000000f05"},
		{name: "low half of an address", code: "8d050000010001c3c3", none: true},
	} {
		code := make(codeBytes, 1<<ir.PageBits)
		b, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		const off = 0x123
		copy(code[off:], b)
		compile := func(pc uint64) (eng.Code, *ir.Block) {
			irb, err := tr.Translate(pc, 0, flags, code, 32)
			if err != nil {
				t.Fatal(err)
			}
			op.Run(irb)
			x, err := e.Compile(irb, 7)
			if err != nil {
				t.Fatal(err)
			}
			return x, irb
		}
		const first = 0x55d3_4455_6000 + off
		x, _ := compile(first)
		other, err := tr.Translate(first^patternFlip, 0, flags, code, 32)
		if err != nil {
			t.Fatal(err)
		}
		op.Run(other)
		p := e.Pattern(x, first, other)
		if (p == nil) != c.none {
			t.Errorf("%s: pattern %v", c.name, p)
		}
		if p == nil {
			continue
		}
		for _, pc := range []uint64{0x7f12_3456_7000 + off, 0x5555_5555_5000 + off, first + 1<<ir.PageBits} {
			got, err := p.Compile(pc, 7)
			if err != nil {
				t.Fatal(err)
			}
			want, irb := compile(pc)
			g, w := bytesOf(got, irb), bytesOf(want, irb)
			sameCalls(g, w, uint32(want.Entry-got.Entry))
			if !slices.Equal(g, w) {
				t.Errorf("%s at %#x:\n% x, want\n% x", c.name, pc, g, w)
			}
		}
	}
}

// bytesOf is a copy of a block's code.
func bytesOf(c eng.Code, b *ir.Block) []byte {
	n := c.Size - int(tablesOf(b))
	return slices.Clone(unsafe.Slice((*byte)(ptr(c.Entry)), n))
}

// tablesOf is the size of what the engine has in front of a block's code: a head and a row for each exit.
func tablesOf(b *ir.Block) uintptr { return 8 + 24*uintptr(len(b.Exits)) }

// sameCalls makes the distances of calls in g, which lies apart bytes in front of w, those of w where they lead to the same place.
func sameCalls(g, w []byte, apart uint32) {
	at := func(b []byte) *uint32 { return (*uint32)(unsafe.Pointer(&b[0])) }
	for i := 0; i+5 <= min(len(g), len(w)); i++ {
		if g[i] == 0xe8 && w[i] == 0xe8 && *at(g[i+1:]) == *at(w[i+1:])+apart {
			copy(g[i+1:i+5], w[i+1:])
		}
	}
}
