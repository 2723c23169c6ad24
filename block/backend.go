package block

import (
	"context"
	"slices"
	"sync/atomic"

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
	writeThrough atomic.Bool
	beyondEOF    bool

	// OnResize, if set, is called after the medium changed its length, from the goroutine that changed it.
	OnResize func()
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
	if b.beyondEOF {
		return checkRange(off, n)
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
	if b.writeThrough.Load() {
		fl |= FUA
	}
	return b.root.WriteV(ctx, off, iov, fl)
}

// WriteZeroes makes n bytes at off read as zeroes.
func (b *Backend) WriteZeroes(ctx context.Context, off, n int64, fl Flags) error {
	if err := b.check(ctx, off, n); err != nil {
		return err
	}
	if b.writeThrough.Load() {
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
func (b *Backend) SetWriteCache(on bool) { b.writeThrough.Store(!on) }

// WriteCache tells whether writes may stay in caches until a flush.
func (b *Backend) WriteCache() bool { return !b.writeThrough.Load() }

// AllowBeyondEOF lets requests reach beyond the end of the medium, which then grows if its driver lets it.
func (b *Backend) AllowBeyondEOF(on bool) { b.beyondEOF = on }

// TryReadV fills a vector from off if that takes no waiting; after false the vector's content is undefined.
func (b *Backend) TryReadV(off int64, iov [][]byte) bool {
	return b.root != nil && b.check(context.Background(), off, IovLen(iov)) == nil && b.root.TryReadV(off, iov)
}

// WriteCompressed writes one cluster compressed.
func (b *Backend) WriteCompressed(ctx context.Context, off int64, iov [][]byte) error {
	return b.WriteV(ctx, off, iov, Compressed)
}

// LoadVMState reads what SaveVMState stored.
func (b *Backend) LoadVMState(ctx context.Context, off int64, iov [][]byte) error {
	if b.root == nil {
		return unix.ENOMEDIUM
	}
	return b.root.node.LoadVMState(ctx, off, iov)
}

// SaveVMState stores bytes beside the disk's content.
func (b *Backend) SaveVMState(ctx context.Context, off int64, iov [][]byte) error {
	if b.root == nil {
		return unix.ENOMEDIUM
	}
	return b.root.node.SaveVMState(ctx, off, iov)
}

// CopyRange copies inside the host from this backend to another one; ENOTSUP means that it must be done by reading and writing.
func (b *Backend) CopyRange(ctx context.Context, off int64, to *Backend, toOff, n int64, fl Flags) error {
	if err := b.check(ctx, off, n); err != nil {
		return err
	}
	if err := to.check(ctx, toOff, n); err != nil {
		return err
	}
	return CopyRange(ctx, b.root, off, to.root, toOff, n, fl)
}

// StatusAbove is Node.StatusAbove of the root.
func (b *Backend) StatusAbove(ctx context.Context, base *Node, includeBase, wantZero bool, off, n int64) (Status, int, error) {
	if b.root == nil {
		return Status{}, 0, unix.ENOMEDIUM
	}
	return b.root.node.StatusAbove(ctx, base, includeBase, wantZero, off, n)
}

// RequestAlign is the alignment of requests that need no read-modify-write.
func (b *Backend) RequestAlign() int64 {
	if b.root == nil {
		return sectorSize
	}
	return b.root.node.align()
}

// MaxTransfer is the longest request that is not split.
func (b *Backend) MaxTransfer() int64 {
	if b.root == nil {
		return maxRequest
	}
	return b.root.node.transferMax()
}

// Root is the edge to the medium, or nil.
func (b *Backend) Root() *Child { return b.root }
