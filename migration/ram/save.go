// Package ram writes guest memory into a migration stream, round by round while the guest runs, and reads it back. It knows RAM blocks
// and the form of the section "ram", no device and no state of a migration.
package ram

import (
	"bytes"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"goemu/internal/memory"
	"goemu/migration/wire"
)

// Name and Version of the section.
const (
	Name    = "ram"
	Version = 4
)

// Flags in the low bits of a page's offset.
const (
	flagZero     = 0x02
	flagMemSize  = 0x04
	flagPage     = 0x08
	flagEOS      = 0x10
	flagContinue = 0x20
	flagXBZRLE   = 0x40
	flagMask     = memory.PageSize - 1
)

// Counters are figures about the RAM sent so far. They may be read at any time.
type Counters struct {
	Transferred   atomic.Uint64 // bytes
	Duplicate     atomic.Uint64 // pages of zeroes
	Normal        atomic.Uint64 // other pages
	DirtySync     atomic.Uint64 // how often the dirty log was read
	DirtyRate     atomic.Uint64 // pages a second
	Remaining     atomic.Uint64 // pages
	PrecopyBytes  atomic.Uint64
	DowntimeBytes atomic.Uint64
}

// Pages is where pages go that are not sent in the stream itself: other channels.
type Pages interface {
	Queue(b *memory.RAMBlock, at uint64) error
	// Sync sends what is queued; the other side has all of it before it goes on with the stream.
	Sync() error
	Bytes() uint64
}

// Saver sends the RAM of a machine.
type Saver struct {
	// Beside, if set, takes the pages that are not zeroes.
	Beside Pages
	// Log makes the CPUs report stores anew; called after the marks of a round were collected. Nil if the guest does not run.
	Log func()
	Counters
	XBZRLE XBZRLECounters
	// BeforeSync and OnSync, if set, are called before and after each reading of the dirty log.
	BeforeSync, OnSync func()
	// FreedLater says that Free will be called while Send runs.
	FreedLater bool

	mu      sync.Mutex // guards the blocks' todo and armed, and Remaining, if FreedLater
	blocks  []*block
	current int    // of blocks
	page    uint64 // of the current block
	last    *block // that the stream named last
	again   bool   // the first round is over: what is sent now was written to
	stopped bool   // the guest does not run any more

	period periodState
	cache  *xbzrle // nil without it
	blank  memory.Untouched
}

// periodState is what the figures of the dirty rate come from.
type periodState struct {
	began  time.Time
	pages  uint64 // found dirty since began
	sent   uint64 // bytes, at the beginning
	before uint64 // pages found dirty in the last full period
	bytes  uint64 // sent in the last full period
	fresh  bool   // before and bytes have not been looked at
}

// block is a RAM block with the pages that are still to be sent.
type block struct {
	*memory.RAMBlock
	todo  []uint64
	armed []bool // by armBits: whether writes have been logged since the last Sync
	first uint64 // number of its first page among those of all blocks
}

// NewSaver prepares to send blocks and begins to log what is written to them; all pages are to be sent. Without log the guest does not run
// and nothing is logged.
func NewSaver(blocks []*memory.RAMBlock, log func()) *Saver {
	s := &Saver{Log: log, stopped: log == nil}
	total := uint64(0)
	for _, b := range blocks {
		pages := (b.Size() + memory.PageSize - 1) >> memory.PageBits
		n := &block{b, make([]uint64, (pages+63)/64), make([]bool, pages>>armBits+1), total}
		total += pages
		for i := range n.todo {
			n.todo[i] = ^uint64(0)
		}
		if pages&63 != 0 {
			n.todo[len(n.todo)-1] = 1<<(pages&63) - 1
		}
		s.Remaining.Add(pages)
		s.blocks = append(s.blocks, n)
		if log != nil {
			b.Track(memory.DirtyMigration)
		}
	}
	return s
}

// Close ends the logging.
func (s *Saver) Close() {
	s.blank.Close()
	if s.Log == nil {
		return
	}
	for _, b := range s.blocks {
		b.Untrack(memory.DirtyMigration)
	}
}

// Total is the number of bytes of all blocks.
func (s *Saver) Total() (n uint64) {
	for _, b := range s.blocks {
		n += b.Size()
	}
	return n
}

// Setup writes the list of blocks and begins the first round.
func (s *Saver) Setup(out *wire.Sink) {
	s.Sync()
	out.U64(s.Total() | flagMemSize)
	for _, b := range s.blocks {
		out.Name(b.Name())
		out.U64(b.Size())
	}
	s.mark(out)
}

// mark ends a part of the section.
func (s *Saver) mark(out *wire.Sink) {
	if s.Beside != nil {
		from := s.Beside.Bytes()
		if err := s.Beside.Sync(); err != nil {
			out.Fail(err)
		}
		s.account(s.Beside.Bytes() - from)
	}
	out.U64(flagEOS)
}

// Put is how many bytes are on their way: in the stream and beside it. Any goroutine may ask.
func (s *Saver) Put(out *wire.Sink) int64 {
	n := out.Total()
	if s.Beside != nil {
		n += int64(s.Beside.Bytes())
	}
	return n
}

// minPeriod is the shortest time over which the dirty rate is measured.
const minPeriod = time.Second

// Sync adds what was written since the last time to what is to be sent.
func (s *Saver) Sync() {
	s.DirtySync.Add(1)
	if s.Log == nil {
		return
	}
	if s.BeforeSync != nil {
		s.BeforeSync()
	}
	if s.period.began.IsZero() {
		s.period.began = time.Now()
	}
	var found uint64
	for _, b := range s.blocks {
		found += b.Collect(memory.DirtyMigration, b.todo)
		clear(b.armed)
	}
	s.blank.Forget()
	s.Remaining.Add(found)
	s.period.pages += found
	if !s.stopped {
		s.Log()
	}
	if d := time.Since(s.period.began); d > minPeriod {
		p := &s.period
		s.DirtyRate.Store(p.pages * 1000 / uint64(d.Milliseconds()))
		sent := s.Transferred.Load()
		if s.cache != nil {
			s.cache.rates(&s.XBZRLE, s.Normal.Load()+s.Duplicate.Load()+s.XBZRLE.Pages.Load())
		}
		*p = periodState{began: time.Now(), sent: sent, before: p.pages, bytes: sent - p.sent, fresh: true}
	}
	if s.OnSync != nil {
		s.OnSync()
	}
}

// Period returns how many bytes were dirtied and sent in the last period of at least a second; ok is false if it was returned before.
func (s *Saver) Period() (dirtied, sent uint64, ok bool) {
	p := &s.period
	ok, p.fresh = p.fresh, false
	return p.before * memory.PageSize, p.bytes, ok
}

// Swept tells whether the first round is over.
func (s *Saver) Swept() bool { return s.again }

// Stop says that the guest does not run any more, so that what is dirty now is all.
func (s *Saver) Stop() { s.stopped = true }

// Pending is the number of bytes to be sent.
func (s *Saver) Pending() uint64 { return s.Remaining.Load() * memory.PageSize }

var zeroes [memory.PageSize]byte

// Send writes pages until limit bytes were put or none is left; done tells the latter.
func (s *Saver) Send(out *wire.Sink, limit int64) (done bool) {
	from := s.Put(out)
	defer func() { s.account(uint64(s.Put(out) - from)) }()
	for tried := 0; tried <= len(s.blocks); {
		if s.Put(out)-from >= limit || out.Err() != nil {
			return false
		}
		b := s.blocks[s.current]
		page, ok := s.take(b)
		if !ok {
			s.current, s.page = (s.current+1)%len(s.blocks), 0
			s.again = s.again || s.current == 0
			tried++
			continue
		}
		tried = 0
		s.page = page + 1
		s.put(out, b, page)
	}
	return true
}

// take returns the next page of a block that is to be sent, which is not to be sent any more.
func (s *Saver) take(b *block) (page uint64, ok bool) {
	if s.FreedLater {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	if page, ok = b.next(s.page); ok {
		b.todo[page>>6] &^= 1 << (page & 63)
		b.arm(page)
		s.Remaining.Add(^uint64(0))
	}
	return page, ok
}

// Free says that nobody needs the contents of n bytes from at on: pages that are not written to again are not sent. Any goroutine may call it
// between OnSync and the next BeforeSync.
func (s *Saver) Free(r *memory.RAMBlock, at, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.blocks {
		if b.RAMBlock != r {
			continue
		}
		page, end := (at+memory.PageSize-1)>>memory.PageBits, min(at+n, r.Size())>>memory.PageBits
		for ; page < end; page++ {
			if bit := uint64(1) << (page & 63); b.todo[page>>6]&bit != 0 {
				b.todo[page>>6] &^= bit
				b.arm(page)
				s.Remaining.Add(^uint64(0))
			}
		}
	}
}

// armBits is the number of pages, as a power of two, whose logging is armed at once: as many as QEMU's x-clear-bitmap-shift says.
const armBits = 18

// arm makes writes to a page that is about to be read be logged.
func (b *block) arm(page uint64) {
	if chunk := page >> armBits; !b.armed[chunk] {
		b.armed[chunk] = true
		b.Arm(chunk<<armBits, 1<<armBits)
	}
}

// End closes the part of the section.
func (s *Saver) End(out *wire.Sink) {
	s.mark(out)
	s.account(8)
}

func (s *Saver) account(n uint64) {
	s.Transferred.Add(n)
	if s.stopped {
		s.DowntimeBytes.Add(n)
	} else {
		s.PrecopyBytes.Add(n)
	}
}

// put writes one page.
func (s *Saver) put(out *wire.Sink, b *block, page uint64) {
	at := page << memory.PageBits
	data := b.Bytes()[at:min(at+memory.PageSize, b.Size())]
	encode := s.cache != nil && s.DirtySync.Load() > 1 && len(data) == memory.PageSize // before that no page is sent twice
	if !s.again && s.blank.Page(b.RAMBlock, page) || bytes.Equal(data, zeroes[:len(data)]) {
		s.head(out, b, at|flagZero)
		out.U8(0)
		s.Duplicate.Add(1)
		if encode {
			s.cache.zero(b.first + page)
		}
		return
	}
	if s.Beside != nil && len(data) == memory.PageSize {
		if err := s.Beside.Queue(b.RAMBlock, at); err != nil {
			out.Fail(err)
		}
		s.Normal.Add(1)
		return
	}
	if encode {
		s.putEncoded(out, b, page, data)
		return
	}
	s.head(out, b, at|flagPage)
	out.Ref(data)
	if len(data) < memory.PageSize {
		out.Bytes(zeroes[len(data):])
	}
	s.Normal.Add(1)
}

// head writes what stands before a page.
func (s *Saver) head(out *wire.Sink, b *block, at uint64) {
	if b == s.last {
		out.U64(at | flagContinue)
		return
	}
	out.U64(at)
	out.Name(b.Name())
	s.last = b
}

// putEncoded writes what has changed of a page, or all of it if it is not at hand as it was sent. What is kept is what is sent, whatever
// the guest does to the page meanwhile.
func (s *Saver) putEncoded(out *wire.Sink, b *block, page uint64, data []byte) {
	c, at := s.cache, page<<memory.PageBits
	copy(c.now[:], data)
	before, slot, hit := c.find(b.first + page)
	if hit {
		s.XBZRLE.Pages.Add(1)
		enc, err := encodeXBZRLE(c.buf[:0], before, c.now[:], memory.PageSize)
		if err == nil && len(enc) == 0 {
			return
		}
		copy(before, c.now[:])
		if err == nil {
			from := out.Total()
			s.head(out, b, at|flagXBZRLE)
			out.U8(encodingXBZRLE)
			out.U16(uint16(len(enc)))
			out.Bytes(enc)
			s.XBZRLE.Bytes.Add(uint64(out.Total()-from) - 8)
			return
		}
		s.XBZRLE.Overflows.Add(1)
		s.XBZRLE.Bytes.Add(memory.PageSize)
	} else {
		s.XBZRLE.Misses.Add(1)
		*slot = b.first + page
		copy(before, c.now[:])
	}
	s.head(out, b, at|flagPage)
	out.Bytes(c.now[:]) // which copies it
	s.Normal.Add(1)
}

// next finds the next page to be sent.
func (b *block) next(from uint64) (page uint64, ok bool) {
	i := from >> 6
	if i >= uint64(len(b.todo)) {
		return 0, false
	}
	if w := b.todo[i] >> (from & 63); w != 0 {
		return from + uint64(bits.TrailingZeros64(w)), true
	}
	for i++; i < uint64(len(b.todo)); i++ {
		if w := b.todo[i]; w != 0 {
			return i<<6 + uint64(bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}
