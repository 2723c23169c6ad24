package p9

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var le = binary.LittleEndian

// Types of messages of 9P2000.L: the reply's is one more.
const (
	tLerror, tStatfs, tLopen, tLcreate, tSymlink, tMknod, tRename, tReadlink = 6, 8, 12, 14, 16, 18, 20, 22
	tGetattr, tSetattr, tXattrwalk, tXattrcreate, tReaddir, tFsync           = 24, 26, 30, 32, 40, 50
	tLock, tGetlock, tLink, tMkdir, tRenameat, tUnlinkat                     = 52, 54, 70, 72, 74, 76
	tVersion, tAttach, tFlush, tWalk, tRead, tWrite, tClunk, tRemove         = 100, 104, 108, 110, 116, 118, 120, 122
)

const (
	headerBytes  = 7
	readHeader   = headerBytes + 4 // of the replies to read and readdir
	writeHeader  = headerBytes + 16
	ioHeader     = 24
	minMessage   = 4096
	maxWalk      = 16
	noTag        = 0xffff
	maxString    = 64 << 10
	maxSmall     = 8 + maxString*4 + 512 // of a request without data
	qidBytes     = 13
	version2000L = "9P2000.L"
)

// Types of files in their identifiers.
const (
	qtDir, qtSymlink = 0x80, 0x02
)

// request is a message from the guest; what it lacks reads as zero and sets short.
type request struct {
	b     []byte
	at    int
	short bool
}

func (r *request) take(n int) []byte {
	if r.at+n > len(r.b) {
		r.short, r.at = true, len(r.b)
		return make([]byte, n)
	}
	p := r.b[r.at : r.at+n]
	r.at += n
	return p
}

func (r *request) u8() uint8   { return r.take(1)[0] }
func (r *request) u16() uint16 { return le.Uint16(r.take(2)) }
func (r *request) u32() uint32 { return le.Uint32(r.take(4)) }
func (r *request) u64() uint64 { return le.Uint64(r.take(8)) }
func (r *request) str() string { return string(r.take(int(r.u16()))) }

// reply is a message to the guest, without its header.
type reply struct{ b []byte }

func (r *reply) u8(v uint8)   { r.b = append(r.b, v) }
func (r *reply) u16(v uint16) { r.b = le.AppendUint16(r.b, v) }
func (r *reply) u32(v uint32) { r.b = le.AppendUint32(r.b, v) }
func (r *reply) u64(v uint64) { r.b = le.AppendUint64(r.b, v) }
func (r *reply) str(s string) {
	r.u16(uint16(len(s)))
	r.b = append(r.b, s...)
}

// qid is the identifier of a file.
type qid struct {
	typ     uint8
	version uint32
	path    uint64
}

func (r *reply) qid(q qid) {
	r.u8(q.typ)
	r.u32(q.version)
	r.u64(q.path)
}

// header puts the header of a message of n bytes before what follows it.
func header(n int, typ uint8, tag uint16) []byte {
	b := le.AppendUint32(nil, uint32(n))
	b = append(b, typ)
	return le.AppendUint16(b, tag)
}

// errno is the number of an error.
func errno(err error) unix.Errno {
	if e, ok := err.(unix.Errno); ok {
		return e
	}
	return unix.EIO
}

// gather is the beginning of a request, without the data of a write.
func gather(iov [][]byte, limit int) []byte {
	n := int(min(block.IovLen(iov), int64(limit)))
	b := make([]byte, n)
	block.IovGather(b, iov)
	return b
}
