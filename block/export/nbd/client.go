package nbd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"goemu/block"
	proto "goemu/block/nbdproto"

	"golang.org/x/sys/unix"
)

// Bounds of what one client can have in flight.
const (
	maxRequests = 64
	maxInFlight = 16 << 20 // bytes of data; a larger request runs alone
)

// readBuffer is the size of the buffer that requests are read through: several small ones come in with one system call.
const readBuffer = 64 << 10

// Requests up to inlineMax bytes are handled by the goroutine that reads them, while their data is in the processor's cache, as long as the
// requests before took less than slowRequest and slowKiB for each KiB. After one that did not, the next slowCredit requests get goroutines
// of their own.
const (
	inlineMax   = 512 << 10
	slowRequest = 150 * time.Microsecond
	slowKiB     = time.Microsecond
	slowCredit  = 32
)

// batchMax is the number of bytes of replies that wait for more requests to be handled before they are sent.
const batchMax = 256 << 10

// client is a connection.
type client struct {
	srv        *Server
	raw        net.Conn // the socket
	conn       net.Conn // the socket or TLS over it
	structured bool
	meta       metaContexts
	exp        *Export

	gate   gate
	out    sender
	wg     sync.WaitGroup
	credit int // requests that are not handled inline; only the reader uses it
	slow   slowMark
}

// run serves the client; negotiated tells whether it opened an export.
func (c *client) run() (negotiated bool) {
	if err := c.negotiate(); err != nil {
		if err != errAbort && c.srv.ctx.Err() == nil && !errors.Is(err, errShutdown) {
			c.srv.report(err.Error())
		}
		return false
	}
	defer c.exp.detach(c)
	c.gate.init()
	c.out.init(c.conn, c.finish)
	widen(c.raw)
	err := c.transmit()
	if e := c.out.flush(); err == nil {
		err = e
	}
	c.wg.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) && !c.out.quiet() {
		c.srv.report("Disconnect client, due to: " + err.Error())
	}
	return true
}

// widen asks for larger socket buffers, so that large replies need fewer changes between the two ends.
func widen(c net.Conn) {
	const size = 2 << 20
	if u, ok := c.(interface {
		SetWriteBuffer(int) error
		SetReadBuffer(int) error
	}); ok {
		if _, isTCP := c.(*net.TCPConn); !isTCP { // TCP tunes its own
			u.SetWriteBuffer(size)
			u.SetReadBuffer(size)
		}
	}
}

// finish takes a request out of flight after its reply was sent.
func (c *client) finish(r *request) {
	c.gate.leave(int64(cap(r.data)))
	r.free()
}

// transmit reads and handles requests until the client goes; nil means that it said so or closed the connection between two requests.
func (c *client) transmit() error {
	br := bufio.NewReaderSize(c.conn, readBuffer)
	for {
		if br.Buffered() < proto.RequestSize {
			if err := c.out.flush(); err != nil {
				return sendError(c.conn, err)
			}
		}
		head, err := br.Peek(proto.RequestSize)
		if err != nil {
			return c.readError(err, len(head) > 0)
		}
		req, magic, ok := proto.ParseRequest(head)
		br.Discard(proto.RequestSize)
		if ok && req.Type == proto.CmdDisc {
			return nil
		}
		r := newRequest(req)
		if !ok {
			return c.refuse(r, proto.Error("invalid magic (got 0x%x)", magic))
		}
		if fatal, err := c.receive(br, r); err != nil {
			if err := c.refuseOne(r, err); err != nil {
				return err
			}
			if fatal {
				return proto.Error("Request handling failed in intermediate state")
			}
			continue
		}
		if r.readErr != nil {
			return r.readErr
		}
		c.dispatch(r)
	}
}

// readError describes a failed read of a request.
func (c *client) readError(err error, partial bool) error {
	switch {
	case errors.Is(err, io.EOF) && !partial, errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	}
	return proto.Error("%s", proto.IOText(c.conn, "read from", err))
}

func sendError(conn net.Conn, err error) error {
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return proto.Error("Failed to send reply: %s", proto.IOText(conn, "write to", err))
}

// refuse answers a request that cannot be told from the rest of the stream and ends the connection.
func (c *client) refuse(r *request, err error) error {
	if err := c.refuseOne(r, err); err != nil {
		return err
	}
	return proto.Error("Request handling failed in intermediate state")
}

// refuseOne answers a bad request.
func (c *client) refuseOne(r *request, err error) error {
	if !r.admitted {
		c.admit(r, 0)
	}
	c.replyError(r, unix.EINVAL, err.Error())
	if err := c.out.send(r); err != nil {
		return sendError(c.conn, err)
	}
	return nil
}

// admit waits until the request may be in flight and gives it a buffer.
func (c *client) admit(r *request, size int) {
	r.alloc(size)
	if !c.gate.tryEnter(int64(cap(r.data))) {
		c.out.flush() // what was answered but not sent counts as in flight
		c.gate.enter(int64(cap(r.data)))
	}
	r.admitted = true
}

// receive checks a request and reads its data. After an error the request is answered with it; fatal tells that the connection cannot
// be used any more.
func (c *client) receive(br *bufio.Reader, r *request) (fatal bool, err error) {
	size := 0
	switch r.Type {
	case proto.CmdRead, proto.CmdWrite, proto.CmdCache:
		if r.Len > proto.MaxBuffer {
			return r.Type == proto.CmdWrite, proto.Error("len (%d ) is larger than max len (%d)", r.Len, proto.MaxBuffer)
		}
		if r.Type != proto.CmdCache {
			size = int(r.Len)
		}
	}
	c.admit(r, size)
	if r.Type == proto.CmdWrite {
		if br.Buffered() < size {
			c.out.flush()
		}
		if _, err := io.ReadFull(br, r.data); err != nil {
			r.readErr = proto.Error("Failed to read CMD_WRITE data: %s", proto.IOText(c.conn, "read from", err))
			return false, nil
		}
	}
	return false, c.check(r)
}

// check refuses requests that the export cannot do.
func (c *client) check(r *request) error {
	x := c.exp
	changes := r.Type == proto.CmdWrite || r.Type == proto.CmdWriteZeroes || r.Type == proto.CmdTrim
	switch {
	case changes && x.flags&proto.FlagReadOnly != 0:
		return proto.Error("Export is read-only")
	case r.From > uint64(x.size) || uint64(r.Len) > uint64(x.size)-r.From:
		return proto.Error("operation past EOF; From: %d, Len: %d, Size: %d", r.From, r.Len, x.size)
	}
	valid := uint16(proto.CmdFlagFUA)
	switch {
	case r.Type == proto.CmdRead && c.structured:
		valid |= proto.CmdFlagDF
	case r.Type == proto.CmdWriteZeroes:
		valid |= proto.CmdFlagNoHole | proto.CmdFlagFastZero
	case r.Type == proto.CmdBlockStatus:
		valid |= proto.CmdFlagReqOne
	}
	if r.Flags&^valid != 0 {
		return proto.Error("unsupported flags for command %s (got 0x%x)", r.Type, r.Flags)
	}
	return nil
}

// dispatch handles a request here or in a goroutine of its own.
func (c *client) dispatch(r *request) {
	if c.slow.take() {
		c.credit = slowCredit
	}
	if c.credit > 0 || len(r.data) > inlineMax || !quick[r.Type] {
		c.credit = max(0, c.credit-1)
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			c.timed(r)
			c.out.send(r) // the reader finds a lost connection by itself
		}()
		return
	}
	c.timed(r)
	c.out.queue(r)
}

// quick are the requests that are usually over at once.
var quick = map[proto.Cmd]bool{proto.CmdRead: true, proto.CmdWrite: true}

// timed handles a request and notes if it was slow.
func (c *client) timed(r *request) {
	start := time.Now()
	c.handle(context.Background(), r)
	if n := len(r.data); n <= inlineMax && time.Since(start) > slowRequest+time.Duration(n>>10)*slowKiB {
		c.slow.set()
	}
}

// errno is the errno of a failed request.
func errno(err error) unix.Errno { return block.Errno(err) }
