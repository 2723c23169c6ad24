package blockcmd

import (
	"context"
	"fmt"
	"time"

	"goemu/block"
	"goemu/block/img"
	"goemu/internal/clock"
	"goemu/internal/tool"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// overlay is what goes over a node: one that is open, or a file.
type overlay struct {
	device, node string
	ref          string
	sync         *qapi.BlockdevSnapshotSync
}

// BlockdevSnapshot implements qapi.BlockCoreCommands.
func (s *Service) BlockdevSnapshot(ctx context.Context, a *qapi.BlockdevSnapshot) error {
	return s.single(ctx, &qapi.TransactionAction{Type: qapi.TransactionActionKindBlockdevSnapshot, BlockdevSnapshot: &qapi.BlockdevSnapshotWrapper{Data: a}})
}

// BlockdevSnapshotSync implements qapi.BlockCoreCommands.
func (s *Service) BlockdevSnapshotSync(ctx context.Context, a *qapi.BlockdevSnapshotSync) error {
	return s.single(ctx, &qapi.TransactionAction{Type: qapi.TransactionActionKindBlockdevSnapshotSync, BlockdevSnapshotSync: &qapi.BlockdevSnapshotSyncWrapper{Data: a}})
}

// externalSnapshot prepares an overlay.
func (p *preparation) externalSnapshot(st *step, o *overlay) error {
	g := p.s.Graph
	old, err := g.Lookup(o.device, o.node)
	if err != nil {
		return err
	}
	old.DrainBegin()
	st.clean = old.DrainEnd
	if err := old.Blocked(block.OpExternalSnapshot); err != nil {
		return err
	}
	if !old.ReadOnly() {
		if err := old.Flush(p.ctx); err != nil {
			return block.Errorf(unix.EIO, "An IO error has occurred")
		}
	}
	n, err := p.openOverlay(old, o)
	if err != nil {
		return err
	}
	st.clean = func() {
		old.DrainEnd()
		g.Unref(n)
	}
	perm, _ := n.Cumulative()
	switch {
	case perm&block.PermConsistentRead != 0:
		return block.Errorf(unix.EBUSY, "The overlay is already in use")
	case n.Driver().Filter:
		return block.Errorf(unix.EINVAL, "Filters cannot be used as overlays")
	case n.COWChild() != nil:
		return block.Errorf(unix.EINVAL, "The overlay already has a backing image")
	case !n.Driver().SupportsBacking:
		return block.Errorf(unix.EINVAL, "The overlay does not support backing images")
	}
	if err := g.Append(n, old); err != nil {
		return err
	}
	g.Ref(old) // until it is sure whether it stays the top
	st.commit = func() {
		if !old.CopiesOnRead() {
			_ = g.SetReadOnly(p.ctx, old, true)
		}
		g.Unref(old)
	}
	st.abort = func() {
		if err := g.SetBacking(n, nil); err == nil {
			_ = g.ReplaceNode(n, old)
		}
		g.Unref(old)
	}
	return nil
}

// openOverlay finds or makes the node that goes over another one. The caller owns a reference.
func (p *preparation) openOverlay(old *block.Node, o *overlay) (*block.Node, error) {
	g := p.s.Graph
	if o.sync == nil {
		return g.OpenReference(p.ctx, block.OptionsOf("", o.ref))
	}
	a := o.sync
	if a.NodeName != nil && a.SnapshotNodeName == nil {
		return nil, block.Errorf(unix.EINVAL, "New overlay node-name missing")
	}
	name := deref(a.SnapshotNodeName, "")
	if name != "" {
		if _, err := p.s.lookup(name); err == nil {
			return nil, block.Errorf(unix.EEXIST, "New overlay node-name already in use")
		}
	}
	format := deref(a.Format, "qcow2")
	m := old.Mode()
	m.CopyOnRead, m.NoBacking = false, true
	if deref(a.Mode, qapi.NewImageModeAbsolutePaths) != qapi.NewImageModeExisting {
		if err := p.s.createImage(p.ctx, a.SnapshotFile, format, old, old); err != nil {
			return nil, err
		}
	}
	opts := block.OptionsOf("driver", format)
	if name != "" {
		opts.Set("node-name", name)
	}
	return g.Open(p.ctx, a.SnapshotFile, opts, m)
}

// createImage makes an image of the size of a node, with another node as its backing file unless that is nil.
// Preconditions: the graph lock is held.
func (s *Service) createImage(ctx context.Context, filename, format string, like, backing *block.Node) error {
	size, err := like.Length(ctx)
	if err != nil {
		return block.Errnof(block.Errno(err), "bdrv_getlength failed")
	}
	r := tool.NewImage{Filename: filename, Format: format, Size: size, NoBacking: like.Mode().NoBacking}
	if s.Out != nil {
		r.Tell = func(line string) {
			if s.Settle != nil {
				s.Settle()
			}
			fmt.Fprint(s.Out, line)
		}
	}
	if backing != nil {
		backing.RefreshFilename()
		r.Base, r.BaseFormat = some(backing.Filename()), some(backing.DriverName())
		r.NoBacking = true
	}
	return r.Create(ctx, s.Graph)
}

// BlockdevSnapshotInternalSync implements qapi.BlockCoreCommands.
func (s *Service) BlockdevSnapshotInternalSync(ctx context.Context, a *qapi.BlockdevSnapshotInternal) error {
	return s.single(ctx, &qapi.TransactionAction{Type: qapi.TransactionActionKindBlockdevSnapshotInternalSync,
		BlockdevSnapshotInternalSync: &qapi.BlockdevSnapshotInternalWrapper{Data: a}})
}

// internalSnapshot takes a snapshot inside an image.
func (p *preparation) internalSnapshot(st *step, a *qapi.BlockdevSnapshotInternal) error {
	n, err := p.s.rootNode(a.Device)
	if err != nil {
		return err
	}
	n.DrainBegin()
	st.clean = n.DrainEnd
	if err := n.Blocked(block.OpInternalSnapshot); err != nil {
		return err
	}
	if n.ReadOnly() {
		return block.Errorf(unix.EACCES, "Device '%s' is read only", a.Device)
	}
	sn, err := img.Snapshotter(n)
	if err != nil {
		return block.Errorf(unix.ENOTSUP, "Block format '%s' used by device '%s' does not support internal snapshots", n.DriverName(), a.Device)
	}
	if a.Name == "" {
		return block.Errorf(unix.EINVAL, "Name is empty")
	}
	list, err := sn.Snapshots()
	if err != nil {
		return block.Errnof(block.Errno(err), "Failed to get a snapshot list")
	}
	for _, x := range list {
		if x.Name == a.Name {
			return block.Errorf(unix.EEXIST, "Snapshot with name '%s' already exists on device '%s'", a.Name, a.Device)
		}
	}
	x := block.Snapshot{Name: a.Name, Date: time.Now().Truncate(time.Microsecond), VMClock: uint64(clock.Virtual.Now()), ICount: -1}
	if err := sn.SnapshotCreate(p.ctx, &x); err != nil {
		return block.Errnof(block.Errno(err), "Failed to create snapshot '%s' on device '%s'", a.Name, a.Device)
	}
	st.abort = func() {
		if err := sn.SnapshotDelete(p.ctx, x.ID, x.Name); err != nil && p.s.Report != nil {
			p.s.Report(fmt.Sprintf("Failed to delete snapshot with id '%s' and name '%s' on device '%s' in abort: %v", x.ID, x.Name, n.DeviceName(), err))
		}
	}
	return nil
}

// BlockdevSnapshotDeleteInternalSync implements qapi.BlockCoreCommands.
func (s *Service) BlockdevSnapshotDeleteInternalSync(ctx context.Context, a *qapi.BlockdevSnapshotDeleteInternalSyncArg) (*qapi.SnapshotInfo, error) {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	n, err := s.rootNode(a.Device)
	switch {
	case err != nil:
		return nil, err
	case a.Id == nil && a.Name == nil:
		return nil, block.Errorf(unix.EINVAL, "Name or id must be provided")
	}
	if err := n.Blocked(block.OpInternalSnapshotDelete); err != nil {
		return nil, err
	}
	missing := block.Errorf(unix.ENOENT, "Snapshot with id '%s' and name '%s' does not exist on device '%s'", deref(a.Id, "(null)"), deref(a.Name, "(null)"), a.Device)
	sn, err := img.Snapshotter(n)
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Failed to get a snapshot list")
	}
	list, err := sn.Snapshots()
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Failed to get a snapshot list")
	}
	for _, x := range list {
		if (a.Id == nil || x.ID == *a.Id) && (a.Name == nil || x.Name == *a.Name) {
			n.DrainBegin()
			defer n.DrainEnd()
			if err := sn.SnapshotDelete(ctx, deref(a.Id, ""), deref(a.Name, "")); err != nil {
				return nil, err
			}
			return snapshotInfo(&x), nil
		}
	}
	return nil, missing
}
