package ring

import (
	"encoding/binary"
	"fmt"
	"sync"

	"goemu/internal/memory"
)

var le = binary.LittleEndian

// Queue is a virtqueue. Its methods may be called from any goroutine unless they say otherwise.
type Queue struct {
	mu   sync.Mutex
	mem  *memory.AddressSpace
	cfg  Config
	form form // of the rings
	m    mapping

	pos    Position // guarded by mu
	avail  uint16   // guarded by mu: the driver's index as last seen, of a split queue
	inUse  int      // guarded by mu: chains taken and not yet given back, or the descriptors of a packed queue that they are in
	flags  uint16   // guarded by mu: our flags in the used ring
	notify bool     // guarded by mu: the driver is asked to notify
	gen    uint32   // guarded by mu: number of resets
	free   *Element // guarded by mu
}

// Config is what the driver has set up.
type Config struct {
	Num               uint16
	Desc, Avail, Used uint64
	EventIdx          bool
	Indirect          bool // indirect descriptors were negotiated; QEMU does not look, so neither do we
	NotifyOnEmpty     bool
	Packed            bool // Desc is the one ring, Avail and Used are the event suppression of driver and device
}

// Place is where a ring has come to. The index of a packed queue lies in its ring, and Wrap turns over at the ring's end; that of a split
// one counts on.
type Place struct {
	Index uint16
	Wrap  bool
}

// Position is the part of the state that is ours and migrates.
type Position struct {
	Avail          Place  // next to take
	Used           Place  // next to give back
	Signalled      uint16 // Used.Index when the driver was last interrupted
	SignalledValid bool
}

// start is the position of a queue that has not been used.
var start = Position{Avail: Place{Wrap: true}, Used: Place{Wrap: true}}

// mapping is where the rings lie in host memory, valid as long as the address space has the same view.
type mapping struct {
	view              *memory.FlatView
	desc, avail, used []byte
	descBlock         *memory.RAMBlock
	descOff           uint64
	usedBlock         *memory.RAMBlock
	usedOff           uint64
}

// Element is a chain of buffers: the driver filled Out, the device fills In. It belongs to the device until Push.
type Element struct {
	Head    uint16
	Out, In [][]byte
	outLen  uint64
	inLen   uint64
	out, in []Span // guest addresses of Out and In
	descs   int    // what it counts for in Queue.inUse
	gen     uint32
	next    *Element
}

// Span is a piece of guest memory.
type Span struct{ Addr, Len uint64 }

// OutLen and InLen are the numbers of bytes in the buffers.
func (e *Element) OutLen() uint64 { return e.outLen }

// InLen is the number of bytes that the device may write.
func (e *Element) InLen() uint64 { return e.inLen }

// EachIn calls f for the guest's addresses of In.
func (e *Element) EachIn(f func(addr, n uint64)) {
	for _, s := range e.in {
		f(s.Addr, s.Len)
	}
}

// New returns a queue without memory; Setup makes it usable.
func New(mem *memory.AddressSpace) *Queue {
	return &Queue{mem: mem, notify: true, form: split{}, pos: start}
}

// SetMemory changes the address space that the driver's addresses refer to.
func (q *Queue) SetMemory(mem *memory.AddressSpace) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mem, q.m = mem, mapping{}
}

// Setup takes what the driver says about the rings. Elements that are out stay valid.
func (q *Queue) Setup(c Config) error {
	var f form = split{}
	if c.Packed {
		f = packed{}
	}
	if c.Num > MaxSize || c.Num == 0 || !f.size(c.Num) {
		return Error(fmt.Sprintf("Invalid virtqueue size %d", c.Num))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.Packed && q.cfg.Num != 0 && (c.Num != q.cfg.Num || !q.cfg.Packed) {
		return Error("Virtqueue changed in use") // places in it, which chains that are out have too, would not be in it any more
	}
	q.cfg, q.form, q.m = c, f, mapping{}
	return nil
}

// Ready tells whether Setup was called since the last Reset.
func (q *Queue) Ready() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cfg.Num != 0
}

// Reset forgets everything. Pushing an element taken before has no effect any more.
func (q *Queue) Reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cfg, q.form, q.m, q.pos, q.avail = Config{}, split{}, mapping{}, start, 0
	q.inUse, q.flags, q.notify, q.free = 0, 0, true, nil
	q.gen++
}

// Position is the migrated state.
func (q *Queue) Position() Position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pos
}

// InUse is the number of chains, or descriptors of a packed queue, that were taken and not given back.
func (q *Queue) InUse() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inUse
}

// remap finds the rings in host memory again if the view of guest memory has changed.
// Preconditions: mu is held.
func (q *Queue) remap() error {
	if q.m.view != nil && q.m.view == q.mem.View() {
		return nil
	}
	m := mapping{view: q.mem.View()}
	desc, avail, used := q.form.areas(uint64(q.cfg.Num))
	var ok bool
	if m.desc, m.descBlock, m.descOff, ok = mapOne(m.view, q.cfg.Desc, desc, q.cfg.Packed); !ok {
		return Error("Cannot map desc")
	}
	if m.used, m.usedBlock, m.usedOff, ok = mapOne(m.view, q.cfg.Used, used, true); !ok {
		return Error("Cannot map used")
	}
	if m.avail, _, _, ok = mapOne(m.view, q.cfg.Avail, avail, false); !ok {
		return Error("Cannot map avail")
	}
	q.m = m
	return nil
}

// mapOne finds a piece of memory that lies in one RAM block.
func mapOne(v *memory.FlatView, addr, n uint64, write bool) (b []byte, block *memory.RAMBlock, off uint64, ok bool) {
	r := v.Find(addr)
	if r == nil || r.RAM == nil || write && r.ReadOnly || r.Last-addr < n-1 {
		return nil, nil, 0, false
	}
	off = r.Offset + (addr - r.Start)
	return r.RAM.Bytes()[off : off+n : off+n], r.RAM, off, true
}

// Empty tells whether nothing is available. A queue that is not set up or broken is empty.
func (q *Queue) Empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.empty()
}

// empty implements Empty.
// Preconditions: mu is held.
func (q *Queue) empty() bool {
	if q.cfg.Num == 0 || q.remap() != nil {
		return true
	}
	return q.form.empty(q)
}

// SetNotify asks the driver to notify us about new buffers, or not to. After asking, buffers may have become available unnoticed: it
// returns true if the queue must be looked at again.
func (q *Queue) SetNotify(on bool) (again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cfg.Num == 0 || q.remap() != nil {
		return false
	}
	if q.notify == on && !(on && q.cfg.EventIdx) {
		return on && !q.empty()
	}
	q.notify = on
	q.form.ask(q)
	return on && !q.empty()
}
