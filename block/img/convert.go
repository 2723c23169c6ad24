package img

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"goemu/block"

	"golang.org/x/sys/unix"
)

// Limits of a conversion.
const (
	MaxWorkers     = 16
	DefaultWorkers = 8
	MaxBuffer      = 32768 * SectorSize
	convertBuffer  = 512 << 10 // what was read is still in the processor's cache when it is written
	maxFlying      = 4 << 20   // bytes between reading and writing, if the workers are not more
	maxRequest     = 1<<31 - 1 - (1<<31-1)%SectorSize
)

// Conversion copies the content of one or several images, one after the other, into another.
type Conversion struct {
	Sources []*block.Backend
	Target  *block.Backend

	MinSparse   int64 // bytes of zeroes from which the target is left sparse; 0 writes everything
	Compressed  bool
	Cluster     int64 // size of the target's clusters, 0 if there are none
	ZeroInit    bool  // the target reads as zeroes already
	TargetIsNew bool
	HasBacking  bool  // the target has a backing file
	BackingSize int64 // its length, negative if unknown
	Workers     int
	InOrder     bool // writes stay in order
	CopyRange   bool // let the host copy
	Salvage     bool // read errors are no reason to stop
	Rate        int64

	Progress func(percent float32)
	Warn     func(text string)
	Fail     func(text string) // reports an error; the first one ends the conversion

	sizes      []int64 // of the sources, whole sectors
	aligns     []int64
	total      int64
	buffer     int64
	align      int64 // of writes
	compressor block.Compressor
	limit      *limiter

	mu         sync.Mutex
	pos        int64
	next       int64 // up to where kind holds
	kind       kind
	data, done int64 // bytes to be copied, and copied
	untold     int64 // of those, since Progress was called
	offload    bool
	failed     error
	written    int64          // with InOrder: everything before it is written
	ready      map[int64]load // by offset: what waits for its turn
	writing    bool           // somebody writes what is ready
	flying     int            // stretches taken and not written
	window     int            // most of them
	room       *sync.Cond     // flying sank, or failed
	buffers    *block.Buffers
}

// kind is what becomes of a range.
type kind uint8

const (
	kindData kind = iota
	kindZero
	kindBacking // stays unallocated
)

// stretch is one step of the conversion.
type stretch struct {
	off, n int64
	kind   kind
}

// Prepare reads the sources' sizes; they are rounded up to sectors.
func (c *Conversion) Prepare(ctx context.Context) (total int64, failed int, err error) {
	for i, s := range c.Sources {
		n, err := s.Length(ctx)
		if err != nil {
			return 0, i, err
		}
		n = (n + SectorSize - 1) / SectorSize * SectorSize
		align := max(s.Node().Limits().RequestAlign, SectorSize)
		if info, ok := s.Node().Info(); ok {
			align = max(align, info.ClusterSize)
		}
		c.sizes = append(c.sizes, n)
		c.aligns = append(c.aligns, align)
		c.total += n
	}
	return c.total, 0, nil
}

// errInvalid is what a failed conversion returns after Fail.
var errInvalid = unix.EINVAL

// Run converts.
func (c *Conversion) Run(ctx context.Context) error {
	n := c.Target.Node()
	lim := n.Limits()
	c.buffer = min(MaxBuffer, max(convertBuffer, c.MinSparse, lim.OptTransfer, lim.DiscardAlign))
	c.align = max(powerOfTwo(c.MinSparse/SectorSize)*SectorSize, lim.RequestAlign, SectorSize)
	c.room, c.ready = sync.NewCond(&c.mu), map[int64]load{}
	c.offload = c.CopyRange
	if c.Rate > 0 {
		c.limit = newLimiter(c.Rate)
	}
	if !c.ZeroInit && c.TargetIsNew && c.MinSparse != 0 && !c.HasBacking {
		c.ZeroInit = n.HasZeroInit(ctx)
	}
	if c.Compressed {
		if c.Cluster <= 0 || c.Cluster > c.buffer {
			c.Fail("invalid cluster size")
			return errInvalid
		}
		c.buffer = c.Cluster
		c.Workers = min(c.Workers, 2*runtime.GOMAXPROCS(0)) // each needs a compressor
		c.compressor, _ = n.State().(block.Compressor)
	}
	if c.Salvage {
		c.Workers = 1 // one request at a time is gentle to a failing disk, and what cannot be read is told in order
	}
	c.buffers = block.NewBuffers(c.buffer)
	c.window = max(c.Workers, int(min(4*int64(c.Workers), maxFlying/c.buffer)))
	if err := c.survey(ctx); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range c.Workers {
		wg.Go(func() { c.work(ctx) })
	}
	wg.Wait()
	if c.failed == nil && c.Compressed {
		c.failed = c.Target.FinishCompressed(ctx)
	}
	return c.failed
}

func powerOfTwo(n int64) int64 {
	p := int64(1)
	for p*2 <= n {
		p *= 2
	}
	return p
}

// survey adds up what is to be copied.
func (c *Conversion) survey(ctx context.Context) error {
	for off := int64(0); off < c.total; {
		s, err := c.at(ctx, off)
		if err != nil {
			return err
		}
		if c.copies(s.kind) {
			c.data += s.n
		}
		off += s.n
	}
	c.next = 0
	return nil
}

// copies tells whether a range counts as work.
func (c *Conversion) copies(k kind) bool { return k == kindData || k == kindZero && c.MinSparse == 0 }

// source finds the source of an offset and where that source begins.
func (c *Conversion) source(off int64) (i int, start int64) {
	for off-start >= c.sizes[i] {
		start += c.sizes[i]
		i++
	}
	return i, start
}

// at finds out what is at off, and how far. It is called with growing offsets.
func (c *Conversion) at(ctx context.Context, off int64) (stretch, error) {
	i, start := c.source(off)
	n := min(c.total-off, maxRequest)
	behind := false
	if c.BackingSize >= 0 {
		if behind = off >= c.BackingSize; !behind {
			n = min(n, c.BackingSize-off)
		}
	}
	if c.next <= off {
		s, got, err := c.ask(ctx, i, off-start, n)
		if err != nil {
			return stretch{}, err
		}
		n = (got + SectorSize - 1) / SectorSize * SectorSize
		if tail := (off - start + n) % c.aligns[i]; n > tail {
			n -= tail
		}
		switch {
		case s.Flags&block.StatusZero != 0 && behind:
			c.kind = kindBacking
		case s.Flags&block.StatusZero != 0:
			c.kind = kindZero
		case s.Flags&block.StatusData == 0 && c.HasBacking:
			c.kind = kindBacking
		default:
			c.kind = kindData
		}
		c.next = off + n
	}
	n = min(n, c.next-off)
	if c.kind == kindData {
		n = min(n, c.buffer)
	}
	if c.Compressed {
		if n < c.Cluster {
			n = min(c.Cluster, c.total-off)
			c.kind = kindData
		} else {
			n -= n % c.Cluster
		}
	}
	return stretch{off, n, c.kind}, nil
}

// ask asks a source for the status of a range.
func (c *Conversion) ask(ctx context.Context, i int, off, n int64) (block.Status, int64, error) {
	node := c.Sources[i].Node()
	var base *block.Node
	if c.HasBacking {
		if cow := node.SkipFilters().COWChild(); cow != nil {
			base = cow.Node()
		}
	}
	for {
		s, _, err := node.StatusAbove(ctx, base, false, true, off, n)
		switch {
		case err == nil:
			return s, s.N, nil
		case !c.Salvage:
			c.Fail(fmt.Sprintf("error while reading block status at offset %d: %s", off, reason(err)))
			return s, 0, err
		case n <= SectorSize:
			c.Warn(fmt.Sprintf("error while reading block status at offset %d: %s", off, reason(err)))
			return block.Status{Flags: block.StatusData}, SectorSize, nil
		}
		n = (n/SectorSize + 3) / 4 * SectorSize
	}
}

// work copies stretches until nothing is left.
func (c *Conversion) work(ctx context.Context) {
	for {
		s, offload, ok := c.take(ctx)
		if !ok {
			return
		}
		l := load{s: s, offload: offload}
		if s.kind == kindData && !offload {
			c.fetch(ctx, &l)
		} else if s.kind == kindZero && c.MinSparse == 0 {
			l.s.kind, l.buf = kindData, c.buffers.Get(c.buffer)
			clear(l.buf[:s.n])
			l.data = l.buf[:s.n]
		}
		if c.InOrder {
			c.queue(ctx, l)
		} else {
			c.put(ctx, l)
		}
	}
}

// queue hands a stretch over to be written in its turn. Whoever brings the one that is next writes it and those ready behind it; the others
// go on with new stretches instead of waiting.
func (c *Conversion) queue(ctx context.Context, l load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready[l.s.off] = l
	if c.writing {
		return
	}
	c.writing = true
	for {
		l, ok := c.ready[c.written]
		if !ok {
			break
		}
		delete(c.ready, c.written)
		c.mu.Unlock()
		c.put(ctx, l)
		c.mu.Lock()
		c.written = l.s.off + l.s.n
		c.flying--
		c.room.Signal()
	}
	c.writing = false
}

// put writes a stretch, or lets the host copy it, and gives its buffer back.
func (c *Conversion) put(ctx context.Context, l load) {
	defer func() { c.buffers.Put(l.buf) }()
	if l.offload && c.alive() {
		if c.copyRange(ctx, l.s) == nil {
			return
		}
		c.mu.Lock()
		c.offload = false
		c.mu.Unlock()
		c.fetch(ctx, &l)
	}
	if c.alive() {
		if err := c.store(ctx, &l); err != nil {
			c.fail(err, fmt.Sprintf("error while writing at byte %d: %s", l.s.off, reason(err)))
		}
	}
}

// alive tells whether nothing failed so far.
func (c *Conversion) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed == nil
}

func (c *Conversion) fail(err error, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.Fail(text)
		c.failed = err
	}
	c.room.Broadcast()
}

// take takes the next stretch.
func (c *Conversion) take(ctx context.Context) (s stretch, offload, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.InOrder && c.flying >= c.window && c.failed == nil {
		c.room.Wait()
	}
	if c.failed != nil || c.pos >= c.total {
		c.room.Signal() // to the next one who waits in vain
		return s, false, false
	}
	s, err := c.at(ctx, c.pos)
	if err != nil {
		c.failed = err
		c.room.Broadcast()
		return s, false, false
	}
	if c.MinSparse == 0 && s.kind == kindZero {
		s.n = min(s.n, c.buffer)
	}
	c.pos += s.n
	c.flying++
	if c.copies(s.kind) {
		c.done += s.n
		if c.untold += s.n; c.untold >= bufferSize || c.pos >= c.next { // in QEMU's steps
			c.untold = 0
			c.Progress(float32(100 * float64(c.done) / float64(c.data)))
		}
	}
	return s, c.offload && s.kind == kindData, true
}

// load is a stretch with its content, ready to be written.
type load struct {
	s       stretch
	offload bool   // the host copies it
	buf     []byte // behind data
	data    []byte
	zero    bool   // data is all zero
	stored  []byte // compressed
	isZip   bool
}

// fetch reads a stretch and, in parallel to what others write, looks at and compresses it.
func (c *Conversion) fetch(ctx context.Context, l *load) {
	l.buf = c.buffers.Get(c.buffer)
	l.data = l.buf[:l.s.n]
	if err := c.read(ctx, l.s.off, l.data); err != nil {
		c.fail(err, fmt.Sprintf("error while reading at byte %d: %s", l.s.off, reason(err)))
		return
	}
	if !c.Compressed {
		return
	}
	if c.MinSparse != 0 {
		l.zero = isZero(l.data)
	}
	if !l.zero && c.compressor != nil {
		l.isZip = true
		if out, err := c.compressor.Compress(l.data); err == nil {
			l.stored = out
		}
	}
}

// read fills b from the sources.
func (c *Conversion) read(ctx context.Context, off int64, b []byte) error {
	single := int64(0)
	for len(b) > 0 {
		i, start := c.source(off)
		at := off - start
		n := min(int64(len(b)), c.sizes[i]-at)
		if single > at {
			n = SectorSize
		}
		if err := c.Sources[i].Read(ctx, at, b[:n]); err != nil {
			switch {
			case !c.Salvage:
				return err
			case n > SectorSize:
				single = at + n
				continue
			}
			c.Warn(fmt.Sprintf("error while reading offset %d: %s", at, reason(err)))
			clear(b[:n])
		}
		off, b = off+n, b[n:]
	}
	return nil
}

// store writes a stretch.
func (c *Conversion) store(ctx context.Context, l *load) error {
	s, off, b := l.s, l.s.off, l.data
	for left := s.n; left > 0; {
		n := left
		write := false
		switch {
		case s.kind == kindData && c.MinSparse == 0:
			write = true
		case s.kind == kindData && c.Compressed:
			write = !l.zero
		case s.kind == kindData:
			k, data := sparseRun(b, off, c.MinSparse, c.align)
			n, write = int64(k), data
		}
		var err error
		switch {
		case write:
			err = c.write(ctx, off, b[:n], l)
		case s.kind != kindBacking && !c.ZeroInit:
			err = c.Target.WriteZeroes(ctx, off, n, block.MayUnmap)
		}
		if err != nil {
			return err
		}
		off, left = off+n, left-n
		if b != nil {
			b = b[n:]
		}
	}
	return nil
}

func (c *Conversion) write(ctx context.Context, off int64, b []byte, l *load) error {
	c.limit.wait(ctx, int64(len(b)))
	switch {
	case l.isZip:
		return c.Target.WriteCompressed(block.WithCompressed(ctx, l.stored), off, [][]byte{b})
	case c.Compressed:
		return c.Target.WriteCompressed(ctx, off, [][]byte{b})
	}
	return c.Target.Write(ctx, off, b, 0)
}

// copyRange lets the host copy a stretch.
func (c *Conversion) copyRange(ctx context.Context, s stretch) error {
	for off, left := s.off, s.n; left > 0; {
		i, start := c.source(off)
		n := min(left, c.sizes[i]-(off-start))
		c.limit.wait(ctx, n)
		if err := c.Sources[i].CopyRange(ctx, off-start, c.Target, off, n); err != nil {
			return err
		}
		off, left = off+n, left-n
	}
	return nil
}
