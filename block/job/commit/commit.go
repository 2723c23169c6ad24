// Package commit is the job that merges images in the middle of a chain into their backing file. (The active layer is merged by the mirror
// job, which can follow the writes of the guest.)
package commit

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/blockcopy"
	"goemu/block/job"
)

// chunk is the most that is copied at once.
const chunk = 512 << 10

// Options describe the job.
type Options struct {
	ID          string      // empty: the name of the device on Active
	Active      *block.Node // the top of the whole chain
	Top, Base   *block.Node // Top and what is above Base goes into Base
	BackingFile string      // name of the base in the image above Top; empty: that of Base
	Speed       int64
	OnError     job.Policy
	FilterName  string
	Flags       job.Flags
	Txn         *job.Txn
}

// commit is the state of the job.
type commit struct {
	Options
	filter    *block.Node
	lowest    *block.Node // the image next above the base
	base      *block.Child
	transfer  *blockcopy.Transfer
	behind    block.WriteBehind
	baseWasRO bool
	frozen    bool
}

// New makes the job. The caller starts it.
// Preconditions: the graph lock is held.
func New(ctx context.Context, l *job.List, o Options) (j *job.Job, err error) {
	if o.Top == o.Base {
		return nil, block.Errorf(unix.EINVAL, "Invalid files for merge: top and base are the same")
	}
	g := o.Top.Graph()
	c := &commit{Options: o, baseWasRO: o.Base.ReadOnly(), lowest: o.Top.OverlayOf(o.Base)}
	if !o.Top.ChainContains(o.Base) {
		return nil, block.Errorf(unix.EINVAL, "'%s' is not in the backing chain of '%s'", o.Base.Name(), o.Top.Name())
	}
	j, err = l.NewOn(c.Active, job.Spec{ID: c.ID, Type: "commit", Flags: c.Flags, Speed: c.Speed, Txn: c.Txn}, c, 0, block.PermAll)
	if err != nil {
		return nil, err
	}
	if c.baseWasRO {
		if err := g.SetReadOnly(ctx, o.Base, false); err != nil {
			j.Drop()
			return nil, err
		}
	}
	c.filter, err = g.InsertLooseFilter(ctx, o.FilterName, o.Top)
	if err == nil {
		c.filter.SetImplicit(o.FilterName == "")
		err = c.attach(ctx, j)
	}
	if err != nil {
		j.Drop()
		c.restore(ctx, g)
		return nil, err
	}
	return j, nil
}

// attach lets the job hold its nodes.
func (c *commit) attach(ctx context.Context, j *job.Job) error {
	const read, write, unchanged = block.PermConsistentRead, block.PermWrite, block.PermWriteUnchanged
	shared := unchanged | write
	for n := c.Top; n != c.Base; n = n.FilterOrCOW().Node() {
		if n.SkipFilters() == c.Base.SkipFilters() { // but filters from here on: nothing about it changes
			shared |= read
		}
		if _, err := j.AddNode(n, "intermediate node", 0, shared); err != nil {
			return err
		}
	}
	perm := read | write
	have, err := c.Base.Length(ctx)
	if err != nil {
		return err
	}
	if want, err := c.Top.Length(ctx); err != nil {
		return err
	} else if have < want {
		perm |= block.PermResize
	}
	if c.base, err = j.AddNode(c.Base, "base", perm, read|unchanged); err != nil {
		return err
	}
	if err := c.filter.Freeze(c.Base); err != nil {
		return err
	}
	c.frozen = true
	return nil
}

// Run implements job.Body.
func (c *commit) Run(j *job.Job) error {
	ctx := context.Background()
	length, err := c.Top.Length(ctx)
	if err != nil {
		return err
	}
	j.SetRemaining(length)
	if have, err := c.base.Length(ctx); err != nil {
		return err
	} else if have < length {
		if err := c.base.Truncate(ctx, length, false, block.PreallocOff, false); err != nil {
			return err
		}
	}
	c.transfer = blockcopy.NewTransfer(c.filter.Filtered(), c.base, chunk)
	for off := int64(0); off < length && !j.Cancelled(); {
		j.PausePoint()
		n, copied, read, err := c.step(ctx, off, length)
		if err != nil {
			switch j.Failed(c.OnError, read, err) {
			case job.ActionReport:
				return err
			case job.ActionIgnore: // a range that is left out would be lost: it is tried again
				j.Sleep(job.RetryDelay)
				continue
			case job.ActionStop:
				continue
			}
		}
		off += n
		j.Progress(n)
		if copied {
			j.Rest(j.Charge(n))
		}
	}
	return nil
}

// step deals with the bytes from off on that are alike; n is their number. read tells which side an error is about.
func (c *commit) step(ctx context.Context, off, length int64) (n int64, copied, read bool, err error) {
	lowest, include := c.lowest, true
	if lowest == nil { // there are but filters
		lowest, include = c.Base, false
	}
	s, _, err := c.Top.StatusAbove(ctx, lowest, include, true, off, min(chunk, length-off))
	switch {
	case err != nil:
		return 0, false, true, err
	case s.N == 0:
		return length - off, false, true, nil
	case s.Flags&block.StatusAllocated == 0:
		return s.N, false, true, nil
	case s.Flags&block.StatusZero != 0:
		return s.N, true, false, c.base.WriteZeroes(ctx, off, s.N, block.MayUnmap)
	}
	if read, err = c.transfer.Copy(ctx, off, s.N); err == nil {
		c.behind.Wrote(c.Base, s.N)
	}
	return s.N, err == nil, read, err
}

// Prepare implements job.Preparer: the image above the top now has the base as its backing file.
func (c *commit) Prepare(j *job.Job) error {
	c.thaw()
	if err := c.base.Flush(context.Background()); err != nil {
		return err
	}
	j.RemoveNodes()
	g := j.Graph()
	if err := g.DropIntermediate(context.Background(), c.filter, c.Base, c.BackingFile); err != nil {
		return err
	}
	g.Ref(c.Base)
	g.Unref(c.filter)
	c.filter = nil
	if c.baseWasRO {
		if err := g.SetReadOnly(context.Background(), c.Base, true); err != nil {
			g.Messagef("%s", err)
		}
	}
	g.Unref(c.Base)
	return nil
}

// Abort implements job.Aborter.
func (c *commit) Abort(j *job.Job) {
	c.thaw()
	g := j.Graph()
	g.Ref(c.Base)
	defer g.Unref(c.Base)
	j.RemoveNodes()
	c.restore(context.Background(), g)
}

func (c *commit) thaw() {
	if c.frozen {
		c.filter.Unfreeze(c.Base)
		c.frozen = false
	}
}

// restore removes the filter and makes the base what it was.
func (c *commit) restore(ctx context.Context, g *block.Graph) {
	if c.filter != nil {
		if err := g.DropFilter(c.filter); err != nil {
			g.Messagef("%s", err)
		}
		g.Unref(c.filter)
		c.filter = nil
	}
	if c.baseWasRO {
		if err := g.SetReadOnly(ctx, c.Base, true); err != nil {
			g.Messagef("%s", err)
		}
	}
}
