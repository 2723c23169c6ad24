package chardev

import (
	"cmp"
	"fmt"
	"io"
	"time"
)

// The escape character of a mux and the commands after it.
const (
	muxEscape    = 0x01 // Ctrl-A, unless Hooks have another one
	cmdHelp      = 'h'
	cmdQuestion  = '?'
	cmdExit      = 'x'
	cmdSave      = 's'
	cmdBreak     = 'b'
	cmdSwitch    = 'c'
	cmdTimestamp = 't'
)

// muxHelp is what C-a h prints.
var muxHelp = [...]struct{ keys, does string }{
	{"h", "print this help"},
	{"x", "exit emulator"},
	{"s", "save disk data back to file (if -snapshot)"},
	{"t", "toggle console timestamps"},
	{"b", "send break (magic sysrq)"},
	{"c", "switch between console and monitor"},
}

// Hooks are what the commands of a mux do to the emulator; nil functions do nothing. They run on the main loop.
type Hooks struct {
	Exit      func() // C-a x
	SaveDisks func() // C-a s
	Escape    byte   // begins commands, 0 for C-a
	// Ready is closed when all frontends are there: input waits until then. Nil means at once.
	Ready <-chan struct{}
	// Detached says that the process is to let go of its terminal, so that nothing may use it.
	Detached bool
	// Tell gives the user a message, such as "warning: …"; Print a line of plain output. Nil drops them.
	Tell, Print func(text string)
	// Screen makes a text console for a backend of kind vc, with so many columns and rows (0: the usual number). Nil: nobody sees it.
	Screen func(id string, columns, rows int) io.ReadWriteCloser
}

func say(to func(string), text string) {
	if to != nil && text != "" {
		to(text)
	}
}

// mux lets several frontends share a backend: all write, one has the input.
type mux struct {
	hooks  *Hooks
	b      *Backend
	escape byte
	now    func() time.Time

	// Under b.mu:
	focus     int
	escaped   bool // the escape character was read
	stamps    bool // put the time before each line
	lineStart bool
	stampsAt  time.Time
}

func newMux(b *Backend, hooks *Hooks) *mux {
	return &mux{b: b, hooks: hooks, escape: cmp.Or(hooks.Escape, muxEscape), now: time.Now, lineStart: true}
}

// setFocus gives port n the input.
func (m *mux) setFocus(n int) {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	m.moveFocus(n)
}

// moveFocus gives port n the input and tells the ports. Preconditions: b.mu is held.
func (m *mux) moveFocus(n int) {
	var old, now *Port
	if m.focus < len(m.b.ports) {
		old = m.b.ports[m.focus]
	}
	m.focus = n
	if n < len(m.b.ports) {
		now = m.b.ports[n]
	}
	m.b.inCond.Broadcast()
	if old != nil && old != now {
		old.tell(MuxOut)
	}
	if now != nil {
		now.tell(MuxIn)
	}
}

// write adds timestamps if they are on.
func (m *mux) write(b *Backend, data []byte) int {
	b.mu.Lock()
	stamps := m.stamps
	b.mu.Unlock()
	if !stamps {
		return b.write(data)
	}
	for _, c := range data {
		b.mu.Lock()
		start, since := m.lineStart, m.now().Sub(m.stampsAt)
		m.lineStart = c == '\n'
		b.mu.Unlock()
		if start {
			b.write(timestamp(since))
		}
		b.write([]byte{c})
	}
	return len(data)
}

// timestamp formats the time since stamps were switched on.
func timestamp(d time.Duration) []byte {
	s := int64(d / time.Second)
	return fmt.Appendf(nil, "[%02d:%02d:%02d.%03d] ", s/3600, s/60%60, s%60, int64(d/time.Millisecond)%1000)
}

// receive splits input into commands and data for the port that has the input.
func (m *mux) receive(b *Backend, data []byte) bool {
	if m.hooks.Ready != nil {
		<-m.hooks.Ready
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(data) > 0 {
		if m.escaped {
			m.escaped = false
			if data[0] != m.escape {
				m.command(data[0])
				data = data[1:]
				continue
			}
			if !m.give(data[:1]) {
				return false
			}
			data = data[1:]
			continue
		}
		n := 0
		for n < len(data) && data[n] != m.escape {
			n++
		}
		if !m.give(data[:n]) {
			return false
		}
		if data = data[n:]; len(data) > 0 {
			m.escaped = true
			data = data[1:]
		}
	}
	return !b.closed
}

// give feeds the port that has the input. Preconditions: b.mu is held.
func (m *mux) give(data []byte) bool {
	for len(data) > 0 {
		if m.focus >= len(m.b.ports) {
			return !m.b.closed
		}
		n, ok := m.b.feed(m.b.ports[m.focus], data)
		if !ok {
			return false
		}
		data = data[n:]
	}
	return true
}

// command carries out the command c. Preconditions: b.mu is held.
func (m *mux) command(c byte) {
	b := m.b
	post := func(f func()) {
		if f != nil {
			b.loop.Post(f)
		}
	}
	switch c {
	case cmdHelp, cmdQuestion:
		post(m.help)
	case cmdExit:
		post(func() {
			b.write([]byte("QEMU: Terminated\n\r"))
			if m.hooks.Exit != nil {
				m.hooks.Exit()
			}
		})
	case cmdSave:
		post(m.hooks.SaveDisks)
	case cmdBreak:
		if m.focus < len(b.ports) {
			b.ports[m.focus].tell(Break)
		}
	case cmdSwitch:
		if n := len(b.ports); n > 0 {
			m.moveFocus((m.focus + 1) % n)
		}
	case cmdTimestamp:
		m.stamps, m.lineStart, m.stampsAt = !m.stamps, false, m.now()
	}
}

func (m *mux) help() {
	text := []byte("\n\r")
	name := fmt.Sprintf("0x%02x", m.escape)
	if m.escape < ' ' {
		name = fmt.Sprintf("C-%c", m.escape-1+'a')
	}
	for _, h := range muxHelp {
		text = fmt.Appendf(text, "%s %-4s %s\n\r", name, h.keys, h.does)
	}
	text = fmt.Appendf(text, "%s %-4s sends %s\n\r", name, name, name)
	m.b.write(text)
}
