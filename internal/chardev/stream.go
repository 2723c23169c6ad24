package chardev

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// conn is an open two-way byte stream. Close makes a Read in progress return.
type conn interface {
	io.ReadWriteCloser
}

// drainTime is how long closing waits for accepted output to be written.
const drainTime = time.Second

// pump serves one conn with a reader and a writer goroutine.
type pump struct {
	b    *Backend
	c    conn
	done bool // under b.mu
	hup  bool // under b.mu: the other side neither sends nor reads any more
	wg   sync.WaitGroup
	wdon chan struct{} // writer ended
}

// startPump begins to serve c; ended is called once, from a goroutine, when the other side has gone. With a nil ended the
// end of input does not end output, and output that fails is dropped from then on.
func startPump(b *Backend, c conn, read bool, ended func()) *pump {
	p := &pump{b: b, c: c, wdon: make(chan struct{})}
	if read {
		p.wg.Add(1)
		go p.readLoop(ended)
	}
	p.wg.Add(1)
	go p.writeLoop(ended)
	return p
}

func (p *pump) readLoop(ended func()) {
	defer p.wg.Done()
	buf := make([]byte, inputLimit)
	for {
		n, err := p.c.Read(buf)
		if n > 0 && !p.b.receive(buf[:n]) {
			return
		}
		if err != nil {
			if ended == nil {
				return
			}
			if errors.Is(err, io.EOF) {
				p.lastAnswers()
			}
			if p.finish() {
				go ended()
			}
			return
		}
	}
}

// lastAnswers waits at the end of input until a frontend that converses has taken all of it and its answers are written, or the other
// side does not wait for them.
func (p *pump) lastAnswers() {
	sc, ok := p.c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mux != nil || len(b.ports) == 0 || !b.ports[0].converse {
		return
	}
	p.wg.Add(1)
	go p.watchHangup(raw)
	port := b.ports[0]
	port.ending, port.listens = true, false
	port.post()
	for !p.done && !p.hup && !b.closed && !port.detached && !(port.listens && b.written(port)) {
		b.inCond.Wait()
	}
	port.ending = false
}

// written tells whether no output waits, in the backend or at the port. Preconditions: b.mu is held.
func (b *Backend) written(p *Port) bool {
	return len(b.out) == 0 && !b.writing && p.writable == nil && !p.filling
}

// watchHangup waits until the other side has closed its socket, or the pump has stopped.
func (p *pump) watchHangup(raw syscall.RawConn) {
	defer p.wg.Done()
	_ = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd)}} // a hang-up and an error are always reported
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0
	})
	p.b.mu.Lock()
	p.hup = true
	p.b.inCond.Broadcast()
	p.b.mu.Unlock()
}

func (p *pump) writeLoop(ended func()) {
	defer p.wg.Done()
	defer close(p.wdon)
	for {
		data, ok := p.b.nextOutput(&p.done)
		if !ok {
			return
		}
		if l := p.b.log; l != nil {
			l.write(data)
		}
		if _, err := p.c.Write(data); err != nil {
			switch {
			case ended == nil:
				p.b.setConnected(false, true)
			case p.finish():
				go ended()
			}
			return
		}
	}
}

// finish stops both loops; true for the first call.
func (p *pump) finish() bool {
	p.b.mu.Lock()
	first := !p.done
	p.done = true
	p.b.outCond.Broadcast()
	p.b.inCond.Broadcast()
	p.b.mu.Unlock()
	return first
}

// stop ends the pump: drains output for a while if the backend closes, then closes the connection and waits for the goroutines.
func (p *pump) stop(drain bool) {
	if drain {
		select {
		case <-p.wdon:
		case <-time.After(drainTime):
		}
	}
	p.finish()
	p.c.Close()
	p.wg.Wait()
}
