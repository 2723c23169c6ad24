package img

import (
	"context"

	"goemu/block"

	"golang.org/x/sys/unix"
)

// Commit writes what the nodes above base hold into base.
type Commit struct {
	Top  *block.Backend
	Base *block.Backend
	Rate int64
	// Empty lets the image itself forget what is in the base then.
	Empty bool

	Progress func(percent float32) // of the whole

	below *block.Node // the filter on the base: there the chain ends that is copied
}

// run copies, with the base made as large as the image.
func (c *Commit) run(ctx context.Context) error {
	size, err := c.Top.Length(ctx)
	if err != nil {
		return err
	}
	baseSize, err := c.Base.Length(ctx)
	if err != nil {
		return err
	}
	if size > baseSize {
		if err := c.Base.Truncate(ctx, size, false, block.PreallocOff, false); err != nil {
			return err
		}
	}
	var limit *limiter
	if c.Rate > 0 {
		limit = newLimiter(c.Rate)
	}
	src := &pieces{node: c.Top.Node(), base: c.below, size: size}
	var behind block.WriteBehind
	mover := block.NewMover(bufferSize)
	pipe := newPipeline(func(p piece) error {
		if p.zero {
			return c.Base.WriteZeroes(ctx, p.off, p.n, block.MayUnmap)
		}
		limit.wait(ctx, p.n)
		_, err := mover.Move(p.n, func() error { return c.Top.CopyRange(ctx, p.off, c.Base, p.off, p.n) },
			func(b []byte) error { return c.Top.Read(ctx, p.off, b) }, func(b []byte) error { return c.Base.Write(ctx, p.off, b, 0) })
		if err != nil {
			return err
		}
		behind.Wrote(c.Base.Node(), p.n)
		return nil
	})
	for {
		p, ok, err := src.next(ctx)
		if err != nil {
			pipe.close()
			return err
		}
		if !ok || !pipe.put(p) {
			break
		}
		c.Progress(float32(100 * float64(p.off+p.n) / float64(size)))
	}
	if err := pipe.close(); err != nil {
		return err
	}
	return c.Base.Flush(ctx)
}

// piece is a range to be copied.
type piece struct {
	off, n int64
	zero   bool
}

// pieces walks through what is allocated above a base.
type pieces struct {
	node, base *block.Node
	size, off  int64
	end        int64 // of the range that s describes
	s          block.Status
}

// next finds the next piece to be copied.
func (w *pieces) next(ctx context.Context) (p piece, ok bool, err error) {
	for w.off < w.size {
		if w.end <= w.off {
			if w.s, _, err = w.node.StatusAbove(ctx, w.base, false, true, w.off, w.size-w.off); err != nil {
				return p, false, err
			}
			w.end = w.off + w.s.N
		}
		p = piece{w.off, w.end - w.off, w.s.Flags&block.StatusZero != 0}
		if w.s.Flags&block.StatusAllocated == 0 {
			w.off = w.end
			continue
		}
		if !p.zero {
			p.n = min(p.n, bufferSize)
		}
		w.off += p.n
		return p, true, nil
	}
	return p, false, nil
}

// CommitTarget finds the node to commit into: the one called base below the image, or the image's own backing file.
// Preconditions: the graph lock is held.
func CommitTarget(top *block.Node, name, base string) (*block.Node, error) {
	if base != "" {
		if n := FindBacking(top, base); n != nil {
			return n, nil
		}
		return nil, block.Errorf(unix.EINVAL, "Did not find '%s' in the backing chain of '%s'", base, name)
	}
	c := top.SkipFilters().COWChild()
	if c == nil {
		return nil, block.Errorf(unix.EINVAL, "Image does not have a backing file")
	}
	return c.Node().SkipFilters(), nil
}

// Into commits into a node below the image, which is made writable for the time.
func (c *Commit) Into(ctx context.Context, base *block.Node) (err error) {
	g := base.Graph()
	g.Lock()
	wasReadOnly := base.ReadOnly()
	if wasReadOnly {
		if err := g.SetReadOnly(ctx, base, false); err != nil {
			g.Unlock()
			return err
		}
	}
	g.Ref(base)
	c.Base = g.NewBackend("", "", block.PermConsistentRead|block.PermWrite|block.PermResize, block.PermAll)
	filter, err := g.InsertLooseFilter(ctx, "", base)
	if err == nil {
		filter.SetImplicit(true)
		c.below = filter
		err = c.Base.Insert(base)
	}
	g.Unlock()
	if err == nil {
		if err = c.run(ctx); err != nil {
			err = block.Errnof(block.Errno(err), "Block job failed")
		}
	}
	if err == nil && c.Empty {
		err = makeEmpty(ctx, c.Top.Node().SkipFilters())
	}
	g.Lock()
	defer g.Unlock()
	c.Base.Delete()
	if filter != nil {
		if e := g.DropFilter(filter); err == nil {
			err = e
		}
		g.Unref(filter)
	}
	if wasReadOnly {
		if e := g.SetReadOnly(ctx, base, true); err == nil {
			err = e
		}
	}
	g.Unref(base)
	return err
}

// makeEmpty lets a node forget its content, if it can.
func makeEmpty(ctx context.Context, n *block.Node) error {
	e, ok := n.State().(block.Emptier)
	if !ok {
		return nil
	}
	if err := e.MakeEmpty(ctx); err != nil && !block.IsNotSup(err) {
		return block.Errnof(block.Errno(err), "Failed to empty %s", n.Filename())
	}
	return nil
}
