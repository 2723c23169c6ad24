package qcow2

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/luks"
)

// bg is the context of metadata requests: once begun, a change of metadata is not cancelled halfway.
var bg = context.Background()

// image is the opened state of a qcow2 node. mu guards everything below it; functions expect it to be held unless they say otherwise. It is
// not held while guest data moves.
type image struct {
	n    *block.Node
	file *block.Child // metadata, and data unless external
	data *block.Child // guest data; nil if opened without I/O and external

	broken atomic.Bool  // corruption was found on a writable image: nothing works any more
	length atomic.Int64 // virtual size in bytes

	mu sync.Mutex
	geometry

	version                    int
	incompatible, compat, auto uint64
	compression                uint8
	crypt                      uint32
	unknownFields              []byte // of the header, behind those known here
	unknownExts                []extension
	backingName, backingFormat string
	dataFileName               string
	cryptExt                   []byte       // where the encryption header is
	vol                        *luks.Volume // LUKS
	cipher                     *luks.Cipher // nil if only the metadata is read

	l1       []uint64
	l1Offset int64
	l1VM     int64 // first L1 entry of the VM state
	l2cache  *cache

	refTable       []uint64
	refTableOffset int64
	maxRefIndex    int64 // last entry of refTable that is not 0
	refCache       *cache
	freeIndex      int64 // no free cluster below
	freeByte       int64 // where the next compressed cluster may go; 0 if in a new cluster

	snapshots       []snapshot
	snapshotsOffset int64
	snapshotsSize   int64

	bitmaps bitmapArea

	inflight []*allocation // writes whose clusters are not yet in the L2 tables

	held         clusterSet // free, but not to be used yet, see release
	heldFlushed  time.Time  // when the L2 tables were last flushed for what is held
	discards     []region   // freed ranges that wait for being passed on
	holdDiscards bool       // collect them until the end of the operation

	rt          runtimeOptions
	lazy        bool // refcounts are written lazily
	overlap     overlapMask
	passDiscard [discardKinds]bool
	cleaner     *cleaner
	pending     *reopening

	preallocChecked, preallocated bool // whether data clusters may be holes of the file
	signaled                      bool // a corruption was reported
}

// region is a range of bytes.
type region struct{ off, n int64 }

func (im *image) hasDataFile() bool { return im.incompatible&incDataFile != 0 }
func (im *image) rawDataFile() bool { return im.auto&autoDataFileRaw != 0 }

// accurate tells whether refcounts on disk must be right at any time.
func (im *image) accurate() bool { return im.incompatible&incDirty == 0 }

// writable tells whether the image may be changed.
func (im *image) writable() bool {
	m := im.n.Mode()
	return !m.ReadOnly && !m.Inactive
}

// backing is the backing file, or nil.
func (im *image) backing() *block.Child { return im.n.Child("backing") }

// event tells a debugging node below what is about to happen.
func (im *image) event(name string) { im.file.DebugEvent(name) }

// lock takes the metadata lock unless the image is broken.
func (im *image) lock() error {
	im.mu.Lock()
	if im.broken.Load() {
		im.mu.Unlock()
		return unix.ENOMEDIUM
	}
	return nil
}

// messagef writes a line for people.
func (im *image) messagef(format string, a ...any) { im.n.Graph().Messagef(format, a...) }

// corrupt reports that the image's metadata makes no sense. On a writable image a fatal finding sets the corrupt bit and ends all use.
func (im *image) corrupt(fatal bool, format string, a ...any) {
	im.corruptAt(fatal, -1, -1, format, a...)
}

// corruptAt is corrupt for a finding about size bytes at off.
func (im *image) corruptAt(fatal bool, off, size int64, format string, a ...any) {
	fatal = fatal && im.writable()
	if im.signaled && (!fatal || im.incompatible&incCorrupt != 0) {
		return
	}
	text := fmt.Sprintf(format, a...)
	defer im.n.Corrupted(block.Corruption{Message: text, Offset: off, Size: size, Fatal: fatal})
	if fatal {
		im.messagef("qcow2: Marking image as corrupt: %s; further corruption events will be suppressed", text)
		im.incompatible |= incCorrupt
		im.writeHeader() // an error leaves the image as it is
		im.broken.Store(true)
	} else {
		im.messagef("qcow2: Image is corrupt: %s; further non-fatal corruption events will be suppressed", text)
	}
	im.signaled = true
}

// corruptf is corrupt for a fatal finding; it returns the error of the request that met it.
func (im *image) corruptf(format string, a ...any) error {
	im.corrupt(true, format, a...)
	return unix.EIO
}

// hex writes a number the way C's %#x does: 0 without prefix.
type hex uint64

func (h hex) String() string {
	if h == 0 {
		return "0"
	}
	return fmt.Sprintf("0x%x", uint64(h))
}

// writeSync writes metadata and waits until it is on the medium.
func (im *image) writeSync(off int64, b []byte) error {
	if err := im.file.Write(bg, off, b, 0); err != nil {
		return err
	}
	return im.file.Flush(bg)
}

// replace writes metadata over what was there and waits until it is on the medium. If only the waiting fails, nobody knows which of both will
// be found after a crash: the old is put back, and unsure tells that what the new refers to must not be used for anything else.
func (im *image) replace(off int64, b, old []byte) (unsure bool, err error) {
	if err := im.file.Write(bg, off, b, 0); err != nil {
		return false, err
	}
	if err := im.file.Flush(bg); err != nil {
		im.file.Write(bg, off, old, 0)
		return true, err
	}
	return false, nil
}

// open is Driver.Open.
func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenChild(ctx, o, "file", block.RoleImage|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	im := &image{n: n, file: file}
	if im.rt, err = parseRuntime(o); err != nil {
		return nil, err
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	if err := im.load(ctx, o); err != nil {
		im.stop()
		return nil, err
	}
	return im, nil
}

// load reads the image's metadata. o is nil if the children are attached already.
func (im *image) load(ctx context.Context, o *block.Options) error {
	mode := im.n.Mode()
	h, err := im.readHeader()
	if err != nil {
		return err
	}
	if err := im.checkHeader(h, mode); err != nil {
		return err
	}
	if err := im.checkCrypt(); err != nil {
		return err
	}
	if err := im.readTables(h); err != nil {
		return err
	}
	if err := im.applyRuntime(im.rt, mode); err != nil {
		return err
	}
	if err := im.initRefcounts(); err != nil {
		return block.Errnof(block.Errno(err), "Could not initialize refcount handling")
	}
	staleBitmaps, err := im.readExtensions(h.length, h.extEnd)
	if err != nil {
		return err
	}
	if err := im.openCrypt(ctx, mode); err != nil {
		return err
	}
	if o != nil {
		if err := im.openData(ctx, o); err != nil {
			return err
		}
	}
	if err := im.readBackingName(h); err != nil {
		return err
	}
	if !mode.Check {
		im.snapshotsOffset = h.snapshotsOffset
		if err := im.readSnapshots(int(h.snapshots)); err != nil {
			return err
		}
	}
	return im.finishLoad(mode, staleBitmaps)
}

// finishLoad makes what the header says true: unknown autoclear bits go, bitmaps are loaded, a dirty image is repaired.
func (im *image) finishLoad(mode block.Mode, staleBitmaps bool) error {
	update := (staleBitmaps || im.auto&^autoKnown != 0) && im.writable()
	if update {
		im.auto &= autoKnown
	}
	if !mode.Inactive {
		updated, err := im.loadBitmaps()
		if err != nil {
			return err
		}
		update = update && !updated
	}
	if update {
		if err := im.writeHeader(); err != nil {
			return block.Errnof(block.Errno(err), "Could not update qcow2 header")
		}
	}
	if !mode.Check && im.writable() && im.incompatible&incDirty != 0 {
		r, err := im.check(block.FixErrors | block.FixLeaks)
		if err == nil && r.CheckErrors > 0 {
			err = unix.EIO
		}
		if err != nil {
			return block.Errnof(block.Errno(err), "Could not repair dirty image")
		}
	}
	return nil
}

// openData attaches the external data file, if there is one.
func (im *image) openData(ctx context.Context, o *block.Options) (err error) {
	if im.n.Mode().NoIO {
		o.Extract("data-file")
		o.Delete("data-file")
		if !im.hasDataFile() {
			im.data = im.file
		}
		return nil
	}
	given := o.Has("data-file") || o.HasPrefix("data-file")
	if im.hasDataFile() && !given && im.dataFileName != "" {
		o.Set("data-file.filename", im.dataFileName)
	}
	if im.data, err = im.n.OpenChild(ctx, o, "data-file", block.RoleData, false); err != nil {
		return err
	}
	switch {
	case im.hasDataFile() && im.data == nil:
		return block.Errorf(unix.EINVAL, "'data-file' is required for this image")
	case im.hasDataFile():
		return nil
	case im.data != nil:
		return block.Errorf(unix.EINVAL, "'data-file' can only be set for images with an external data file")
	case im.rawDataFile():
		return block.Errorf(unix.EINVAL, "data-file-raw requires a data file")
	}
	im.data = im.file
	return nil
}

// Close implements block.Instance.
func (im *image) Close() {
	im.mu.Lock()
	defer im.mu.Unlock()
	if !im.broken.Load() && !im.n.Mode().Inactive {
		im.inactivate()
	}
	im.stop()
}

// stop ends background work.
func (im *image) stop() {
	if im.cleaner != nil {
		im.cleaner.stop()
		im.cleaner = nil
	}
}

// inactivate writes everything out, as another process may use the image next.
func (im *image) inactivate() error {
	var result error
	if err := im.storeBitmaps(true); err != nil {
		result = unix.EINVAL
		im.n.Graph().Failure("Lost persistent bitmaps during inactivation of node '%s': %s", im.n.Name(), err)
	}
	if im.data == nil {
		return result // opened for its metadata only
	}
	if err := im.l2cache.flush(); err != nil {
		result = err
		im.n.Graph().Failure("Failed to flush the L2 table cache: %s", block.Strerror(block.Errno(err)))
	}
	if err := im.refCache.flush(); err != nil {
		result = err
		im.n.Graph().Failure("Failed to flush the refcount block cache: %s", block.Strerror(block.Errno(err)))
	}
	if result == nil && im.writable() {
		im.markClean()
	}
	return result
}

// Inactivate implements block.Activater.
func (im *image) Inactivate(context.Context) error {
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	return im.inactivate()
}

// InvalidateCache implements block.Activater: everything is read again.
func (im *image) InvalidateCache(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.stop()
	fresh := &image{n: im.n, file: im.file, data: im.data, rt: im.rt}
	fresh.mu.Lock()
	err := fresh.load(ctx, nil)
	fresh.mu.Unlock()
	if err != nil {
		fresh.stop()
		im.broken.Store(true)
		return block.Errorf(block.Errno(err), "Could not reopen qcow2 layer: %s", err)
	}
	im.adopt(fresh)
	return nil
}

// adopt takes over what was read anew.
func (im *image) adopt(f *image) {
	im.geometry, im.version, im.compression, im.crypt = f.geometry, f.version, f.compression, f.crypt
	im.incompatible, im.compat, im.auto = f.incompatible, f.compat, f.auto
	im.unknownFields, im.unknownExts, im.cryptExt = f.unknownFields, f.unknownExts, f.cryptExt
	im.vol, im.cipher = f.vol, f.cipher
	im.backingName, im.backingFormat, im.dataFileName = f.backingName, f.backingFormat, f.dataFileName
	im.length.Store(f.length.Load())
	im.l1, im.l1Offset, im.l1VM = f.l1, f.l1Offset, f.l1VM
	im.setRefTable(f.refTable, f.refTableOffset)
	im.freeIndex, im.freeByte = f.freeIndex, f.freeByte
	im.snapshots, im.snapshotsOffset, im.snapshotsSize = f.snapshots, f.snapshotsOffset, f.snapshotsSize
	im.bitmaps, im.signaled, im.preallocChecked = f.bitmaps, f.signaled, false
	f.stop()
	im.commitSettings(settings{
		rt: f.rt, l2: uint64(f.l2cache.capacity), ref: uint64(f.refCache.capacity), entry: f.l2cache.size, interval: or(f.rt.interval, defaultInterval),
		lazy: f.lazy, overlap: f.overlap, pass: f.passDiscard,
	})
}

// FlushToOS implements block.Flusher.
func (im *image) FlushToOS(context.Context) error {
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	return im.writeCaches()
}

// writeCaches writes dirty tables. It waits for the medium only where order asks for it, and to release what is held.
func (im *image) writeCaches() error {
	write := im.l2cache.write
	if im.held.n > 0 {
		write = im.l2cache.flush
	}
	if err := write(); err != nil {
		return err
	}
	if im.accurate() {
		return im.refCache.write()
	}
	return nil
}

// flushCaches makes all metadata durable.
func (im *image) flushCaches() error {
	if err := im.writeCaches(); err != nil {
		return err
	}
	return im.file.Flush(bg)
}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) { return im.length.Load(), nil }
