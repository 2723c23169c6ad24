package memory

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PageBits and PageSize give the granularity of dirty tracking.
const (
	PageBits = 12
	PageSize = 1 << PageBits
)

// DirtyClient is a user of dirty tracking.
type DirtyClient uint8

// The clients.
const (
	DirtyMigration DirtyClient = iota
	DirtyDisplay
	DirtyRate
	dirtyClients
)

// RAMBlock is a piece of guest memory, mapped outside the Go heap so that it is never scanned or moved.
type RAMBlock struct {
	name  string
	bytes []byte

	mapped, pageSize uint64 // of the mapping behind it
	shared           bool
	anonymous        bool // private memory without a file behind it
	retired          bool
	file             int // that is mapped and shared, -1 for none

	dirty [dirtyClients]atomic.Pointer[[]atomic.Uint64] // nil while nobody tracks
	code  []atomic.Uint64                               // pages that hold translated code
	track atomic.Int32                                  // clients that track
	watch atomic.Pointer[[]Watcher]
	hook  atomic.Pointer[func(off, n uint64)]
}

// NewRAMBlock maps size bytes of zeroed memory.
func NewRAMBlock(name string, size uint64) (*RAMBlock, error) {
	return MapRAMBlock(name, size, Mapping{FD: -1, NoReserve: true})
}

// Name returns the block's name as it appears in a migration stream.
func (r *RAMBlock) Name() string { return r.name }

// Bytes returns the whole memory. Writers other than a virtual CPU must call MarkDirty for what they change.
func (r *RAMBlock) Bytes() []byte { return r.bytes }

// Size returns the number of bytes.
func (r *RAMBlock) Size() uint64 { return uint64(len(r.bytes)) }

// Host returns the host address of the first byte.
func (r *RAMBlock) Host() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(r.bytes)) }

func (r *RAMBlock) words() uint64 { return ((r.Size()+PageSize-1)>>PageBits + 63) / 64 }

// Watcher is who knows of writes to a block that nobody reports with MarkDirty: a host that executes guests. Its methods may be called
// from any goroutine.
type Watcher interface {
	// TrackChanged tells that the answer of Tracked may be another now.
	TrackChanged(*RAMBlock)
	// Sync marks what was written since the last time (NotePages). Further writes to the pages that it marks need not be noticed before Arm.
	Sync(*RAMBlock)
	// Arm makes writes to pages that Sync has marked be noticed again: of the n pages from first on.
	Arm(r *RAMBlock, first, n uint64)
}

// AddWatcher adds somebody who knows of unreported writes, unless it is there; RemoveWatcher takes it away.
func (r *RAMBlock) AddWatcher(w Watcher) {
	r.changeWatchers(func(list []Watcher) []Watcher {
		if slices.Contains(list, w) {
			return list
		}
		return append(slices.Clone(list), w)
	})
}

// RemoveWatcher undoes AddWatcher.
func (r *RAMBlock) RemoveWatcher(w Watcher) {
	r.changeWatchers(func(list []Watcher) []Watcher {
		return slices.DeleteFunc(slices.Clone(list), func(x Watcher) bool { return x == w })
	})
}

func (r *RAMBlock) changeWatchers(f func([]Watcher) []Watcher) {
	for {
		old := r.watch.Load()
		var list []Watcher
		if old != nil {
			list = *old
		}
		list = f(list)
		if r.watch.CompareAndSwap(old, &list) {
			return
		}
	}
}

// watchers are those who know of unreported writes.
func (r *RAMBlock) watchers() []Watcher {
	if l := r.watch.Load(); l != nil {
		return *l
	}
	return nil
}

// sync learns of unreported writes.
func (r *RAMBlock) sync() {
	for _, w := range r.watchers() {
		w.Sync(r)
	}
}

// Track begins dirty tracking for a client with all pages clean; Untrack ends it.
func (r *RAMBlock) Track(c DirtyClient) {
	m := make([]atomic.Uint64, r.words())
	if r.dirty[c].Swap(&m) == nil {
		r.track.Add(1)
		r.trackChanged()
	}
}

// Untrack ends dirty tracking for a client.
func (r *RAMBlock) Untrack(c DirtyClient) {
	if r.dirty[c].Swap(nil) != nil {
		r.track.Add(-1)
		r.trackChanged()
	}
}

func (r *RAMBlock) trackChanged() {
	for _, w := range r.watchers() {
		w.TrackChanged(r)
	}
}

// NotePages marks pages dirty for every client that tracks: of the n pages from first on, those whose bits are set.
func (r *RAMBlock) NotePages(first, n uint64, set []uint64) {
	for c := range r.dirty {
		m := r.dirty[c].Load()
		if m == nil {
			continue
		}
		for i, w := range set {
			if last := n - uint64(i)*64; last < 64 {
				w &= 1<<last - 1
			}
			at := first + uint64(i)*64
			noteWord(*m, at>>6, w<<(at&63))
			noteWord(*m, at>>6+1, w>>1>>(63-at&63))
		}
	}
}

// noteWord sets bits of a word of a bitmap, if any.
func noteWord(m []atomic.Uint64, i, w uint64) {
	if w != 0 && i < uint64(len(m)) && m[i].Load()&w != w {
		m[i].Or(w)
	}
}

// Tracked tells whether any client tracks writes to the block, so that CPU writes must be reported with MarkDirty.
//
//go:nosplit
//go:norace
func (r *RAMBlock) Tracked() bool { return r.track.Load() != 0 }

// TestAndClearDirty tells whether a page was written since the last call and marks it clean.
func (r *RAMBlock) TestAndClearDirty(c DirtyClient, page uint64) bool {
	m := r.dirty[c].Load()
	if m == nil || page>>6 >= uint64(len(*m)) {
		return false
	}
	bit := uint64(1) << (page & 63)
	return (*m)[page>>6].And(^bit)&bit != 0
}

// Discard gives the pages that lie wholly in [off, off+n) back to the host: they read as zero from now on. The caller answers for nobody
// needing the contents.
func (r *RAMBlock) Discard(off, n uint64) {
	if off >= r.Size() {
		return
	}
	end := (off + min(n, r.Size()-off)) &^ (PageSize - 1)
	if off = (off + PageSize - 1) &^ (PageSize - 1); off >= end {
		return
	}
	p := r.bytes[off:end]
	if unix.Madvise(p, unix.MADV_REMOVE) != nil { // shared memory only
		_ = unix.Madvise(p, unix.MADV_DONTNEED)
	}
	r.MarkDirty(off, end-off)
}

// Settled tells whether marking the page dirty would tell no client anything new.
//
//go:nosplit
//go:norace
func (r *RAMBlock) Settled(page uint64) bool {
	for c := range r.dirty {
		if m := r.dirty[c].Load(); m != nil && (*m)[page>>6].Load()>>(page&63)&1 == 0 {
			return false
		}
	}
	return true
}

// NotePage marks a page dirty for every client that tracks.
//
//go:nosplit
//go:norace
func (r *RAMBlock) NotePage(page uint64) {
	for c := range r.dirty {
		if m := r.dirty[c].Load(); m != nil {
			(*m)[page>>6].Or(1 << (page & 63))
		}
	}
}

// Collect adds the pages written since the last call to into, a bitmap of the whole block, marks them clean and returns how many of them
// are new in into. The accelerator must be told before the pages are read (tcg.Accel.Log): until then CPUs may still write to them unnoticed.
// So must the block, for migration, which goes through its pages slowly: see Arm.
func (r *RAMBlock) Collect(c DirtyClient, into []uint64) (fresh uint64) {
	r.sync()
	m := r.dirty[c].Load()
	if m == nil {
		return 0
	}
	any := false
	for i := range *m {
		if w := &(*m)[i]; w.Load() != 0 {
			any = true
			v := w.Swap(0)
			fresh += uint64(bits.OnesCount64(v &^ into[i]))
			into[i] |= v
		}
	}
	if any && c != DirtyMigration {
		r.Arm(0, (r.Size()+PageSize-1)>>PageBits)
	}
	return fresh
}

// Arm precedes the reading of pages that Collect has returned for migration, of the n pages from first on: what is written to them from then
// on is collected the next time. It is cheaper for many pages at once, and no worse for pages that are not read.
func (r *RAMBlock) Arm(first, n uint64) {
	for _, w := range r.watchers() {
		w.Arm(r, first, n)
	}
}

// SetCode records that the page holds translated code, ClearCode that it does no longer.
func (r *RAMBlock) SetCode(page uint64) { r.code[page>>6].Or(1 << (page & 63)) }

// ClearCode records that the page holds no translated code.
func (r *RAMBlock) ClearCode(page uint64) { r.code[page>>6].And(^(uint64(1) << (page & 63))) }

// HasCode tells whether the page holds translated code.
func (r *RAMBlock) HasCode(page uint64) bool { return r.code[page>>6].Load()>>(page&63)&1 != 0 }

// OnCodeWrite makes f be called after a device has written [off, off+n) within pages that hold translated code. f runs on the
// writer's goroutine, with or without the machine lock, and must only take locks of its own.
func (r *RAMBlock) OnCodeWrite(f func(off, n uint64)) { r.hook.Store(&f) }

// MarkDirty records that [off, off+n) has been written: it marks the pages dirty for every client that tracks and reports pages that
// hold translated code. The range is clipped to the block.
func (r *RAMBlock) MarkDirty(off, n uint64) {
	if n == 0 || off >= r.Size() {
		return
	}
	last := off + min(n, r.Size()-off) - 1
	for page := off >> PageBits; page <= last>>PageBits; page++ {
		if r.HasCode(page) {
			if f := r.hook.Load(); f != nil {
				from, to := max(off, page<<PageBits), min(last, page<<PageBits|(PageSize-1))
				(*f)(from, to-from+1)
			}
		}
	}
	if r.track.Load() == 0 {
		return
	}
	for page := off >> PageBits; page <= last>>PageBits; page++ {
		r.NotePage(page)
	}
}

// load reads size bytes at off, which the caller has checked, in one access.
func (r *RAMBlock) load(off uint64, size int) uint64 {
	p := unsafe.Pointer(&r.bytes[off])
	if off&uint64(size-1) == 0 {
		switch size {
		case 1:
			return uint64(*(*uint8)(p))
		case 2:
			return uint64(*(*uint16)(p))
		case 4:
			return uint64(atomic.LoadUint32((*uint32)(p)))
		case 8:
			return atomic.LoadUint64((*uint64)(p))
		}
	}
	var v uint64
	for i := size - 1; i >= 0; i-- {
		v = v<<8 | uint64(r.bytes[off+uint64(i)])
	}
	return v
}

// store writes size bytes at off, which the caller has checked, in one access.
func (r *RAMBlock) store(off uint64, size int, v uint64) {
	p := unsafe.Pointer(&r.bytes[off])
	if off&uint64(size-1) == 0 {
		switch size {
		case 1:
			*(*uint8)(p) = uint8(v)
			return
		case 2:
			*(*uint16)(p) = uint16(v)
			return
		case 4:
			atomic.StoreUint32((*uint32)(p), uint32(v))
			return
		case 8:
			atomic.StoreUint64((*uint64)(p), v)
			return
		}
	}
	for i := range size {
		r.bytes[off+uint64(i)] = uint8(v >> (8 * i))
	}
}

var blocks struct {
	sync.Mutex
	list    []*RAMBlock
	news    []func(*RAMBlock)
	current *BlockList
}

// BlockList is the RAM blocks of one machine.
type BlockList struct{ list []*RAMBlock }

// NewBlockList returns a list to which all blocks are added that are made from now on, until the next such call.
func NewBlockList() *BlockList {
	blocks.Lock()
	defer blocks.Unlock()
	blocks.current = new(BlockList)
	return blocks.current
}

// All returns the blocks, the largest first.
func (l *BlockList) All() []*RAMBlock {
	blocks.Lock()
	defer blocks.Unlock()
	out := slices.Clone(l.list)
	slices.SortStableFunc(out, func(a, b *RAMBlock) int { return cmp.Compare(b.Size(), a.Size()) })
	return out
}

// register makes the block known to those that watch all blocks.
func (r *RAMBlock) register() {
	blocks.Lock()
	blocks.list = append(blocks.list, r)
	if blocks.current != nil {
		blocks.current.list = append(blocks.current.list, r)
	}
	news := blocks.news
	blocks.Unlock()
	for _, f := range news {
		f(r)
	}
}

// Forget takes the block out of its machine: a device that goes takes its memory along.
func (r *RAMBlock) Forget() {
	blocks.Lock()
	defer blocks.Unlock()
	gone := func(b *RAMBlock) bool { return b == r }
	blocks.list = slices.DeleteFunc(blocks.list, gone)
	if blocks.current != nil {
		blocks.current.list = slices.DeleteFunc(blocks.current.list, gone)
	}
}

// EachBlock calls f for every RAM block of the machine, now and whenever a new one appears.
func EachBlock(f func(*RAMBlock)) {
	blocks.Lock()
	blocks.news = append(blocks.news, f)
	list := append([]*RAMBlock(nil), blocks.list...)
	blocks.Unlock()
	for _, b := range list {
		f(b)
	}
}
