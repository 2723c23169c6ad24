// Package chardev has the host side of character devices: a Backend moves bytes between a host endpoint (terminal, socket, file, …)
// and the Ports that device models hold. It knows no device; everything a Port calls back runs on the main loop under the machine
// lock, while the endpoint is served by goroutines of the backend's own.
package chardev

import (
	"fmt"
	"sync"
	"time"
)

// Event is something that happened to the endpoint.
type Event uint8

// The events.
const (
	Opened Event = iota // somebody is at the other end
	Closed              // nobody is any more
	Break               // a break condition was received
	MuxIn               // this port of a mux has the input now
	MuxOut              // and has lost it
)

// Frontend is a device (or the monitor) on a port. Its methods run on the main loop under the machine lock, unless AttachOn said otherwise.
type Frontend interface {
	// CanRead tells how many bytes Read takes now. When that grows from zero, the frontend calls Port.AcceptInput.
	CanRead() int
	// Read delivers input, never more than CanRead said.
	Read(p []byte)
	Event(e Event)
}

// Loop is where callbacks are posted; mainloop.Main is one.
type Loop interface{ Post(f func()) }

// endpoint is the host side of a backend.
type endpoint interface {
	// name is what query-chardev shows as the file name.
	name() string
	// stop ends the endpoint's goroutines and releases its files; with drain, output already accepted is written if that does not block
	// for long.
	stop(drain bool)
	// wrote is called, without locks, after output was put into the backend's queue.
	wrote()
}

const (
	outputLimit  = 64 << 10               // bytes accepted and not yet written
	inputLimit   = 4 << 10                // bytes of input waiting at a port before the endpoint stops reading
	gatherDelay  = 500 * time.Microsecond // how long a small output waits for more
	gatherEnough = 1 << 10                // output of this size does not wait
)

// Backend is a character device of the host.
type Backend struct {
	ID    string
	Kind  string // stdio, socket, …
	alias string // of a mux over this one
	loop  Loop
	end   endpoint
	mux   *mux // nil if the backend takes one frontend only
	log   *logFile

	mu        sync.Mutex
	outCond   sync.Cond // output was queued, or closed
	inCond    sync.Cond // a port's input was taken, or closed
	roomCond  sync.Cond // output was taken, or closed
	out       []byte
	taken     []byte // being written
	writing   bool   // taken is
	ports     []*Port
	connected bool
	discard   bool // nobody is connected and output has nowhere to go
	closed    bool
	prompt    bool  // small outputs do not wait for more
	fds       []int // descriptors that came along with the last input
}

// Port is a frontend's end of a backend.
type Port struct {
	b    *Backend
	fe   Frontend
	loop Loop // where the frontend is called

	// Under b.mu:
	in       []byte
	posted   bool // a delivery is on the loop's queue
	writable func()
	filling  bool // writable runs
	detached bool
	converse bool // see Converse
	stale    int  // bytes of in that came from a client that has gone
	untold   int  // events that the frontend has not been told yet
	ending   bool // somebody waits for listens
	listens  bool // the frontend has taken all input and would take more
}

func newBackend(id, kind string, loop Loop) *Backend {
	b := &Backend{ID: id, Kind: kind, loop: loop}
	b.outCond.L, b.inCond.L, b.roomCond.L = &b.mu, &b.mu, &b.mu
	return b
}

// String returns the identifier.
func (b *Backend) String() string { return b.ID }

// Mux tells whether several frontends share the backend.
func (b *Backend) Mux() bool { return b.mux != nil }

// Name is the endpoint as query-chardev shows it.
func (b *Backend) Name() string { return b.endpoint().name() }

// endpoint is the present host side, which Set.Change may replace.
func (b *Backend) endpoint() endpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end
}

// Connected tells whether somebody is at the other end.
func (b *Backend) Connected() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connected
}

// maxMuxPorts is how many frontends share a mux.
const maxMuxPorts = 4

// Attach gives f a port. Only a mux takes more than one frontend. Preconditions: the machine lock is held.
func (b *Backend) Attach(f Frontend) (*Port, error) {
	connected := false
	p, last, err := b.attach(f, b.loop, func() { connected = true })
	if err != nil {
		return nil, err
	}
	if connected {
		p.fe.Event(Opened)
	}
	if b.mux != nil {
		b.mux.setFocus(last)
	}
	b.inCond.Broadcast()
	return p, nil
}

// AttachOn is Attach for a frontend that is no device: its methods are called on a loop of its own, without the machine lock.
func (b *Backend) AttachOn(l Loop, f Frontend) (*Port, error) {
	p, last, err := b.attach(f, l, func() { l.Post(func() { f.Event(Opened) }) })
	if err != nil {
		return nil, err
	}
	if b.mux != nil {
		b.mux.setFocus(last)
	}
	b.inCond.Broadcast()
	return p, nil
}

// attach makes a port. If the device is connected, opened is called before the port can get any input.
func (b *Backend) attach(f Frontend, l Loop, opened func()) (p *Port, index int, err error) {
	p = &Port{b: b, fe: f, loop: l}
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := 1
	if b.mux != nil {
		limit = maxMuxPorts
	}
	if len(b.ports) >= limit {
		if b.mux != nil {
			return nil, 0, fmt.Errorf("too many uses of multiplexed chardev '%s' (maximum is %d)", b.ID, maxMuxPorts)
		}
		return nil, 0, fmt.Errorf("Device '%s' is in use", b.ID)
	}
	b.ports = append(b.ports, p)
	if b.connected {
		opened()
	}
	return p, len(b.ports) - 1, nil
}

// SendBreak makes the frontend see a break condition.
func (b *Backend) SendBreak() { b.event(Break) }

// InUse tells whether a frontend holds the backend.
func (b *Backend) InUse() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ports) > 0
}

// Detach gives the port up; the frontend hears nothing more. Preconditions: the machine lock is held.
func (p *Port) Detach() {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	p.detached = true
	for i, q := range b.ports {
		if q == p {
			b.ports = append(b.ports[:i:i], b.ports[i+1:]...)
			break
		}
	}
	b.inCond.Broadcast()
}

// Backend returns the backend of the port.
func (p *Port) Backend() *Backend { return p.b }

// Write queues output and returns how many bytes were taken; it never blocks and may be called from any goroutine. After a short
// count OnWritable tells when there is room again. Output to an endpoint with nobody connected is taken and dropped.
func (p *Port) Write(data []byte) int {
	if m := p.b.mux; m != nil {
		return m.write(p.b, data)
	}
	return p.b.write(data)
}

func (b *Backend) write(data []byte) int {
	b.mu.Lock()
	if b.closed || b.discard {
		b.dropped(data)
		b.mu.Unlock()
		return len(data)
	}
	n := min(len(data), outputLimit-len(b.out))
	wasEmpty := len(b.out) == 0
	b.out = append(b.out, data[:n]...)
	enough := len(b.out) >= gatherEnough && len(b.out)-n < gatherEnough
	end := b.end
	b.mu.Unlock()
	if n > 0 && (wasEmpty || enough) {
		end.wrote()
	}
	return n
}

// WriteAll queues output and waits while there is no room for it; for devices that have no way to make the guest wait.
func (p *Port) WriteAll(data []byte) {
	b := p.b
	for len(data) > 0 {
		data = data[p.Write(data):]
		if len(data) == 0 {
			return
		}
		b.mu.Lock()
		for len(b.out) >= outputLimit && !b.discard && !b.closed {
			b.roomCond.Wait()
		}
		b.mu.Unlock()
	}
}

// Flushed tells whether all output has been taken by the endpoint.
func (p *Port) Flushed() bool {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return len(p.b.out) == 0 || p.b.discard || p.b.closed
}

// Converse says that the frontend speaks a protocol with each client: small outputs leave at once instead of waiting for more, a client
// that has said all it will still gets its answers, and what one that has gone altogether left unread is forgotten.
func (p *Port) Converse() {
	p.b.mu.Lock()
	p.b.prompt = true
	p.converse = true
	p.b.mu.Unlock()
}

// OnWritable makes f run once on the main loop when there is room for output again; at once if there is some now. A nil f forgets
// an earlier request.
func (p *Port) OnWritable(f func()) {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	p.writable = f
	if f != nil && (len(b.out) < outputLimit || b.discard || b.closed) {
		b.notifyWritable()
	}
}

// notifyWritable tells that there is room for output. Preconditions: b.mu is held.
func (b *Backend) notifyWritable() {
	b.roomCond.Broadcast()
	for _, p := range b.ports {
		if p.writable == nil {
			continue
		}
		p.loop.Post(func() {
			b.mu.Lock()
			f := p.writable
			p.writable = nil
			if p.detached {
				f = nil
			}
			p.filling = f != nil
			b.mu.Unlock()
			if f == nil {
				return
			}
			f()
			b.mu.Lock()
			p.filling = false
			b.inCond.Broadcast()
			b.mu.Unlock()
		})
	}
}

// AcceptInput tells that the frontend can read again.
func (p *Port) AcceptInput() {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(p.in) > 0 || p.ending {
		p.post()
	}
}

// post schedules a delivery. Preconditions: b.mu is held.
func (p *Port) post() {
	if !p.posted && !p.detached {
		p.posted = true
		p.loop.Post(p.deliver)
	}
}

// deliver hands waiting input to the frontend, as much as it takes. It runs on the loop under the machine lock.
func (p *Port) deliver() {
	b := p.b
	b.mu.Lock()
	p.posted = false
	b.mu.Unlock()
	for {
		room := p.fe.CanRead()
		b.mu.Lock()
		n := min(room, len(p.in))
		if p.untold > 0 { // the client who sent the rest has not been announced
			n = min(n, p.stale)
		}
		if n <= 0 || p.detached {
			if p.ending && room > 0 && len(p.in) == 0 {
				p.listens = true
				b.inCond.Broadcast()
			}
			b.mu.Unlock()
			return
		}
		chunk := append([]byte(nil), p.in[:n]...)
		p.forget(n)
		b.inCond.Broadcast()
		b.mu.Unlock()
		p.fe.Read(chunk)
	}
}

// forget drops the first n bytes of input. Preconditions: b.mu is held.
func (p *Port) forget(n int) {
	p.stale = max(p.stale-n, 0)
	if p.in = p.in[n:]; len(p.in) == 0 {
		p.in = nil
	}
}

// event tells all frontends of a change, on the loop.
func (b *Backend) event(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.ports {
		p.tell(e)
	}
}

// tell posts an event to the frontend. Preconditions: b.mu is held.
func (p *Port) tell(e Event) {
	if e == Closed {
		p.stale = len(p.in)
	}
	p.untold++
	p.loop.Post(func() {
		p.fe.Event(e)
		p.b.mu.Lock()
		defer p.b.mu.Unlock()
		if e == Closed && p.converse {
			p.forget(p.stale)
		}
		if p.untold--; p.untold == 0 && len(p.in) > 0 {
			p.post()
		}
	})
}

// dropped logs output that nobody gets. Preconditions: b.mu is held.
func (b *Backend) dropped(data []byte) {
	if b.log != nil && !b.closed && len(data) > 0 {
		b.log.write(data)
	}
}

// setConnected records a connection or its end; without one, output is dropped if drop is set.
func (b *Backend) setConnected(on, drop bool) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	changed := b.connected != on
	b.connected, b.discard = on, drop && !on
	if b.discard {
		b.dropped(b.out)
		b.out = b.out[:0]
		b.notifyWritable()
	}
	b.mu.Unlock()
	if !changed {
		return
	}
	if on {
		b.event(Opened)
	} else {
		b.event(Closed)
	}
}

// receive takes input from the endpoint; it blocks while the port that gets it is full, and returns false when the backend is closed.
func (b *Backend) receive(data []byte) bool {
	if b.mux != nil {
		return b.mux.receive(b, data)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(data) > 0 {
		for len(b.ports) == 0 && !b.closed { // nobody listens yet
			b.inCond.Wait()
		}
		if b.closed {
			return false
		}
		n, ok := b.feed(b.ports[0], data)
		if !ok {
			return false
		}
		data = data[n:]
	}
	return !b.closed
}

// feed gives a port some input, waiting until there is room. Preconditions: b.mu is held.
func (b *Backend) feed(p *Port, data []byte) (n int, ok bool) {
	for len(p.in) >= inputLimit && !b.closed && !p.detached {
		b.inCond.Wait()
	}
	if b.closed {
		return 0, false
	}
	if p.detached {
		return len(data), true
	}
	n = min(len(data), inputLimit-len(p.in))
	p.in = append(p.in, data[:n]...)
	p.post()
	return n, true
}

// nextOutput waits for output and takes it all; ok is false when the backend is closed and nothing is left. stop ends the wait early.
func (b *Backend) nextOutput(stop *bool) (data []byte, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = false
	b.inCond.Broadcast()
	for len(b.out) == 0 && !b.closed && !*stop {
		b.outCond.Wait()
	}
	if !b.closed && !*stop && !b.prompt && len(b.out) < gatherEnough {
		b.mu.Unlock()
		time.Sleep(gatherDelay)
		b.mu.Lock()
	}
	if *stop || len(b.out) == 0 {
		return nil, false
	}
	b.out, b.taken, b.writing = b.taken[:0], b.out, true
	b.notifyWritable()
	return b.taken, true
}

// Close releases the endpoint. Frontends hear nothing more.
func (b *Backend) Close() {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.closed = true
	b.outCond.Broadcast()
	b.inCond.Broadcast()
	b.roomCond.Broadcast()
	b.mu.Unlock()
	b.end.stop(true)
	b.setFDs(nil)
	if b.log != nil {
		b.log.close()
	}
}
