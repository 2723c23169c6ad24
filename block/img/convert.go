package img

import (
	"context"
	"fmt"
	"sync"

	"goemu/block"

	"golang.org/x/sys/unix"
)

// Limits of a conversion.
const (
	MaxWorkers     = 16
	DefaultWorkers = 8
	MaxBuffer      = 32768 * SectorSize
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

	mu            sync.Mutex
	pos           int64
	next          int64 // up to where kind holds
	kind          kind
	data, done    int64 // bytes to be copied, and copied
	offload       bool
	failed        error
	turn          *sync.Cond // with mu: written changed
	written       int64
	salvageStatus bool
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
	c.buffer = min(MaxBuffer, max(bufferSize, lim.OptTransfer, lim.DiscardAlign))
	c.align = max(powerOfTwo(c.MinSparse/SectorSize)*SectorSize, lim.RequestAlign, SectorSize)
	c.turn = sync.NewCond(&c.mu)
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
		c.compressor, _ = n.State().(block.Compressor)
	}
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
	buf := make([]byte, c.buffer)
	for {
		s, offload, ok := c.take(ctx)
		if !ok {
			return
		}
		var p packed
		for {
			p = packed{}
			if s.kind == kindData && !offload {
				p = c.load(ctx, s, buf)
			} else if s.kind == kindZero && c.MinSparse == 0 {
				s.kind = kindData
				clear(buf[:s.n])
				p = packed{data: buf[:s.n]}
			}
			if c.InOrder {
				c.await(s.off)
			}
			if offload && c.alive() && c.copyRange(ctx, s) != nil {
				c.mu.Lock()
				c.offload = false
				c.mu.Unlock()
				offload = false
				continue
			}
			break
		}
		if !offload && c.alive() {
			if err := c.store(ctx, s, p); err != nil {
				c.fail(err, fmt.Sprintf("error while writing at byte %d: %s", s.off, reason(err)))
			}
		}
		c.finish(s)
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
	c.Fail(text)
	c.failed = err
	c.turn.Broadcast()
}

// take takes the next stretch.
func (c *Conversion) take(ctx context.Context) (s stretch, offload, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil || c.pos >= c.total {
		return s, false, false
	}
	s, err := c.at(ctx, c.pos)
	if err != nil {
		c.failed = err
		c.turn.Broadcast()
		return s, false, false
	}
	if c.MinSparse == 0 && s.kind == kindZero {
		s.n = min(s.n, c.buffer)
	}
	c.pos += s.n
	if c.copies(s.kind) {
		c.done += s.n
		c.Progress(float32(100 * float64(c.done) / float64(c.data)))
	}
	return s, c.offload && s.kind == kindData, true
}

// await waits until everything before off was written.
func (c *Conversion) await(off int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.written != off && c.failed == nil {
		c.turn.Wait()
	}
}

func (c *Conversion) finish(s stretch) {
	if c.InOrder {
		c.mu.Lock()
		c.written = s.off + s.n
		c.mu.Unlock()
		c.turn.Broadcast()
	}
}

// packed is a stretch's content, ready to be written.
type packed struct {
	data   []byte
	zero   bool   // it was all zero
	stored []byte // compressed
	isZip  bool
}

// load reads a stretch and, in parallel to what others write, looks at and compresses it.
func (c *Conversion) load(ctx context.Context, s stretch, buf []byte) packed {
	p := packed{data: buf[:s.n]}
	if err := c.read(ctx, s.off, p.data); err != nil {
		c.fail(err, fmt.Sprintf("error while reading at byte %d: %s", s.off, reason(err)))
		return p
	}
	if !c.Compressed {
		return p
	}
	if c.MinSparse != 0 {
		p.zero = isZero(p.data)
	}
	if !p.zero && c.compressor != nil {
		p.isZip = true
		if out, err := c.compressor.Compress(p.data); err == nil {
			p.stored = out
		}
	}
	return p
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
func (c *Conversion) store(ctx context.Context, s stretch, p packed) error {
	off, b := s.off, p.data
	for left := s.n; left > 0; {
		n := left
		write := false
		switch {
		case s.kind == kindData && c.MinSparse == 0:
			write = true
		case s.kind == kindData && c.Compressed:
			write = !p.zero
		case s.kind == kindData:
			k, data := sparseRun(b, off, c.MinSparse, c.align)
			n, write = int64(k), data
		}
		var err error
		switch {
		case write:
			err = c.write(ctx, off, b[:n], p)
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

func (c *Conversion) write(ctx context.Context, off int64, b []byte, p packed) error {
	c.limit.wait(ctx, int64(len(b)))
	switch {
	case p.isZip:
		return c.Target.WriteCompressed(block.WithCompressed(ctx, p.stored), off, [][]byte{b})
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
		if err := c.Sources[i].CopyRange(ctx, off-start, c.Target, off, n, 0); err != nil {
			return err
		}
		off, left = off+n, left-n
	}
	return nil
}
