package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/stretchr/testify/require"

	"goemu/target/x86"
)

// unflatten puts the pieces of a flattened file where they belong.
func unflatten(t *testing.T, b []byte) (file []byte) {
	t.Helper()
	require.Equal(t, "makedumpfile\x00", string(b[:13]))
	for b = b[flatHeader:]; ; {
		at, size := int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
		if b = b[16:]; at == -1 {
			require.Empty(t, b)
			return file
		}
		if grow := int(at+size) - len(file); grow > 0 {
			file = append(file, make([]byte, grow)...)
		}
		copy(file[at:], b[:size])
		b = b[size:]
	}
}

// TestKdump: the pages of a dump are those of the memory, whether they compress, are zero or lie in two blocks.
func TestKdump(t *testing.T) {
	for i, long := range []bool{false, true, true, false, true} {
		packing := [...]Packing{Zlib, Zlib, LZO, LZO, Snappy}[i]
		low := make([]byte, 0x5800)
		for i := range low[0x1000:0x2000] {
			low[0x1000+i] = byte(rand.Uint32()) // does not compress
		}
		copy(low[0x3000:], "little")
		copy(low[0x5000:], "half a page")
		half := bytes.Repeat([]byte{9}, 0x800)
		far := bytes.Repeat([]byte{7}, 0x1000)
		e := &Core{Blocks: []Block{{0x10000, low}, {0x15800, half}, {0x8001000, far}}, CPUs: []*x86.State{{RIP: 5}}}
		if long {
			e.CPUs[0].Mode = x86.ModeLMA
		}
		var b bytes.Buffer
		require.NoError(t, e.WriteKdump(&b, packing))
		f := unflatten(t, b.Bytes())
		require.Equal(t, "KDUMP   ", string(f[:8]))
		rest, stamp := 8+4+6*65, 10
		if long {
			stamp = 22
		}
		n := func(i int) int { return int(le.Uint32(f[rest+stamp+4*i:])) }
		require.Equal(t, []int{int(packing), 4096, 1, 4, 0x8002, 0, 0, 0, 0, 1}, []int{n(0), n(1), n(2), n(3), n(4), n(5), n(6), n(7), n(8), n(9)})
		maps := f[2*kdumpPage:][:4*kdumpPage]
		require.Equal(t, maps[:2*kdumpPage], maps[2*kdumpPage:])
		require.Equal(t, []byte{0x3f, 0x02}, []byte{maps[2], maps[0x1000]})
		notes := e.notes()
		require.Contains(t, string(f[kdumpPage:2*kdumpPage]), string(notes))
		want := append(append(append([]byte{}, low...), half...), far...)
		for i := range 7 {
			d := f[6*kdumpPage+24*i:]
			data := f[le.Uint64(d):][:le.Uint32(d[8:])]
			if flag := le.Uint32(d[12:]); flag != 0 {
				require.EqualValues(t, packing, flag)
				data = unpack(t, packing, data)
			}
			require.Equal(t, want[i*kdumpPage:][:kdumpPage], append([]byte{}, data...), i)
		}
		require.Equal(t, le.Uint64(f[6*kdumpPage:]), le.Uint64(f[6*kdumpPage+2*24:]), "pages of zeroes are one")
	}
}

// unpack decompresses a page.
func unpack(t *testing.T, p Packing, b []byte) (page []byte) {
	t.Helper()
	var err error
	switch p {
	case Zlib:
		z, zerr := zlib.NewReader(bytes.NewReader(b))
		require.NoError(t, zerr)
		page, err = io.ReadAll(z)
	case LZO:
		page, err = unlzo(b, kdumpPage)
	case Snappy:
		page, err = snappy.Decode(nil, b)
	}
	require.NoError(t, err)
	return page
}

// failing takes so many writes.
type failing int

func (f *failing) Write(p []byte) (int, error) {
	if *f--; *f < 0 {
		return 0, errors.New("full")
	}
	return len(p), nil
}

func TestKdumpErrors(t *testing.T) {
	e := &Core{Blocks: []Block{{0, bytes.Repeat([]byte{1}, 0x1000)}}, CPUs: []*x86.State{{}}}
	for i, want := range []string{"write start flat header", "write disk dump header", "write kdump sub header", "write notes", "set dump_bitmap", "set dump_bitmap",
		"write page desc", "write page data", "write end flat header", ""} {
		f := failing(i)
		err := e.WriteKdump(&f, Zlib)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, "dump: failed to "+want)
		}
	}
}
