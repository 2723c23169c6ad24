package block

import (
	"context"

	"golang.org/x/sys/unix"
)

// Truncate changes the node's length, for its own driver.
func (n *Node) Truncate(ctx context.Context, length int64, exact bool, p Prealloc, zero bool) error {
	return n.truncate(ctx, length, exact, p, zero)
}

// truncate changes the node's length.
func (n *Node) truncate(ctx context.Context, length int64, exact bool, p Prealloc, zero bool) error {
	if length < 0 {
		return Errorf(unix.EINVAL, "Image size cannot be negative")
	}
	if err := checkRange(length, 0); err != nil {
		return Errorf(unix.EIO, "offset(%d) exceeds maximum(%d)", length, int64(maxLength))
	}
	old, err := n.Length(ctx)
	if err != nil {
		return Errnof(Errno(err), "Failed to get old image size")
	}
	if n.mode.ReadOnly {
		return Errorf(unix.EACCES, "Image is read-only")
	}
	grown := max(length-old, 0)
	r := n.tracker.begin(reqTruncate, length-grown, grown)
	defer n.tracker.end(r)
	if grown > 0 { // preallocation must not overwrite what others write there
		n.tracker.serialise(r, 1)
	}
	n.tracker.waitFor(r)
	if err := n.canWrite(); err != nil {
		return Errnof(Errno(err), "Failed to prepare request for truncation")
	}
	// The new part must not show what a longer backing file has there.
	if cow := n.COWChild(); cow != nil && grown > 0 {
		size, err := cow.node.Length(ctx)
		if err != nil {
			return Errnof(Errno(err), "Could not get backing file size")
		}
		zero = zero || size > old
	}
	if err := n.driverTruncate(ctx, length, exact, p, zero); err != nil {
		return err
	}
	err = n.refreshLength(ctx)
	n.writeGen.Add(1)
	n.truncateBitmaps(n.length.Load()) // which do not count the new part as changed, as in QEMU
	n.resized()
	if err != nil {
		return Errnof(Errno(err), "Could not refresh total sector count")
	}
	return nil
}

func (n *Node) driverTruncate(ctx context.Context, length int64, exact bool, p Prealloc, zero bool) error {
	if t, ok := n.state.(Truncater); ok {
		err := t.Truncate(ctx, length, exact, p, zero)
		if e, bare := err.(unix.Errno); bare {
			return Errnof(e, "Could not resize image")
		}
		return err
	}
	if f := n.Filtered(); f != nil {
		return f.Truncate(ctx, length, exact, p, zero)
	}
	return Errorf(unix.ENOTSUP, "Image format driver does not support resize")
}

// resized tells the parents that the length changed.
func (n *Node) resized() {
	n.mu.Lock()
	parents := n.parents
	n.mu.Unlock()
	for _, c := range parents {
		if b, ok := c.parent.(*Backend); ok && b.OnResize != nil {
			b.OnResize()
		}
	}
}

// Length is the node's length in bytes: a multiple of 512.
func (n *Node) Length(ctx context.Context) (int64, error) {
	if n.limits.HasVariableLength {
		if err := n.refreshLength(ctx); err != nil {
			return 0, err
		}
	}
	return n.length.Load(), nil
}

// refreshLength asks the driver for the length.
func (n *Node) refreshLength(ctx context.Context) error {
	length := int64(0)
	var err error
	switch l, ok := n.state.(Lengther); {
	case ok:
		length, err = l.Length(ctx)
	case n.Filtered() != nil:
		length, err = n.Filtered().node.Length(ctx)
	case n.Primary() != nil:
		length, err = n.Primary().node.Length(ctx)
	case n.Child("file") != nil:
		length, err = n.Child("file").node.Length(ctx)
	}
	if err != nil {
		return err
	}
	if length < 0 || length > 1<<63-sectorSize {
		return unix.EFBIG
	}
	n.length.Store(alignUp(length, sectorSize))
	return nil
}

// refreshLimits asks the driver for its limits, after filling in what the children imply.
func (n *Node) refreshLimits() error {
	l := Limits{RequestAlign: 1, MaxIOV: 1024, MemAlign: sectorSize}
	for _, c := range n.children {
		if c.role&(RoleData|RoleFiltered|RoleCOW) != 0 {
			l.inherit(&c.node.limits)
		}
	}
	if r, ok := n.state.(Limiter); ok {
		if err := r.RefreshLimits(&l); err != nil {
			return err
		}
	}
	if l.RequestAlign < 1 || l.RequestAlign&(l.RequestAlign-1) != 0 {
		return Errorf(unix.EINVAL, "Driver '%s' asks for requests in multiples of %d bytes, which is no power of two", n.driver.Name, l.RequestAlign)
	}
	n.limits = l
	return nil
}

// inherit makes limits at least as strict as those of a child.
func (l *Limits) inherit(c *Limits) {
	l.OptTransfer = max(l.OptTransfer, c.OptTransfer)
	if c.MaxTransfer != 0 && (l.MaxTransfer == 0 || c.MaxTransfer < l.MaxTransfer) {
		l.MaxTransfer = c.MaxTransfer
	}
	l.MemAlign = max(l.MemAlign, c.MemAlign)
	if c.MaxIOV != 0 {
		l.MaxIOV = min(l.MaxIOV, c.MaxIOV)
	}
}

// RefreshLimits works the limits of the node out again after a child changed.
// Preconditions: the graph lock is held.
func (n *Node) RefreshLimits() error { return n.refreshLimits() }
