package vmdk

import (
	"context"
	"sort"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// image is the state of an open image.
type image struct {
	node   *block.Node
	file   *block.Child
	kind   string // createType
	descAt int64  // of the descriptor in file, in bytes

	parentName string

	extents []*extent // in their order on the disk; the list does not change while the image is open

	mu             sync.Mutex // held while tables are looked at, and while a grain gets its place
	cid, parentCID uint32
	cidRenewed     bool // guarded by mu
	parentChecked  bool // guarded by mu
}

// sectors is the length of the disk.
func (im *image) sectors() int64 {
	if len(im.extents) == 0 {
		return 0
	}
	return im.extents[len(im.extents)-1].last()
}

// extentAt finds the extent of a position on the disk.
func (im *image) extentAt(off int64) (*extent, error) {
	i := sort.Search(len(im.extents), func(i int) bool { return off/sectorSize < im.extents[i].last() })
	if i == len(im.extents) {
		return nil, unix.EIO
	}
	return im.extents[i], nil
}

// pieces calls f for the parts of a request that lie in one grain each, or in one plain extent. at is the position in the extent.
func (im *image) pieces(off int64, iov [][]byte, f func(e *extent, at int64, part [][]byte) error) error {
	var part [][]byte
	for done, total := int64(0), block.IovLen(iov); done < total; {
		e, err := im.extentAt(off + done)
		if err != nil {
			return err
		}
		at := off + done - e.start*sectorSize
		n := min(total-done, e.unit()-at%e.unit(), e.sectors*sectorSize-at)
		part = block.IovSlice(part, iov, done, n)
		if err := f(e, at, part); err != nil {
			return err
		}
		done += n
	}
	return nil
}

// parent is the backing file, checked once to be what it was when this image began; nil if there is none.
// Preconditions: mu is held.
func (im *image) parent(ctx context.Context) (*block.Child, error) {
	b := im.node.Backing()
	if b == nil || im.parentChecked {
		return b, nil
	}
	p, ok := b.Node().SkipFilters().State().(*image)
	if !ok {
		return nil, unix.EINVAL
	}
	cid, err := readCID(ctx, p.file, p.descAt, keyCID)
	if err != nil || cid != im.parentCID {
		return nil, unix.EINVAL
	}
	im.parentChecked = true
	return b, nil
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return im.pieces(off, iov, func(e *extent, at int64, part [][]byte) error {
		im.mu.Lock()
		st, pos, err := e.lookup(ctx, at)
		var below *block.Child
		if err == nil && st == unallocated {
			below, err = im.parent(ctx)
		}
		im.mu.Unlock()
		switch {
		case err != nil:
			return err
		case st == stored && e.compressed:
			return e.readCompressed(ctx, pos, at%e.grain, part)
		case st == stored:
			e.file.DebugEvent("read_aio")
			return e.file.ReadV(ctx, pos+at%e.unit(), part, 0)
		case below != nil:
			im.file.DebugEvent("read_backing_aio")
			return below.ReadV(ctx, e.start*sectorSize+at, part, 0)
		}
		block.IovZero(part)
		return nil
	})
}

// WriteV implements block.Writer.
func (im *image) WriteV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	err := im.pieces(off, iov, func(e *extent, at int64, part [][]byte) error {
		if e.wide {
			return unix.ENOTSUP
		}
		if e.compressed {
			return im.writeCompressed(ctx, e, at, part)
		}
		im.mu.Lock()
		st, pos, err := e.lookup(ctx, at)
		if err == nil && st != stored {
			err = im.addGrain(ctx, e, at, part, st)
			im.mu.Unlock()
			return err
		}
		im.mu.Unlock()
		if err != nil {
			return err
		}
		e.file.DebugEvent("write_aio")
		return e.file.WriteV(ctx, pos+at%e.unit(), part, 0)
	})
	if err != nil {
		return err
	}
	return im.wrote(ctx)
}

// wrote makes it known, once, that the content is another one.
func (im *image) wrote(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.cidRenewed {
		return nil
	}
	if err := im.renewCID(ctx, newCID()); err != nil {
		return err
	}
	im.cidRenewed = true
	return nil
}

// addGrain writes a grain that has no place yet: the data and around it what a reader saw there before. The tables name it afterwards, so that
// a failure leaves what was there.
// Preconditions: mu is held.
func (im *image) addGrain(ctx context.Context, e *extent, at int64, part [][]byte, st state) error {
	s, ok, err := e.find(ctx, at)
	switch {
	case err != nil:
		return err
	case !ok: // ESX makes tables when they are needed; as in QEMU, they are not made here
		return unix.EINVAL
	case e.end >= maxSparse:
		return unix.EINVAL
	}
	below, err := im.parent(ctx)
	if err != nil {
		return err
	}
	in, n := at%e.grain, block.IovLen(part)
	b := block.AlignedBuffer(e.grain)
	if below != nil && st == unallocated {
		e.file.DebugEvent("cow_read")
		from := e.start*sectorSize + at - in
		for _, r := range []struct{ at, n int64 }{{0, in}, {in + n, e.grain - in - n}} {
			if err := im.readBelow(ctx, below, from+r.at, b[r.at:r.at+r.n]); err != nil {
				return err
			}
		}
	}
	block.IovGather(b[in:], part)
	pos := e.end
	e.end += e.grain
	if n < e.grain {
		e.file.DebugEvent("cow_write")
	}
	e.file.DebugEvent("write_aio")
	if err := e.file.Write(ctx, pos, b, 0); err != nil {
		return err
	}
	return e.setEntry(ctx, s, uint32(pos/sectorSize))
}

// readBelow reads what the backing file has, and zeroes behind its end.
func (im *image) readBelow(ctx context.Context, below *block.Child, off int64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return below.Read(ctx, off, b)
}

// WriteZeroes implements block.ZeroWriter: whole grains are only marked, where the image knows such marks; everything else is written.
func (im *image) WriteZeroes(ctx context.Context, off, n int64, _ block.Flags) error {
	if err := im.zero(ctx, off, n, false); err != nil {
		return err
	}
	if err := im.zero(ctx, off, n, true); err != nil {
		return err
	}
	return im.wrote(ctx)
}

// zero marks grains as zeroes, or only tells whether that is possible.
func (im *image) zero(ctx context.Context, off, n int64, doIt bool) error {
	for end := off + n; off < end; {
		e, err := im.extentAt(off)
		if err != nil {
			return err
		}
		at := off - e.start*sectorSize
		if !e.zeros || at%e.grain != 0 || end-off < e.grain {
			return unix.ENOTSUP
		}
		if err := im.zeroGrain(ctx, e, at, doIt); err != nil {
			return err
		}
		off += e.grain
	}
	return nil
}

func (im *image) zeroGrain(ctx context.Context, e *extent, at int64, doIt bool) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	s, ok, err := e.find(ctx, at)
	switch {
	case err != nil:
		return err
	case !ok:
		return unix.ENOTSUP
	case e.compressed && le.Uint32(s.b[s.index*4:]) > entryZeroed:
		im.node.Graph().Failure("Could not write to allocated cluster for streamOptimized")
		return unix.EIO
	case !doIt || le.Uint32(s.b[s.index*4:]) == entryZeroed:
		return nil
	}
	return e.setEntry(ctx, s, entryZeroed)
}

// BlockStatus implements block.BlockStatuser. Neighbours that look alike are told together.
func (im *image) BlockStatus(ctx context.Context, _ bool, off, n int64) (block.Status, error) {
	e, err := im.extentAt(off)
	if err != nil {
		return block.Status{}, err
	}
	at := off - e.start*sectorSize
	n = min(n, e.sectors*sectorSize-at)
	im.mu.Lock()
	defer im.mu.Unlock()
	st, pos, err := e.lookup(ctx, at)
	if err != nil {
		return block.Status{}, unix.EIO
	}
	pos += at % e.unit()
	s := block.Status{N: min(n, e.unit()-at%e.unit())}
	switch {
	case st == zeroed:
		s.Flags = block.StatusZero
	case st == stored:
		s.Flags, s.File = block.StatusData, e.file.Node()
		if !e.compressed {
			s.Flags |= block.StatusOffsetValid
			s.Offset = pos
		}
		if e.flat {
			s.Flags |= block.StatusRecurse
		}
	}
	for s.N < n {
		next, more, err := e.lookup(ctx, at+s.N)
		if err != nil || next != st || st == stored && !e.compressed && more != pos+s.N {
			break
		}
		s.N = min(n, s.N+e.grain)
	}
	return s, nil
}
