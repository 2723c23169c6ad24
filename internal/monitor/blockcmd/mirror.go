package blockcmd

import (
	"context"

	"goemu/block"
	"goemu/block/job/mirror"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

var mirrorSyncs = map[qapi.MirrorSyncMode]mirror.Sync{
	qapi.MirrorSyncModeFull: mirror.Full, qapi.MirrorSyncModeTop: mirror.Top, qapi.MirrorSyncModeNone: mirror.None,
}

// DriveMirror implements qapi.BlockCoreCommands.
func (s *Service) DriveMirror(ctx context.Context, a *qapi.DriveMirror) error {
	return s.locked(func() error {
		g := s.Graph
		n, err := s.rootNode(a.Device)
		if err != nil {
			return err
		}
		if err := n.Blocked(block.OpMirrorSource); err != nil {
			return err
		}
		existing := deref(a.Mode, qapi.NewImageModeAbsolutePaths) == qapi.NewImageModeExisting
		format := deref(a.Format, "")
		if format == "" && !existing {
			format = n.DriverName()
		}
		m := n.Mode()
		m.ReadOnly, m.CopyOnRead, m.NoBacking = false, false, true
		backing, sync := cowBelow(n), a.Sync
		if backing == nil && sync == qapi.MirrorSyncModeTop {
			sync = qapi.MirrorSyncModeFull
		}
		if sync == qapi.MirrorSyncModeNone {
			backing = n
		}
		if a.Replaces != nil && a.NodeName == nil {
			return block.Errorf(unix.EINVAL, "a node-name must be provided when replacing a named node of the graph")
		}
		if !existing {
			if sync == qapi.MirrorSyncModeFull {
				backing = nil
			}
			if err := s.createImage(ctx, a.Target, format, n, backing.SkipImplicit()); err != nil {
				return err
			}
		}
		o := block.NewOptions()
		if a.NodeName != nil {
			o.Set("node-name", *a.NodeName)
		}
		if format != "" {
			o.Set("driver", format)
		}
		target, err := g.Open(ctx, a.Target, o, m)
		if err != nil {
			return err
		}
		defer g.Unref(target)
		mo := mirror.Options{
			ID: deref(a.JobId, ""), Source: n, Target: target, Speed: deref(a.Speed, 0), Buffer: deref(a.BufSize, 0),
			Granularity: int64(deref(a.Granularity, 0)),
			Backing:     mirror.BackingOfSource, ZeroTarget: sync == qapi.MirrorSyncModeFull && (existing || !target.HasZeroInit(ctx)), Unmap: deref(a.Unmap, true),
			OnSourceError: policy(a.OnSourceError), OnTargetError: policy(a.OnTargetError),
			Blocking: deref(a.CopyMode, "") == qapi.MirrorCopyModeWriteBlocking, Flags: flags(a.AutoFinalize, a.AutoDismiss),
		}
		if existing {
			mo.Backing = mirror.BackingOpen
		}
		return s.startMirror(mo, sync, a.Replaces)
	})
}

// BlockdevMirror implements qapi.BlockCoreCommands.
func (s *Service) BlockdevMirror(_ context.Context, a *qapi.BlockdevMirrorArg) error {
	return s.locked(func() error {
		n, err := s.rootNode(a.Device)
		if err != nil {
			return err
		}
		target, err := s.lookup(a.Target)
		if err != nil {
			return err
		}
		return s.startMirror(mirror.Options{
			ID: deref(a.JobId, ""), Source: n, Target: target, Speed: deref(a.Speed, 0), Buffer: deref(a.BufSize, 0),
			Granularity: int64(deref(a.Granularity, 0)),
			Backing:     mirror.BackingLeave, ZeroTarget: a.Sync == qapi.MirrorSyncModeFull, Unmap: true,
			OnSourceError: policy(a.OnSourceError), OnTargetError: policy(a.OnTargetError), FilterName: deref(a.FilterNodeName, ""),
			Blocking: deref(a.CopyMode, "") == qapi.MirrorCopyModeWriteBlocking, Flags: flags(a.AutoFinalize, a.AutoDismiss),
		}, a.Sync, a.Replaces)
	})
}

// The limits of the granularity of a mirror.
const maxGranularity = 64 << 20

// startMirror checks what both commands have and starts the job.
// Preconditions: the graph lock is held.
func (s *Service) startMirror(o mirror.Options, sync qapi.MirrorSyncMode, replaces *string) error {
	ctx, n := background(), o.Source
	switch gr := o.Granularity; {
	case gr != 0 && (gr < minGranularity || gr > maxGranularity):
		return block.Errorf(unix.EINVAL, "Parameter 'granularity' expects a value in range [512B, 64MB]")
	case gr&(gr-1) != 0:
		return block.Errorf(unix.EINVAL, "Parameter 'granularity' expects a power of 2")
	}
	if err := n.Blocked(block.OpMirrorSource); err != nil {
		return err
	}
	if err := o.Target.Blocked(block.OpMirrorTarget); err != nil {
		return err
	}
	if cowBelow(n) == nil && sync == qapi.MirrorSyncModeTop {
		sync = qapi.MirrorSyncModeFull
	}
	if replaces == nil {
		if visible := n.SkipImplicit(); visible != n {
			replaces = some(visible.Name())
		}
	}
	if replaces != nil {
		size, err := n.Length(ctx)
		if err != nil {
			return block.Errnof(block.Errno(err), "Failed to query device's size")
		}
		r, err := s.replaceable(n, *replaces)
		if err != nil {
			return err
		}
		have, err := r.Length(ctx)
		if err != nil {
			return block.Errnof(block.Errno(err), "Failed to query the replacement node's size")
		}
		if have != size {
			return block.Errorf(unix.EINVAL, "cannot replace image with a mirror image of different size")
		}
		o.Replaces = *replaces
	}
	var known bool
	if o.Sync, known = mirrorSyncs[sync]; !known {
		return block.Errorf(unix.EINVAL, "Sync mode '%s' not supported", sync)
	}
	if o.Sync == mirror.Top {
		o.Base = cowBelow(n)
	}
	j, err := mirror.New(ctx, s.Jobs, o)
	if err == nil {
		j.Start()
	}
	return err
}

// replaceable finds the node whose place a mirror's target is to take.
func (s *Service) replaceable(n *block.Node, name string) (*block.Node, error) {
	r := s.Graph.Find(name)
	if r == nil {
		return nil, block.Errorf(unix.ENOENT, "Failed to find node with node-name='%s'", name)
	}
	if err := r.Blocked(block.OpReplace); err != nil {
		return nil, err
	}
	if !n.CanReplace(r) {
		return nil, block.Errorf(unix.EINVAL, "Cannot replace '%s' by a node mirrored from '%s', because it cannot be guaranteed that doing so would not lead to an abrupt change of visible data",
			name, n.Name())
	}
	return r, nil
}
