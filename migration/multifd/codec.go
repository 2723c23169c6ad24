package multifd

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"goemu/internal/memory"
	"goemu/migration/wire"
)

// Compression says how pages are compressed: under QMP's name, at zlib's or zstd's level.
type Compression struct {
	Method string // "none", "zlib" or "zstd"
	Level  int
}

// number is the method's in the flags of a packet.
func (c Compression) number() uint32 {
	switch c.Method {
	case "zlib":
		return 1
	case "zstd":
		return 2
	}
	return 0
}

// compressor compresses the pages of a channel, which are one stream, cut behind each packet.
type compressor struct {
	out bytes.Buffer
	w   interface {
		io.Writer
		Flush() error
	}
	page [memory.PageSize]byte
}

// newCompressor returns nil if pages go as they are.
func newCompressor(c Compression) (*compressor, error) {
	z := new(compressor)
	var err error
	switch c.Method {
	case "zlib":
		z.w, err = zlib.NewWriterLevel(&z.out, c.Level)
	case "zstd":
		z.w, err = zstd.NewWriter(&z.out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(c.Level)), zstd.WithEncoderCRC(false))
	default:
		return nil, nil
	}
	return z, err
}

// packet compresses the pages of a packet, whatever the guest does to them meanwhile. What it returns is valid until the next packet.
func (z *compressor) packet(pages [][]byte) ([]byte, error) {
	z.out.Reset()
	for _, p := range pages {
		copy(z.page[:], p)
		if _, err := z.w.Write(z.page[:]); err != nil {
			return nil, err
		}
	}
	err := z.w.Flush()
	return z.out.Bytes(), err
}

// maxWindow is how far the pages of a channel may refer back: as far as zstd goes unless it is told to go further.
const maxWindow = 128 << 20

// maxRest is the most of a packet that may be left when its pages are complete: the mark at its end, that of a block among it.
const maxRest = 64

// decompressor takes the pages of a channel out of its packets.
type decompressor struct {
	method string
	in     bytes.Buffer
	r      io.Reader
	close  func()
}

// newDecompressor returns nil if pages come as they are.
func newDecompressor(method string) *decompressor {
	if method != "zlib" && method != "zstd" {
		return nil
	}
	return &decompressor{method: method}
}

// begin is called with the first packet's data at hand.
func (z *decompressor) begin() error {
	in := struct{ io.Reader }{&z.in} // not to be taken for all there will be
	switch z.method {
	case "zlib":
		r, err := zlib.NewReader(&z.in)
		if err != nil {
			return wire.Invalid("multifd: %s", err)
		}
		z.r = r
	default:
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return wire.Invalid("multifd: %s", err)
		}
		z.r, z.close = r, r.Close
	}
	return nil
}

// packet fills pages from a packet whose data are size bytes of r.
func (z *decompressor) packet(r io.Reader, size int, pages [][]byte) error {
	if z.in.Len() > maxRest {
		return wire.Invalid("multifd: a packet is longer than its pages")
	}
	if _, err := io.CopyN(&z.in, r, int64(size)); err != nil {
		return err
	}
	if z.r == nil {
		if err := z.begin(); err != nil {
			return err
		}
	}
	for _, p := range pages {
		if _, err := io.ReadFull(z.r, p); err != nil {
			return wire.Invalid("multifd: a packet does not fill its pages: %s", err)
		}
	}
	return nil
}

func (z *decompressor) end() {
	if z != nil && z.close != nil {
		z.close()
	}
}
