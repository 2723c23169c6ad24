package inflate

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// samples are contents of clusters: random, repeated, text, few symbols, and mixtures.
func samples() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 1))
	random := make([]byte, 65536)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	var text []byte
	for i := 0; len(text) < 65536; i++ {
		text = fmt.Appendf(text, "entry %08x of %d: %x\n", r.Uint32()%1024, i, r.Uint32())
	}
	few, skew, deep := make([]byte, 65536), make([]byte, 65536), make([]byte, 65536)
	for i := range few {
		few[i] = byte(r.IntN(3))
		deep[i] = byte(bits.TrailingZeros32(r.Uint32())*7%29) * 8 // codes of all lengths, in no order
		skew[i] = byte(r.ExpFloat64() * 8)                        // long codes
	}
	return map[string][]byte{"random": random, "text": text[:65536], "few": few, "skew": skew, "deep": deep, "zero": make([]byte, 65536), "one": {7}, "none": {},
		"run": bytes.Repeat([]byte("abc"), 20000), "mixed": append(append(bytes.Clone(random[:9000]), text[:30000]...), random[:20000]...)}
}

func compress(t testing.TB, b []byte, level int) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	require.NoError(t, err)
	_, err = w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// TestDecode decodes what the standard library's compressor makes, whole and in part, and notices when something is missing.
func TestDecode(t *testing.T) {
	for name, want := range samples() {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			src := compress(t, want, level)
			for _, n := range []int{len(want), len(want) / 2, min(len(want), 1)} {
				got := make([]byte, n)
				require.NoError(t, Decode(got, append(bytes.Clone(src), 0xff, 0xff)), "%s, level %d", name, level)
				require.True(t, bytes.Equal(want[:n], got), "%s, level %d", name, level)
			}
			if len(want) > 1 {
				require.ErrorIs(t, Decode(make([]byte, len(want)+1), src), ErrCorrupt)
				require.ErrorIs(t, Decode(make([]byte, len(want)), src[:len(src)/2]), ErrCorrupt)
			}
		}
	}
}

// FuzzDecode compares with the standard library: what both decode is the same. (That one gives less of data with a fault than there is before
// the fault, and takes blocks that cannot end, which zlib refuses too.)
func FuzzDecode(f *testing.F) {
	for _, b := range samples() {
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, flate.BestCompression} {
			f.Add(compress(f, b[:min(len(b), 2000)], level), uint16(min(len(b), 2000)))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, n uint16) {
		want, got := make([]byte, n), make([]byte, n)
		k, _ := io.ReadFull(flate.NewReader(bytes.NewReader(src)), want)
		if Decode(got, src) == nil {
			require.True(t, bytes.Equal(want[:k], got[:k]))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for name, want := range samples() {
		src, dst := compress(b, want, 6), make([]byte, len(want))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(want)))
			for b.Loop() {
				if Decode(dst, src) != nil {
					b.Fatal("corrupt")
				}
			}
		})
	}
}
