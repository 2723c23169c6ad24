package block

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"goemu/block/bitmap"

	"golang.org/x/sys/unix"
)

// Mode is how a node is opened.
type Mode struct {
	ReadOnly     bool // no writes
	AutoReadOnly bool // fall back on read-only when the image allows nothing else
	Direct       bool // cache.direct: bypass the host's page cache
	NoFlush      bool // cache.no-flush: flushes do nothing
	Unmap        bool // discard=unmap
	ForceShare   bool // read an image that others write, without locks
	CopyOnRead   bool
	DetectZeroes DetectZeroes

	NoBacking bool   // do not open the backing file
	NoIO      bool   // only the metadata is read (img info of a format)
	Inactive  bool   // incoming migration: another process owns the image
	Check     bool   // opened to be checked: corruption is no reason to refuse
	Temporary bool   // the file was deleted already: a snapshot=on overlay
	AIO       string // threads, native or io_uring
}

// DetectZeroes says what writes of zero bytes become.
type DetectZeroes uint8

// The modes of zero detection.
const (
	DetectOff DetectZeroes = iota
	DetectOn
	DetectUnmap
)

// Node is one layer of a disk: a format, a protocol or a filter with its opened state. Nodes are made by Graph.Open and counted
// (Graph.Ref, Graph.Unref). The graph's edges change only while the nodes around are drained, so that requests read them without a lock.
type Node struct {
	graph  *Graph
	driver *Driver
	state  Instance

	name          string // node-name; automatic ones start with '#'
	mode          Mode
	options       *Options // as opened, complete
	explicit      *Options // as the user gave them
	filename      string   // for people: plain name or json:{…}
	exactFilename string   // plain name or empty

	backingFile   string // as the image says
	backingFormat string
	autoBacking   string         // filename of the backing node that backingFile leads to
	fullOptions   *NestedOptions // of the node and its children, for json: filenames
	probed        bool           // nobody named the driver
	implicit      bool           // made by a job: people see the node below instead
	inactive      bool           // another process owns the image
	ioContext     string         // name of the iothread that it is bound to
	path          string         // of its options, seen from the node that was opened with it
	inheritsFrom  *Node          // the parent whose options are the defaults of this node's

	children []*Child // in the order of attachment
	parents  []*Child // edges that end here; changed with the graph lock and mu held
	refs     int

	limits  Limits
	length  atomic.Int64 // bytes, as last asked
	tracker tracker

	quiesced       atomic.Int32 // drained sections that the node is in
	reopening      *reopening   // what the node becomes, while a reopen is prepared
	blockers       [opCount][]*Blocker
	backingBlocker *Blocker // what n has blocked on its backing file

	copyOnRead atomic.Int32  // users who want reads to fill the image
	writeGen   atomic.Uint64 // counts completed changes
	highest    atomic.Int64  // end of the highest write
	flushMu    sync.Mutex
	flushedGen uint64 // writeGen of the last flush; guarded by flushMu
	notifiers  atomic.Pointer[[]*WriteNotifier]
	threshold  atomic.Pointer[writeThreshold]

	bitmaps atomic.Pointer[[]*bitmap.Bitmap] // replaced as a whole, with mu held
	shown   []*func() bitmap.Info            // guarded by mu

	mu sync.Mutex // guards what is said above
}

// Name is the node-name.
func (n *Node) Name() string { return n.name }

// Driver is the node's driver.
func (n *Node) Driver() *Driver { return n.driver }

// DriverName is the name of the node's driver, also while the node is being opened.
func (n *Node) DriverName() string {
	if n.driver == nil {
		return ""
	}
	return n.driver.Name
}

// Graph is the graph that the node belongs to.
func (n *Node) Graph() *Graph { return n.graph }

// State is the driver's own state, for code that knows the driver.
func (n *Node) State() Instance { return n.state }

// Mode is how the node is open now.
func (n *Node) Mode() Mode { return n.mode }

// Filename is the name for people: a plain filename if there is one that says everything, otherwise json:{…}.
func (n *Node) Filename() string { return n.filename }

// Limits are the limits of the node's requests.
func (n *Node) Limits() Limits { return n.limits }

// Inactive tells whether another process owns the image.
func (n *Node) Inactive() bool { return n.inactive }

// NextMode is the mode that the node has after a reopen that is being prepared, otherwise the present one.
func (n *Node) NextMode() Mode { return *n.next() }

// ReadOnly tells whether the node refuses writes.
func (n *Node) ReadOnly() bool { return n.mode.ReadOnly }

// Child finds an edge to a child by its name ("file", "backing", …), or nil.
func (n *Node) Child(name string) *Child {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// Backing is the edge to the backing file of a format, or nil.
func (n *Node) Backing() *Child {
	for _, c := range n.children {
		if c.role&RoleCOW != 0 || c.role&RoleFiltered != 0 && c.name == "backing" {
			return c
		}
	}
	return nil
}

// COWChild is the edge to the node that is read where this one has nothing: its backing file, or nil.
func (n *Node) COWChild() *Child {
	for _, c := range n.children {
		if c.role&RoleCOW != 0 {
			return c
		}
	}
	return nil
}

// Filtered is the edge to the node that a filter filters, or nil.
func (n *Node) Filtered() *Child {
	if n.driver == nil || !n.driver.Filter {
		return nil
	}
	for _, c := range n.children {
		if c.role&RoleFiltered != 0 {
			return c
		}
	}
	return nil
}

// FilterOrCOW is the edge to what is below a node in a chain of images: the filtered node or the backing file.
func (n *Node) FilterOrCOW() *Child {
	if c := n.COWChild(); c != nil {
		return c
	}
	return n.Filtered()
}

// Primary is the edge to the child that gives the node its name and length, or nil.
func (n *Node) Primary() *Child {
	for _, c := range n.children {
		if c.role&RolePrimary != 0 {
			return c
		}
	}
	return nil
}

// SkipFilters is the first node that is no filter, from n on downwards.
func (n *Node) SkipFilters() *Node {
	for {
		c := n.Filtered()
		if c == nil {
			return n
		}
		n = c.node
	}
}

// Refs is the number of users of the node.
// Preconditions: the graph lock is held.
func (n *Node) Refs() int { return n.refs }

// HasBackend tells whether a backend is among the node's users.
// Preconditions: the graph lock is held.
func (n *Node) HasBackend() bool {
	return slices.ContainsFunc(n.parents, func(c *Child) bool { _, ok := c.parent.(*Backend); return ok })
}

// Cumulative is what the node's users do together, and what all of them let others do.
// Preconditions: the graph lock is held.
func (n *Node) Cumulative() (perm, shared Perm) { return n.cumulative() }

// protocol tells whether the node is a protocol node.
func (n *Node) protocol() bool { return n.driver != nil && n.driver.Protocol }

// Probed tells whether the format was guessed.
func (n *Node) Probed() bool { return n.probed }

// ExplicitOptions are the options as the user gave them, without those of children.
func (n *Node) ExplicitOptions() *Options { return n.explicit }

// Options are the options that the node was opened with, without those of children.
func (n *Node) Options() *Options { return n.options }

// ApplyAutoReadOnly makes a node that is being opened read-only if the user allowed that (auto-read-only); otherwise it returns the error.
func (n *Node) ApplyAutoReadOnly(message string) error {
	switch {
	case n.mode.ReadOnly:
		return nil
	case n.mode.AutoReadOnly && !n.mode.CopyOnRead:
		n.mode.ReadOnly = true
		return nil
	case message == "":
		message = "Image is read-only"
	}
	return Errorf(unix.EACCES, "%s", message)
}

// OpenFileReadOnly opens the child "file" of an image whose format can only be read; the node that is being opened becomes read-only if it may.
func (n *Node) OpenFileReadOnly(ctx context.Context, o *Options) (*Child, error) {
	if err := n.ApplyAutoReadOnly(""); err != nil {
		return nil, err
	}
	return n.OpenChild(ctx, o, "file", RoleImage|RolePrimary, true)
}

// Children lists the edges to children. The caller holds the graph lock or a request in flight.
func (n *Node) Children() []*Child { return n.children }

// Child is an edge of the graph: a parent (a node, or a Backend) uses a node under a name, with permissions.
type Child struct {
	name   string
	role   Role
	node   *Node
	parent parent
	perm   atomic.Uint64 // Perm: what the parent does
	shared Perm          // what it lets others do
	frozen bool          // the edge must stay as it is while a job works on the chain
}

// Name is the edge's name at its parent: file, backing, root, …
func (c *Child) Name() string { return c.name }

// Role tells what the child holds.
func (c *Child) Role() Role { return c.role }

// Node is the node at the end of the edge.
func (c *Child) Node() *Node { return c.node }

// ReadV reads through the edge.
func (c *Child) ReadV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	return c.node.readV(ctx, off, iov, fl)
}

// Read fills b from off.
func (c *Child) Read(ctx context.Context, off int64, b []byte) error {
	return c.node.readV(ctx, off, [][]byte{b}, 0)
}

// WriteV writes through the edge.
func (c *Child) WriteV(ctx context.Context, off int64, iov [][]byte, fl Flags) error {
	return c.node.writeV(ctx, off, iov, fl)
}

// Write writes b at off.
func (c *Child) Write(ctx context.Context, off int64, b []byte, fl Flags) error {
	return c.node.writeV(ctx, off, [][]byte{b}, fl)
}

// WriteZeroes makes n bytes at off read as zeroes.
func (c *Child) WriteZeroes(ctx context.Context, off, n int64, fl Flags) error {
	if _, node := c.parent.(*Node); node && !c.node.mode.Unmap { // as in QEMU, users of the uppermost node need not mind its discard option
		fl &^= MayUnmap
	}
	return c.node.writeZeroes(ctx, off, n, fl)
}

// Discard gives n bytes at off back.
func (c *Child) Discard(ctx context.Context, off, n int64) error {
	return c.node.discard(ctx, off, n)
}

// Flush makes everything written so far durable.
func (c *Child) Flush(ctx context.Context) error { return c.node.flush(ctx) }

// Truncate changes the length of the child.
func (c *Child) Truncate(ctx context.Context, n int64, exact bool, p Prealloc, zero bool) error {
	return c.node.truncate(ctx, n, exact, p, zero)
}

// Length is the child's length in bytes.
func (c *Child) Length(ctx context.Context) (int64, error) { return c.node.Length(ctx) }

// TryReadV reads without waiting, if the node can.
func (c *Child) TryReadV(off int64, iov [][]byte) bool { return c.node.tryReadV(off, iov) }

// AllocatedSize is the number of bytes that the node takes on the host: its own, or those of all children that hold its data.
func (n *Node) AllocatedSize(ctx context.Context) (int64, error) {
	if a, ok := n.state.(AllocatedSizer); ok {
		return a.AllocatedSize(ctx)
	}
	if f := n.Filtered(); f != nil {
		return f.node.AllocatedSize(ctx)
	}
	if n.protocol() {
		return 0, unix.ENOTSUP
	}
	sum := int64(0)
	for _, c := range n.children {
		if c.role&(RoleData|RoleMetadata|RoleFiltered) == 0 {
			continue
		}
		size, err := c.node.AllocatedSize(ctx)
		if err != nil {
			return 0, err
		}
		sum += size
	}
	return sum, nil
}

// Info asks the driver, or the filtered node, about the image; ok is false if nobody knows.
func (n *Node) Info() (i DriverInfo, ok bool) {
	if d, is := n.state.(Informer); is {
		i = d.Info()
		return i, !i.Unknown
	}
	if f := n.Filtered(); f != nil {
		return f.node.Info()
	}
	return i, false
}

// DropRole says that a child does not hold, after all, what it was attached for. A driver's Open calls it.
// Preconditions: the graph lock is held.
func (c *Child) DropRole(r Role) error {
	c.role &^= r
	if n, ok := c.parent.(*Node); ok {
		return n.graph.refreshPerms(n)
	}
	return nil
}
