// Package stream is the job that copies what an image takes from its backing chain into the image, so that the chain, or a part of it, is
// not needed any more.
package stream

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/job"
)

// chunk is the most that is copied at once.
const chunk = 512 << 10

// Options describe the job.
type Options struct {
	ID          string // empty: the name of the device on Node
	Node        *block.Node
	Base        *block.Node // stays; nil: nothing of the chain is needed afterwards
	BackingFile string      // name of the base in the image; empty: that of Base
	Speed       int64
	OnError     job.Policy
	Flags       job.Flags
	Txn         *job.Txn
}

type stream struct {
	Options
	top      *block.Child
	readOnly bool // the image was, before the job
	frozen   bool
}

// New makes the job. The caller starts it.
// Preconditions: the graph lock is held.
func New(ctx context.Context, l *job.List, o Options) (*job.Job, error) {
	g := o.Node.Graph()
	s := &stream{Options: o, readOnly: o.Node.ReadOnly()}
	if err := o.Node.Frozen(o.Base); err != nil {
		return nil, err
	}
	if s.readOnly {
		if err := g.SetReadOnly(ctx, o.Node, false); err != nil {
			return nil, err
		}
	}
	j, err := s.attach(l)
	if err != nil {
		if s.readOnly {
			_ = g.SetReadOnly(ctx, o.Node, true)
		}
		return nil, err
	}
	return j, nil
}

// attach makes the job and lets it hold its nodes.
func (s *stream) attach(l *job.List) (*job.Job, error) {
	const kept = block.PermConsistentRead | block.PermWriteUnchanged
	j, err := l.NewOn(s.Node, job.Spec{ID: s.ID, Type: "stream", Flags: s.Flags, Speed: s.Speed, Txn: s.Txn}, s, 0, block.PermAll)
	if err != nil {
		return nil, err
	}
	if s.top, err = j.AddNode(s.Node, "active node", kept, kept|block.PermWrite); err != nil {
		j.Drop()
		return nil, err
	}
	for n := below(s.Node); n != nil && n != s.Base; n = below(n) {
		if _, err := j.AddNode(n, "intermediate node", 0, kept); err != nil {
			j.Drop()
			return nil, err
		}
	}
	if err := s.Node.Freeze(s.Base); err != nil {
		j.Drop()
		return nil, err
	}
	s.frozen = true
	return j, nil
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
	if s.Node.SkipFilters().COWChild() == nil {
		return nil
	}
	length, err := s.Node.Length(ctx)
	if err != nil {
		return err
	}
	j.SetRemaining(length)
	s.Node.EnableCopyOnRead()
	defer s.Node.DisableCopyOnRead()
	var first error
	scratch := make([]byte, chunk)
	for off := int64(0); off < length && !j.Cancelled(); {
		j.PausePoint()
		n, copied, err := s.step(ctx, off, length, scratch)
		if err != nil {
			switch j.Failed(s.OnError, true, err) {
			case job.ActionStop:
				continue
			case job.ActionReport:
				return err
			}
			if first == nil {
				first = err
			}
			n = max(n, 1)
		}
		off += n
		j.Progress(n)
		if copied {
			j.Sleep(j.Charge(n))
		}
	}
	return first
}

// step deals with the bytes from off on that are alike; n is their number.
func (s *stream) step(ctx context.Context, off, length int64, scratch []byte) (n int64, copied bool, err error) {
	depth, n, err := s.Node.AllocatedAbove(ctx, s.Base, false, off, min(chunk, length-off))
	switch {
	case err != nil:
		return min(chunk, length-off), false, err
	case n == 0:
		return length - off, false, nil
	case depth < 2:
		return n, false, nil
	}
	return n, true, s.top.ReadV(ctx, off, [][]byte{scratch[:n]}, block.CopyOnRead|block.Prefetch)
}

// Prepare implements job.Preparer: the image no longer refers to what was copied.
func (s *stream) Prepare(j *job.Job) error {
	ctx, g := context.Background(), j.Graph()
	s.thaw()
	n := s.Node.SkipFilters()
	if n.COWChild() == nil {
		return nil
	}
	var name, format string
	if s.Base != nil {
		base := s.Base.SkipFilters()
		if name = s.BackingFile; name == "" {
			name = base.Filename()
		}
		format = base.Driver().Name
	}
	if err := g.SetBacking(n, s.Base); err != nil {
		return err
	}
	if err := n.ChangeBackingFile(ctx, name, format); err != nil {
		return block.Errnof(block.Errno(err), "Could not change the backing file of '%s'", n.Filename())
	}
	return nil
}

func (s *stream) thaw() {
	if s.frozen {
		s.Node.Unfreeze(s.Base)
		s.frozen = false
	}
}

// Clean implements job.Cleaner.
func (s *stream) Clean(j *job.Job) {
	s.thaw()
	j.RemoveNodes()
	if s.readOnly {
		if err := j.Graph().SetReadOnly(context.Background(), s.Node, true); err != nil && block.Errno(err) != unix.ENOENT {
			j.Graph().Messagef("%s", err)
		}
	}
}
