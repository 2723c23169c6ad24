package hmp

import (
	"bytes"
	"sync"

	"goemu/internal/chardev"
	"goemu/internal/monitor"
)

// terminal is a monitor on a character device.
type terminal struct {
	m    *Monitor
	conn *monitor.Conn

	mu     sync.Mutex
	lines  []string // to be run, one at a time
	busy   bool
	open   bool // a client is there
	focus  bool // a shared device shows this monitor
	wake   chan struct{}
	before []byte // what was printed before the connection was known
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
	before := t.before
	t.before = nil
	t.mu.Unlock()
	if len(before) > 0 {
		_, _ = conn.Write(before)
	}
	go t.run()
	return nil
}

// Write prints with carriage returns before the ends of lines.
func (t *terminal) Write(p []byte) (int, error) {
	text := bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
	t.mu.Lock()
	conn := t.conn
	if conn == nil {
		t.before = append(t.before, text...)
	}
	t.mu.Unlock()
	if conn != nil {
		_, _ = conn.Write(text)
	}
	return len(p), nil
}

// Opened implements monitor.Handler.
func (t *terminal) Opened() {
	t.m.Printf("QEMU %s monitor - type 'help' for more information\n", t.m.Version)
	t.mu.Lock()
	t.open = true
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
	t.open, t.lines = false, nil
}

// Focus implements monitor.Handler.
func (t *terminal) Focus(on bool) {
	t.mu.Lock()
	t.focus = on
	open, busy := t.open, t.busy
	t.mu.Unlock()
	switch {
	case !open || busy:
	case on:
		t.m.ed.restart()
		t.m.ed.show()
	default:
		t.m.Printf("\n")
	}
}

// Ready implements monitor.Handler: a line is typed only when the one before has been carried out.
func (t *terminal) Ready() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy || len(t.lines) > 0 {
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
		t.mu.Lock()
		t.busy = false
		show := t.focus && t.open
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
