// Package qmp speaks the machine monitor protocol: sessions on character devices, their negotiation, the order of commands and replies,
// and events to all of them. What the commands do is in the services bound to the registry.
package qmp

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"goemu/internal/chardev"
	"goemu/internal/monitor"
	"goemu/internal/trace"
	"goemu/qapi"
)

// Server is what all sessions share.
type Server struct {
	Registry *qapi.Registry
	Version  *qapi.VersionInfo
	// Ready tells whether the machine has been made; before, only some commands are allowed. Nil means always.
	Ready func() bool
	// Policy is about the interface that clients should not use; nil accepts everything.
	Policy *qapi.CompatPolicy
	// Context ends when the emulator does.
	Context context.Context

	inBand sync.Mutex // held while a command runs that is not out of band
	limits limiter

	mu       sync.Mutex // guards sessions, and keeps events in one order
	sessions []*Session
}

// Open starts a monitor on a device.
func (s *Server) Open(b *chardev.Backend, pretty bool) (*Session, error) {
	n := &Session{server: s, pretty: pretty, notify: make(chan struct{}, 1)}
	n.commands.Store(negotiation)
	conn, err := monitor.Open(b, n)
	if err != nil {
		return nil, err
	}
	n.conn.Store(conn)
	s.mu.Lock()
	s.sessions = append(s.sessions, n)
	s.mu.Unlock()
	go n.run()
	return n, nil
}

// Close ends the session for good.
func (s *Session) Close() {
	s.server.mu.Lock()
	s.server.sessions = slices.DeleteFunc(s.server.sessions, func(x *Session) bool { return x == s })
	s.server.mu.Unlock()
	s.conn.Load().Close()
	s.mu.Lock()
	s.closed = true
	s.queue = nil
	s.mu.Unlock()
	s.kick()
}

// TakeFD hands the descriptor that came along with the last input over.
func (s *Session) TakeFD() (fd int, ok bool) { return s.conn.Load().Backend().TakeFD() }

// Uses tells whether a monitor is on a device.
func (s *Server) Uses(b *chardev.Backend) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.sessions, func(n *Session) bool { c := n.conn.Load(); return c != nil && c.Backend() == b })
}

// Exclusive runs f as a command in band: no other command runs meanwhile.
func (s *Server) Exclusive(f func()) {
	s.inBand.Lock()
	defer s.inBand.Unlock()
	f()
}

// InBand is held while a command runs that is not out of band.
func (s *Server) InBand() sync.Locker { return &s.inBand }

// Hold makes commands in band wait until Release.
func (s *Server) Hold() { s.inBand.Lock() }

// Release lets commands in band run again.
func (s *Server) Release() { s.inBand.Unlock() }

// Flush waits until the command that runs has answered and all clients have been told everything, or for the time given. That is counted in
// short sleeps, so that a host too busy to run the process is not taken for a client that does not listen.
func (s *Server) Flush(limit time.Duration) {
	const step = time.Millisecond
	for left := limit; left > 0 && !s.Idle(); left -= step {
		time.Sleep(step)
	}
}

// Settle waits until clients have been told everything so far, but no longer than the time given.
func (s *Server) Settle(limit time.Duration) {
	monitor.Settle(limit, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !slices.ContainsFunc(s.sessions, func(n *Session) bool { c := n.conn.Load(); return c != nil && !c.Idle() })
	})
}

// Idle tells whether no command runs or waits, and no output waits.
func (s *Server) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.sessions {
		n.mu.Lock()
		busy := n.busy || len(n.queue) > 0
		n.mu.Unlock()
		if c := n.conn.Load(); busy || c != nil && !c.Idle() {
			return false
		}
	}
	return true
}

// maxQueued is how much output may wait for a client before events are dropped and commands wait.
const maxQueued = 16 << 20

// Emit tells all clients of an event; it may be called from any goroutine and never blocks. Some events are limited to one per second.
func (s *Server) Emit(ev qapi.Event) {
	trace.ProtocolEventEmit.Log("event=%s", ev.EventName())
	s.limits.pass(ev, s.broadcast)
}

// broadcast sends an event to all sessions that have negotiated.
func (s *Server) broadcast(ev qapi.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := s.Policy.Event(ev)
	if data == nil {
		return
	}
	text := eventText(ev, data, time.Now())
	for _, n := range s.sessions {
		if c := n.conn.Load(); c != nil && n.commands.Load() == operation && c.Queued() < maxQueued {
			n.send(text)
		}
	}
}

// eventText is an event as clients see it, with the data that they are told.
func eventText(ev qapi.Event, data any, now time.Time) []byte {
	const micro = 1000
	o := qapi.NewObject("timestamp", qapi.NewObject("seconds", now.Unix(), "microseconds", int64(now.Nanosecond()/micro)), "event", ev.EventName())
	if ev.HasData() {
		o.Set("data", data)
	}
	return qapi.AppendJSON(nil, o)
}

// phase is which commands a session takes.
type phase int32

const (
	negotiation phase = iota
	operation
)

// Session is one monitor. It outlives its clients: each one negotiates anew.
type Session struct {
	server *Server
	pretty bool
	conn   atomic.Pointer[monitor.Conn]
	notify chan struct{}

	commands atomicPhase
	oob      atomic.Bool // out-of-band commands were negotiated
	stream   qapi.Stream // used by the connection's goroutine only

	mu     sync.Mutex
	queue  []request
	busy   bool // a command in band runs
	client int  // counts clients: a reply goes to the one that asked
	closed bool
}

type atomicPhase struct{ v atomic.Int32 }

func (a *atomicPhase) Load() phase   { return phase(a.v.Load()) }
func (a *atomicPhase) Store(p phase) { a.v.Store(int32(p)) }

// request is a message from a client, or a mistake in one.
type request struct {
	v      any
	err    error
	client int
}

// Requests that may wait: one, or more with out-of-band commands, which must get past them.
const (
	queueLength    = 1
	queueLengthOOB = 8
)

func (s *Session) kick() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// Opened implements monitor.Handler: it greets.
func (s *Session) Opened() {
	s.stream = qapi.Stream{}
	s.commands.Store(negotiation)
	s.oob.Store(false)
	s.mu.Lock()
	s.client++
	s.mu.Unlock()
	s.send(qapi.AppendJSON(nil, qapi.NewObject("QMP", qapi.NewObject("version", s.server.Version, "capabilities", []any{string(qapi.QMPCapabilityOob)}))))
}

// Closed implements monitor.Handler: what the client asked for and is not begun is forgotten.
func (s *Session) Closed() {
	s.commands.Store(negotiation)
	s.stream = qapi.Stream{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = nil
	s.client++
}

// Focus implements monitor.Handler.
func (s *Session) Focus(bool) {}

// Ready implements monitor.Handler.
func (s *Session) Ready() int {
	limit := queueLength
	if s.oob.Load() {
		limit = queueLengthOOB
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.queue)
	if s.busy && !s.oob.Load() {
		n++
	}
	if n >= limit {
		return 0
	}
	const chunk = 4096
	return chunk
}

// Input implements monitor.Handler.
func (s *Session) Input(p []byte) { s.stream.Feed(p, s.message) }

// message takes one message: out-of-band commands run at once, others wait for their turn.
func (s *Session) message(v any, err error) {
	s.mu.Lock()
	r := request{v, err, s.client}
	s.mu.Unlock()
	if o, ok := v.(*qapi.Object); ok && o.Has("exec-oob") && !o.Has("execute") {
		s.answer(r)
		return
	}
	s.mu.Lock()
	s.queue = append(s.queue, r)
	s.mu.Unlock()
	s.kick()
}

// run carries out commands in band until the session ends.
func (s *Session) run() {
	for range s.notify {
		for {
			s.mu.Lock()
			if s.closed {
				s.mu.Unlock()
				return
			}
			if len(s.queue) == 0 {
				s.mu.Unlock()
				break
			}
			r := s.queue[0]
			s.queue = s.queue[1:]
			s.busy = true
			s.mu.Unlock()
			s.server.inBand.Lock()
			s.answer(r)
			s.server.inBand.Unlock()
			s.mu.Lock()
			s.busy = false
			s.mu.Unlock()
			s.conn.Load().Accept()
		}
	}
}

// answer carries a request out and sends the reply, unless the client has gone.
func (s *Session) answer(r request) {
	text := s.reply(r)
	s.mu.Lock()
	same := s.client == r.client
	s.mu.Unlock()
	if same && text != nil {
		if trace.QMPRespond.Traced() {
			trace.QMPRespond.Log("mon %p resp: %s", s, text)
		}
		s.send(text)
	}
}

// send queues a message for the client.
func (s *Session) send(text []byte) {
	if s.pretty {
		text = bytes.ReplaceAll(qapi.Pretty(text), []byte("\n"), []byte("\r\n"))
	}
	c := s.conn.Load()
	for c == nil { // the greeting may come before Open has stored it
		time.Sleep(time.Millisecond)
		c = s.conn.Load()
	}
	_, _ = c.Write(append(text, "\r\n"...))
}
