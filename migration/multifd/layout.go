// Package multifd carries pages of guest memory over several channels beside the migration's own, in the packets of QEMU 7.2, compressed if
// that is wanted. It knows RAM blocks and writers, no state of a migration and no kind of channel.
package multifd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"goemu/internal/memory"
	"goemu/migration/wire"
)

// What stands at the beginning of a channel and of each packet.
const (
	magic   = 0x11223344
	version = 1
)

// Flags of a packet.
const (
	flagSync       = 1 << 0 // the channel has got as far as the stream
	compressionBit = 1
	compressionMax = 7
)

// MaxPages is the most pages that a packet has.
const MaxPages = 512 << 10 / memory.PageSize

// Sizes of the first message of a channel, of a packet's head, and of the name of a block in it.
const (
	uuidSize  = 16
	helloSize = 4 + 4 + uuidSize + 1 + 7 + 4*8
	nameSize  = 256
	fixedSize = 6*4 + 8 + 4*8 + nameSize
	headSize  = fixedSize + 8*MaxPages
)

// maxData is the most that the pages of a packet take when they are compressed.
const maxData = 2 * MaxPages * memory.PageSize

// Hello begins a channel: the source's UUID and the channel's number.
func Hello(uuid []byte, id int) []byte {
	b := make([]byte, helloSize)
	binary.BigEndian.PutUint32(b, magic)
	binary.BigEndian.PutUint32(b[4:], version)
	copy(b[8:8+uuidSize], uuid)
	b[8+uuidSize] = uint8(id)
	return b
}

// ReadHello reads the beginning of one of channels channels and returns its number.
func ReadHello(r io.Reader, uuid []byte, channels int) (int, error) {
	b := make([]byte, helloSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, err
	}
	if err := checkMagic(b); err != nil {
		return 0, err
	}
	got, id := b[8:8+uuidSize], int(b[8+uuidSize])
	if want := append(bytes.Clone(uuid), make([]byte, uuidSize-len(uuid))...); !bytes.Equal(got, want) {
		return 0, wire.Invalid("multifd: received uuid '%s' and expected uuid '%s' for channel %d", wire.FormatUUID(got), wire.FormatUUID(want), id)
	}
	if id >= channels {
		return 0, wire.Invalid("multifd: received channel number %d of %d", id, channels)
	}
	return id, nil
}

func checkMagic(b []byte) error {
	if m := binary.BigEndian.Uint32(b); m != magic {
		return wire.Invalid("multifd: received packet magic %x expected %x", m, uint32(magic))
	}
	if v := binary.BigEndian.Uint32(b[4:]); v != version {
		return wire.Invalid("multifd: received packet version %d expected %d", v, version)
	}
	return nil
}

// head is what stands before the pages of a packet.
type head struct {
	flags   uint32
	size    uint32 // of the pages as they follow, in bytes
	number  uint64
	block   string
	offsets []uint64 // of the pages within the block
}

// put writes the head into b, which is headSize long.
func (h *head) put(b []byte) {
	clear(b)
	for i, v := range []uint32{magic, version, h.flags, MaxPages, uint32(len(h.offsets)), h.size} {
		binary.BigEndian.PutUint32(b[4*i:], v)
	}
	binary.BigEndian.PutUint64(b[24:], h.number)
	copy(b[fixedSize-nameSize:fixedSize-1], h.block)
	for i, v := range h.offsets {
		binary.BigEndian.PutUint64(b[fixedSize+8*i:], v)
	}
}

// parse reads the head from b, which is headSize long.
func (h *head) parse(b []byte) error {
	if err := checkMagic(b); err != nil {
		return err
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	h.flags, h.size, h.number = word(2), word(5), binary.BigEndian.Uint64(b[24:])
	if n := word(3); n > MaxPages {
		return wire.Invalid("multifd: received packet with size %d and expected a size of %d", n, MaxPages)
	}
	n := word(4)
	if n > word(3) {
		return wire.Invalid("multifd: received packet with %d pages and expected maximum pages are %d", n, word(3))
	}
	h.offsets = h.offsets[:0]
	if n == 0 {
		return nil
	}
	name, _, _ := bytes.Cut(b[fixedSize-nameSize:fixedSize-1], []byte{0})
	h.block = string(name)
	for i := range n {
		h.offsets = append(h.offsets, binary.BigEndian.Uint64(b[fixedSize+8*i:]))
	}
	return nil
}

// errEnded says that a channel ended while more of it was needed.
var errEnded = fmt.Errorf("multifd: a channel has ended too early: %w", io.ErrUnexpectedEOF)

// errClosed says that the channels were given up.
var errClosed = errors.New("multifd: the channels are closed")
