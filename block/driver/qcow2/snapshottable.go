package qcow2

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Layout of an entry of the snapshot table.
const (
	snapL1Offset  = 0
	snapL1Size    = 8
	snapIDSize    = 12
	snapNameSize  = 14
	snapDateSec   = 16
	snapDateNsec  = 20
	snapVMClock   = 24
	snapVMState   = 32
	snapExtraSize = 36

	snapshotHeaderLen = 40

	// The extra data behind it, as far as it is known.
	extraVMState  = 0
	extraDiskSize = 8
	extraICount   = 16

	snapshotExtraLen = 24
	snapshotExtraMin = 16 // version 3 needs that much
)

// snapshot is an entry of the snapshot table.
type snapshot struct {
	l1Offset        int64
	l1Size          uint32
	id, name        string
	diskSize        uint64
	vmState         uint64
	dateSec, dateNs uint32
	vmClock         uint64
	icount          uint64
	extraSize       uint32
	extra           []byte // behind what is known
}

// tableRepair counts what reading a snapshot table with repair dropped.
type tableRepair struct{ snapshots, extra int }

// hintError makes an error with a hint for people.
func hintError(e unix.Errno, hint, text string) error {
	return &block.Error{Errno: e, Text: text, Hint: hint}
}

// readSnapshots reads the snapshot table with n entries.
func (im *image) readSnapshots(n int) error { return im.readSnapshotTable(n, nil) }

// readSnapshotTable reads the table; with repair it cuts off what is too much instead of refusing it.
func (im *image) readSnapshotTable(n int, repair *tableRepair) (err error) {
	im.snapshots, im.snapshotsSize = nil, 0
	defer func() {
		if err != nil {
			im.snapshots = nil
		}
	}()
	r := tableReader{im: im, pos: im.snapshotsOffset}
	var size int64 // of what is kept
	for i := range n {
		r.pos = (r.pos + 7) &^ 7
		size = (size + 7) &^ 7
		before := r.pos
		s, cut, err := im.readSnapshot(&r, i, repair)
		if err != nil {
			return err
		}
		if cut > 0 {
			repair.extra++
		}
		size += r.pos - before - cut
		if size > maxSnapshotTableSize || r.pos-im.snapshotsOffset > math.MaxInt32 {
			if repair == nil {
				return hintError(unix.EFBIG, fmt.Sprintf("You can force-remove all %d overhanging snapshots with qemu-img check -r all", n-i), "Snapshot table is too big")
			}
			im.messagef("Discarding %d overhanging snapshots (snapshot table is too big)", n-i)
			repair.snapshots += n - i
			r.pos = before
			break
		}
		im.snapshots = append(im.snapshots, s)
	}
	im.snapshotsSize = r.pos - im.snapshotsOffset
	return nil
}

// tableReader reads a table piece by piece through a buffer.
type tableReader struct {
	im  *image
	pos int64
	buf []byte // bytes from bufAt on
	at  int64
}

// next returns the next n bytes; they are valid until the next call.
func (r *tableReader) next(n int64) ([]byte, error) {
	if r.pos < r.at || r.pos+n > r.at+int64(len(r.buf)) {
		r.at = r.pos
		r.buf = make([]byte, max(n, 4096))
		if err := r.im.file.Read(bg, r.at, r.buf); err != nil {
			r.buf = nil
			return nil, block.Errnof(block.Errno(err), "Failed to read snapshot table")
		}
	}
	b := r.buf[r.pos-r.at:][:n]
	r.pos += n
	return b, nil
}

// readSnapshot reads entry i, less cut bytes that are too much.
func (im *image) readSnapshot(r *tableReader, i int, repair *tableRepair) (s snapshot, cut int64, err error) {
	h, err := r.next(snapshotHeaderLen)
	if err != nil {
		return s, 0, err
	}
	s = snapshot{
		l1Offset: int64(be.Uint64(h[snapL1Offset:])), l1Size: be.Uint32(h[snapL1Size:]), vmState: uint64(be.Uint32(h[snapVMState:])),
		dateSec: be.Uint32(h[snapDateSec:]), dateNs: be.Uint32(h[snapDateNsec:]), vmClock: be.Uint64(h[snapVMClock:]),
		extraSize: be.Uint32(h[snapExtraSize:]), diskSize: uint64(im.length.Load()), icount: math.MaxUint64,
	}
	idSize, nameSize := int64(be.Uint16(h[snapIDSize:])), int64(be.Uint16(h[snapNameSize:]))
	full := s.extraSize
	if full > maxSnapshotExtra {
		if repair == nil {
			return s, 0, hintError(unix.EFBIG, "You can force-remove this extra metadata with qemu-img check -r all", fmt.Sprintf("Too much extra metadata in snapshot table entry %d", i))
		}
		im.messagef("Discarding too much extra metadata in snapshot table entry %d (%d > %d)", i, full, maxSnapshotExtra)
		s.extraSize, cut = maxSnapshotExtra, int64(full-maxSnapshotExtra)
	}
	extra, err := r.next(int64(s.extraSize))
	if err != nil {
		return s, 0, err
	}
	r.pos += int64(full - s.extraSize)
	if len(extra) >= extraVMState+8 {
		s.vmState = be.Uint64(extra[extraVMState:])
	}
	if len(extra) >= extraDiskSize+8 {
		s.diskSize = be.Uint64(extra[extraDiskSize:])
	}
	if len(extra) >= extraICount+8 {
		s.icount = be.Uint64(extra[extraICount:])
	}
	if len(extra) > snapshotExtraLen {
		s.extra = append([]byte(nil), extra[snapshotExtraLen:]...)
	}
	id, err := r.next(idSize)
	if err != nil {
		return s, 0, err
	}
	s.id = cstring(id)
	name, err := r.next(nameSize)
	s.name = cstring(name)
	return s, cut, err
}

// encodeSnapshots makes the table; nil if it would be too large.
func (im *image) encodeSnapshots() []byte {
	b := []byte{}
	for _, s := range im.snapshots {
		b = append(b, make([]byte, -len(b)&7)...)
		h := make([]byte, snapshotHeaderLen+snapshotExtraLen)
		be.PutUint64(h[snapL1Offset:], uint64(s.l1Offset))
		be.PutUint32(h[snapL1Size:], s.l1Size)
		be.PutUint16(h[snapIDSize:], uint16(len(s.id)))
		be.PutUint16(h[snapNameSize:], uint16(len(s.name)))
		be.PutUint32(h[snapDateSec:], s.dateSec)
		be.PutUint32(h[snapDateNsec:], s.dateNs)
		be.PutUint64(h[snapVMClock:], s.vmClock)
		if s.vmState <= math.MaxUint32 {
			be.PutUint32(h[snapVMState:], uint32(s.vmState))
		}
		be.PutUint32(h[snapExtraSize:], uint32(snapshotExtraLen+len(s.extra)))
		x := h[snapshotHeaderLen:]
		be.PutUint64(x[extraVMState:], s.vmState)
		be.PutUint64(x[extraDiskSize:], s.diskSize)
		be.PutUint64(x[extraICount:], s.icount)
		b = append(append(append(append(b, h...), s.extra...), s.id...), s.name...)
		if len(b) > maxSnapshotTableSize {
			return nil
		}
	}
	return b
}

// writeSnapshots writes the table to a new place and makes the header point there.
func (im *image) writeSnapshots() error {
	b := im.encodeSnapshots()
	if b == nil {
		return unix.EFBIG
	}
	n := int64(len(b))
	off, err := im.allocClusters(n)
	if err != nil {
		return err
	}
	err = im.flushCaches()
	if err == nil {
		err = im.checkOverlap(0, off, n, false)
	}
	if err == nil && n > 0 {
		err = im.file.Write(bg, off, b, 0)
	}
	if err == nil {
		err = im.flushCaches()
	}
	unsure := false
	if err == nil {
		old := make([]byte, 12)
		if err = im.file.Read(bg, hdrSnapshots, old); err == nil {
			ptr := be.AppendUint64(be.AppendUint32(nil, uint32(len(im.snapshots))), uint64(off))
			unsure, err = im.replace(hdrSnapshots, ptr, old)
		}
	}
	if err != nil {
		if off > 0 && !unsure {
			im.freeClusters(off, n, discardAlways)
		}
		return err
	}
	oldOff, oldSize := im.snapshotsOffset, im.snapshotsSize
	im.snapshotsOffset, im.snapshotsSize = off, n
	im.freeClusters(oldOff, oldSize, discardSnapshot)
	return nil
}
