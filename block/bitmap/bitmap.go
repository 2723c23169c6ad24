package bitmap

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
)

// MaxName is the longest name of a bitmap in bytes.
const MaxName = 1023

// MinGranularity is the smallest size of a chunk in bytes.
const MinGranularity = 512

// Bitmap is a dirty bitmap of a node with its state. All methods may be called from many goroutines.
type Bitmap struct {
	name string
	id   uint64 // order of locks; the newest has the highest

	mu   sync.Mutex
	bits *Map // guarded by mu
	// next records writes in place of bits while an operation uses those (the "successor").
	next   *Map   // guarded by mu
	nextID uint64 // guarded by mu

	state       State // guarded by mu
	nextEnabled bool  // guarded by mu
}

// State is the state of a bitmap besides its content.
type State struct {
	Enabled      bool // writes are recorded
	Busy         bool // an operation uses it; users keep away
	ReadOnly     bool // it is stored in an image that cannot be written
	Inconsistent bool // it was not stored when the image was last closed, it can only be removed
	Persistent   bool // it is stored in the image
	SkipStore    bool // it is about to be removed or migrated: it is not stored
}

var lastID atomic.Uint64

// NewID is the place of a new bitmap in the order of Infos.
func NewID() uint64 { return lastID.Add(1) }

// Info is what users see of a bitmap.
type Info struct {
	Name               string // empty for those of operations
	ID                 uint64 // the newest bitmap has the highest
	Count, Granularity int64  // bytes
	Recording          bool   // writes are recorded, be it in the successor
	State              State
}

// Infos describes the bitmap and its successor.
func (b *Bitmap) Infos() []Info {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []Info{{b.name, b.id, b.bits.Count(), b.bits.Granularity(), b.recording(), b.state}}
	if b.next != nil {
		list = append(list, Info{"", b.nextID, b.next.Count(), b.next.Granularity(), b.nextEnabled, State{Enabled: b.nextEnabled}})
	}
	return list
}

// New makes an enabled, empty bitmap of a disk of size bytes; granularity is a power of two.
func New(name string, size, granularity int64) *Bitmap {
	return &Bitmap{name: name, id: NewID(), bits: NewMap(size, uint(bits.TrailingZeros64(uint64(granularity)))), state: State{Enabled: true}}
}

// Name is the name that users gave, or empty for the bitmap of a job.
func (b *Bitmap) Name() string { return b.name }

// State is the state now.
func (b *Bitmap) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Change lets f change the state.
func (b *Bitmap) Change(f func(s *State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.state)
}

// recording tells whether writes are recorded, be it in the successor.
// Preconditions: mu is held.
func (b *Bitmap) recording() bool { return b.state.Enabled || b.next != nil && b.nextEnabled }

// Do calls f with the content locked. f may read and change it.
func (b *Bitmap) Do(f func(m *Map)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b.bits)
}

// Record notes a write.
func (b *Bitmap) Record(off, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Enabled {
		b.bits.Set(off, n)
	}
	if b.next != nil && b.nextEnabled {
		b.next.Set(off, n)
	}
}

// Size is the size of the disk in bytes.
func (b *Bitmap) Size() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bits.Size()
}

// Granularity is the size of a chunk in bytes.
func (b *Bitmap) Granularity() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bits.Granularity()
}

// Count is the number of dirty bytes.
func (b *Bitmap) Count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bits.Count()
}

// Set marks a range dirty, enabled or not.
func (b *Bitmap) Set(off, n int64) { b.Do(func(m *Map) { m.Set(off, n) }) }

// Reset marks a range clean, enabled or not.
func (b *Bitmap) Reset(off, n int64) { b.Do(func(m *Map) { m.Reset(off, n) }) }

// Get tells whether the byte is dirty.
func (b *Bitmap) Get(off int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bits.Get(off)
}

// NextDirtyArea finds the first dirty run in start..end-1, at most limit bytes of it.
func (b *Bitmap) NextDirtyArea(start, end, limit int64) (off, n int64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bits.NextDirtyArea(start, end, limit)
}

// Status tells whether the byte at off is dirty and how many bytes, at most n, from there are alike.
func (b *Bitmap) Status(off, n int64) (dirty bool, length int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bits.Status(off, n)
}

// Clear makes everything clean and returns the content before, for Restore.
func (b *Bitmap) Clear() (before *Map) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before = b.bits
	b.bits = NewMap(before.size, before.shift)
	return before
}

// Restore puts a content back that Clear or Merge returned.
func (b *Bitmap) Restore(m *Map) { b.Do(func(*Map) { b.bits = m }) }

// Snapshot copies the content.
func (b *Bitmap) Snapshot() *Map {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bits.Clone()
}

// Sum is a checksum of the content, in hexadecimal.
func (b *Bitmap) Sum() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	words := make([]byte, 8*len(b.bits.levels[0]))
	b.bits.Serialize(words, 0, b.bits.size)
	return fmt.Sprintf("%x", sha256.Sum256(words))
}

// Merge adds what is dirty in src and returns the content before, for Restore. ok is false, and nothing happens, if the sizes differ.
func (b *Bitmap) Merge(src *Bitmap) (before *Map, ok bool) {
	first, second := b, src
	if first.id > second.id {
		first, second = second, first
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	if first != second {
		second.mu.Lock()
		defer second.mu.Unlock()
	}
	if b.bits.size != src.bits.size {
		return nil, false
	}
	before = b.bits
	b.bits = before.Clone()
	if b != src {
		b.bits.Merge(src.bits)
	}
	return before, true
}

// Truncate follows a change of the disk's size.
func (b *Bitmap) Truncate(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bits.Truncate(size)
	if b.next != nil {
		b.next.Truncate(size)
	}
}

// Split makes the content stand still for an operation: writes go to a successor from now on, and the bitmap is busy. It is false if
// the bitmap is busy already.
func (b *Bitmap) Split() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Busy || b.next != nil {
		return false
	}
	b.next, b.nextID = NewMap(b.bits.size, b.bits.shift), NewID()
	b.nextEnabled = b.state.Enabled
	b.state.Enabled, b.state.Busy = false, true
	return true
}

// EnableSuccessor makes writes go to the successor even though the bitmap was disabled when it was split.
func (b *Bitmap) EnableSuccessor() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextEnabled = b.next != nil
}

// HasSuccessor tells whether the bitmap is split.
func (b *Bitmap) HasSuccessor() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next != nil
}

// Abdicate ends Split after success: the successor's content takes the place of the old one.
func (b *Bitmap) Abdicate() { b.join(func() { b.bits = b.next }) }

// Reclaim ends Split after failure: the successor's content is added to the old one.
func (b *Bitmap) Reclaim() { b.join(func() { b.bits.Merge(b.next) }) }

func (b *Bitmap) join(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		return
	}
	f()
	b.state.Enabled, b.state.Busy = b.nextEnabled, false
	b.next, b.nextEnabled = nil, false
}
