package mirror

import (
	"context"

	"goemu/block"
)

// topDriver is the driver of the filter above the source. It is in no table: users cannot open one.
func topDriver(kind string) *block.Driver {
	return &block.Driver{Name: kind + "_top", Filter: true, NeverFrozen: true}
}

// topFilter sees the writes to the source.
type topFilter struct {
	m    *mirror
	node *block.Node
	gone bool // about to be removed: takes and denies nothing any more
}

// Close implements block.Instance.
func (*topFilter) Close() {}

// ChildPerm implements block.ChildPermer. Above a commit nobody insists on what the target, a backing file, shows meanwhile.
func (f *topFilter) ChildPerm(_ *block.Child, _ block.Role, perm, shared block.Perm) (nperm, nshared block.Perm) {
	if f.gone {
		return 0, block.PermAll
	}
	if f.m.commit {
		return perm &^ block.PermConsistentRead, shared | block.PermWrite
	}
	return perm, shared
}

// RefreshLimits implements block.Limiter.
func (f *topFilter) RefreshLimits(l *block.Limits) error {
	below := f.m.Source.Limits()
	l.RequestAlign = below.RequestAlign
	l.WriteFlags = block.Unchanged | block.FUA&below.WriteFlags
	l.ZeroFlags = block.Unchanged | (block.FUA|block.MayUnmap|block.NoFallback)&below.ZeroFlags
	return nil
}

// child is the edge to the source.
func (f *topFilter) child() *block.Child { return f.node.Filtered() }

// WriteV implements block.Writer.
func (f *topFilter) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	return f.change(off, block.IovLen(iov), func() error { return f.child().WriteV(ctx, off, iov, fl) },
		func() error { return f.m.target.WriteV(ctx, off, iov, fl&block.FUA) })
}

// WriteZeroes implements block.ZeroWriter.
func (f *topFilter) WriteZeroes(ctx context.Context, off, n int64, fl block.Flags) error {
	return f.change(off, n, func() error { return f.child().WriteZeroes(ctx, off, n, fl) },
		func() error { return f.m.target.WriteZeroes(ctx, off, n, fl&^block.NoFallback) })
}

// Discard implements block.Discarder.
func (f *topFilter) Discard(ctx context.Context, off, n int64) error {
	return f.change(off, n, func() error { return f.child().Discard(ctx, off, n) },
		func() error { return f.m.target.Discard(ctx, off, n) })
}

// fail makes the job end with an error, unless that is nil or there was one before.
func (m *mirror) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
}

// change changes the source and, in write-blocking mode, the target. What the target did not get is marked.
func (f *topFilter) change(off, n int64, source, target func() error) error {
	m := f.m
	if !m.Blocking || f.gone {
		return source()
	}
	c := m.whole(off, n)
	m.mu.Lock()
	for m.overlaps(c.off, c.end) {
		m.changed.Wait()
	}
	m.claims = append(m.claims, c)
	stopped := m.err != nil
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.release(c)
		m.mu.Unlock()
	}()
	if err := source(); err != nil {
		m.bits.Set(c.off, c.end-c.off) // who knows what it holds now
		return err
	}
	if stopped {
		m.bits.Set(off, n)
		return nil
	}
	if m.align > m.granularity {
		m.bits.Reset(c.off, c.end-c.off)
		m.fail(m.copy(context.Background(), m.job, c.off, min(c.end, m.length)-c.off))
		return nil
	}
	if err := target(); err != nil {
		m.bits.Set(off, n)
		m.fail(m.failed(m.job, false, err))
		return nil
	}
	first, last := off, off+n // whole granules are in step now
	if rest := first % m.granularity; rest != 0 {
		first += m.granularity - rest
	}
	if last != m.length {
		last -= last % m.granularity
	}
	if first < last {
		m.bits.Reset(first, last-first)
	}
	return nil
}
