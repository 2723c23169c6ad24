package hmp

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"goemu/internal/chardev"
	"goemu/internal/monitor"
)

// terminal is a monitor on a character device.
type terminal struct {
	m    *Monitor
	conn *monitor.Conn

	mu      sync.Mutex
	lines   []string // to be run, one at a time
	busy    bool
	open    bool // a client is there
	focus   bool // a shared device shows this monitor
	begun   bool // Shell.Begin was called
	greeted bool // and its greeting is out
	wake    chan struct{}
	held    []byte // what was printed before the connection was known or while a shared device shows another frontend
}

// prompt is printed before each line.
const prompt = "(qemu) "

// Open starts a monitor on a device.
func (s *Shell) Open(b *chardev.Backend) error {
	t := &terminal{wake: make(chan struct{}, 1), focus: !b.Mux()}
	t.m = s.newMonitor(t)
	t.m.ed = &editor{prompt: prompt, entry: -1, print: func(s string) { _, _ = t.Write([]byte(s)) }, run: t.queue, complete: t.m.complete}
	conn, err := monitor.Open(b, t)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.conn = conn
	t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminals = append(s.terminals, t); s.begun {
		conn.Post(t.begin)
	}
	go t.run()
	return nil
}

// Begin lets the monitors greet their users; which frontend of a shared device is shown at first is settled by then.
func (s *Shell) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		for _, t := range s.terminals {
			t.conn.Post(t.begin)
		}
	}
	s.begun = true
}

// begin greets if a client is there.
func (t *terminal) begin() {
	t.mu.Lock()
	t.begun = true
	open := t.open
	t.mu.Unlock()
	if open {
		t.greet()
	}
	t.mu.Lock()
	t.greeted = true
	t.mu.Unlock()
	t.conn.Accept()
}

// Settle waits until users have been told everything so far, but no longer than the time given.
func (s *Shell) Settle(limit time.Duration) {
	monitor.Settle(limit, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !slices.ContainsFunc(s.terminals, func(t *terminal) bool {
			t.mu.Lock()
			greeted := t.greeted || !s.begun
			t.mu.Unlock()
			return !greeted || !t.conn.Idle()
		})
	})
}

// Idle tells whether no line is being carried out.
func (s *Shell) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.terminals, func(t *terminal) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.busy || len(t.lines) > 0
	})
}

// Write prints with carriage returns before the ends of lines.
func (t *terminal) Write(p []byte) (int, error) {
	text := bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = append(t.held, text...)
	t.flush()
	return len(p), nil
}

// flush sends what was held. Preconditions: t.mu is held.
func (t *terminal) flush() {
	if t.conn != nil && t.focus {
		_, _ = t.conn.Write(t.held)
		t.held = nil
	}
}

// Opened implements monitor.Handler.
func (t *terminal) Opened() {
	t.mu.Lock()
	t.open = true
	begun := t.begun
	t.mu.Unlock()
	if begun {
		t.greet()
	}
}

func (t *terminal) greet() {
	t.m.Printf("QEMU %s monitor - type 'help' for more information\n", t.m.Version)
	t.mu.Lock()
	show := t.focus
	t.mu.Unlock()
	if show {
		t.m.ed.restart()
		t.m.ed.show()
	}
}

// Closed implements monitor.Handler.
func (t *terminal) Closed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open, t.lines, t.held = false, nil, nil
}

// Focus implements monitor.Handler.
func (t *terminal) Focus(on bool) {
	t.mu.Lock()
	ready := t.begun && t.open && !t.busy
	if !on && ready && t.focus {
		t.held = append(t.held, "\r\n"...)
		t.flush()
	}
	t.focus = on
	t.flush()
	t.mu.Unlock()
	if on && ready {
		t.m.ed.restart()
		t.m.ed.show()
	}
}

// Ready implements monitor.Handler: a line is typed only after the greeting, and when the one before has been carried out.
func (t *terminal) Ready() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun || t.busy || len(t.lines) > 0 {
		return 0
	}
	return 1
}

// Input implements monitor.Handler.
func (t *terminal) Input(p []byte) {
	for _, c := range p {
		t.m.ed.key(c)
	}
}

// queue hands a line to the goroutine that carries it out.
func (t *terminal) queue(line string) {
	t.mu.Lock()
	t.lines = append(t.lines, line)
	t.mu.Unlock()
	t.wake <- struct{}{}
}

// run carries lines out.
func (t *terminal) run() {
	for range t.wake {
		t.mu.Lock()
		if len(t.lines) == 0 {
			t.mu.Unlock()
			continue
		}
		line := t.lines[0]
		t.lines, t.busy = t.lines[1:], true
		t.mu.Unlock()
		t.m.exclusive(func() { t.m.execute(line) })
		if f := t.m.wait; f != nil {
			t.m.wait = nil
			f()
		}
		t.mu.Lock()
		t.busy = false
		show := t.focus && t.open && !t.m.ended
		t.mu.Unlock()
		if show {
			t.conn.Post(t.m.ed.show)
		}
		t.conn.Accept()
	}
}

func (s *Shell) exclusive(f func()) {
	if s.Exclusive != nil {
		s.Exclusive(f)
	} else {
		f()
	}
}
