package blockcmd

import (
	"context"

	"goemu/block"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// nodeOptions turns options as they came into those of a node.
func nodeOptions(o *qapi.Object) *block.Options { return block.OptionsFromJSON(o.Map()) }

// BlockdevAdd implements qapi.BlockCoreCommands.
func (s *Service) BlockdevAdd(ctx context.Context, a *qapi.Object) error {
	return s.locked(func() error {
		o := nodeOptions(a)
		if a.Text("node-name") == "" {
			return block.Errorf(unix.EINVAL, "'node-name' must be specified for the root node")
		}
		_, err := s.Drives.AddNode(ctx, o)
		return err
	})
}

// BlockdevDel implements qapi.BlockCoreCommands.
func (s *Service) BlockdevDel(_ context.Context, a *qapi.BlockdevDelArg) error {
	return s.locked(func() error { return s.deleteNode(a.NodeName) })
}

// deleteNode closes a node of the user's.
// Preconditions: the graph lock is held.
func (s *Service) deleteNode(name string) error {
	n := s.Graph.Find(name)
	if n == nil {
		return block.Errorf(unix.ENOENT, "Failed to find node with node-name='%s'", name)
	}
	if n.HasBackend() {
		return block.Errorf(unix.EBUSY, "Node %s is in use", name)
	}
	if err := n.Blocked(block.OpDriveDel); err != nil {
		return err
	}
	if !s.Drives.OwnsNode(n) {
		return block.Errorf(unix.EINVAL, "Node %s is not owned by the monitor", n.Name())
	}
	if n.Refs() > 1 {
		return block.Errorf(unix.EBUSY, "Block device %s is in use", n.DeviceOrNodeName())
	}
	s.Drives.DeleteNode(n)
	return nil
}

// BlockdevReopen implements qapi.BlockCoreCommands.
func (s *Service) BlockdevReopen(ctx context.Context, a *qapi.BlockdevReopenArg) error {
	return s.locked(func() error {
		var list []block.ReopenRequest
		for _, o := range a.Options {
			v, ok := o.Get("node-name")
			if !ok {
				return block.Errorf(unix.EINVAL, "node-name not specified")
			}
			name, _ := v.(string)
			n := s.Graph.Find(name)
			if n == nil {
				return block.Errorf(unix.ENOENT, "Failed to find node with node-name='%s'", name)
			}
			list = append(list, block.ReopenRequest{Node: n, Options: nodeOptions(o)})
		}
		return s.Graph.Reopen(ctx, list...)
	})
}

// XBlockdevChange implements qapi.BlockCoreCommands.
func (s *Service) XBlockdevChange(_ context.Context, a *qapi.XBlockdevChangeArg) error {
	return s.locked(func() error {
		up, err := s.lookup(a.Parent)
		switch {
		case err != nil:
			return err
		case a.Child != nil && a.Node != nil:
			return block.Errorf(unix.EINVAL, "The parameters child and node are in conflict")
		case a.Child != nil:
			c := up.Child(*a.Child)
			if c == nil {
				return block.Errorf(unix.ENOENT, "Node '%s' does not have child '%s'", a.Parent, *a.Child)
			}
			return s.Graph.RemoveChild(c)
		case a.Node == nil:
			return block.Errorf(unix.EINVAL, "Either child or node must be specified")
		}
		n := s.Graph.Find(*a.Node)
		if n == nil {
			return block.Errorf(unix.ENOENT, "Node '%s' not found", *a.Node)
		}
		return s.Graph.AddChild(up, n)
	})
}

// XBlockdevSetIothread implements qapi.BlockCoreCommands.
func (s *Service) XBlockdevSetIothread(_ context.Context, a *qapi.XBlockdevSetIothreadArg) error {
	return s.locked(func() error {
		n := s.Graph.Find(a.NodeName)
		if n == nil {
			return block.Errorf(unix.ENOENT, "Failed to find node with node-name='%s'", a.NodeName)
		}
		if n.HasBackend() && !deref(a.Force, false) {
			return block.Errorf(unix.EBUSY, "Node %s is associated with a BlockBackend and could be in use (use force=true to override this check)", a.NodeName)
		}
		if t := a.Iothread.S; t != nil && (s.IOThread == nil || !s.IOThread(*t)) {
			return block.Errorf(unix.ENOENT, "Cannot find iothread %s", *t)
		}
		return n.SetIOContext(deref(a.Iothread.S, ""))
	})
}

// BlockResize implements qapi.BlockCoreCommands.
func (s *Service) BlockResize(ctx context.Context, a *qapi.BlockResizeArg) error {
	return s.locked(func() error {
		n, err := s.Graph.Lookup(deref(a.Device, ""), deref(a.NodeName, ""))
		switch {
		case err != nil:
			return err
		case a.Size < 0:
			return block.Errorf(unix.EINVAL, "Parameter 'size' expects a >0 size")
		case n.Blocked(block.OpResize) != nil:
			return block.Errorf(unix.EBUSY, "Device '%s' is in use", deref(a.Device, "(null)"))
		}
		b := s.Graph.NewBackend("", "", block.PermResize, block.PermAll)
		defer b.Delete()
		if err := b.Insert(n); err != nil {
			return err
		}
		n.DrainBegin()
		defer n.DrainEnd()
		return b.Root().Truncate(ctx, a.Size, false, block.PreallocOff, false)
	})
}

// ChangeBackingFile implements qapi.BlockCoreCommands.
func (s *Service) ChangeBackingFile(ctx context.Context, a *qapi.ChangeBackingFileArg) error {
	return s.locked(func() (err error) {
		n, err := s.rootNode(a.Device)
		if err != nil {
			return err
		}
		image, err := s.Graph.Lookup("", a.ImageNodeName)
		if err != nil {
			return err
		}
		if below(image) == nil {
			return block.Errorf(unix.EINVAL, "not allowing backing file change on an image without a backing file")
		}
		if err := n.Blocked(block.OpChange); err != nil {
			return err
		}
		if !n.ChainContains(image) {
			return block.Errorf(unix.EINVAL, "'%s' and image file are not in the same chain", a.Device)
		}
		if image.ReadOnly() {
			if err := s.Graph.SetReadOnly(ctx, image, false); err != nil {
				return err
			}
			defer func() {
				if e := s.Graph.SetReadOnly(ctx, image, true); err == nil {
					err = e
				}
			}()
		}
		if err := image.ChangeBackingFile(ctx, a.BackingFile, image.DriverName()); err != nil {
			return block.Errnof(block.Errno(err), "Could not change backing file to '%s'", a.BackingFile)
		}
		return nil
	})
}
