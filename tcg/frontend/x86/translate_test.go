package x86

import (
	"math/rand/v2"
	"testing"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// bytesAt is a Fetcher of one run of code.
type bytesAt struct {
	base uint64
	code []byte
}

func (f bytesAt) Fetch(addr uint64) []byte {
	if addr-f.base >= uint64(len(f.code)) {
		return nil
	}
	return f.code[addr-f.base:]
}

// modes are sets of mode bits that the tests translate for.
var modes = map[string]uint32{
	"real":     0,
	"v86":      x86.HFPE | x86.HFVM | 3 | x86.HFAddSeg,
	"pm16":     x86.HFPE | x86.HFAddSeg,
	"pm32":     x86.HFPE | x86.HFCS32 | x86.HFSS32,
	"pm32user": x86.HFPE | x86.HFCS32 | x86.HFSS32 | 3,
	"long":     x86.HFPE | x86.HFCS32 | x86.HFSS32 | x86.HFCS64 | x86.HFLMA | x86.HFOSFXSR | x86.HFAVX | x86.HFOSXSAVE | x86.HFFSGSBase,
	"longuser": x86.HFPE | x86.HFCS32 | x86.HFSS32 | x86.HFCS64 | x86.HFLMA | 3 | x86.HFOSFXSR | x86.HFAVX | x86.HFOSXSAVE,
	"step":     x86.HFPE | x86.HFCS32 | x86.HFSS32 | x86.HFCS64 | x86.HFLMA | 3 | x86.HFTF,
	"inhibit":  x86.HFPE | x86.HFCS32 | x86.HFSS32 | x86.HFCS64 | x86.HFLMA | x86.HFInhibit | x86.HFRF,
}

// checkBlock translates code and verifies the block.
func checkBlock(t *testing.T, tr *Translator, hflags uint32, code []byte) {
	t.Helper()
	b, err := tr.Translate(0x1000, 0, hflags, bytesAt{0x1000, code}, 64)
	if err != nil {
		if err != ErrFetch {
			t.Fatalf("% x: %v", code, err)
		}
		return
	}
	if err := ir.Verify(b, len(Globals)); err != nil {
		t.Fatalf("% x in mode %#x: %v\n%s", code, hflags, err, ir.Text(b, Globals))
	}
	if b.Insns > 1 && b.Bytes > len(code) || b.Insns == 1 && b.Bytes > maxLength {
		t.Fatalf("% x: %d instructions of %d bytes", code, b.Insns, b.Bytes)
	}
}

func TestTranslateRandomBytes(t *testing.T) {
	tr := New(Config{Features: AllFeatures()})
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, hf := range modes {
		t.Run(name, func(t *testing.T) {
			for range 20000 {
				code := make([]byte, 1+rnd.IntN(24))
				for i := range code {
					code[i] = byte(rnd.Uint32())
				}
				switch rnd.IntN(3) {
				case 0:
					code[0] = 0x0f
				case 1:
					code[0] = 0xc4
				}
				checkBlock(t, tr, hf, code)
			}
		})
	}
}

// FuzzDecode looks for bytes that make the translator fail.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x0f, 0xa2}, uint32(0x3c))
	f.Add([]byte{0x66, 0xf2, 0xc4, 0xe2, 0x78, 0xf5, 0x04, 0x25, 1, 2, 3, 4}, uint32(0x1f))
	tr := New(Config{Features: AllFeatures()})
	f.Fuzz(func(t *testing.T, code []byte, hflags uint32) {
		if hflags&x86.HFCS64 != 0 {
			hflags |= x86.HFPE | x86.HFLMA
			hflags &^= x86.HFVM
		}
		checkBlock(t, tr, hflags, code)
	})
}
