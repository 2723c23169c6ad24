package nbd

import (
	"bufio"
	"crypto/tls"
	"net"
	"sync"
)

// outbox sends requests. Those that come while another is being sent go out together afterwards.
type outbox struct {
	conn net.Conn
	tls  *bufio.Writer // gathers small pieces for TLS

	mu      sync.Mutex
	idle    sync.Cond
	pending []*call // guarded by mu
	busy    bool    // guarded by mu: somebody is sending
	err     error   // guarded by mu: the connection is lost
	spare   []*call
	iov     [][]byte
}

// tlsBuffer is the size of the buffer before TLS: more than a record.
const tlsBuffer = 32 << 10

func (o *outbox) init(conn net.Conn) {
	o.conn = conn
	o.idle.L = &o.mu
	if _, ok := conn.(*tls.Conn); ok {
		o.tls = bufio.NewWriterSize(conn, tlsBuffer)
	}
}

// send sends a request, unless somebody else is sending and will do that.
func (o *outbox) send(c *call) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = append(o.pending, c)
	if o.busy {
		return nil
	}
	o.busy = true
	for len(o.pending) > 0 {
		batch := o.pending
		o.pending, o.spare = o.spare[:0], batch
		if o.err == nil {
			o.mu.Unlock()
			err := o.write(batch)
			o.mu.Lock()
			if o.err == nil {
				o.err = err
			}
		}
		clear(batch)
	}
	o.busy = false
	o.idle.Broadcast()
	return o.err
}

// wait waits until nothing is being sent.
func (o *outbox) wait() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy {
		o.idle.Wait()
	}
}

// write sends requests with as few system calls as possible.
func (o *outbox) write(batch []*call) error {
	if o.tls != nil {
		for _, c := range batch {
			o.tls.Write(c.head[:])
			for _, b := range c.out {
				o.tls.Write(b)
			}
		}
		return o.tls.Flush() // tells the error of the writes before, too
	}
	o.iov = o.iov[:0]
	for _, c := range batch {
		o.iov = append(append(o.iov, c.head[:]), c.out...)
	}
	if len(o.iov) == 1 {
		_, err := o.conn.Write(o.iov[0])
		return err
	}
	iov := net.Buffers(o.iov)
	_, err := iov.WriteTo(o.conn)
	return err
}
