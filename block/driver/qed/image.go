package qed

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// cleanDelay is how long after the last allocation the image is marked clean.
const cleanDelay = 5 * time.Second

// keptTables is how many bytes of second tables are kept in memory, at least two tables.
const keptTables = 64 << 20

// image is the state of an open image.
type image struct {
	node *block.Node
	file *block.Child

	mu      sync.Mutex // held while a table is read, and while clusters are allocated
	h       header
	backing string
	end     int64            // where the next cluster comes
	l1      []byte           // as it is stored
	l2      map[int64][]byte // second tables by their place, as they are stored
	timer   *time.Timer      // marks the image clean; nil if there is nothing to do
	drained int
	closed  bool
}

// validPlace tells whether a cluster can be at a place in the file.
// Preconditions: mu is held.
func (im *image) validPlace(at uint64) bool {
	return at%uint64(im.h.cluster) == 0 && at >= uint64(im.h.clusters)*uint64(im.h.cluster) && at < uint64(im.end)
}

// validTableAt tells whether a table can be at a place in the file. As in QEMU, a table of a single cluster can be nowhere.
// Preconditions: mu is held.
func (im *image) validTableAt(at uint64) bool {
	last := at + uint64(im.h.table-1)*uint64(im.h.cluster)
	return last > at && im.validPlace(at) && im.validPlace(last)
}

// table is the second table at a place in the file.
// Preconditions: mu is held.
func (im *image) table(ctx context.Context, at int64) ([]byte, error) {
	if t, ok := im.l2[at]; ok {
		return t, nil
	}
	t := make([]byte, im.h.tableLen())
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
	if len(im.l2) >= max(2, int(keptTables/im.h.tableLen())) {
		for k := range im.l2 {
			delete(im.l2, k)
			break
		}
	}
	im.l2[at] = t
}

// indices are where the entries of the cluster at off are in the two tables.
func (im *image) indices(off int64) (first, second int64) {
	n := off / int64(im.h.cluster)
	return n / im.h.entries(), n % im.h.entries()
}

// lookup is the entry of the cluster at off: its place, 0 or zeroCluster; table is 0 if there is no second table.
// Preconditions: mu is held.
func (im *image) lookup(ctx context.Context, off int64) (entry uint64, table int64, err error) {
	i, j := im.indices(off)
	at := le.Uint64(im.l1[i*entryLen:])
	if at == 0 {
		return 0, 0, nil
	}
	if !im.validTableAt(at) {
		return 0, 0, unix.EINVAL
	}
	t, err := im.table(ctx, int64(at))
	if err != nil {
		return 0, 0, err
	}
	entry = le.Uint64(t[j*entryLen:])
	if entry > zeroCluster && !im.validPlace(entry) {
		return 0, 0, unix.EINVAL
	}
	return entry, int64(at), nil
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	cluster := int64(im.h.cluster)
	return block.IovPieces(off, cluster, iov, func(off int64, part [][]byte) error {
		im.mu.Lock()
		e, _, err := im.lookup(ctx, off)
		im.mu.Unlock()
		switch {
		case err != nil:
			return err
		case e > zeroCluster:
			im.file.DebugEvent("read_aio")
			return im.file.ReadV(ctx, int64(e)+off%cluster, part, 0)
		case e == 0:
			if b := im.node.Backing(); b != nil {
				im.file.DebugEvent("read_backing_aio")
				return b.ReadV(ctx, off, part, 0)
			}
		}
		block.IovZero(part)
		return nil
	})
}

// WriteV implements block.Writer.
func (im *image) WriteV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	for done, total := int64(0), block.IovLen(iov); done < total; {
		n, err := im.writeSome(ctx, off+done, iov, done, total-done)
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}

// writeSome writes what is in one cluster, or in a run of clusters without place, from skip on in iov. n is how much that is.
func (im *image) writeSome(ctx context.Context, off int64, iov [][]byte, skip, most int64) (n int64, err error) {
	cluster := int64(im.h.cluster)
	n = min(most, cluster-off%cluster)
	im.mu.Lock()
	e, table, err := im.lookup(ctx, off)
	if err == nil && e <= zeroCluster {
		defer im.mu.Unlock()
		for n < most && (off+n)/cluster%im.h.entries() != 0 { // as far as one second table reaches
			if next, _, err := im.lookup(ctx, off+n); err != nil || next != e {
				break
			}
			n = min(most, n+cluster)
		}
		return n, im.add(ctx, off, block.IovSlice(nil, iov, skip, n), e, table)
	}
	im.mu.Unlock()
	if err != nil {
		return 0, err
	}
	im.file.DebugEvent("write_aio")
	return n, im.file.WriteV(ctx, int64(e)+off%cluster, block.IovSlice(nil, iov, skip, n), 0)
}

// add gives a run of clusters from the one at off on their place, with data and around it what a reader saw there before.
// Preconditions: mu is held.
func (im *image) add(ctx context.Context, off int64, part [][]byte, was uint64, table int64) error {
	if err := im.allocating(ctx); err != nil {
		return err
	}
	cluster := int64(im.h.cluster)
	in, n := off%cluster, block.IovLen(part)
	count := (in + n + cluster - 1) / cluster
	head, tail := make([]byte, in), make([]byte, count*cluster-in-n)
	below := im.node.Backing()
	if below != nil && was == 0 {
		im.file.DebugEvent("cow_read")
		for _, r := range []struct {
			at int64
			b  []byte
		}{{off - in, head}, {off + n, tail}} {
			if len(r.b) == 0 {
				continue
			}
			if err := below.Read(ctx, r.at, r.b); err != nil {
				return err
			}
		}
	}
	at := im.end
	im.end += count * cluster
	if len(head)+len(tail) > 0 {
		im.file.DebugEvent("cow_write")
	}
	im.file.DebugEvent("write_aio")
	whole := append(append([][]byte{head}, part...), tail)
	if err := im.file.WriteV(ctx, at, whole, 0); err != nil {
		return err
	}
	if below != nil { // otherwise the check after a crash finds the content of the backing file lost
		if err := im.file.Flush(ctx); err != nil {
			return err
		}
	}
	entries := make([]uint64, count)
	for i := range entries {
		entries[i] = uint64(at + int64(i)*cluster)
	}
	return im.setEntries(ctx, off, entries, table)
}

// setEntries writes the entries of the clusters from the one at off on, into a new table if there is none.
// Preconditions: mu is held.
func (im *image) setEntries(ctx context.Context, off int64, v []uint64, table int64) error {
	i, j := im.indices(off)
	if table != 0 {
		t, err := im.table(ctx, table)
		if err != nil {
			return err
		}
		return im.update(ctx, "l2_update", table, t, j, v)
	}
	t := make([]byte, im.h.tableLen())
	put(t, j, v)
	at := im.end
	im.end += im.h.tableLen()
	im.file.DebugEvent("l2_update")
	if err := im.file.Write(ctx, at, t, 0); err != nil {
		return err
	}
	if err := im.file.Flush(ctx); err != nil { // the table must be there before it is named
		return err
	}
	if err := im.update(ctx, "l1_update", int64(im.h.l1), im.l1, i, []uint64{uint64(at)}); err != nil {
		return err
	}
	im.keep(at, t)
	return nil
}

// put writes entries into a table from one on.
func put(t []byte, i int64, v []uint64) {
	for k, e := range v {
		le.PutUint64(t[(i+int64(k))*entryLen:], e)
	}
}

// update writes entries of a table at a place in the file, with their sectors.
// Preconditions: mu is held.
func (im *image) update(ctx context.Context, event string, at int64, t []byte, i int64, v []uint64) error {
	from, to := i*entryLen&^(sectorSize-1), ((i+int64(len(v)))*entryLen+sectorSize-1)&^(sectorSize-1)
	s := append([]byte(nil), t[from:to]...)
	put(s, i-from/entryLen, v)
	im.file.DebugEvent(event)
	if err := im.file.Write(ctx, at+from, s, 0); err != nil {
		return err
	}
	copy(t[from:], s)
	return nil
}

// allocating marks the image as one to be checked while clusters are allocated. With a backing file the order of the writes is enough.
// Preconditions: mu is held.
func (im *image) allocating(ctx context.Context) error {
	if im.node.Backing() == nil && im.h.features&featNeedCheck == 0 {
		if err := im.setFeatures(ctx, im.h.features|featNeedCheck); err != nil {
			return err
		}
	}
	if im.h.features&featNeedCheck != 0 && im.drained == 0 {
		if im.timer == nil {
			im.timer = time.AfterFunc(cleanDelay, im.timeout)
		} else {
			im.timer.Reset(cleanDelay)
		}
	}
	return nil
}

// timeout marks the image clean.
func (im *image) timeout() {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.timer != nil && im.drained == 0 && !im.closed {
		_ = im.clean(context.Background()) // the next allocation tries again
	}
}

// clean makes everything durable and marks the image clean.
// Preconditions: mu is held.
func (im *image) clean(ctx context.Context) error {
	im.stopTimer()
	if im.h.features&featNeedCheck == 0 {
		return nil
	}
	if err := im.file.Flush(ctx); err != nil {
		return err
	}
	return im.setFeatures(ctx, im.h.features&^featNeedCheck)
}

func (im *image) stopTimer() {
	if im.timer != nil {
		im.timer.Stop()
		im.timer = nil
	}
}

// setFeatures writes the header with other features.
// Preconditions: mu is held.
func (im *image) setFeatures(ctx context.Context, features uint64) error {
	h := im.h
	h.features = features
	if err := im.file.Write(ctx, 0, h.bytes(), 0); err != nil {
		return err
	}
	im.h.features = features
	return nil
}

// WriteZeroes implements block.ZeroWriter: clusters that have no place are only marked.
func (im *image) WriteZeroes(ctx context.Context, off, n int64, _ block.Flags) error {
	cluster := int64(im.h.cluster)
	if off%cluster != 0 || n%cluster != 0 {
		return unix.ENOTSUP
	}
	for end := off + n; off < end; off += cluster {
		if err := im.zeroCluster(ctx, off); err != nil {
			return err
		}
	}
	return nil
}

func (im *image) zeroCluster(ctx context.Context, off int64) error {
	im.mu.Lock()
	e, table, err := im.lookup(ctx, off)
	if err == nil && e == 0 {
		if err = im.allocating(ctx); err == nil {
			err = im.setEntries(ctx, off, []uint64{zeroCluster}, table)
		}
	}
	im.mu.Unlock()
	if err != nil || e <= zeroCluster {
		return err
	}
	return im.file.WriteZeroes(ctx, int64(e), int64(im.h.cluster), 0)
}

// BlockStatus implements block.BlockStatuser. Neighbours that look alike are told together.
func (im *image) BlockStatus(ctx context.Context, _ bool, off, n int64) (block.Status, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	cluster := int64(im.h.cluster)
	e, _, err := im.lookup(ctx, off)
	if err != nil {
		return block.Status{}, err
	}
	s := block.Status{N: min(n, cluster-off%cluster)}
	switch {
	case e == zeroCluster:
		s.Flags = block.StatusZero
	case e > zeroCluster:
		s.Flags, s.File, s.Offset = block.StatusData|block.StatusOffsetValid, im.file.Node(), int64(e)+off%cluster
	}
	for s.N < n {
		next, _, err := im.lookup(ctx, off+s.N)
		if err != nil || min(next, 2) != min(e, 2) || e > zeroCluster && int64(next) != s.Offset+s.N {
			break
		}
		s.N = min(n, s.N+cluster)
	}
	return s, nil
}

// Truncate implements block.Truncater.
func (im *image) Truncate(ctx context.Context, n int64, _ bool, p block.Prealloc, _ bool) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	switch {
	case p != block.PreallocOff:
		return block.Errorf(unix.ENOTSUP, "Unsupported preallocation mode '%s'", p)
	case !validSize(uint64(n), uint64(im.h.cluster), uint64(im.h.table)):
		return block.Errorf(unix.EINVAL, "Invalid image size specified")
	case uint64(n) < im.h.size:
		return block.Errorf(unix.ENOTSUP, "Shrinking images is currently not supported")
	}
	h := im.h
	h.size = uint64(n)
	if err := im.file.Write(ctx, 0, h.bytes(), 0); err != nil {
		return block.Errnof(block.Errno(err), "Failed to update the image size")
	}
	im.h.size = h.size
	return nil
}

// ChangeBacking implements block.BackingChanger.
func (im *image) ChangeBacking(ctx context.Context, filename, format string) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	if filename != "" && im.h.compat != 0 {
		return unix.ENOTSUP
	}
	h := im.h
	h.features &^= featBacking | featRawBacking
	if filename != "" {
		h.features |= featBacking
		if format == "raw" {
			h.features |= featRawBacking
		}
	}
	h.backingAt, h.backingLen = headerLen, uint32(len(filename))
	b := append(h.bytes(), filename...)
	if int64(len(b)) > int64(h.clusters)*int64(h.cluster) {
		return unix.ENOSPC
	}
	if err := im.file.Write(ctx, 0, b, 0); err != nil {
		return err
	}
	im.h, im.backing = h, filename
	return im.file.Flush(ctx)
}
