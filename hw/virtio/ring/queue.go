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
	mu  sync.Mutex
	mem *memory.AddressSpace
	cfg Config
	m   mapping

	pos    Position // guarded by mu
	avail  uint16   // guarded by mu: the driver's index as last seen
	inUse  int      // guarded by mu: chains taken and not yet given back
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
}

// Position is the part of the state that is ours and migrates.
type Position struct {
	LastAvail      uint16 // next entry of the available ring to take
	UsedIdx        uint16 // next entry of the used ring to fill
	Signalled      uint16 // used index when the driver was last interrupted
	SignalledValid bool
}

// mapping is where the rings lie in host memory, valid as long as the address space has the same view.
type mapping struct {
	view              *memory.FlatView
	desc, avail, used []byte
	usedBlock         *memory.RAMBlock
	usedOff           uint64
}

// Element is a chain of buffers: the driver filled Out, the device fills In. It belongs to the device until Push.
type Element struct {
	Head    uint16
	Out, In [][]byte
	outLen  uint64
	inLen   uint64
	spans   []span // guest addresses of In
	gen     uint32
	next    *Element
}

type span struct{ addr, n uint64 }

// OutLen and InLen are the numbers of bytes in the buffers.
func (e *Element) OutLen() uint64 { return e.outLen }

// InLen is the number of bytes that the device may write.
func (e *Element) InLen() uint64 { return e.inLen }

// EachIn calls f for the guest's addresses of In.
func (e *Element) EachIn(f func(addr, n uint64)) {
	for _, s := range e.spans {
		f(s.addr, s.n)
	}
}

// New returns a queue without memory; Setup makes it usable.
func New(mem *memory.AddressSpace) *Queue { return &Queue{mem: mem, notify: true} }

// SetMemory changes the address space that the driver's addresses refer to.
func (q *Queue) SetMemory(mem *memory.AddressSpace) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mem, q.m = mem, mapping{}
}

// Setup takes what the driver says about the rings. Elements that are out stay valid.
func (q *Queue) Setup(c Config) error {
	if c.Num > MaxSize || c.Num == 0 || c.Num&(c.Num-1) != 0 {
		return Error(fmt.Sprintf("Invalid virtqueue size %d", c.Num))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cfg, q.m = c, mapping{}
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
	q.cfg, q.m, q.pos, q.avail = Config{}, mapping{}, Position{}, 0
	q.inUse, q.flags, q.notify, q.free = 0, 0, true, nil
	q.gen++
}

// Position and SetPosition are the migrated state.
func (q *Queue) Position() Position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pos
}

// SetPosition restores a position of a queue that has nothing in use; the available index is read again on the next Pop.
func (q *Queue) SetPosition(p Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pos, q.avail, q.inUse = p, p.LastAvail, 0
}

// InUse is the number of chains that were taken and not given back.
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
	num := uint64(q.cfg.Num)
	var ok bool
	if m.desc, _, _, ok = mapOne(m.view, q.cfg.Desc, num*descSize, false); !ok {
		return Error("Cannot map desc")
	}
	if m.used, m.usedBlock, m.usedOff, ok = mapOne(m.view, q.cfg.Used, usedRing+num*usedElemSize+2, true); !ok {
		return Error("Cannot map used")
	}
	if m.avail, _, _, ok = mapOne(m.view, q.cfg.Avail, availRing+num*2+2, false); !ok {
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
	return uint16(loadPair(q.m.avail)>>16) == q.pos.LastAvail
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
	switch {
	case q.cfg.EventIdx:
		if on {
			q.armEvent()
		}
	case on:
		q.setFlags(q.flags &^ usedNoNotify)
	default:
		q.setFlags(q.flags | usedNoNotify)
	}
	return on && !q.empty()
}

// armEvent makes the driver notify about the next entry it makes available.
// Preconditions: mu is held and the rings are mapped.
func (q *Queue) armEvent() {
	off := usedRing + int(q.cfg.Num)*usedElemSize
	le.PutUint16(q.m.used[off:], q.pos.LastAvail)
	q.m.usedBlock.MarkDirty(q.m.usedOff+uint64(off), 2)
	fence()
}

// setFlags writes our flags to the used ring.
// Preconditions: mu is held and the rings are mapped.
func (q *Queue) setFlags(f uint16) {
	q.flags = f
	storePair(q.m.used, uint32(f)|uint32(q.pos.UsedIdx)<<16)
	q.m.usedBlock.MarkDirty(q.m.usedOff, 4)
}
