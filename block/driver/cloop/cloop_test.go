package cloop_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zlib"

	"goemu/block/driver/formattest"
)

const format = formattest.Format("cloop")

// image makes a disk of three blocks of 4 KiB.
func image() (b, content []byte) {
	be := binary.BigEndian
	b = make([]byte, 128)
	copy(b, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n")
	b = be.AppendUint32(be.AppendUint32(b, 4096), 3)
	at := len(b) + 4*8
	var data bytes.Buffer
	for i := range 3 {
		b = be.AppendUint64(b, uint64(at+data.Len()))
		block := bytes.Repeat([]byte{byte(i), 7}, 2048)
		w := zlib.NewWriter(&data)
		w.Write(block)
		w.Close()
		content = append(content, block...)
	}
	b = be.AppendUint64(b, uint64(at+data.Len()))
	return append(b, data.Bytes()...), content
}

func TestRead(t *testing.T) {
	b, content := image()
	format.Reads(t, b, content)
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		at int
		v  uint32
	}{{128, 0}, {128, 513}, {128, 1 << 30}, {132, 1<<32 - 1}, {132, 1 << 27}, {140, 1 << 20}, {152, 1}} {
		b, _ := image()
		binary.BigEndian.PutUint32(b[c.at:], c.v)
		format.Refuses(t, b)
	}
}

func FuzzOpen(f *testing.F) {
	b, _ := image()
	f.Add(uint32(132), []byte{3, 0xff, 0xff, 0xff})
	f.Add(uint32(144), []byte{0x7f})
	f.Add(uint32(170), []byte{1, 2, 3})
	format.FuzzRead(f, b)
}
