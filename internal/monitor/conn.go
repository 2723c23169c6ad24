// Package monitor connects monitors to character devices: a Conn calls its handler on a goroutine of its own, without the machine lock,
// and takes any amount of output without ever waiting for the client. It knows neither QMP nor the commands for people.
package monitor

import (
	"sync"
	"sync/atomic"
	"time"

	"goemu/internal/chardev"
)

// Handler is a monitor on a connection. Its methods are called one after the other.
type Handler interface {
	// Opened is called when a client has come, Closed when it has gone.
	Opened()
	Closed()
	// Ready tells how much input is taken now; when that grows from zero, Conn.Accept must be called.
	Ready() int
	Input(p []byte)
	// Focus tells whether this monitor has the input of a shared device.
	Focus(on bool)
}

// Conn is a monitor's end of a character device.
type Conn struct {
	h Handler

	wake chan struct{}

	mu     sync.Mutex
	work   []func()
	closed bool

	outMu   sync.Mutex // taken before the device's own, which is taken before mu: the device posts under its lock
	port    *chardev.Port
	out     []byte // what the device has no room for yet
	waiting bool   // for room

	full atomic.Bool // the client leaves so much output that no more input is taken from it
}

// maxUnread is how much output may wait for a client that goes on typing.
const maxUnread = 16 << 20

// Open attaches a monitor to a device.
func Open(b *chardev.Backend, h Handler) (*Conn, error) {
	c := &Conn{h: h, wake: make(chan struct{}, 1)}
	port, err := b.AttachOn(c, frontend{c})
	if err != nil {
		return nil, err
	}
	port.Converse()
	c.outMu.Lock()
	c.port = port
	c.outMu.Unlock()
	go c.run()
	return c, nil
}

// Backend is the device.
func (c *Conn) Backend() *chardev.Backend { return c.port.Backend() }

// Post implements chardev.Loop.
func (c *Conn) Post(f func()) {
	c.mu.Lock()
	c.work = append(c.work, f)
	c.mu.Unlock()
	c.kick()
}

func (c *Conn) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run calls what is posted until the connection is closed.
func (c *Conn) run() {
	for range c.wake {
		c.mu.Lock()
		work, closed := c.work, c.closed
		c.work = nil
		c.mu.Unlock()
		for _, f := range work {
			f()
		}
		if closed {
			return
		}
	}
}

// Close ends the monitor's use of the device.
func (c *Conn) Close() {
	c.port.Detach()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.kick()
}

// Accept says that the handler takes input again.
func (c *Conn) Accept() { c.port.AcceptInput() }

// Write queues output.
func (c *Conn) Write(p []byte) (int, error) {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	c.out = append(c.out, p...)
	c.flush()
	if len(c.out) > maxUnread {
		c.full.Store(true)
	}
	return len(p), nil
}

// Queued is how many bytes the client has not taken yet, apart from what the device itself holds.
func (c *Conn) Queued() int {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	return len(c.out)
}

// Idle tells whether the client has been sent everything.
func (c *Conn) Idle() bool { return c.Queued() == 0 && c.port.Flushed() }

// Settle waits until written says that clients have been told everything, or for the time given. That is counted in short sleeps, so that a
// host too busy to run the process is not taken for a client that does not listen.
func Settle(limit time.Duration, written func() bool) {
	const step = 100 * time.Microsecond
	for left := limit; left > 0 && !written(); left -= step {
		time.Sleep(step)
	}
}

// flush moves output to the device. Preconditions: c.outMu is held.
func (c *Conn) flush() {
	if c.waiting || c.port == nil {
		return
	}
	n := c.port.Write(c.out)
	if c.out = c.out[n:]; len(c.out) == 0 {
		c.out = nil
		return
	}
	c.waiting = true
	c.port.OnWritable(func() {
		c.outMu.Lock()
		defer c.outMu.Unlock()
		c.waiting = false
		c.flush()
		c.emptied()
	})
}

// emptied takes input again once a client that left its output alone has taken most of it. Preconditions: c.outMu is held.
func (c *Conn) emptied() {
	if len(c.out) <= maxUnread/2 && c.full.Swap(false) {
		c.Post(c.Accept)
	}
}

// discard drops output that waits.
func (c *Conn) discard() {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	c.out = nil
	c.emptied()
}

// frontend is what the device sees of a connection.
type frontend struct{ c *Conn }

func (f frontend) CanRead() int {
	if f.c.full.Load() {
		return 0
	}
	return f.c.h.Ready()
}

func (f frontend) Read(p []byte) { f.c.h.Input(p) }

func (f frontend) Event(e chardev.Event) {
	switch e {
	case chardev.Opened:
		f.c.h.Opened()
	case chardev.Closed:
		f.c.discard()
		f.c.h.Closed()
	case chardev.MuxIn:
		f.c.h.Focus(true)
	case chardev.MuxOut:
		f.c.h.Focus(false)
	}
}
