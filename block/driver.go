package block

import "context"

// Driver describes a format, protocol or filter as data. Each package under block/driver exports a table of its drivers; the program
// hands all of them to NewGraph. Open makes the state of one node; what that state can do is told by the small interfaces it implements
// (Reader, Writer, Flusher, …). Everything that a driver does not implement the generic layer answers, does in another way, or
// refuses with QEMU's text.
type Driver struct {
	// Name is the value of "driver=" and of "-f".
	Name string

	// Protocol is true if the node talks to the host (file, nbd): it has no "file" child and is never probed.
	Protocol bool
	// Filter is true if the node has the same content as its one filtered child.
	Filter bool
	// NeverFrozen: the driver's nodes are there only while a job lasts, so no other job may rely on the edges to them.
	NeverFrozen bool
	// Combiner is true for drivers that are neither of all this and no format (quorum): their children are probed.
	Combiner bool

	// OpensReading: Open only reads the children; what the node does with them later its state tells (ChildPermer).
	OpensReading bool

	// Scheme is the protocol's prefix in a filename ("nbd" for "nbd:…" and "nbd://…"); empty if it has none.
	Schemes []string
	// ParseFilename turns the filename behind the prefix into options, in place.
	ParseFilename func(filename string, o *Options) error
	// NeedsFilename is true if a node cannot be opened without the option "filename".
	NeedsFilename bool

	// Options are the options besides those that every node has.
	Options []Option

	// ProbeDevice rates how surely a host path is this protocol's without a prefix (a device file), 0 to 100.
	ProbeDevice func(path string) int

	// Probe rates how surely the first bytes of an image are this format's, 0 (not) to 100; nil for protocols and filters.
	Probe func(head []byte, filename string) int

	// Compresses is true if nodes can write compressed clusters.
	Compresses bool

	// SupportsBacking is true if an image can have a backing file.
	SupportsBacking bool

	// Open makes the state of a node. It takes what it knows out of o (what is left over is an error of the user), attaches its children with
	// n.OpenChild and may read them. On error nothing stays behind.
	Open func(ctx context.Context, n *Node, o *Options) (Instance, error)

	// Create makes an image file (for a format: writes it into the protocol node that o names); nil if the driver cannot.
	Create func(ctx context.Context, g *Graph, o *CreateRequest) error
	// CreateNode makes an image as QMP's blockdev-create says: o has the members of BlockdevCreateOptions for the driver besides the size.
	// Images below are named by nodes or options of nodes. Nil if the driver cannot.
	CreateNode func(ctx context.Context, g *Graph, size int64, o *Options) error
	// CreateOptions are the options of Create, in the order of "create -o help".
	CreateOptions []Option

	// AmendOptions are the options of Amender, in the order of "amend -o help".
	AmendOptions []Option
	// Measure computes how large an image made with the options would be, with the content of in unless that is nil; nil if the driver
	// cannot tell.
	Measure func(ctx context.Context, g *Graph, o *Options, in *Node) (MeasureInfo, error)

	// StrongOptions are the options that change the content a guest sees; they are part of the json: filename.
	StrongOptions []string
}

// isFormat tells whether the driver interprets its file as an image.
func (d *Driver) isFormat() bool { return !d.Protocol && !d.Filter && !d.Combiner }

// OptionType is the type of an option's value.
type OptionType uint8

// The types of options and how help names them.
const (
	OptString OptionType = iota // str
	OptBool                     // bool (on/off)
	OptNumber                   // num
	OptSize                     // size
)

// Option describes one option of a driver.
type Option struct {
	Name    string
	Type    OptionType
	Help    string
	Default string // as help shows it; empty if there is none
	// Prefix is true if the option is the head of nested ones ("server.path").
	Prefix bool
	// Fixed is true if a reopen that leaves the option out does not bring back its default.
	Fixed bool
}

// CreateRequest is what an image is made from.
type CreateRequest struct {
	Filename string   // where
	Size     int64    // virtual size in bytes
	Options  *Options // by CreateOptions' names; leftovers were refused by the caller
}

// Instance is the opened state of a driver. Close is called once, after all requests ended; children are detached by the graph.
type Instance interface {
	Close()
}

// Request flags. A driver sees only those it declared in Limits.WriteFlags or Limits.ZeroFlags, the generic layer does the rest.
type Flags uint16

// The request flags.
const (
	FUA         Flags = 1 << iota // the data is on stable storage when the request ends
	MayUnmap                      // zeroes may be made by giving the blocks back
	NoFallback                    // zeroes only if that is faster than writing them
	Compressed                    // write compressed clusters
	Unchanged                     // the write does not change what a reader sees
	Serialising                   // no overlapping request runs at the same time
	CopyOnRead                    // what a backing file has goes into the image
	Prefetch                      // only the copy-on-read counts, the data is dropped
	NoWait                        // fail rather than wait for a serialising request
	ZeroWrite                     // (internal) a write request that is to be zeroes
)

// Reader reads len(iov) bytes at off; both are multiples of the node's request alignment and inside its length, rounded up to it.
type Reader interface {
	ReadV(ctx context.Context, off int64, iov [][]byte, fl Flags) error
}

// Writer writes; the conditions are those of Reader. The vector is not changed and not kept.
type Writer interface {
	WriteV(ctx context.Context, off int64, iov [][]byte, fl Flags) error
}

// InFlightCanceller makes requests fail at once that wait for something that may never happen.
type InFlightCanceller interface{ CancelInFlight() }

// CompressedWriter writes whole clusters compressed. n is the length of a cluster, or less at the end of the image.
type CompressedWriter interface {
	WriteCompressed(ctx context.Context, off int64, iov [][]byte) error
}

// Flusher brings what is buffered in the program to the host (FlushToOS) and what the host buffers to the medium (FlushToDisk, asked after
// FlushToOS; the generic layer then flushes the children itself unless the driver is a protocol).
type Flusher interface {
	FlushToOS(ctx context.Context) error
}

// DiskFlusher is a protocol that can put its data on stable storage, or a filter that takes part in that. It is asked only after something was written.
type DiskFlusher interface {
	FlushToDisk(ctx context.Context) error
}

// Writebacker is a protocol whose host keeps what was written until it is flushed; StartWriteback does not wait.
type Writebacker interface {
	StartWriteback()
}

// WholeFlusher is a driver that flushes its children by itself; FlushToOS and FlushToDisk are not asked then.
type WholeFlusher interface {
	FlushAll(ctx context.Context) error
}

// ZeroWriter makes zeroes faster than by writing them. ENOTSUP makes the caller write.
type ZeroWriter interface {
	WriteZeroes(ctx context.Context, off, n int64, fl Flags) error
}

// Discarder gives blocks back. ENOTSUP is ignored by the caller.
type Discarder interface {
	Discard(ctx context.Context, off, n int64) error
}

// CopyRanger copies inside the host (copy_file_range), from a child whose own driver has the bytes. ENOTSUP makes the caller read and write.
type CopyRanger interface {
	CanCopyRange(src *Child) bool
	CopyRange(ctx context.Context, src *Child, srcOff int64, dstOff, n int64) error
}

// StatusFlags describe a range of a node.
type StatusFlags uint16

// The flags of a range, as in QEMU's block status.
const (
	StatusData        StatusFlags = 1 << iota // must be read: from Offset of File if OffsetValid
	StatusZero                                // reads as zeroes
	StatusOffsetValid                         // Status.Offset and File are set
	StatusAllocated                           // the content is decided by this layer, not its backing file
	StatusEOF                                 // the range ends at the end of the image
	StatusRecurse                             // ask File at Offset for more
	StatusCompressed                          // the data is compressed
	StatusRaw                                 // (internal) filters: ask the child
)

// Status is the answer to a block-status question: N bytes from the asked offset look alike.
type Status struct {
	Flags  StatusFlags
	N      int64
	Offset int64 // in File, for the first byte
	File   *Node // node that holds the bytes
}

// BlockStatuser tells how a range is stored. wantZero asks for exact zero information, otherwise allocation is enough (and cheaper).
type BlockStatuser interface {
	BlockStatus(ctx context.Context, wantZero bool, off, n int64) (Status, error)
}

// Lengther knows the node's length in bytes; a format without it has its file's length.
type Lengther interface {
	Length(ctx context.Context) (int64, error)
}

// AllocatedSizer knows how many bytes of the host's storage the node uses.
type AllocatedSizer interface {
	AllocatedSize(ctx context.Context) (int64, error)
}

// Prealloc is a preallocation mode.
type Prealloc uint8

// The preallocation modes, in the order of QEMU's enumeration.
const (
	PreallocOff Prealloc = iota
	PreallocMetadata
	PreallocFalloc
	PreallocFull
)

var preallocNames = [...]string{"off", "metadata", "falloc", "full"}

func (p Prealloc) String() string { return preallocNames[p] }

// ParsePrealloc finds a mode by its name.
func ParsePrealloc(s string) (Prealloc, bool) {
	for i, n := range preallocNames {
		if n == s {
			return Prealloc(i), true
		}
	}
	return 0, false
}

// Truncater changes the length. exact asks for precisely n bytes (a block device may stay larger otherwise); zero asks that a grown part
// reads as zeroes.
type Truncater interface {
	Truncate(ctx context.Context, n int64, exact bool, p Prealloc, zero bool) error
}

// Limits are what the generic layer must keep to when it calls the driver. Zero values mean no limit (alignment: 1).
type Limits struct {
	RequestAlign      int64 // bytes; power of two
	MaxTransfer       int64
	OptTransfer       int64
	MaxIOV            int
	MemAlign          int // alignment of buffers in memory
	MaxDiscard        int64
	DiscardAlign      int64
	MaxWriteZeroes    int64
	WriteZeroesAlign  int64
	WriteFlags        Flags // flags that WriteV obeys
	ZeroFlags         Flags // flags that WriteZeroes obeys
	HasVariableLength bool  // ask Length again each time
}

// Limiter fills in the node's limits after opening and whenever a child changed. l holds what the children imply.
type Limiter interface {
	RefreshLimits(l *Limits) error
}

// ChildPermer replaces the permissions that a node's role rules give: perm and shared are what the node's own parents use and share.
type ChildPermer interface {
	ChildPerm(c *Child, role Role, perm, shared Perm) (nperm, nshared Perm)
}

// PermChecker takes part in permission transactions: CheckPerm may refuse (file locks), then exactly one of SetPerm and AbortPerm follows.
type PermChecker interface {
	CheckPerm(perm, shared Perm) error
	SetPerm(perm, shared Perm)
	AbortPerm()
}

// Reopener takes part in reopen transactions: Prepare takes its changed options out of o, then exactly one of Commit and Abort follows.
type Reopener interface {
	ReopenPrepare(ctx context.Context, o *Options, m Mode) error
	ReopenCommit()
	ReopenAbort()
}

// OptionJoiner removes from a node's old options what the new ones of a reopen replace beyond those of the same names.
type OptionJoiner interface {
	JoinOptions(o, old *Options)
}

// Activater is a driver with caches that another process may make stale. Inactivate writes everything out and forgets it may write;
// InvalidateCache reads again.
type Activater interface {
	InvalidateCache(ctx context.Context) error
	Inactivate(ctx context.Context) error
}

// Drainer is a driver with background work of its own (timers, reconnecting), which stops between the two calls.
type Drainer interface {
	DrainBegin()
	DrainEnd()
}

// ChildChanger gets more children, and loses some, while it is open. The node is drained meanwhile. AddChild attaches n by Node.AttachChild;
// RemoveChild ends the edge by Graph.Leave.
type ChildChanger interface {
	AddChild(n *Node) error
	RemoveChild(c *Child) error
}

// Replacer is a driver that knows better than Node.CanReplace whether nodes below it can be replaced.
type Replacer interface {
	CanReplace(n *Node) bool
}

// Info is what is known about an image besides its length.
type DriverInfo struct {
	ClusterSize           int64 // 0 if there are no clusters
	SubclusterSz          int64
	VMStateOffset         int64
	Dirty                 bool // the image was not closed cleanly
	NeedsCompressedWrites bool
	Unknown               bool // the driver cannot tell after all
}

// Informer gives DriverInfo.
type Informer interface {
	Info() DriverInfo
}

// SpecificInformer gives the format's own part of query-block and "img info": an ordered list of names and values (string, bool,
// int64, uint64, nested []Member, []any).
type SpecificInformer interface {
	SpecificInfo(ctx context.Context) ([]Member, error)
}

// Member is a named value of an ordered object.
type Member struct {
	Name  string
	Value any
}

// BackingChanger writes another backing file name and format into the image; an empty name removes it.
type BackingChanger interface {
	ChangeBacking(ctx context.Context, filename, format string) error
}

// FileNamer gives the node's exact filename when the options cannot be guessed from the default rules; ok is false to fall back on json:.
type FileNamer interface {
	ExactFilename() (name string, ok bool)
}

// VMStater stores bytes beside the disk's content (savevm).
type VMStater interface {
	LoadVMState(ctx context.Context, off int64, iov [][]byte) error
	SaveVMState(ctx context.Context, off int64, iov [][]byte) error
}
