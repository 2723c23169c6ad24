// Package dmg reads Apple's disk images (UDIF): a trailer at the end of the file names the tables of the disk's chunks, which are plain, zeroes,
// or compressed by zlib or bzip2. They are only read, and chunks compressed by LZFSE are not, as in QEMU without its module for that.
package dmg

import (
	"bytes"
	"compress/bzip2"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"

	"github.com/klauspost/compress/zlib"
	"golang.org/x/sys/unix"

	"goemu/block"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{Name: "dmg", Probe: probe, Open: open}}

var be = binary.BigEndian

// The trailer; numbers are big-endian.
const (
	trailerMagic = "koly"
	trailerLen   = 512
	trDataFork   = 0x18
	trRsrcFork   = 0x28 // with the length behind it
	trPlist      = 0xd8 // with the length behind it
	trSectors    = 0x1ec
)

// A table of chunks.
const (
	tableMagic  = "mish"
	tableFirst  = 8    // sector of the disk that the chunks' numbers begin at
	tableData   = 0x18 // in the data fork
	tableChunks = 204
	tableMin    = 244
	chunkLen    = 40
	chSector    = 8
	chSectors   = 16
	chOffset    = 24
	chLen       = 32
)

// Kinds of chunks.
const (
	kindZero    = 0
	kindRaw     = 1
	kindIgnore  = 2
	kindZlib    = 0x80000005
	kindBzip2   = 0x80000006
	kindLZFSE   = 0x80000007
	kindComment = 0x7ffffffe
	kindLast    = 0xffffffff

	sectorSize = 512
	maxLen     = 64 << 20
	maxSectors = maxLen / sectorSize
	maxPlist   = 16 << 20
)

func probe(_ []byte, filename string) int {
	if len(filename) > 4 && strings.HasSuffix(filename, ".dmg") {
		return 2
	}
	return 0
}

// chunk is a part of the disk.
type chunk struct {
	kind            uint32
	sector, sectors uint64
	at, length      uint64 // in the file
}

func (c *chunk) zero() bool { return c.kind == kindZero || c.kind == kindIgnore }

// image is the state of an open image.
type image struct {
	node    *block.Node
	file    *block.Child
	sectors int64
	chunks  []chunk // in the order of the tables, which is that of the disk
	warned  map[string]bool

	mu      sync.Mutex
	current int    // chunk whose content is known, or -1; guarded by mu
	content []byte // guarded by mu
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenFileReadOnly(ctx, o)
	if err != nil {
		return nil, err
	}
	im := &image{node: n, file: file, current: -1, warned: map[string]bool{}}
	return im, im.load(ctx)
}

// findTrailer is where the trailer is in the file.
func findTrailer(ctx context.Context, file *block.Child) (int64, error) {
	n, err := file.Length(ctx)
	switch {
	case err != nil:
		return 0, block.Errnof(block.Errno(err), "Failed to get file size while reading UDIF trailer")
	case n < trailerLen:
		return 0, block.Errorf(unix.EINVAL, "dmg file must be at least 512 bytes long")
	}
	n = (n + sectorSize - 1) &^ (sectorSize - 1)
	from := max(0, n-511-512)
	b := make([]byte, min(n, 515))
	if err := file.Read(ctx, from, b); err != nil {
		return 0, block.Errnof(block.Errno(err), "Failed while reading UDIF trailer")
	}
	i := bytes.Index(b, []byte(trailerMagic))
	if i < 0 {
		return 0, block.Errorf(unix.EINVAL, "Could not locate UDIF trailer in dmg file")
	}
	return from + int64(i), nil
}

// load reads the trailer and the tables.
func (im *image) load(ctx context.Context) error {
	at, err := findTrailer(ctx, im.file)
	if err != nil {
		return err
	}
	t := make([]byte, trailerLen)
	if err := im.file.Read(ctx, at, t); err != nil {
		return unix.Errno(block.Errno(err))
	}
	fork, number := be.Uint64(t[trDataFork:]), be.Uint64(t[trSectors:])
	within := func(i int) (off, n uint64, ok bool) {
		off, n = be.Uint64(t[i:]), be.Uint64(t[i+8:])
		return off, n, off < uint64(at) && n <= uint64(at)-off
	}
	rsrc, rsrcLen, ok := within(trRsrcFork)
	plist, plistLen, ok2 := within(trPlist)
	if fork > uint64(at) || !ok || !ok2 || number > (1<<63-1)/sectorSize {
		return unix.EINVAL
	}
	im.sectors = int64(number)
	switch {
	case rsrcLen != 0:
		return im.readResources(ctx, fork, int64(rsrc), rsrcLen)
	case plistLen != 0:
		return im.readPlist(ctx, fork, int64(plist), plistLen)
	}
	return unix.EINVAL
}

// readResources reads the tables in the resource fork, in images of older systems.
func (im *image) readResources(ctx context.Context, fork uint64, at int64, length uint64) error {
	h := make([]byte, 12)
	if err := im.file.Read(ctx, at, h); err != nil {
		return unix.Errno(block.Errno(err))
	}
	data, n := uint64(be.Uint32(h)), uint64(be.Uint32(h[8:]))
	if data > length || n == 0 || data+n > length {
		return unix.EINVAL
	}
	for pos, end := at+int64(data), at+int64(data+n); pos < end; {
		if err := im.file.Read(ctx, pos, h[:4]); err != nil {
			return unix.Errno(block.Errno(err))
		}
		size := int64(be.Uint32(h))
		if size == 0 || size > end-pos {
			return unix.EINVAL
		}
		b := make([]byte, size)
		if err := im.file.Read(ctx, pos+4, b); err != nil {
			return unix.Errno(block.Errno(err))
		}
		if err := im.readTable(fork, b); err != nil {
			return err
		}
		pos += 4 + size
	}
	return nil
}

// readPlist reads the tables in the property list, where they are Base64 data.
func (im *image) readPlist(ctx context.Context, fork uint64, at int64, length uint64) error {
	if length > maxPlist {
		return unix.EINVAL
	}
	b := make([]byte, length)
	if err := im.file.Read(ctx, at, b); err != nil {
		return unix.EINVAL
	}
	rest := string(b)
	for {
		_, after, ok := strings.Cut(rest, "<data>")
		if !ok {
			return nil
		}
		data, after, ok := strings.Cut(after, "</data>")
		if !ok {
			return unix.EINVAL
		}
		rest = after
		if err := im.readTable(fork, decodeBase64(data)); err != nil {
			return err
		}
	}
}

// decodeBase64 decodes what is valid of a text, whatever white space it has.
func decodeBase64(s string) []byte {
	s = strings.Join(strings.Fields(s), "")
	b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, _ := base64.StdEncoding.Decode(b, []byte(s))
	return b[:n]
}

// readTable reads one table. What is none is passed over.
func (im *image) readTable(fork uint64, b []byte) error {
	if len(b) < tableMin || string(b[:4]) != tableMagic {
		return nil
	}
	first, data := be.Uint64(b[tableFirst:]), fork+be.Uint64(b[tableData:])
	for e := b[tableChunks:]; len(e) >= chunkLen; e = e[chunkLen:] {
		c := chunk{kind: be.Uint32(e), sector: be.Uint64(e[chSector:]) + first, sectors: be.Uint64(e[chSectors:]),
			at: be.Uint64(e[chOffset:]) + data, length: be.Uint64(e[chLen:])}
		switch c.kind {
		case kindZero, kindRaw, kindIgnore, kindZlib, kindBzip2:
		case kindComment, kindLast:
			continue
		case kindLZFSE:
			im.warn("dmg-lzfse module is missing, accessing lzfse compressed blocks will result in I/O errors")
			continue
		default:
			im.warn(fmt.Sprintf("Image contains chunks of unknown type %x, accessing them will result in I/O errors", c.kind))
			continue
		}
		report := im.node.Graph().Failure
		if !c.zero() && c.sectors > maxSectors {
			report("sector count %d for chunk %d is larger than max (%d)", c.sectors, len(im.chunks), maxSectors)
			return unix.EINVAL
		}
		if c.length > maxLen {
			report("length %d for chunk %d is larger than max (%d)", c.length, len(im.chunks), maxLen)
			return unix.EINVAL
		}
		im.chunks = append(im.chunks, c)
	}
	return nil
}

// warn tells the user something once.
func (im *image) warn(text string) {
	if !im.warned[text] {
		im.warned[text] = true
		im.node.Graph().Warning(text)
	}
}

// find is the chunk of a sector, -1 if there is none.
func (im *image) find(sector uint64) int {
	i := sort.Search(len(im.chunks), func(i int) bool { return im.chunks[i].sector > sector }) - 1
	if i < 0 || sector-im.chunks[i].sector >= im.chunks[i].sectors {
		return -1
	}
	return i
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	for done, total := int64(0), block.IovLen(iov); done < total; {
		sector := uint64(off+done) / sectorSize
		i := im.find(sector)
		if i < 0 {
			return unix.EIO
		}
		c := &im.chunks[i]
		in := sector - c.sector
		n := total - done
		if left := c.sectors - in; left < uint64(n)/sectorSize {
			n = int64(left) * sectorSize
		}
		part := block.IovSlice(nil, iov, done, n)
		if c.zero() {
			block.IovZero(part)
		} else {
			if err := im.loadChunk(ctx, i); err != nil {
				return unix.EIO
			}
			block.IovScatter(part, im.content[in*sectorSize:][:n])
		}
		done += n
	}
	return nil
}

// loadChunk makes a chunk the current one.
// Preconditions: mu is held.
func (im *image) loadChunk(ctx context.Context, i int) error {
	if im.current == i {
		return nil
	}
	im.current = -1
	c := &im.chunks[i]
	if c.at > 1<<62 {
		return unix.EIO
	}
	src := make([]byte, c.length)
	if err := im.file.Read(ctx, int64(c.at), src); err != nil {
		return err
	}
	want := int(c.sectors) * sectorSize
	b := make([]byte, want, want+1)
	var err error
	switch c.kind {
	case kindRaw:
		copy(b, src)
	case kindZlib:
		var r io.Reader
		if r, err = zlib.NewReader(bytes.NewReader(src)); err == nil {
			err = fill(b, r)
		}
	case kindBzip2:
		_, err = io.ReadFull(bzip2.NewReader(bytes.NewReader(src)), b)
	}
	if err != nil {
		return err
	}
	im.content, im.current = b, i
	return nil
}

// fill reads exactly as much as there is room for; there must not be more.
func fill(b []byte, r io.Reader) error {
	if n, err := io.ReadFull(r, b[:len(b)+1]); err != io.ErrUnexpectedEOF || n != len(b) {
		return unix.EIO
	}
	return nil
}

// Close implements block.Instance.
func (*image) Close() {}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) { return im.sectors * sectorSize, nil }

// RefreshLimits implements block.Limiter.
func (*image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = sectorSize
	return nil
}
