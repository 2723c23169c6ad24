package block

import (
	"context"
	"slices"

	"golang.org/x/sys/unix"
)

// Backend is what devices, exports, jobs and tools hold: the root of a chain, with the permissions that its user requested. Calls block
// the calling goroutine, may be made from many goroutines at once and are ordered only by the caller.
type Backend struct {
	graph *Graph
	name  string // of -drive; empty for others
	user  string // describes the user in messages
	root  *Child

	perm, shared Perm // requested
	writeThrough bool
}

// NewBackend makes a backend without medium. user describes it in messages when it has no name.
// Preconditions: the graph lock is held.
func (g *Graph) NewBackend(name, user string, perm, shared Perm) *Backend {
	b := &Backend{graph: g, name: name, user: user, perm: perm, shared: shared}
	g.backends = append(g.backends, b)
	return b
}

func (b *Backend) describe() string {
	switch {
	case b.name != "":
		return "block device '" + b.name + "'"
	case b.user != "":
		return "block device '" + b.user + "'"
	}
	return "an unnamed block device"
}

// Insert gives the backend a medium. The node gets one more reference.
// Preconditions: the graph lock is held.
func (b *Backend) Insert(n *Node) (err error) {
	n.refs++
	b.root, err = b.graph.attach(b, n, "root", RoleFiltered|RolePrimary, b.perm, b.shared)
	return err
}

// Remove takes the medium out.
// Preconditions: the graph lock is held.
func (b *Backend) Remove() {
	if b.root != nil {
		b.graph.detach(b.root)
		b.root = nil
	}
}

// Delete removes the backend with its medium.
// Preconditions: the graph lock is held.
func (b *Backend) Delete() {
	b.Remove()
	b.graph.backends = slices.DeleteFunc(b.graph.backends, func(x *Backend) bool { return x == b })
}

// Node is the root node, or nil without medium.
func (b *Backend) Node() *Node {
	if b.root == nil {
		return nil
	}
	return b.root.node
}

// Name is the name given with -drive id=, or empty.
func (b *Backend) Name() string { return b.name }

// check refuses requests without medium or outside the disk.
func (b *Backend) check(ctx context.Context, off, n int64) error {
	if b.root == nil {
		return unix.ENOMEDIUM
	}
	length, err := b.root.Length(ctx)
	if err != nil {
		return err
	}
	if off < 0 || n < 0 || off > length || n > length-off {
		return unix.EIO
	}
	return nil
}

// Read fills b from off.
func (b *Backend) Read(ctx context.Context, off int64, p []byte) error {
	return b.ReadV(ctx, off, [][]byte{p}, 0)
}

// ReadV fills a vector from off.
func (b *Backend) ReadV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	if err := b.check(ctx, off, IovLen(iov)); err != nil {
		return err
	}
	return b.root.ReadV(ctx, off, iov, fl)
}

// Write writes p at off.
func (b *Backend) Write(ctx context.Context, off int64, p []byte, fl Flags) error {
	return b.WriteV(ctx, off, [][]byte{p}, fl)
}

// WriteV writes a vector at off.
func (b *Backend) WriteV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	if err := b.check(ctx, off, IovLen(iov)); err != nil {
		return err
	}
	if b.writeThrough {
		fl |= FUA
	}
	return b.root.WriteV(ctx, off, iov, fl)
}

// WriteZeroes makes n bytes at off read as zeroes.
func (b *Backend) WriteZeroes(ctx context.Context, off, n int64, fl Flags) error {
	if err := b.check(ctx, off, n); err != nil {
		return err
	}
	if b.writeThrough {
		fl |= FUA
	}
	return b.root.WriteZeroes(ctx, off, n, fl)
}

// Discard gives n bytes at off back.
func (b *Backend) Discard(ctx context.Context, off, n int64) error {
	if err := b.check(ctx, off, n); err != nil {
		return err
	}
	return b.root.Discard(ctx, off, n)
}

// Flush makes everything written so far durable.
func (b *Backend) Flush(ctx context.Context) error {
	if b.root == nil {
		return unix.ENOMEDIUM
	}
	return b.root.Flush(ctx)
}

// Truncate changes the length of the medium.
func (b *Backend) Truncate(ctx context.Context, n int64, exact bool, p Prealloc, zero bool) error {
	if b.root == nil {
		return Errorf(unix.ENOMEDIUM, "No medium inserted")
	}
	return b.root.Truncate(ctx, n, exact, p, zero)
}

// Length is the length of the medium in bytes.
func (b *Backend) Length(ctx context.Context) (int64, error) {
	if b.root == nil {
		return 0, unix.ENOMEDIUM
	}
	return b.root.Length(ctx)
}

// SetWriteCache says whether writes may stay in caches until a flush.
func (b *Backend) SetWriteCache(on bool) { b.writeThrough = !on }
