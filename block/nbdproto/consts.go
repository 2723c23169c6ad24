// Package nbdproto holds what both ends of the NBD protocol (https://github.com/NetworkBlockDevice/nbd, doc/proto.md) share: its numbers,
// the layout of its messages, and the client's side of the negotiation.
package nbdproto

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Magic numbers of the negotiation ("Newstyle negotiation") and of the transmission.
const (
	MagicInit            = 0x4e42444d41474943 // "NBDMAGIC"
	MagicOption          = 0x49484156454f5054 // "IHAVEOPT"
	MagicOldstyle        = 0x0000420281861253
	MagicOptionReply     = 0x0003e889045565a9
	MagicRequest         = 0x25609513
	MagicSimpleReply     = 0x67446698
	MagicStructuredReply = 0x668e33ef
)

// Sizes of the fixed parts of messages in bytes.
const (
	OptionSize          = 16 // magic, option, length
	OptionReplySize     = 20 // magic, option, type, length
	RequestSize         = 28 // magic, flags, type, cookie, offset, length
	SimpleReplySize     = 16 // magic, error, cookie
	StructuredReplySize = 20 // magic, flags, type, cookie, length
	ReservedSize        = 124
)

// Limits that both ends keep to.
const (
	MaxBuffer   = 32 << 20 // of the data of one request or of one option
	MaxString   = 4096     // of names
	DefaultPort = 10809
)

// HandshakeFlags are the server's and, with the same bits, the client's flags in the negotiation.
const (
	HandshakeFixedNewstyle = 1 << 0
	HandshakeNoZeroes      = 1 << 1
)

// Transmission flags describe an export.
const (
	FlagHasFlags = 1 << iota
	FlagReadOnly
	FlagSendFlush
	FlagSendFUA
	FlagRotational
	FlagSendTrim
	FlagSendWriteZeroes
	FlagSendDF
	FlagCanMultiConn
	FlagSendResize
	FlagSendCache
	FlagSendFastZero
)

// FlagNames are the names of the transmission flags as "--list" shows them, by bit number.
var FlagNames = [...]string{"", "readonly", "flush", "fua", "rotational", "trim", "zeroes", "df", "multi", "resize", "cache", "fast-zero"}

// Opt is an option of the negotiation.
type Opt uint32

// The options.
const (
	OptExportName      Opt = 1
	OptAbort           Opt = 2
	OptList            Opt = 3
	OptStartTLS        Opt = 5
	OptInfo            Opt = 6
	OptGo              Opt = 7
	OptStructuredReply Opt = 8
	OptListMetaContext Opt = 9
	OptSetMetaContext  Opt = 10
)

const unknown = "<unknown>"

var optNames = map[Opt]string{
	OptExportName: "export name", OptAbort: "abort", OptList: "list", OptStartTLS: "starttls", OptInfo: "info", OptGo: "go",
	OptStructuredReply: "structured reply", OptListMetaContext: "list meta context", OptSetMetaContext: "set meta context",
}

func (o Opt) String() string { return nameOr(optNames, o) }

func nameOr[K comparable](m map[K]string, k K) string {
	if s, ok := m[k]; ok {
		return s
	}
	return unknown
}

// numbered writes a value with its name, as in "5 (starttls)".
func (o Opt) numbered() string { return fmt.Sprintf("%d (%s)", uint32(o), o) }

// Rep is the type of a reply to an option.
type Rep uint32

// repError marks the replies that are errors.
const repError Rep = 1 << 31

// The replies.
const (
	RepAck         Rep = 1
	RepServer      Rep = 2
	RepInfo        Rep = 3
	RepMetaContext Rep = 4

	RepErrUnsup         = repError | 1
	RepErrPolicy        = repError | 2
	RepErrInvalid       = repError | 3
	RepErrPlatform      = repError | 4
	RepErrTLSReqd       = repError | 5
	RepErrUnknown       = repError | 6
	RepErrShutdown      = repError | 7
	RepErrBlockSizeReqd = repError | 8
)

var repNames = map[Rep]string{
	RepAck: "ack", RepServer: "server", RepInfo: "info", RepMetaContext: "meta context", RepErrUnsup: "unsupported",
	RepErrPolicy: "denied by policy", RepErrInvalid: "invalid", RepErrPlatform: "platform lacks support", RepErrTLSReqd: "TLS required",
	RepErrUnknown: "export unknown", RepErrShutdown: "server shutting down", RepErrBlockSizeReqd: "block size required",
}

func (r Rep) String() string { return nameOr(repNames, r) }

func (r Rep) numbered() string { return fmt.Sprintf("%d (%s)", uint32(r), r) }

// Info is the type of an information about an export.
const (
	InfoExport      = 0
	InfoName        = 1
	InfoDescription = 2
	InfoBlockSize   = 3
)

// Cmd is the type of a request.
type Cmd uint16

// The requests.
const (
	CmdRead        Cmd = 0
	CmdWrite       Cmd = 1
	CmdDisc        Cmd = 2
	CmdFlush       Cmd = 3
	CmdTrim        Cmd = 4
	CmdCache       Cmd = 5
	CmdWriteZeroes Cmd = 6
	CmdBlockStatus Cmd = 7
)

var cmdNames = map[Cmd]string{
	CmdRead: "read", CmdWrite: "write", CmdDisc: "disconnect", CmdFlush: "flush", CmdTrim: "trim", CmdCache: "cache",
	CmdWriteZeroes: "write zeroes", CmdBlockStatus: "block status",
}

func (c Cmd) String() string { return nameOr(cmdNames, c) }

// Flags of a request.
const (
	CmdFlagFUA      = 1 << 0
	CmdFlagNoHole   = 1 << 1
	CmdFlagDF       = 1 << 2
	CmdFlagReqOne   = 1 << 3
	CmdFlagFastZero = 1 << 4
)

// ReplyFlagDone marks the last chunk of a structured reply.
const ReplyFlagDone = 1 << 0

// Chunk is the type of a chunk of a structured reply.
type Chunk uint16

// chunkError marks the chunks that are errors.
const chunkError Chunk = 1 << 15

// The chunks.
const (
	ChunkNone        Chunk = 0
	ChunkOffsetData  Chunk = 1
	ChunkOffsetHole  Chunk = 2
	ChunkBlockStatus Chunk = 5
	ChunkError             = chunkError | 1
	ChunkErrorOffset       = chunkError | 2
)

// IsError tells whether the chunk reports an error.
func (c Chunk) IsError() bool { return c&chunkError != 0 }

// Flags of an extent in the answer to a block-status request.
const (
	StateHole  = 1 << 0 // base:allocation
	StateZero  = 1 << 1 // base:allocation
	StateDirty = 1 << 0 // qemu:dirty-bitmap:NAME
)

// The metadata contexts and their namespaces.
const (
	ContextBase            = "base:"
	ContextAllocation      = "base:allocation"
	ContextQEMU            = "qemu:"
	ContextAllocationDepth = "qemu:allocation-depth"
	ContextDirtyBitmap     = "qemu:dirty-bitmap:" // followed by the bitmap's name
)

// errnos are the error numbers that the protocol knows; they are Linux's.
var errnos = map[uint32]unix.Errno{
	1: unix.EPERM, 5: unix.EIO, 12: unix.ENOMEM, 22: unix.EINVAL, 28: unix.ENOSPC, 75: unix.EOVERFLOW, 95: unix.ENOTSUP, 108: unix.ESHUTDOWN,
}

// aliases are errnos that the protocol has no number for, with the nearest that it has.
var aliases = map[unix.Errno]unix.Errno{unix.EROFS: unix.EPERM, unix.EDQUOT: unix.ENOSPC, unix.EFBIG: unix.ENOSPC}

// ErrnoToWire is the protocol's number of an errno.
func ErrnoToWire(e unix.Errno) uint32 {
	if a, ok := aliases[e]; ok {
		e = a
	}
	if e == 0 || errnos[uint32(e)] == e {
		return uint32(e)
	}
	return uint32(unix.EINVAL)
}

// ErrnoFromWire is the errno of a number in a reply; unknown ones are EINVAL.
func ErrnoFromWire(n uint32) unix.Errno {
	if e, ok := errnos[n]; ok || n == 0 {
		return e
	}
	return unix.EINVAL
}
