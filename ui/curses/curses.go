// Package curses shows consoles that consist of characters in the terminal that the emulator was started in, and takes keys from it. Alt
// with a digit chooses the console. It needs a terminal that knows ECMA-48's sequences and UTF-8.
package curses

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"goemu/internal/mainloop"
	"goemu/internal/term"
	"goemu/ui"
	"goemu/ui/input"
	"goemu/ui/keymap"
)

// Times: between two looks at the screen, and after which a lone ESC is the key.
const (
	refresh  = 30 * time.Millisecond
	escDelay = 25 // ms
)

// Display is the terminal.
type Display struct {
	consoles *ui.Set
	input    *input.Router
	layout   keymap.Layout
	in, out  *os.File

	raw    *term.Raw
	drawer drawer
	text   ui.Text
	winch  chan os.Signal
	done   chan struct{}
	end    sync.Once
	loops  sync.WaitGroup
}

// Open takes the terminal, until Close or until ctx ends. The guest's characters are of charset, its keyboard has a layout.
func Open(ctx context.Context, consoles *ui.Set, router *input.Router, charset *Charset, layout keymap.Layout) (*Display, error) {
	return open(ctx, consoles, router, charset, layout, os.Stdin, os.Stdout)
}

func open(ctx context.Context, consoles *ui.Set, router *input.Router, charset *Charset, layout keymap.Layout, in, out *os.File) (*Display, error) {
	d := &Display{consoles: consoles, input: router, layout: layout, in: in, out: out, winch: make(chan os.Signal, 1), done: make(chan struct{})}
	if !term.IsTerminal(int(d.out.Fd())) {
		return nil, errors.New("We need a terminal output")
	}
	raw, err := term.MakeRaw(int(d.out.Fd()), false)
	if err != nil {
		return nil, err
	}
	raw.Farewell = seqEnd
	d.raw = raw
	d.drawer.charset = charset
	d.measure()
	signal.Notify(d.winch, unix.SIGWINCH)
	_, _ = d.out.WriteString(seqBegin)
	d.loops.Go(func() { d.show(ctx) })
	d.loops.Go(func() { d.read(ctx) })
	return d, nil
}

// Close gives the terminal back. Preconditions: the machine lock is not held.
func (d *Display) Close() {
	d.end.Do(func() {
		close(d.done)
		signal.Stop(d.winch)
		d.loops.Wait()
		d.raw.Restore()
	})
}

// measure asks for the terminal's size.
func (d *Display) measure() {
	w, h := 80, 24
	if s, err := unix.IoctlGetWinsize(int(d.out.Fd()), unix.TIOCGWINSZ); err == nil && s.Col > 0 && s.Row > 0 {
		w, h = int(s.Col), int(s.Row)
	}
	d.drawer.resize(w, h)
}

// show draws again and again.
func (d *Display) show(ctx context.Context) {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		if !d.grab() {
			d.text.Say("This VM has no graphic display device.")
		}
		if s := d.drawer.draw(&d.text); s != "" {
			if _, err := d.out.WriteString(s); err != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-d.winch:
			d.measure()
		case <-ctx.Done():
			return
		case <-d.done:
			return
		}
	}
}

// grab copies the characters of the chosen console; false if there is none.
func (d *Display) grab() bool {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	c := d.consoles.Active()
	if c != nil {
		c.Text(&d.text)
	}
	return c != nil
}

// read takes keys.
func (d *Display) read(ctx context.Context) {
	var buf []byte
	chunk := make([]byte, 256)
	fds := []unix.PollFd{{Fd: int32(d.in.Fd()), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		select {
		case <-d.done:
			return
		default:
		}
		wait := 200
		if len(buf) > 0 {
			wait = escDelay
		}
		n, err := unix.Poll(fds, wait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if n > 0 {
			n, err = d.in.Read(chunk)
			if n <= 0 || err != nil {
				return
			}
			buf = append(buf, chunk[:n]...)
		}
		buf = d.take(buf, n <= 0)
	}
}

// take gives the keys in b to the machine and returns what may be the beginning of one.
func (d *Display) take(b []byte, last bool) []byte {
	for len(b) > 0 {
		p, n, ok := next(d.layout, b, last)
		if n == 0 {
			break
		}
		if !(ok && d.choose(p)) && !d.write(b[:n]) && ok {
			d.send(p)
		}
		b = b[n:]
	}
	return b
}

// choose shows another console if the key says so.
func (d *Display) choose(p press) bool {
	if p.alt && !p.ctrl && p.char >= '1' && p.char <= '9' {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		d.consoles.Select(int(p.char - '1'))
		return true
	}
	return false
}

// write types at the chosen console if it is one of text.
func (d *Display) write(keys []byte) bool {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if c := d.consoles.Active(); c != nil {
		if t := c.Typist(); t != nil {
			t.Type(keys)
			return true
		}
	}
	return false
}

// send presses a key and lets it go: terminals do not tell when.
func (d *Display) send(p press) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	var screen any
	if c := d.consoles.Active(); c != nil {
		screen = c
	}
	var held []input.Key
	for _, m := range []struct {
		on  bool
		key input.Key
	}{{p.shift, input.KeyShift}, {p.ctrl, input.KeyCtrl}, {p.alt, input.KeyAlt}, {p.altGr, input.KeyAltR}} {
		if m.on {
			held = append(held, m.key)
		}
	}
	held = append(held, p.key)
	for _, k := range held {
		d.input.SendKey(screen, k, true)
		d.input.Pause(0)
	}
	for i := range held {
		d.input.SendKey(screen, held[len(held)-1-i], false)
		d.input.Pause(0)
	}
}
