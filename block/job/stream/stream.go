// Package stream is the job that copies what an image takes from its backing chain into the image, so that the chain, or a part of it, is
// not needed any more.
package stream

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/driver/filter"
	"goemu/block/job"
)

// chunk is the most that is copied at once.
const chunk = 512 << 10

// Options describe the job.
type Options struct {
	ID          string // empty: the name of the device on Node
	Node        *block.Node
	Base        *block.Node // stays; nil: nothing of the chain is needed afterwards
	Bottom      *block.Node // in place of Base: the lowest image that is not needed afterwards
	BackingFile string      // name of the base in the image; empty: that of Base
	Speed       int64
	OnError     job.Policy
	FilterName  string
	Flags       job.Flags
	Txn         *job.Txn
}

type stream struct {
	Options
	lowest    *block.Node // image whose content is the last to be copied
	aboveBase *block.Node // node whose child is the base, be it a filter
	filter    *block.Node // copies what is read
	blk       *block.Backend
	readOnly  bool // the image was, before the job
}

const kept = block.PermConsistentRead | block.PermWriteUnchanged

// New makes the job. The caller starts it.
// Preconditions: the graph lock is held.
func New(ctx context.Context, l *job.List, o Options) (*job.Job, error) {
	g := o.Node.Graph()
	s := &stream{Options: o, readOnly: o.Node.ReadOnly()}
	if err := s.findEnd(); err != nil {
		return nil, err
	}
	if s.readOnly {
		if err := o.Node.Freeze(s.aboveBase); err != nil {
			return nil, err
		}
		err := g.SetReadOnly(ctx, o.Node, false)
		if o.Node.Unfreeze(s.aboveBase); err != nil {
			return nil, err
		}
	}
	j, err := s.attach(ctx, l)
	if err != nil && s.readOnly {
		_ = g.SetReadOnly(ctx, o.Node, true)
	}
	return j, err
}

// findEnd finds the end of what is copied.
func (s *stream) findEnd() error {
	if s.Bottom != nil {
		s.lowest, s.aboveBase = s.Bottom, s.Bottom
		return nil
	}
	base := s.Base
	for n := s.Node.SkipFilters(); ; {
		c := n.COWChild()
		if c == nil && base != nil {
			return block.Errorf(unix.EINVAL, "'%s' is not in the backing chain of '%s'", base.Name(), s.Node.Name())
		}
		s.lowest, s.aboveBase = n, n
		for x := n; c != nil && base != nil; { // only filters may be between an image and its backing file
			if c.Node() == base {
				s.aboveBase = x
				return nil
			}
			x = c.Node()
			c = x.Filtered()
		}
		if c = n.COWChild(); c == nil {
			return nil
		}
		n = c.Node().SkipFilters()
	}
}

// attach makes the job and lets it hold its nodes.
func (s *stream) attach(ctx context.Context, l *job.List) (j *job.Job, err error) {
	g := s.Node.Graph()
	if s.filter, err = filter.InsertCopyOnRead(ctx, g, s.FilterName, s.Node, s.lowest); err != nil {
		return nil, err
	}
	s.filter.SetImplicit(s.FilterName == "")
	defer func() {
		if err != nil {
			s.dropFilter(g)
		}
	}()
	j, err = l.NewOn(s.filter, job.Spec{ID: s.ID, Type: "stream", Flags: s.Flags, Speed: s.Speed, Txn: s.Txn}, s, 0, block.PermAll)
	if err != nil {
		return nil, err
	}
	made := j
	defer func() {
		if err != nil {
			made.Drop()
		}
	}()
	s.blk = g.NewBackend("", "", block.PermConsistentRead, kept|block.PermWrite)
	if err := s.blk.Insert(s.filter); err != nil {
		return nil, err
	}
	if _, err := j.AddNode(s.Node, "active node", 0, kept|block.PermWrite); err != nil {
		return nil, err
	}
	base := below(s.aboveBase)
	for n := below(s.Node); n != nil && n != base; n = below(n) {
		if _, err := j.AddNode(n, "intermediate node", 0, kept); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// dropFilter takes the filter out of the chain.
func (s *stream) dropFilter(g *block.Graph) {
	if s.blk != nil {
		s.blk.Delete()
		s.blk = nil
	}
	if s.filter == nil {
		return
	}
	if err := filter.DropCopyOnRead(g, s.filter); err != nil {
		g.Failure("%s", err)
	}
	s.filter = nil
}

// below is the next node of the chain.
func below(n *block.Node) *block.Node {
	if c := n.FilterOrCOW(); c != nil {
		return c.Node()
	}
	return nil
}

// Run implements job.Body.
func (s *stream) Run(j *job.Job) error {
	ctx := context.Background()
	if s.Node.SkipFilters() == s.lowest {
		return nil
	}
	length, err := s.Node.Length(ctx)
	if err != nil {
		return err
	}
	j.SetRemaining(length)
	var first error
	scratch := make([]byte, chunk)
	for off := int64(0); off < length && !j.Cancelled(); {
		j.PausePoint()
		if j.Cancelled() {
			break
		}
		n, copied, err := s.step(ctx, off, length, scratch)
		if err != nil {
			action := j.Failed(s.OnError, true, err)
			if action == job.ActionStop {
				continue
			}
			if first == nil {
				first = err
			}
			if action == job.ActionReport {
				break
			}
			n = max(n, 1)
		}
		off += n
		j.Progress(n)
		if copied {
			j.Rest(j.Charge(n))
		}
	}
	return first
}

// step deals with the bytes from off on that are alike; n is their number.
func (s *stream) step(ctx context.Context, off, length int64, scratch []byte) (n int64, copied bool, err error) {
	top := s.Node.SkipFilters()
	allocated, n, err := top.IsAllocated(ctx, off, min(chunk, length-off))
	switch {
	case err != nil:
		return min(chunk, length-off), false, err
	case allocated:
		return n, false, nil
	}
	c := top.COWChild()
	if c == nil {
		return length - off, false, nil
	}
	depth, m, err := c.Node().AllocatedAbove(ctx, s.lowest, true, off, n)
	switch {
	case err != nil:
		return n, false, err
	case m == 0:
		return length - off, false, nil
	case depth == 0:
		return m, false, nil
	}
	return m, true, s.blk.Root().ReadV(ctx, off, [][]byte{scratch[:m]}, block.Prefetch)
}

// Prepare implements job.Preparer: the image no longer refers to what was copied.
func (s *stream) Prepare(j *job.Job) error {
	ctx, g := context.Background(), j.Graph()
	s.dropFilter(g) // it keeps the chain as it is
	n := s.Node.SkipFilters()
	if n.COWChild() == nil {
		return nil
	}
	drained := s.aboveBase.DrainSubtreeBegin()
	defer block.DrainNodesEnd(drained)
	base := below(s.aboveBase)
	var name, format string
	if base != nil {
		g.Ref(base)
		defer g.Unref(base)
		image := base.SkipFilters()
		if name = s.BackingFile; name == "" {
			name = image.Filename()
		}
		format = image.DriverName()
	}
	failed := g.SetBacking(n, base)
	err := n.ChangeBackingFile(ctx, name, format)
	if failed != nil {
		g.Failure("%s", failed)
		return unix.EPERM
	}
	return err
}

// Clean implements job.Cleaner.
func (s *stream) Clean(j *job.Job) {
	s.dropFilter(j.Graph())
	j.RemoveNodes()
	if s.readOnly {
		if err := j.Graph().SetReadOnly(context.Background(), s.Node, true); err != nil && block.Errno(err) != unix.ENOENT {
			j.Graph().Failure("%s", err)
		}
	}
}
