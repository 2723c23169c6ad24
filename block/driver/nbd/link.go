package nbd

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"goemu/block"
	proto "goemu/block/nbdproto"

	"golang.org/x/sys/unix"
)

var be = binary.BigEndian

// maxRequests is the number of requests in flight on a connection; others wait.
const maxRequests = 64

// readBuffer is the size of the buffer that replies are read through; data goes past it.
const readBuffer = 64 << 10

// call is a request and what becomes of its reply.
type call struct {
	req proto.Request
	out [][]byte // data to send
	in  [][]byte // where the data goes

	errno                  unix.Errno // the server's answer
	extentLen, extentFlags uint32     // of the first extent of a block-status request

	slot int
	got  int64 // bytes of data so far
	head [proto.RequestSize]byte
	done chan error // gets nil, or the reason why the connection is lost
}

// reset prepares a call to be sent (again).
func (c *call) reset() {
	c.errno, c.extentLen, c.extentFlags, c.got = 0, 0, 0, 0
	c.done = make(chan error, 1)
}

// link is a connection to the server with the requests in flight on it. Nobody but those who wait for replies reads from it: one of them
// at a time, the reader, hands out the replies until its own is there.
type link struct {
	raw, conn net.Conn
	info      proto.ExportInfo
	failed    atomic.Bool
	broken    atomic.Bool // the server does not keep to the protocol
	serial    atomic.Uint32

	free  chan int      // slots
	token chan struct{} // who holds it is the reader
	br    *bufio.Reader // of the reader

	mu    sync.Mutex
	calls [maxRequests]*call // guarded by mu

	out outbox
}

func newLink(raw, conn net.Conn, info proto.ExportInfo) *link {
	l := &link{raw: raw, conn: conn, info: info, free: make(chan int, maxRequests), token: make(chan struct{}, 1)}
	for i := range maxRequests {
		l.free <- i
	}
	l.token <- struct{}{}
	l.br = bufio.NewReaderSize(conn, readBuffer)
	l.out.init(conn)
	if u, ok := raw.(*net.UnixConn); ok {
		const size = 2 << 20
		u.SetReadBuffer(size)
		u.SetWriteBuffer(size)
	}
	return l
}

// fail gives the connection up.
func (l *link) fail() {
	l.failed.Store(true)
	l.raw.Close()
}

// protocolError gives up a server that cannot be trusted.
func (l *link) protocolError(format string, a ...any) error {
	l.broken.Store(true)
	return block.Errorf(unix.EINVAL, "Protocol error: "+format, a...)
}

// close closes a connection that nobody uses any more.
func (l *link) close() { l.fail() }

// disconnect says goodbye.
func (l *link) disconnect() {
	if !l.failed.Load() {
		var b [proto.RequestSize]byte
		(&proto.Request{Type: proto.CmdDisc}).Put(b[:])
		l.conn.Write(b[:]) // a courtesy
	}
	l.conn.Close()
	l.raw.Close()
}

// do sends a request and waits for its reply. The error says that the connection is lost; what the server answered is in the call.
func (l *link) do(c *call) error {
	slot := <-l.free
	if l.failed.Load() {
		l.free <- slot
		return unix.EIO
	}
	c.reset()
	c.slot = slot
	c.req.Cookie = uint64(l.serial.Add(1))<<16 | uint64(slot)
	c.req.Put(c.head[:])
	l.mu.Lock()
	l.calls[slot] = c
	l.mu.Unlock()
	if err := l.out.send(c); err != nil {
		l.fail()
	}
	err := l.wait(c)
	l.free <- slot
	return err
}

// wait waits for the reply, as the reader if nobody else is.
func (l *link) wait(c *call) error {
	select {
	case err := <-c.done:
		return err
	case <-l.token:
	}
	for {
		select {
		case err := <-c.done:
			l.token <- struct{}{}
			return err
		default:
		}
		if err := l.reply(); err != nil {
			l.fail()
			l.out.wait() // nothing of the callers' buffers is being sent any more
			l.abandon(err)
		}
	}
}

// abandon ends all requests in flight.
func (l *link) abandon(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range l.calls {
		if c != nil {
			l.calls[i] = nil
			c.done <- err
		}
	}
}

// find finds the call that a reply is for.
func (l *link) find(cookie uint64) (*call, error) {
	slot := cookie & 0xffff
	l.mu.Lock()
	defer l.mu.Unlock()
	if slot < maxRequests {
		if c := l.calls[slot]; c != nil && c.req.Cookie == cookie {
			return c, nil
		}
	}
	return nil, l.protocolError("reply to a request that was not made")
}

// finish ends a call.
func (l *link) finish(c *call) error {
	if c.errno == 0 {
		switch {
		case c.req.Type == proto.CmdRead && c.got < int64(c.req.Len):
			return l.protocolError("server sent only %d of %d bytes", c.got, c.req.Len)
		case c.req.Type == proto.CmdBlockStatus && c.extentLen == 0:
			return l.protocolError("Server did not reply with any status extents")
		}
	}
	l.mu.Lock()
	l.calls[c.slot] = nil
	l.mu.Unlock()
	c.done <- nil
	return nil
}

// reply reads one simple reply or one chunk.
// Preconditions: the caller is the reader.
func (l *link) reply() error {
	head, err := l.br.Peek(proto.SimpleReplySize)
	if err != nil {
		return err
	}
	c, err := l.find(be.Uint64(head[8:]))
	if err != nil {
		return err
	}
	switch be.Uint32(head) {
	case proto.MagicSimpleReply:
		errno := be.Uint32(head[4:])
		l.br.Discard(proto.SimpleReplySize)
		return l.simple(c, errno)
	case proto.MagicStructuredReply:
		if !l.info.StructuredReply {
			return l.protocolError("structured reply that was not negotiated")
		}
		if head, err = l.br.Peek(proto.StructuredReplySize); err != nil {
			return err
		}
		flags, kind, length := be.Uint16(head[4:]), proto.Chunk(be.Uint16(head[6:])), be.Uint32(head[16:])
		l.br.Discard(proto.StructuredReplySize)
		if err := l.chunk(c, flags, kind, length); err != nil {
			return err
		}
		if flags&proto.ReplyFlagDone != 0 {
			return l.finish(c)
		}
		return nil
	}
	return l.protocolError("bad magic of a reply")
}

func (l *link) simple(c *call, errno uint32) error {
	if l.info.StructuredReply && c.req.Type == proto.CmdRead {
		return l.protocolError("simple reply when structured reply chunk was expected")
	}
	c.errno = proto.ErrnoFromWire(errno)
	if c.errno == 0 && c.req.Type == proto.CmdRead {
		if err := l.fill(c, 0, int64(c.req.Len)); err != nil {
			return err
		}
	}
	if c.errno == 0 && c.req.Type == proto.CmdBlockStatus {
		return l.protocolError("simple reply when structured reply chunk was expected")
	}
	return l.finish(c)
}

// fill reads n bytes of data for the part of the request's range that begins at off.
func (l *link) fill(c *call, off, n int64) error {
	c.got += n
	var skip [8][]byte
	for _, b := range block.IovSlice(skip[:0], c.in, off, n) {
		if _, err := io.ReadFull(l.br, b); err != nil {
			return err
		}
	}
	return nil
}

// Sizes of the fixed parts of chunks.
const (
	offsetSize = 8
	holeSize   = 12
	statusSize = 4 + 8 // context, one extent
	errorSize  = 6
)

// maxMessage bounds the text of an error.
const maxMessage = 64 << 10

// chunk reads the payload of a chunk.
func (l *link) chunk(c *call, flags uint16, kind proto.Chunk, length uint32) error {
	switch {
	case kind == proto.ChunkNone && flags&proto.ReplyFlagDone == 0:
		return l.protocolError("NBD_REPLY_TYPE_NONE chunk without NBD_REPLY_FLAG_DONE flag set")
	case kind == proto.ChunkNone && length != 0:
		return l.protocolError("NBD_REPLY_TYPE_NONE chunk with nonzero length")
	case kind == proto.ChunkNone:
		return nil
	case kind.IsError():
		return l.errorChunk(c, length)
	case kind == proto.ChunkOffsetData && c.req.Type == proto.CmdRead:
		return l.dataChunk(c, length)
	case kind == proto.ChunkOffsetHole && c.req.Type == proto.CmdRead:
		return l.holeChunk(c, length)
	case kind == proto.ChunkBlockStatus && c.req.Type == proto.CmdBlockStatus:
		return l.statusChunk(c, length)
	}
	return l.protocolError("Unexpected reply type: %d for CMD_%d", kind, c.req.Type)
}

// take reads the fixed part of a chunk.
func (l *link) take(n int) ([]byte, error) {
	b, err := l.br.Peek(n)
	l.br.Discard(len(b))
	return b, err
}

// inside tells whether a part lies within the range of a read request, and where.
func (c *call) inside(off uint64, n int64) (rel int64, ok bool) {
	rel = int64(off - c.req.From)
	return rel, off >= c.req.From && rel >= 0 && n > 0 && n <= int64(c.req.Len) && rel <= int64(c.req.Len)-n
}

func (l *link) dataChunk(c *call, length uint32) error {
	if length <= offsetSize {
		return l.protocolError("invalid payload for NBD_REPLY_TYPE_OFFSET_DATA")
	}
	b, err := l.take(offsetSize)
	if err != nil {
		return err
	}
	n := int64(length) - offsetSize
	rel, ok := c.inside(be.Uint64(b), n)
	if !ok {
		return l.protocolError("server sent chunk exceeding requested region")
	}
	return l.fill(c, rel, n)
}

func (l *link) holeChunk(c *call, length uint32) error {
	if length != holeSize {
		return l.protocolError("invalid payload for NBD_REPLY_TYPE_OFFSET_HOLE")
	}
	b, err := l.take(holeSize)
	if err != nil {
		return err
	}
	n := int64(be.Uint32(b[8:]))
	rel, ok := c.inside(be.Uint64(b), n)
	if !ok {
		return l.protocolError("server sent chunk exceeding requested region")
	}
	c.got += n
	block.IovZero(block.IovSlice(nil, c.in, rel, n))
	return nil
}

func (l *link) statusChunk(c *call, length uint32) error {
	if length < statusSize || length > proto.MaxBuffer {
		return l.protocolError("invalid payload for NBD_REPLY_TYPE_BLOCK_STATUS")
	}
	b, err := l.take(statusSize)
	if err != nil {
		return err
	}
	switch id := be.Uint32(b); {
	case c.extentLen != 0:
		return l.protocolError("Several BLOCK_STATUS chunks in reply")
	case id != l.info.ContextID:
		return l.protocolError("unexpected context id %d for NBD_REPLY_TYPE_BLOCK_STATUS, when negotiated context id is %d", id, l.info.ContextID)
	case be.Uint32(b[4:]) == 0:
		return l.protocolError("server sent status chunk with zero length")
	}
	c.extentLen, c.extentFlags = be.Uint32(b[4:]), be.Uint32(b[8:])
	_, err = io.CopyN(io.Discard, l.br, int64(length-statusSize)) // more than was asked for
	return err
}

func (l *link) errorChunk(c *call, length uint32) error {
	if length < errorSize || length > maxMessage {
		return l.protocolError("invalid payload for structured error")
	}
	b, err := l.take(errorSize)
	if err != nil {
		return err
	}
	errno, text := proto.ErrnoFromWire(be.Uint32(b)), uint32(be.Uint16(b[4:]))
	switch {
	case errno == 0:
		return l.protocolError("server sent structured error chunk with error = 0")
	case text > length-errorSize:
		return l.protocolError("server sent structured error chunk with incorrect message size")
	case c.errno == 0:
		c.errno = errno
	}
	_, err = io.CopyN(io.Discard, l.br, int64(length-errorSize))
	return err
}
