package dump

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
)

// The format of makedumpfile: a dump of pages, each compressed by itself, that describes itself with the structures of diskdump (its
// IMPLEMENTATION file, "KDUMP   " version 6). It is written in the flattened form, which needs no seeking: pieces behind their offset and
// size, in big endian.
const (
	kdumpPage  = 4096
	kdumpLevel = 1 // pages of zeroes have no data of their own

	flatHeader = 4096 // size
	flatType   = 1

	flushSize = 4 * kdumpPage // of the descriptions and of the data of pages
)

// Packing is how pages are compressed: the flag of a page and of the dump.
type Packing uint32

// The packings.
const (
	Zlib   Packing = 1
	LZO    Packing = 2
	Snappy Packing = 4
)

// packer returns a function that compresses a page. What it returns is valid until the next call.
func (p Packing) packer() func(page []byte) []byte {
	var room []byte
	switch p {
	case LZO:
		z := new(lzo)
		return func(page []byte) []byte {
			room = z.pack(room[:0], page)
			return room
		}
	case Snappy:
		room = make([]byte, snappy.MaxEncodedLen(kdumpPage))
		return func(page []byte) []byte { return snappy.Encode(room, page) }
	}
	var packed bytes.Buffer
	z, _ := zlib.NewWriterLevel(&packed, zlib.BestSpeed)
	return func(page []byte) []byte {
		packed.Reset()
		z.Reset(&packed)
		_, _ = z.Write(page)
		_ = z.Close() // a buffer takes everything
		return packed.Bytes()
	}
}

// utsname is Linux's struct new_utsname.
type utsname struct{ Sys, Node, Release, Version, Machine, Domain [65]byte }

// kdumpHead is the beginning of a dump, up to the time stamp, and kdumpHeadRest what follows that.
type (
	kdumpHead struct {
		Signature [8]byte
		Version   uint32
		Name      utsname
	}
	kdumpHeadRest struct {
		Status, BlockSize, SubBlocks, BitmapBlocks, MaxPFN, TotalBlocks, DeviceBlocks, WrittenBlocks, CPU, CPUs uint32
	}
)

// kdumpSub64 and kdumpSub32 are the second header.
type (
	kdumpSub64 struct {
		PhysBase                                                                                                 uint64
		Level, Split                                                                                             uint32
		StartPFN, EndPFN, InfoAt, InfoSize, NoteAt, NoteSize, EraseAt, EraseSize, StartPFN64, EndPFN64, MaxPFN64 uint64
	}
	kdumpSub32 struct {
		PhysBase, Level, Split, StartPFN, EndPFN uint32
		InfoAt                                   uint64
		InfoSize                                 uint32
		NoteAt                                   uint64
		NoteSize                                 uint32
		EraseAt                                  uint64
		EraseSize                                uint32
		StartPFN64, EndPFN64, MaxPFN64           uint64
	}
)

// pageDesc tells where the data of a page is.
type pageDesc struct {
	Offset      uint64
	Size, Flags uint32
	PageFlags   uint64
}

// flat writes pieces of a file that lie anywhere in it. After an error it writes nothing.
type flat struct {
	w   io.Writer
	err error
}

func (f *flat) put(offset uint64, b []byte, what string) {
	if f.err != nil {
		return
	}
	var head [16]byte
	binary.BigEndian.PutUint64(head[:], offset)
	binary.BigEndian.PutUint64(head[8:], uint64(len(b)))
	if _, err := f.w.Write(append(head[:], b...)); err != nil {
		f.err = &Error{What: "dump: failed to " + what}
	}
}

// run is a part of the file that grows.
type run struct {
	f    *flat
	at   uint64
	buf  []byte
	what string
}

func (r *run) add(b []byte) {
	if len(r.buf)+len(b) > flushSize {
		r.flush()
	}
	r.buf = append(r.buf, b...)
}

func (r *run) flush() {
	if len(r.buf) > 0 {
		r.f.put(r.at, r.buf, r.what)
	}
	r.at += uint64(len(r.buf))
	r.buf = r.buf[:0]
}

// pages calls f for each page that holds memory, in ascending order; what memory does not cover is zero. f says whether to go on.
func (e *Core) pages(f func(pfn uint64, page []byte) bool) {
	var part []byte // of page partPFN
	var partPFN uint64
	flush := func() bool {
		p := part
		part = nil
		return p == nil || f(partPFN, p)
	}
	for i := range e.Blocks {
		b := &e.Blocks[i]
		for at := b.Addr; at < b.end(); {
			pfn, in := at/kdumpPage, at%kdumpPage
			data := b.Bytes[at-b.Addr:]
			data = data[:min(uint64(len(data)), kdumpPage-in)]
			at += uint64(len(data))
			if part != nil && partPFN != pfn && !flush() {
				return
			}
			if len(data) == kdumpPage {
				if !f(pfn, data) {
					return
				}
				continue
			}
			if part == nil {
				part, partPFN = make([]byte, kdumpPage), pfn
			}
			copy(part[in:], data)
		}
	}
	flush()
}

// WriteKdump writes the pages compressed, as makedumpfile does and crash reads it.
func (e *Core) WriteKdump(w io.Writer, p Packing) error {
	f := &flat{w: w}
	head := make([]byte, flatHeader)
	copy(head, "makedumpfile")
	binary.BigEndian.PutUint64(head[16:], flatType)
	binary.BigEndian.PutUint64(head[24:], 1) // version
	if _, err := w.Write(head); err != nil {
		return &Error{What: "dump: failed to write start flat header"}
	}
	at := e.kdumpHeaders(f, p)
	at, count := e.kdumpBitmap(f, at)
	e.kdumpPages(f, at, count, p)
	if f.err != nil {
		return f.err
	}
	end := binary.BigEndian.AppendUint64(nil, math.MaxUint64) // as is the size
	if _, err := w.Write(binary.BigEndian.AppendUint64(end, math.MaxUint64)); err != nil {
		return &Error{What: "dump: failed to write end flat header"}
	}
	return nil
}

// maxPFN is the number of the page behind the last memory.
func (e *Core) maxPFN() uint64 { return e.Blocks[len(e.Blocks)-1].end() / kdumpPage }

// bitmapSize is the size of the bitmap of all pages.
func (e *Core) bitmapSize() uint64 {
	return ((e.maxPFN()+7)/8 + kdumpPage - 1) &^ (kdumpPage - 1)
}

// kdumpHeaders writes what comes before the bitmap, and returns where that begins.
func (e *Core) kdumpHeaders(f *flat, p Packing) uint64 {
	notes := e.notes()
	var sub bytes.Buffer
	stamp := 22 // bytes, of which some are padding
	if e.wide() {
		s := kdumpSub64{Level: kdumpLevel, MaxPFN64: e.maxPFN(), NoteSize: uint64(len(notes))}
		s.NoteAt = kdumpPage + uint64(binary.Size(s))
		if g := e.Guest; g != nil {
			s.PhysBase = g.physBase
			s.InfoAt, s.InfoSize = g.info(s.NoteAt, len(notes))
		}
		_ = binary.Write(&sub, le, s)
	} else {
		stamp = 10
		s := kdumpSub32{Level: kdumpLevel, MaxPFN64: e.maxPFN(), NoteSize: uint32(len(notes))}
		s.NoteAt = kdumpPage + uint64(binary.Size(s))
		if g := e.Guest; g != nil {
			s.PhysBase = uint32(g.physBase)
			at, size := g.info(s.NoteAt, len(notes))
			s.InfoAt, s.InfoSize = at, uint32(size)
		}
		_ = binary.Write(&sub, le, s)
	}
	subBlocks := uint64(sub.Len()+len(notes)+kdumpPage-1) / kdumpPage
	first := kdumpHead{Version: 6}
	copy(first.Signature[:], "KDUMP   ")
	copy(first.Name.Machine[:], "x86_64")
	var b bytes.Buffer
	_ = binary.Write(&b, le, first)
	b.Write(make([]byte, stamp))
	_ = binary.Write(&b, le, kdumpHeadRest{Status: uint32(p), BlockSize: kdumpPage, SubBlocks: uint32(subBlocks), BitmapBlocks: uint32(2 * e.bitmapSize() / kdumpPage),
		MaxPFN: uint32(min(e.maxPFN(), math.MaxUint32)), CPUs: uint32(len(e.CPUs))})
	f.put(0, b.Bytes(), "write disk dump header")
	f.put(kdumpPage, sub.Bytes(), "write kdump sub header")
	f.put(kdumpPage+uint64(sub.Len()), notes, "write notes")
	return (1 + subBlocks) * kdumpPage
}

// kdumpBitmap writes the bitmap of the pages that there are, and that of the pages that are in the dump, which is the same. It returns where
// the descriptions of the pages begin, and their number.
func (e *Core) kdumpBitmap(f *flat, at uint64) (next, count uint64) {
	size := e.bitmapSize()
	m := make([]byte, kdumpPage)
	const bits = 8 * kdumpPage
	place := uint64(0) // of m among the parts of the bitmap
	flush := func() {
		f.put(at+place*kdumpPage, m, "set dump_bitmap")
		f.put(at+size+place*kdumpPage, m, "set dump_bitmap")
		clear(m)
	}
	e.pages(func(pfn uint64, _ []byte) bool {
		for ; place < pfn/bits; place++ {
			flush()
		}
		m[pfn%bits/8] |= 1 << (pfn % 8)
		count++
		return f.err == nil
	})
	flush()
	return at + 2*size, count
}

// kdumpPages writes count descriptions of pages at an offset, and their data behind them.
func (e *Core) kdumpPages(f *flat, at, count uint64, p Packing) {
	descs := run{f: f, at: at, what: "write page desc"}
	data := run{f: f, at: at + count*uint64(binary.Size(pageDesc{})), what: "write page data"}
	offset := data.at
	zeroes := make([]byte, kdumpPage)
	zero := pageDesc{Offset: offset, Size: kdumpPage}
	data.add(zeroes)
	offset += kdumpPage
	pack := p.packer()
	e.pages(func(_ uint64, page []byte) bool {
		d := zero
		if !bytes.Equal(page, zeroes) {
			d = pageDesc{Offset: offset, Size: kdumpPage}
			if packed := pack(page); len(packed) < kdumpPage {
				page, d.Size, d.Flags = packed, uint32(len(packed)), uint32(p)
			}
			data.add(page)
			offset += uint64(d.Size)
		}
		var b [24]byte
		le.PutUint64(b[0:], d.Offset)
		le.PutUint32(b[8:], d.Size)
		le.PutUint32(b[12:], d.Flags)
		le.PutUint64(b[16:], d.PageFlags)
		descs.add(b[:])
		e.written.Add(kdumpPage)
		return f.err == nil
	})
	descs.flush()
	data.flush()
}
