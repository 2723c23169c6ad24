package parallels

import (
	"context"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// image is the state of an open image.
type image struct {
	node *block.Node
	file *block.Child

	prealloc  int64 // sectors by which the file grows in advance
	truncates bool  // it grows without its space being reserved

	mu     sync.RWMutex // held for writing while clusters get their place
	h      header
	stored []byte // the header as it is stored; guarded by mu
	m      []byte // the table as it is stored, as far as the file has it; guarded by mu
	end    int64  // the sector of the next cluster; guarded by mu
	open   bool   // the file says that the image is in use; guarded by mu

	// Bytes of the table that are not written yet. Guarded by mu.
	dirtyFrom, dirtyTo int64
}

// sector is where a cluster is, in sectors; 0 if it has no place.
// Preconditions: mu is held.
func (im *image) sector(i uint32) int64 {
	at := int64(i) * entryLen
	if at+entryLen > int64(len(im.m)) {
		return 0
	}
	return int64(le.Uint32(im.m[at:])) * im.h.unit
}

// place is the position of a byte in the file, or 0 if it has none.
// Preconditions: mu is held.
func (im *image) place(off int64) (int64, error) {
	i := off / im.h.cluster
	if i >= int64(im.h.entries) {
		return 0, nil
	}
	s := im.sector(uint32(i))
	if s == 0 {
		return 0, nil
	}
	if s > maxSector {
		return 0, unix.EIO
	}
	return s*sectorSize + off%im.h.cluster, nil
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return block.IovPieces(off, im.h.cluster, iov, func(off int64, part [][]byte) error {
		im.mu.RLock()
		pos, err := im.place(off)
		im.mu.RUnlock()
		switch {
		case err != nil:
			return err
		case pos > 0:
			return im.file.ReadV(ctx, pos, part, 0)
		}
		if b := im.node.Backing(); b != nil {
			return b.ReadV(ctx, off, part, 0)
		}
		block.IovZero(part)
		return nil
	})
}

// WriteV implements block.Writer.
func (im *image) WriteV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return block.IovPieces(off, im.h.cluster, iov, func(off int64, part [][]byte) error {
		im.mu.RLock()
		pos, err := im.place(off)
		im.mu.RUnlock()
		if err == nil && pos == 0 {
			pos, err = im.add(ctx, off)
		}
		if err != nil {
			return err
		}
		return im.file.WriteV(ctx, pos, part, 0)
	})
}

// add gives the cluster of a byte its place, with the content that it had, and returns the byte's position.
func (im *image) add(ctx context.Context, off int64) (int64, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if pos, err := im.place(off); err != nil || pos != 0 { // somebody else was faster
		return pos, err
	}
	i, tracks := off/im.h.cluster, im.h.cluster/sectorSize
	switch {
	case i >= int64(im.h.entries): // the header lies
		return 0, unix.EIO
	case im.end > maxSector || im.end/im.h.unit > math.MaxUint32:
		return 0, unix.EFBIG
	}
	if !im.open {
		if err := im.setInUse(ctx, inUse); err != nil {
			return 0, err
		}
	}
	if err := im.grow(ctx, tracks); err != nil {
		return 0, err
	}
	if b := im.node.Backing(); b != nil {
		if err := im.copyUp(ctx, b, off-off%im.h.cluster); err != nil {
			return 0, err
		}
	}
	at := i * entryLen
	if missing := at + entryLen - int64(len(im.m)); missing > 0 {
		im.m = append(im.m, make([]byte, missing)...)
	}
	le.PutUint32(im.m[at:], uint32(im.end/im.h.unit))
	if im.dirtyTo == 0 {
		im.dirtyFrom = at
	}
	im.dirtyFrom, im.dirtyTo = min(im.dirtyFrom, at), max(im.dirtyTo, at+entryLen)
	pos := im.end*sectorSize + off%im.h.cluster
	im.end += tracks
	return pos, nil
}

// grow makes the file so long that another cluster fits, and more: it reads as zeroes there.
// Preconditions: mu is held.
func (im *image) grow(ctx context.Context, tracks int64) error {
	length, err := im.file.Length(ctx)
	if err != nil || (im.end+tracks)*sectorSize <= length {
		return err
	}
	end := min(im.end+tracks+im.prealloc, maxSector)
	if im.truncates {
		return im.file.Truncate(ctx, end*sectorSize, false, block.PreallocOff, true)
	}
	return im.file.WriteZeroes(ctx, im.end*sectorSize, (end-im.end)*sectorSize, 0)
}

// copyUp copies a cluster of the backing file to the place of the next cluster.
// Preconditions: mu is held.
func (im *image) copyUp(ctx context.Context, from *block.Child, off int64) error {
	buf := block.AlignedBuffer(min(im.h.cluster, 1<<20))
	for done := int64(0); done < im.h.cluster; {
		n := min(im.h.cluster-done, int64(len(buf)))
		if err := from.Read(ctx, off+done, buf[:n]); err != nil {
			return err
		}
		if err := im.file.Write(ctx, im.end*sectorSize+done, buf[:n], 0); err != nil {
			return err
		}
		done += n
	}
	return nil
}

// FlushToOS implements block.Flusher: it writes what changed in the table.
func (im *image) FlushToOS(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.flush(ctx)
}

// flush is FlushToOS.
// Preconditions: mu is held.
func (im *image) flush(ctx context.Context) error {
	if im.dirtyTo == 0 {
		return nil
	}
	if err := im.file.Write(ctx, headerLen+im.dirtyFrom, im.m[im.dirtyFrom:im.dirtyTo], 0); err != nil {
		return err
	}
	im.dirtyFrom, im.dirtyTo = 0, 0
	return nil
}

// BlockStatus implements block.BlockStatuser. Neighbours that look alike are told together.
func (im *image) BlockStatus(_ context.Context, _ bool, off, n int64) (block.Status, error) {
	im.mu.RLock()
	defer im.mu.RUnlock()
	pos, err := im.place(off)
	if err != nil {
		return block.Status{}, err
	}
	s := block.Status{N: min(n, im.h.cluster-off%im.h.cluster)}
	if pos > 0 {
		s.Flags, s.Offset, s.File = block.StatusData|block.StatusOffsetValid, pos, im.file.Node()
	}
	for s.N < n {
		next, err := im.place(off + s.N)
		if err != nil || (next > 0) != (pos > 0) || pos > 0 && next != pos+s.N {
			break
		}
		s.N = min(n, s.N+im.h.cluster)
	}
	return s, nil
}

// Check implements block.Checker.
func (im *image) Check(ctx context.Context, fix block.CheckFix) (res block.CheckResult, err error) {
	length, err := im.file.Length(ctx)
	if err != nil {
		res.CheckErrors++
		return res, err
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	message := func(fixed block.CheckFix, format string, a ...any) {
		verb := "ERROR "
		if fix&fixed != 0 {
			verb = "Repairing "
		}
		im.node.Graph().Messagef(verb+format, a...)
	}
	if im.h.unclean {
		message(block.FixErrors, "image was not closed correctly")
		res.Corruptions++
		if fix&block.FixErrors != 0 { // it is closed now
			res.CorruptionsFixed++
			im.h.unclean = false
		}
	}
	res.TotalClusters = int64(im.h.entries)
	high, err := im.checkTable(ctx, length, fix, message, &res)
	if err != nil {
		res.CheckErrors++
		return res, err
	}
	res.ImageEndOffset = high + im.h.cluster
	if length > res.ImageEndOffset {
		message(block.FixLeaks, "space leaked at the end of the image %d", length-res.ImageEndOffset)
		count := int((length - res.ImageEndOffset + im.h.cluster - 1) / im.h.cluster)
		res.Leaks += count
		if fix&block.FixLeaks != 0 {
			if err := im.file.Truncate(ctx, res.ImageEndOffset, true, block.PreallocOff, false); err != nil {
				res.CheckErrors++
				return res, err
			}
			res.LeaksFixed += count
		}
	}
	return res, nil
}

// checkTable looks for clusters outside of a file of length bytes, and returns where the last one is.
// Preconditions: mu is held.
func (im *image) checkTable(ctx context.Context, length int64, fix block.CheckFix, message func(block.CheckFix, string, ...any), res *block.CheckResult) (high int64, err error) {
	last, changed := int64(0), false
	for i := range uint32(len(im.m) / entryLen) {
		s := im.sector(i)
		if s == 0 {
			last = 0
			continue
		}
		at := int64(math.MaxInt64)
		if s <= maxSector {
			at = s * sectorSize
		}
		if at > length {
			message(block.FixErrors, "cluster %d is outside image", i)
			res.Corruptions++
			if fix&block.FixErrors != 0 {
				last, changed = 0, true
				le.PutUint32(im.m[i*entryLen:], 0)
				res.CorruptionsFixed++
				continue
			}
		}
		res.AllocatedClusters++
		if s <= maxSector {
			high = max(high, at)
		}
		if last != 0 && last+im.h.cluster != at {
			res.FragmentedClusters++
		}
		last = at
	}
	if changed {
		if err := im.file.Write(ctx, headerLen, im.m, 0); err != nil {
			return high, err
		}
		return high, im.file.Flush(ctx)
	}
	return high, nil
}
