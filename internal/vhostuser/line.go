package vhostuser

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"goemu/internal/chardev"
)

// maxAnswer bounds what the other side may say before it is asked again.
const maxAnswer = 4096

// answerTime is how long the other side may take to answer: it may have to map and fill large memory first.
const answerTime = 20 * time.Second

var errClosed = errors.New("the connection is closed")

// Line is a character device at whose other end are servers, one after the other.
type Line struct {
	b *chardev.Backend

	// opened and closed are called in order, on a goroutine without locks; n numbers the connections.
	opened, closed func(l *Line, n int)

	calls, work queue

	mu      sync.Mutex
	port    *chardev.Port // guarded by mu
	in      []byte        // guarded by mu
	open    bool          // guarded by mu
	number  int           // guarded by mu: of the connection
	changed chan struct{} // guarded by mu: closed when one of these changes
}

// Attach takes a character device; one whose connection has ended for good is refused. Preconditions: the machine lock is held.
func Attach(b *chardev.Backend, opened, closed func(l *Line, n int)) (l *Line, err error) {
	l = &Line{b: b, opened: opened, closed: closed, changed: make(chan struct{})}
	if err := l.attach(); err != nil {
		return nil, err
	}
	met := make(chan bool, 1)
	l.calls.Post(func() { met <- l.number > 0 }) // behind what tells of a connection that is there
	if !<-met && !b.Reconnects() {
		l.port.Detach()
		return nil, fmt.Errorf("chardev '%s' is not connected any more", b.ID)
	}
	return l, nil
}

func (l *Line) attach() (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.port, err = l.b.AttachOn(&l.calls, l)
	return err
}

// Close gives the character device up. Preconditions: the machine lock is held.
func (l *Line) Close() {
	l.change(func() { l.open = false })
	l.mu.Lock()
	port := l.port
	l.mu.Unlock()
	port.Detach()
	l.b.Yank()
}

// Cut ends a connection, unless another has followed it.
func (l *Line) Cut(n int) {
	l.mu.Lock()
	same := l.open && l.number == n
	l.mu.Unlock()
	if same {
		l.b.Yank()
	}
}

// change changes what is guarded by mu and wakes those who wait for it.
func (l *Line) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// CanRead implements chardev.Frontend.
func (l *Line) CanRead() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maxAnswer - len(l.in)
}

// Read implements chardev.Frontend.
func (l *Line) Read(p []byte) { l.change(func() { l.in = append(l.in, p...) }) }

// Event implements chardev.Frontend.
func (l *Line) Event(e chardev.Event) {
	switch e {
	case chardev.Opened:
		l.change(func() { l.open, l.in, l.number = true, nil, l.number+1 })
		n := l.number
		l.work.Post(func() { l.opened(l, n) })
	case chardev.Closed:
		l.change(func() { l.open = false })
		n := l.number
		l.work.Post(func() { l.closed(l, n) })
	}
}

// send writes a message on a connection.
func (l *Line) send(n int, p []byte, fds []int) error {
	l.mu.Lock()
	ok := l.open && l.number == n
	l.mu.Unlock()
	if !ok {
		return errClosed
	}
	return l.b.SendFDs(p, fds)
}

// receive fills p with what the other side sends on a connection.
func (l *Line) receive(n int, p []byte) error {
	timeout := time.NewTimer(answerTime)
	defer timeout.Stop()
	for {
		l.mu.Lock()
		if l.number != n || !l.open && len(l.in) < len(p) {
			l.mu.Unlock()
			return errClosed
		}
		if len(l.in) >= len(p) {
			l.in = l.in[copy(p, l.in):]
			port := l.port
			l.mu.Unlock()
			port.AcceptInput()
			return nil
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-timeout.C:
			return errors.New("no answer")
		}
	}
}

// queue runs functions one after the other on a goroutine that ends when there are none.
type queue struct {
	mu      sync.Mutex
	list    []func() // guarded by mu
	running bool     // guarded by mu
}

// Post implements chardev.Loop.
func (q *queue) Post(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, f)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *queue) run() {
	for {
		q.mu.Lock()
		if len(q.list) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		f := q.list[0]
		q.list = q.list[1:]
		q.mu.Unlock()
		f()
	}
}
