package bochs_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"goemu/block/driver/formattest"
)

const format = formattest.Format("bochs")

// image makes a disk of 100 sectors in extents of 32: the first has two sectors, the second is absent, the last one comes first in the file.
func image(version uint32) (b, content []byte) {
	const extent, catalogAt = 32 * 512, 512
	le := binary.LittleEndian
	b = make([]byte, 512)
	copy(b, "Bochs Virtual HD Image")
	copy(b[32:], "Redolog")
	copy(b[48:], "Growing")
	for at, v := range map[int]uint32{64: version, 68: catalogAt, 72: 4, 76: 4, 80: extent} {
		le.PutUint32(b[at:], v)
	}
	size := 88
	if version == 0x10000 {
		size = 84
	}
	le.PutUint64(b[size:], 100*512)
	for _, v := range []uint32{1, 1<<32 - 1, 1<<32 - 1, 0} {
		b = le.AppendUint32(b, v)
	}
	content = make([]byte, 100*512)
	for _, e := range []struct{ at, marks int }{{96, 0b1111}, {0, 1<<31 | 1<<3}} {
		bitmap := make([]byte, 512)
		le.PutUint32(bitmap, uint32(e.marks))
		data := bytes.Repeat([]byte{0xee}, extent) // what is not marked must not be seen
		for i := range 32 {
			if e.marks>>i&1 != 0 {
				s := bytes.Repeat([]byte{byte(e.at + i + 1)}, 512)
				copy(data[i*512:], s)
				copy(content[(e.at+i)*512:], s)
			}
		}
		b = append(append(b, bitmap...), data...)
	}
	return b, content
}

func TestRead(t *testing.T) {
	for _, version := range []uint32{0x10000, 0x20000} {
		b, content := image(version)
		format.Reads(t, b, content)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		at int
		v  uint32
	}{{0, 1}, {64, 3}, {72, 1 << 21}, {72, 3}, {80, 256}, {80, 1000}, {80, 1 << 24}} {
		b, _ := image(0x20000)
		binary.LittleEndian.PutUint32(b[c.at:], c.v)
		format.Refuses(t, b)
	}
}

func FuzzOpen(f *testing.F) {
	b, _ := image(0x20000)
	f.Add(uint32(72), []byte{0xff, 0xff, 0x0f})
	f.Add(uint32(88), bytes.Repeat([]byte{0xff}, 8))
	f.Add(uint32(76), []byte{0, 0, 0, 0})
	format.FuzzRead(f, b)
}
