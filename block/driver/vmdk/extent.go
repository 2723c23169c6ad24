package vmdk

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// state says what is known of a grain.
type state uint8

const (
	unallocated state = iota // the backing file decides
	zeroed
	stored
)

// extent is a part of the disk with its file.
type extent struct {
	file           *block.Child
	kind           string // as in the descriptor; empty if there is none
	start, sectors int64  // in the disk, in sectors

	flat  bool
	plain int64 // of a plain extent: where it begins in the file, in bytes

	// Of an extent with tables.
	grain                      int64 // bytes
	tableLen                   int64 // entries
	tablesMax                  int64 // tables that the extent can have
	directory, redundant       []byte
	wide                       bool  // seSparse: 64-bit entries
	tablesAt, grainsAt         int64 // seSparse: sectors
	compressed, markers, zeros bool
	version                    uint32
	end                        int64             // where the next grain comes, in bytes; guarded by image.mu
	tables                     map[uint32][]byte // by sector in the file; guarded by image.mu
}

// keptTables is how many tables of an extent are kept in memory.
const keptTables = 512

// last is the extent's first sector after it.
func (e *extent) last() int64 { return e.start + e.sectors }

// entryLen is the length of an entry of the tables, in bytes.
func (e *extent) entryLen() int64 {
	if e.wide {
		return 8
	}
	return 4
}

// unit is up to where requests can go at once, counted from the extent's beginning: a grain, or all of a plain extent. In bytes.
func (e *extent) unit() int64 {
	if e.flat {
		return e.sectors * sectorSize
	}
	return e.grain
}

// addSparse appends an extent with tables, and reads its directories; at and redundant are their places in bytes, entries their length.
func (im *image) addSparse(ctx context.Context, e *extent, at, redundant int64, entries uint64, grain uint64) error {
	switch {
	case grain > maxGrainSectors:
		return block.Errorf(unix.EFBIG, "Invalid granularity, image may be corrupt")
	case entries > maxTables:
		return block.Errorf(unix.EFBIG, "L1 size too big")
	case grain == 0:
		return block.Errorf(unix.EINVAL, "Invalid granularity, image may be corrupt")
	}
	e.grain, e.tablesMax = int64(grain)*sectorSize, int64(entries)
	length, err := e.file.Length(ctx)
	if err != nil {
		return err
	}
	e.end = roundUp(roundUp(length, sectorSize), e.grain)
	e.tables = make(map[uint32][]byte)
	e.file.Node().RefreshFilename()
	if e.directory, err = e.readDirectory(ctx, at, int64(entries), length); err != nil {
		return block.Errnof(block.Errno(err), "Could not read l1 table from extent '%s'", e.file.Node().Filename())
	}
	if redundant != 0 {
		if e.redundant, err = e.readDirectory(ctx, redundant, int64(entries), length); err != nil {
			return block.Errnof(block.Errno(err), "Could not read l1 backup table from extent '%s'", e.file.Node().Filename())
		}
	}
	return im.add(e)
}

// readDirectory reads a directory; behind the end of the file are zeroes.
func (e *extent) readDirectory(ctx context.Context, at, entries, length int64) ([]byte, error) {
	if at < 0 {
		return nil, unix.EINVAL
	}
	b := make([]byte, max(0, min(entries*e.entryLen(), length-at)))
	return b, e.file.Read(ctx, at, b)
}

// add appends an extent to the disk.
func (im *image) add(e *extent) error {
	e.start = im.sectors()
	if e.sectors < 0 || e.sectors > maxSectors-e.start {
		return unix.EFBIG
	}
	im.extents = append(im.extents, e)
	return nil
}

// openCOWD adds the extent of ESX that is in a file.
func (im *image) openCOWD(ctx context.Context, file *block.Child) error {
	b := make([]byte, cowdHeaderLen)
	if err := file.Read(ctx, 0, b); err != nil {
		return unreadable(err, "header", file)
	}
	e := &extent{file: file, sectors: int64(le.Uint32(b[cowdSectors:])), tableLen: cowdTableLen}
	return im.addSparse(ctx, e, int64(le.Uint32(b[cowdDirectory:]))*sectorSize, 0, uint64(le.Uint32(b[cowdDirLen:])), uint64(le.Uint32(b[cowdGrain:])))
}

func unreadable(err error, what string, file *block.Child) error {
	file.Node().RefreshFilename()
	return block.Errnof(block.Errno(err), "Could not read %s from file '%s'", what, file.Node().Filename())
}

// openKDMV adds the sparse extent that is in a file, or the extents of the descriptor that the file holds.
func (im *image) openKDMV(ctx context.Context, file *block.Child, o *block.Options) error {
	b := make([]byte, headerLen)
	if err := file.Read(ctx, 0, b); err != nil {
		return unreadable(err, "header", file)
	}
	h := parseSparse(b)
	if h.capacity == 0 && h.descriptor != 0 {
		if h.descriptor > maxSectors {
			return block.Errorf(unix.EINVAL, "Could not read from file")
		}
		desc, err := readStart(ctx, file, int64(h.descriptor)*sectorSize)
		if err != nil {
			return err
		}
		return im.openDescriptor(ctx, text([]byte(desc)), o)
	}
	if im.kind == "" {
		im.kind = kindSparse
	}
	length, err := file.Length(ctx)
	if err != nil {
		return err
	}
	if h.dir == directoryAtEnd {
		if h, err = readFooter(ctx, file, roundUp(length, sectorSize)-footerTotal); err != nil {
			return err
		}
	}
	if err := h.check(length, !im.node.Mode().ReadOnly); err != nil {
		return err
	}
	entries := (h.capacity-1)/h.entrySectors() + 1
	if h.capacity == 0 {
		entries = 0
	}
	if entries <= maxTables && max(h.capacity, h.dir, h.redundant) > maxSectors {
		return unix.EFBIG
	}
	redundant := int64(0)
	if h.flags&flagRedundant != 0 {
		redundant = int64(h.redundant) * sectorSize
	}
	e := &extent{file: file, sectors: int64(h.capacity), tableLen: int64(h.tableLen), compressed: h.compressed, markers: h.flags&flagMarkers != 0,
		zeros: h.flags&flagZeroGrain != 0, version: h.version}
	if err := im.addSparse(ctx, e, int64(h.dir)*sectorSize, redundant, entries, h.grain); err != nil {
		return err
	}
	if e.compressed {
		im.kind = kindStream
	}
	return nil
}

// readFooter reads the header at the end of a stream that was written in one go.
func readFooter(ctx context.Context, file *block.Child, at int64) (h sparseHeader, err error) {
	b := make([]byte, footerTotal)
	if at < 0 {
		return h, block.Errorf(unix.EINVAL, "Invalid footer")
	}
	if err := file.Read(ctx, at, b); err != nil {
		return h, block.Errnof(block.Errno(err), "Failed to read footer")
	}
	header, end := b[sectorSize:2*sectorSize], b[2*sectorSize:]
	if string(header[:4]) != magicKDMV || le.Uint32(b[markerSize:]) != 0 || le.Uint32(b[markerType:]) != typeFooter ||
		le.Uint64(end) != 0 || le.Uint32(end[markerSize:]) != 0 || le.Uint32(end[markerType:]) != typeEnd {
		return h, block.Errorf(unix.EINVAL, "Invalid footer")
	}
	return parseSparse(header), nil
}

// openSE adds the seSparse extent that is in a file.
func (im *image) openSE(ctx context.Context, file *block.Child) error {
	if err := im.node.ApplyAutoReadOnly("No write support for seSparse images available"); err != nil {
		return err
	}
	b := make([]byte, sectorSize)
	if err := file.Read(ctx, 0, b); err != nil {
		return unreadable(err, "const header", file)
	}
	if err := checkSE(b); err != nil {
		return err
	}
	at := func(i int) int64 { return int64(le.Uint64(b[i:])) }
	for _, i := range []int{seCapacity, seVolatile, seDirectory, seDirectoryLen, seTables, seGrains} {
		if v := at(i); v < 0 || v > maxSectors {
			return unix.EFBIG
		}
	}
	v := make([]byte, sectorSize)
	if err := file.Read(ctx, at(seVolatile)*sectorSize, v); err != nil {
		return unreadable(err, "volatile header", file)
	}
	if err := checkSEVolatile(v); err != nil {
		return err
	}
	e := &extent{file: file, sectors: at(seCapacity), tableLen: seTableKnown * sectorSize / 8, wide: true, tablesAt: at(seTables), grainsAt: at(seGrains)}
	return im.addSparse(ctx, e, at(seDirectory)*sectorSize, 0, uint64(at(seDirectoryLen))*sectorSize/8, seGrainKnown)
}

// slot is where a grain's entry is.
type slot struct {
	table  uint32 // sector of the table
	backup uint32 // of the other table, or 0
	index  int64
	b      []byte // the table's content
}

// find locates the entry of the grain at off, counted in bytes from the extent's beginning; ok is false if there is no table for it.
// Preconditions: the image's mu is held.
func (e *extent) find(ctx context.Context, off int64) (s slot, ok bool, err error) {
	number := off / e.grain
	i := number / e.tableLen
	switch {
	case i >= e.tablesMax:
		return s, false, unix.EIO
	case (i+1)*e.entryLen() > int64(len(e.directory)): // the file ends within the directory
		return s, false, nil
	case e.wide:
		if s.table, err = e.wideTable(le.Uint64(e.directory[i*8:])); err != nil {
			return s, false, err
		}
	default:
		s.table = le.Uint32(e.directory[i*4:])
		if (i+1)*4 <= int64(len(e.redundant)) {
			s.backup = le.Uint32(e.redundant[i*4:])
		}
	}
	if s.table == 0 {
		return s, false, nil
	}
	s.index = number % e.tableLen
	if s.b, ok = e.tables[s.table]; ok {
		return s, true, nil
	}
	s.b = make([]byte, e.tableLen*e.entryLen())
	e.file.DebugEvent("l2_load")
	if err := e.file.Read(ctx, int64(s.table)*sectorSize, s.b); err != nil {
		return s, false, err
	}
	if len(e.tables) >= keptTables {
		for k := range e.tables { // any one will do: all are written as soon as they change
			delete(e.tables, k)
			break
		}
	}
	e.tables[s.table] = s.b
	return s, true, nil
}

// wideTable is the sector of the table that an entry of an seSparse directory names, 0 if there is none.
func (e *extent) wideTable(v uint64) (uint32, error) {
	if v == 0 {
		return 0, nil
	}
	at := uint64(e.tablesAt) + (v&(1<<32-1))*seTableKnown
	if v>>32 != 0x10000000 || at >= 1<<32 {
		return 0, unix.EIO
	}
	return uint32(at), nil
}

// lookup tells where the grain at off is in the file, in bytes. off is counted from the extent's beginning.
// Preconditions: the image's mu is held.
func (e *extent) lookup(ctx context.Context, off int64) (st state, pos int64, err error) {
	if e.flat {
		return stored, e.plain, nil
	}
	s, ok, err := e.find(ctx, off)
	if !ok || err != nil {
		return unallocated, 0, err
	}
	if e.wide {
		return e.wideGrain(le.Uint64(s.b[s.index*8:]))
	}
	switch v := le.Uint32(s.b[s.index*4:]); {
	case v == entryZeroed && e.zeros:
		return zeroed, 0, nil
	case v != 0:
		return stored, int64(v) * sectorSize, nil
	}
	return unallocated, 0, nil
}

// wideGrain decodes an entry of an seSparse table: a kind in the uppermost four bits, then the number of the grain in a curious order.
func (e *extent) wideGrain(v uint64) (state, int64, error) {
	switch v >> 60 {
	case 0:
		if v != 0 {
			return unallocated, 0, unix.EIO
		}
		return unallocated, 0, nil
	case 1, 2: // unmapped by the guest; zeroes
		return zeroed, 0, nil
	case 3:
		n := v<<4>>52 | v&(1<<48-1)<<12
		if n > maxSectors/seGrainKnown || e.grainsAt+int64(n)*seGrainKnown > maxSectors {
			return unallocated, 0, unix.EIO
		}
		return stored, (e.grainsAt + int64(n)*seGrainKnown) * sectorSize, nil
	}
	return unallocated, 0, unix.EIO
}

// setEntry writes an entry of both tables and waits until it is on the medium.
// Preconditions: the image's mu is held.
func (e *extent) setEntry(ctx context.Context, s slot, v uint32) error {
	b := le.AppendUint32(nil, v)
	e.file.DebugEvent("l2_update")
	if err := e.file.Write(ctx, int64(s.table)*sectorSize+s.index*4, b, 0); err != nil {
		return err
	}
	if s.backup != 0 {
		if err := e.file.Write(ctx, int64(s.backup)*sectorSize+s.index*4, b, 0); err != nil {
			return err
		}
	}
	if err := e.file.Flush(ctx); err != nil {
		return err
	}
	copy(s.b[s.index*4:], b)
	return nil
}
