package blockcmd

import (
	"context"

	"goemu/block"
	"goemu/block/img"
	"goemu/block/job"
	"goemu/block/job/commit"
	"goemu/block/job/mirror"
	"goemu/block/job/stream"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// BlockCommit implements qapi.BlockCoreCommands.
func (s *Service) BlockCommit(_ context.Context, a *qapi.BlockCommitArg) error {
	return s.locked(func() error {
		n, err := s.rootNode(a.Device)
		if err != nil {
			if _, e := s.lookup(a.Device); e != nil { // libvirt finds out by the class what the command can do
				return notFound(a.Device)
			}
			return err
		}
		if err := n.Blocked(block.OpCommitSource); err != nil {
			return err
		}
		s.Graph.DrainAll() // whatever limits of speed hold requests back below the image
		top, err := s.commitTop(n, a)
		if err != nil {
			return err
		}
		base, err := s.commitBase(top, a)
		if err != nil {
			return err
		}
		for x, end := top, below(base); x != nil && x != end; x = below(x) {
			if err := x.Blocked(block.OpCommitTarget); err != nil {
				return err
			}
		}
		if top == base {
			return block.Errorf(unix.EINVAL, "cannot commit an image into itself")
		}
		return s.startCommit(n, top, base, a)
	})
}

// commitTop finds the uppermost node whose content moves.
func (s *Service) commitTop(n *block.Node, a *qapi.BlockCommitArg) (*block.Node, error) {
	switch {
	case a.TopNode != nil && a.Top != nil:
		return nil, block.Errorf(unix.EINVAL, "'top-node' and 'top' are mutually exclusive")
	case a.TopNode != nil:
		top, err := s.Graph.Lookup("", *a.TopNode)
		if err == nil && !n.ChainContains(top) {
			err = block.Errorf(unix.EINVAL, "'%s' is not in this backing file chain", *a.TopNode)
		}
		return top, err
	case a.Top != nil && n.Filename() != *a.Top:
		if top := img.FindBacking(n, *a.Top); top != nil {
			return top, nil
		}
		return nil, block.Errorf(unix.ENOENT, "Top image file %s not found", *a.Top)
	}
	return n, nil
}

// commitBase finds the node where the content goes.
func (s *Service) commitBase(top *block.Node, a *qapi.BlockCommitArg) (*block.Node, error) {
	switch {
	case a.BaseNode != nil && a.Base != nil:
		return nil, block.Errorf(unix.EINVAL, "'base-node' and 'base' are mutually exclusive")
	case a.BaseNode != nil:
		base, err := s.Graph.Lookup("", *a.BaseNode)
		if err == nil && !top.ChainContains(base) {
			err = block.Errorf(unix.EINVAL, "'%s' is not in this backing file chain", *a.BaseNode)
		}
		return base, err
	case a.Base != nil:
		if base := img.FindBacking(top, *a.Base); base != nil {
			return base, nil
		}
		return nil, block.Errorf(unix.ENOENT, "Can't find '%s' in the backing chain", *a.Base)
	}
	base := top
	for x := cowBelow(top); x != nil; x = cowBelow(x) {
		base = x
	}
	if base = base.SkipFilters(); base == nil {
		return nil, block.Errorf(unix.EINVAL, "There is no backimg image")
	}
	return base, nil
}

// startCommit starts the job that fits: one that follows the guest's writes if somebody may write to the top.
func (s *Service) startCommit(n, top, base *block.Node, a *qapi.BlockCommitArg) (err error) {
	ctx, fl := background(), flags(a.AutoFinalize, a.AutoDismiss)
	speed, filter := deref(a.Speed, 0), deref(a.FilterNodeName, "")
	active := top.SkipFilters() == n.SkipFilters()
	var j *job.Job
	if perm, _ := top.Cumulative(); active || perm&block.PermWrite != 0 {
		switch {
		case a.BackingFile != nil && active:
			return block.Errorf(unix.EINVAL, "'backing-file' specified, but 'top' is the active layer")
		case a.BackingFile != nil:
			return block.Errorf(unix.EINVAL, "'backing-file' specified, but 'top' has a writer on it")
		}
		id := deref(a.JobId, n.DeviceName())
		j, err = mirror.NewCommit(ctx, s.Jobs, mirror.Options{ID: id, Source: top, Target: base, Speed: speed, OnSourceError: policy(a.OnError),
			OnTargetError: policy(a.OnError), FilterName: filter, Flags: fl})
	} else {
		if o := n.OverlayOf(top); o != nil {
			if err := o.Blocked(block.OpCommitTarget); err != nil {
				return err
			}
		}
		j, err = commit.New(ctx, s.Jobs, commit.Options{ID: deref(a.JobId, ""), Active: n, Top: top, Base: base, BackingFile: deref(a.BackingFile, ""), Speed: speed,
			OnError: policy(a.OnError), FilterName: filter, Flags: fl})
	}
	if err == nil {
		j.Start()
	}
	return err
}

// BlockStream implements qapi.BlockCoreCommands.
func (s *Service) BlockStream(_ context.Context, a *qapi.BlockStreamArg) error {
	return s.locked(func() error {
		for _, x := range []struct {
			both bool
			a, b string
		}{{a.Base != nil && a.BaseNode != nil, "base", "base-node"}, {a.Base != nil && a.Bottom != nil, "base", "bottom"}, {a.Bottom != nil && a.BaseNode != nil, "bottom", "base-node"}} {
			if x.both {
				return block.Errorf(unix.EINVAL, "'%s' and '%s' cannot be specified at the same time", x.a, x.b)
			}
		}
		n, err := s.lookup(a.Device)
		if err != nil {
			return err
		}
		o := stream.Options{ID: deref(a.JobId, ""), Node: n, BackingFile: deref(a.BackingFile, ""), Speed: deref(a.Speed, 0), OnError: policy(a.OnError),
			FilterName: deref(a.FilterNodeName, ""), Flags: flags(a.AutoFinalize, a.AutoDismiss)}
		if err := s.streamEnd(&o, a); err != nil {
			return err
		}
		end := o.Base
		if o.Bottom != nil {
			end = below(o.Bottom)
		}
		for x := n; x != nil && x != end; x = below(x) {
			if err := x.Blocked(block.OpStream); err != nil {
				return err
			}
		}
		if o.Base == nil && a.BackingFile != nil {
			return block.Errorf(unix.EINVAL, "backing file specified, but streaming the entire chain")
		}
		j, err := stream.New(background(), s.Jobs, o)
		if err == nil {
			j.Start()
		}
		return err
	})
}

// streamEnd finds where the copied part of the chain ends.
func (s *Service) streamEnd(o *stream.Options, a *qapi.BlockStreamArg) (err error) {
	n := o.Node
	switch {
	case a.Base != nil:
		if o.Base = img.FindBacking(n, *a.Base); o.Base == nil {
			return block.Errorf(unix.ENOENT, "Can't find '%s' in the backing chain", *a.Base)
		}
	case a.BaseNode != nil:
		if o.Base, err = s.Graph.Lookup("", *a.BaseNode); err != nil {
			return err
		}
		if n == o.Base || !n.ChainContains(o.Base) {
			return block.Errorf(unix.EINVAL, "Node '%s' is not a backing image of '%s'", *a.BaseNode, a.Device)
		}
		o.Base.RefreshFilename()
	case a.Bottom != nil:
		if o.Bottom, err = s.Graph.Lookup("", *a.Bottom); err != nil {
			return err
		}
		if o.Bottom.Driver().Filter {
			return block.Errorf(unix.EINVAL, "Node '%s' is a filter, use a non-filter node as 'bottom'", *a.Bottom)
		}
		if !n.ChainContains(o.Bottom) {
			return block.Errorf(unix.EINVAL, "Node '%s' is not in a chain starting from '%s'", *a.Bottom, a.Device)
		}
	}
	return nil
}
