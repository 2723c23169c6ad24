package qtest

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"goemu/hw/qdev"
	"goemu/internal/chardev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/qom"
)

// Limits of what a client can make the server hold.
const (
	inputLimit = 64 << 10 // waiting input before the client must wait
	lineLimit  = 64 << 20 // of one command: it may carry memory
	dataLimit  = 1 << 30  // bytes of memory that one command names
)

// Target is the machine that the protocol reaches.
type Target struct {
	Memory, Ports *memory.AddressSpace
	Root          *qom.Node
	// Clock says that the protocol moves the virtual clock (-accel qtest).
	Clock bool
	// Settle waits until what the host has for the machine has arrived; it is called before each command and after one that moved the
	// clock, without the machine lock.
	Settle func()
}

// Server answers one client's commands. They are executed on a goroutine of their own, each under the machine lock, so that a client
// that does not read its answers holds up nobody else.
type Server struct {
	t    Target
	port *chardev.Port
	log  io.Writer // nil for none

	mu      sync.Mutex
	wake    sync.Cond
	in      []byte
	out     bytes.Buffer
	opened  bool
	start   time.Time
	closed  bool
	serving bool // there is a machine
	levels  [maxLines]bool
	watched qdev.Device
}

// maxLines is how many interrupt lines of a device are watched.
const maxLines = 256

// Open attaches a server to a character device. Commands about the machine wait until Serve. Preconditions: the machine lock is held.
func Open(b *chardev.Backend, log io.Writer) (*Server, error) {
	s := &Server{log: log, start: time.Now()}
	s.wake.L = &s.mu
	var err error
	if s.port, err = b.Attach(s); err != nil {
		return nil, err
	}
	s.port.Converse()
	go s.run()
	return s, nil
}

// Serve names the machine. Preconditions: the machine lock is held.
func (s *Server) Serve(t Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t, s.serving = t, true
	s.wake.Broadcast()
}

// Close ends the server. Preconditions: the machine lock is held.
func (s *Server) Close() {
	s.port.Detach()
	s.mu.Lock()
	if s.opened && !s.closed {
		s.logf("[I +%s] CLOSED\n", s.elapsed())
	}
	s.closed = true
	s.wake.Broadcast()
	s.mu.Unlock()
}

// CanRead implements chardev.Frontend.
func (s *Server) CanRead() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.IndexByte(s.in, '\n') < 0 { // the rest of a long command
		return inputLimit
	}
	return max(inputLimit-len(s.in), 0)
}

// Read implements chardev.Frontend.
func (s *Server) Read(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in = append(s.in, p...)
	if len(s.in) > lineLimit && bytes.IndexByte(s.in, '\n') < 0 {
		s.in = nil
		s.out.WriteString("ERR command too long\n")
	}
	s.wake.Signal()
}

// Event implements chardev.Frontend.
func (s *Server) Event(e chardev.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e {
	case chardev.Opened:
		s.levels, s.start, s.opened = [maxLines]bool{}, time.Now(), true
		s.logf("[I %s] OPENED\n", s.elapsed())
	case chardev.Closed:
		s.opened, s.in = false, nil
		s.logf("[I +%s] CLOSED\n", s.elapsed())
	}
}

func (s *Server) elapsed() string { return fmt.Sprintf("%.6f", time.Since(s.start).Seconds()) }

// logf writes to the log of the conversation. Preconditions: mu is held.
func (s *Server) logf(format string, a ...any) {
	if s.log != nil {
		fmt.Fprintf(s.log, format, a...)
	}
}

// run executes commands as they come and sends what there is to send.
func (s *Server) run() {
	for {
		line, out, ok := s.next()
		if !ok {
			return
		}
		if len(out) > 0 {
			s.port.WriteAll(out)
		}
		if line == nil {
			continue
		}
		s.settle()
		mainloop.Lock.Lock()
		s.port.AcceptInput()
		before := clock.Virtual.Now()
		answer := s.execute(strings.Split(string(line), " "))
		mainloop.Lock.Unlock()
		if s.t.Clock && clock.Virtual.Now() != before {
			s.settle()
		}
		s.send(answer)
	}
}

// settle waits until what the host has for the machine has arrived.
func (s *Server) settle() {
	s.mu.Lock()
	f := s.t.Settle
	s.mu.Unlock()
	if f != nil {
		f()
	}
}

// next waits for a command or output. Output goes first.
func (s *Server) next() (line, out []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed {
		if s.out.Len() > 0 {
			out = bytes.Clone(s.out.Bytes())
			s.out.Reset()
			return nil, out, true
		}
		if i := bytes.IndexByte(s.in, '\n'); i >= 0 {
			line = bytes.Clone(s.in[:i])
			if s.in = s.in[i+1:]; len(s.in) == 0 {
				s.in = nil
			}
			s.logf("[R +%s] %s\n", s.elapsed(), line)
			for !s.serving && !s.closed && string(line) != "endianness" {
				s.wake.Wait()
			}
			return line, nil, !s.closed
		}
		s.wake.Wait()
	}
	return nil, nil, false
}

// send queues a line.
func (s *Server) send(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		s.logf("[S +%s] %s\n", s.elapsed(), line)
	}
	s.out.WriteString(line)
	s.out.WriteByte('\n')
	s.wake.Signal()
}

// lineChanged reports the level of an interrupt line, unless it is what was reported last.
func (s *Server) lineChanged(n int, level bool) {
	if n >= maxLines || s.levels[n] == level {
		return
	}
	s.levels[n] = level
	word := "lower"
	if level {
		word = "raise"
	}
	s.send(fmt.Sprintf("IRQ %s %d", word, n))
}
