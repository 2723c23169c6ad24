package qcow

import (
	"bytes"
	"context"
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/inflate"
	"goemu/block/luks"
)

const (
	keptTables    = 256  // second tables in memory
	deflateWindow = 4096 // readers need not keep more
)

// image is the state of an open image.
type image struct {
	node    *block.Node
	file    *block.Child
	cipher  *luks.Cipher // nil if the image is not encrypted
	backing string

	mu  sync.Mutex // held while a table is read, and while clusters get their place
	h   header
	end int64            // of what is used of the file; guarded by mu
	l1  []byte           // as it is stored, as far as the file has it; guarded by mu
	l2  map[int64][]byte // by their place, as they are stored; guarded by mu
}

// table is the second table at a place in the file.
// Preconditions: mu is held.
func (im *image) table(ctx context.Context, at int64) ([]byte, error) {
	if t, ok := im.l2[at]; ok {
		return t, nil
	}
	if at < 0 || at > math.MaxInt64-im.h.entries*entryLen {
		return nil, unix.EIO
	}
	t := make([]byte, im.h.entries*entryLen)
	im.file.DebugEvent("l2_load")
	if err := im.file.Read(ctx, at, t); err != nil {
		return nil, err
	}
	im.keep(at, t)
	return t, nil
}

// keep remembers a table, and forgets another one if there are too many: all are written as soon as they change.
// Preconditions: mu is held.
func (im *image) keep(at int64, t []byte) {
	if len(im.l2) >= keptTables {
		for k := range im.l2 {
			delete(im.l2, k)
			break
		}
	}
	im.l2[at] = t
}

// lookup is the entry of the cluster at off, 0 if it has none, and where its table is, 0 if there is none.
// Preconditions: mu is held.
func (im *image) lookup(ctx context.Context, off int64) (entry uint64, table int64, err error) {
	i := off / im.h.bytesPerTable * entryLen
	if i+entryLen > int64(len(im.l1)) {
		return 0, 0, nil
	}
	if table = int64(be.Uint64(im.l1[i:])); table == 0 {
		return 0, 0, nil
	}
	t, err := im.table(ctx, table)
	if err != nil {
		return 0, 0, err
	}
	return be.Uint64(t[im.index(off):]), table, nil
}

// index is where the entry of the cluster at off is in its table.
func (im *image) index(off int64) int64 { return off / im.h.cluster % im.h.entries * entryLen }

// place checks where an entry says that a cluster is.
func (im *image) place(entry uint64) (int64, error) {
	if entry%sectorSize != 0 || entry > uint64(math.MaxInt64-im.h.cluster) {
		return 0, unix.EIO
	}
	return int64(entry), nil
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return block.IovPieces(off, im.h.cluster, iov, func(off int64, part [][]byte) error {
		im.mu.Lock()
		e, _, err := im.lookup(ctx, off)
		im.mu.Unlock()
		if err != nil {
			return err
		}
		return im.readEntry(ctx, e, off, part)
	})
}

// readEntry reads what is in one cluster, whose entry is given.
func (im *image) readEntry(ctx context.Context, e uint64, off int64, part [][]byte) error {
	switch {
	case e == 0:
		if b := im.node.Backing(); b != nil {
			im.file.DebugEvent("read_backing_aio")
			return b.ReadV(ctx, off, part, 0)
		}
		block.IovZero(part)
		return nil
	case e&compressed != 0:
		whole, err := im.decompress(ctx, e)
		if err == nil {
			block.IovScatter(part, whole[off%im.h.cluster:][:block.IovLen(part)])
		}
		return err
	}
	at, err := im.place(e)
	if err != nil {
		return err
	}
	im.file.DebugEvent("read_aio")
	switch {
	case im.h.crypt == 0:
		return im.file.ReadV(ctx, at+off%im.h.cluster, part, 0)
	case im.cipher == nil:
		return unix.EIO
	}
	b := block.AlignedBuffer(block.IovLen(part))
	if err := im.file.Read(ctx, at+off%im.h.cluster, b); err != nil {
		return err
	}
	im.cipher.Decrypt(uint64(off)/luks.SectorSize, b)
	block.IovScatter(part, b)
	return nil
}

// decompress reads a compressed cluster.
func (im *image) decompress(ctx context.Context, e uint64) ([]byte, error) {
	shift := 63 - im.h.clusterBits
	src := make([]byte, e>>shift&uint64(im.h.cluster-1))
	im.file.DebugEvent("read_compressed")
	if err := im.file.Read(ctx, int64(e&(1<<shift-1)), src); err != nil {
		return nil, unix.EIO
	}
	dst := make([]byte, im.h.cluster)
	if inflate.Decode(dst, src) != nil {
		return nil, unix.EIO
	}
	return dst, nil
}

// WriteV implements block.Writer.
func (im *image) WriteV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return block.IovPieces(off, im.h.cluster, iov, func(off int64, part [][]byte) error {
		im.mu.Lock()
		e, table, err := im.lookup(ctx, off)
		if err == nil && (e == 0 || e&compressed != 0) {
			defer im.mu.Unlock()
			return im.add(ctx, e, table, off, part)
		}
		im.mu.Unlock()
		if err != nil {
			return err
		}
		at, err := im.place(e)
		if err != nil {
			return err
		}
		return im.store(ctx, at+off%im.h.cluster, off, part)
	})
}

// store writes data of the disk at off to a place in the file.
func (im *image) store(ctx context.Context, at, off int64, part [][]byte) error {
	if im.h.crypt != 0 {
		if im.cipher == nil {
			return unix.EIO
		}
		b := block.AlignedBuffer(block.IovLen(part))
		block.IovGather(b, part)
		im.cipher.Encrypt(uint64(off)/luks.SectorSize, b)
		part = [][]byte{b}
	}
	im.file.DebugEvent("write_aio")
	return im.file.WriteV(ctx, at, part, 0)
}

// add gives a cluster a place of its own, with data at off and around it what a reader saw there before.
// Preconditions: mu is held.
func (im *image) add(ctx context.Context, was uint64, table, off int64, part [][]byte) error {
	first, copied := off-off%im.h.cluster, false
	if block.IovLen(part) < im.h.cluster {
		b := block.AlignedBuffer(im.h.cluster)
		n := min(im.h.cluster, im.h.size-first)
		if was != 0 || im.node.Backing() != nil {
			if err := im.readEntry(ctx, was, first, [][]byte{b[:n]}); err != nil {
				return err
			}
			copied = true
		}
		block.IovGather(b[off-first:], part)
		part = [][]byte{b}
	}
	table, err := im.need(ctx, table, off)
	if err != nil {
		return err
	}
	at := (im.end + im.h.cluster - 1) &^ (im.h.cluster - 1)
	if at > math.MaxInt64-2*im.h.bytesPerTable {
		return unix.E2BIG
	}
	im.file.DebugEvent("cluster_alloc")
	if err := im.store(ctx, at, first, part); err != nil {
		return err
	}
	im.end = at + im.h.cluster
	if copied { // what was there before must not get lost
		if err := im.file.Flush(ctx); err != nil {
			return err
		}
	}
	return im.setEntry(ctx, "l2_update", table, off, uint64(at))
}

// setEntry writes the entry of the cluster at off.
// Preconditions: mu is held.
func (im *image) setEntry(ctx context.Context, event string, table, off int64, v uint64) error {
	t, err := im.table(ctx, table)
	if err != nil {
		return err
	}
	stored := be.AppendUint64(nil, v)
	im.file.DebugEvent(event)
	if err := im.file.Write(ctx, table+im.index(off), stored, 0); err != nil {
		return err
	}
	copy(t[im.index(off):], stored)
	return nil
}

// need is table, or the place of a new one for the cluster at off if that is 0.
// Preconditions: mu is held.
func (im *image) need(ctx context.Context, table, off int64) (int64, error) {
	if table != 0 {
		return table, nil
	}
	t := make([]byte, im.h.entries*entryLen)
	at := (im.end + im.h.cluster - 1) &^ (im.h.cluster - 1)
	if at > math.MaxInt64-2*im.h.bytesPerTable {
		return 0, unix.E2BIG
	}
	im.file.DebugEvent("l2_load")
	if err := im.file.Write(ctx, at, t, 0); err != nil {
		return 0, err
	}
	if err := im.file.Flush(ctx); err != nil { // the table must be there before it is named
		return 0, err
	}
	im.end = at + int64(len(t))
	i := off / im.h.bytesPerTable * entryLen
	stored := be.AppendUint64(nil, uint64(at))
	im.file.DebugEvent("l1_update")
	if err := im.file.Write(ctx, int64(im.h.l1)+i, stored, 0); err != nil {
		return 0, err
	}
	if missing := i + entryLen - int64(len(im.l1)); missing > 0 {
		im.l1 = append(im.l1, make([]byte, missing)...)
	}
	copy(im.l1[i:], stored)
	im.keep(at, t)
	return at, nil
}

// BlockStatus implements block.BlockStatuser. As in QEMU, each cluster is told by itself.
func (im *image) BlockStatus(ctx context.Context, _ bool, off, n int64) (block.Status, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	e, _, err := im.lookup(ctx, off)
	if err != nil {
		return block.Status{}, err
	}
	s := block.Status{N: min(n, im.h.cluster-off%im.h.cluster)}
	switch {
	case e == 0:
	case e&compressed != 0 || im.h.crypt != 0:
		s.Flags = block.StatusData
	default:
		s.Flags, s.File, s.Offset = block.StatusData|block.StatusOffsetValid, im.file.Node(), int64(e)+off%im.h.cluster
	}
	return s, nil
}

// WriteCompressed implements block.CompressedWriter.
func (im *image) WriteCompressed(ctx context.Context, off int64, iov [][]byte) error {
	total := block.IovLen(iov)
	switch {
	case total == 0:
		return nil
	case off%im.h.cluster != 0 || total%im.h.cluster != 0 && off+total != im.h.size:
		return unix.EINVAL
	}
	return block.IovPieces(off, im.h.cluster, iov, func(off int64, part [][]byte) error {
		src := make([]byte, im.h.cluster)
		block.IovGather(src, part)
		b := deflate(src)
		if b == nil {
			return im.WriteV(ctx, off, part, 0)
		}
		im.mu.Lock()
		e, table, err := im.lookup(ctx, off)
		if err == nil && e == 0 && im.end < 1<<(63-im.h.clusterBits) {
			defer im.mu.Unlock()
			if table, err = im.need(ctx, table, off); err != nil {
				return err
			}
			at := im.end
			im.file.DebugEvent("write_compressed")
			if err := im.file.Write(ctx, at, b, 0); err != nil {
				return err
			}
			im.end += int64(len(b))
			return im.setEntry(ctx, "l2_update_compressed", table, off, compressed|uint64(len(b))<<(63-im.h.clusterBits)|uint64(at))
		}
		im.mu.Unlock()
		if err != nil {
			return err
		}
		return im.WriteV(ctx, off, part, 0)
	})
}

var deflaters = sync.Pool{New: func() any { w, _ := flate.NewWriterWindow(io.Discard, deflateWindow); return w }}

// deflate compresses src to fewer than len(src) bytes; nil if that is not possible.
func deflate(src []byte) []byte {
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	if _, err := w.Write(src); err != nil || w.Close() != nil || out.Len() >= len(src) {
		return nil
	}
	return out.Bytes()
}
