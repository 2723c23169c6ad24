package curses

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"goemu/internal/mainloop"
	"goemu/ui"
	"goemu/ui/input"
	"goemu/ui/keymap"
)

func TestKeys(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a", "A": "shift-a", "~": "shift-grave_accent", "\r": "ret", "\t": "tab", "\x7f": "backspace", "\x03": "ctrl-c", "\x1b": "esc", "\x00": "ctrl-spc",
		"\x1b[A": "up", "\x1bOB": "down", "\x1b[3~": "delete", "\x1b[24~": "f12", "\x1bOP": "f1", "\x1b[15;5~": "ctrl-f5", "\x1b[1;2D": "shift-left",
		"\x1b[Z": "shift-tab", "\x1bx": "alt-x", "\x1b2": "alt-2", "\x1bX": "shift-alt-x", "\x1b\x1b[A": "alt-up", "\x1b[[C": "f3", "\x1b[": "alt-bracket_left", "\x1b\x1b": "esc esc",
		"ab\x1b[Bc": "a b down c", "é": "", "\x1b[99~": "", "\x1b[1;": "alt-bracket_left 1 semicolon",
	} {
		var got []string
		for b := []byte(in); len(b) > 0; {
			p, n, ok := next(keymap.US, b, true)
			require.NotZero(t, n, "%q", in)
			b = b[n:]
			if ok {
				got = append(got, p.String())
			}
		}
		require.Equal(t, want, strings.Join(got, " "), "%q", in)
	}
	for _, in := range []string{"\x1b", "\x1b[", "\x1b[1", "\x1b[1;5", "\x1b\x1b[", "\x1b[[", "\xc3"} { // may be going on
		_, n, ok := next(keymap.US, []byte(in), false)
		require.False(t, ok || n > 0, "%q", in)
	}
}

// TestLayout takes characters of another keyboard.
func TestLayout(t *testing.T) {
	l, err := keymap.Parse(strings.NewReader("eacute 0x03\n2 0x03 shift\nasciitilde 0x03 altgr\nq 0x1e addupper\n"))
	require.NoError(t, err)
	for in, want := range map[string]string{"é": "2", "2": "shift-2", "~": "altgr-2", "Q": "shift-a", "\x11": "ctrl-a", "\x1b2": "shift-alt-2"} {
		p, n, ok := next(l, []byte(in), true)
		require.True(t, ok && n == len(in), in)
		require.Equal(t, want, p.String(), in)
	}
}

func (p press) String() string {
	return map[bool]string{true: "shift-"}[p.shift] + map[bool]string{true: "ctrl-"}[p.ctrl] + map[bool]string{true: "alt-"}[p.alt] + map[bool]string{true: "altgr-"}[p.altGr] + p.key.String()
}

func TestCharsets(t *testing.T) {
	c, err := ParseCharset("")
	require.NoError(t, err)
	require.Equal(t, "☺A⌂Ç░ß\u00a0", string([]rune{c[1], c['A'], c[0x7f], c[0x80], c[0xb0], c[0xe1], c[0xff]}))
	c, err = ParseCharset("iso-8859-1")
	require.NoError(t, err)
	require.Equal(t, "é?", string([]rune{c[0xe9], c[0x90]}))
	_, err = ParseCharset("klingon")
	require.EqualError(t, err, "Could not convert font glyphs from klingon: 'Invalid argument'")
}

// terminal interprets what the drawer writes.
type terminal struct {
	cells   [][]rune
	x, y    int
	visible bool
}

func newTerminal(w, h int) *terminal {
	t := &terminal{visible: true}
	for range h {
		t.cells = append(t.cells, []rune(strings.Repeat(" ", w)))
	}
	return t
}

func (t *terminal) write(s string) {
	for r := []rune(s); len(r) > 0; {
		if r[0] != esc {
			t.cells[t.y][t.x] = r[0]
			t.x++
			r = r[1:]
			continue
		}
		n := 2
		for r[n] < '@' {
			n++
		}
		switch args := string(r[2:n]); r[n] {
		case 'H':
			fmt.Sscanf(args, "%d;%d", &t.y, &t.x)
			t.x--
			t.y--
		case 'J':
			*t = *newTerminal(len(t.cells[0]), len(t.cells))
		case 'h', 'l':
			t.visible = r[n] == 'h'
		}
		r = r[n+1:]
	}
}

func textOf(w, h int, fill func(x, y int) byte) *ui.Text {
	var t ui.Text
	t.Resize(w, h)
	for i := range t.Cells {
		t.Cells[i] = 0x0700 | ui.Cell(fill(i%w, i/w))
	}
	return &t
}

func TestDraw(t *testing.T) {
	charset, _ := ParseCharset("")
	d := drawer{charset: charset}
	d.resize(20, 6)
	tty := newTerminal(20, 6)
	text := textOf(10, 4, func(x, y int) byte { return byte('a' + x + y) })
	text.CursorX, text.CursorY = 2, 3
	tty.write(d.draw(text))
	require.Equal(t, "     abcdefghij     ", string(tty.cells[1]))
	require.Equal(t, "     defghijklm     ", string(tty.cells[4]))
	require.Equal(t, []any{7, 4, true}, []any{tty.x, tty.y, tty.visible})
	require.Empty(t, d.draw(text))
	text.Cells[13] = 0x0700 | 0xdb
	out := d.draw(text)
	require.Less(t, len(out), 60)
	tty.write(out)
	require.Equal(t, "     bcd█fghijk     ", string(tty.cells[2]))
	// A larger text is shown where the cursor is.
	text = textOf(30, 25, func(_, y int) byte { return byte('a' + y) })
	text.CursorX, text.CursorY = 29, 24
	tty.write(d.draw(text))
	require.Equal(t, strings.Repeat("y", 20), string(tty.cells[5]))
	require.Equal(t, []any{19, 5, true}, []any{tty.x, tty.y, tty.visible})
	text.CursorX, text.CursorY = 0, 0
	tty.write(d.draw(text))
	require.Equal(t, strings.Repeat("a", 20), string(tty.cells[0]))
	text.CursorX = -1
	tty.write(d.draw(text))
	require.False(t, tty.visible)
	require.Equal(t, "\x1b[0;1;31;44m", color(0x1c))
}

// screen is an adapter that shows one line, keyboard a device that notes what is typed.
type screen string

func (s screen) Update()         {}
func (s screen) Invalidate()     {}
func (s screen) Text(t *ui.Text) { *t = *textOf(len(s), 1, func(x, _ int) byte { return s[x] }) }

type keyboard struct {
	mu  sync.Mutex
	got []string
}

func (k *keyboard) Input(e input.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.got = append(k.got, fmt.Sprintf("%s%s", map[bool]string{true: "+", false: "-"}[e.Down], e.Key))
}

func (k *keyboard) Sync() {}

func TestTerminal(t *testing.T) {
	master, tty, err := pty.Open()
	require.NoError(t, err)
	defer tty.Close()
	require.NoError(t, pty.Setsize(master, &pty.Winsize{Rows: 10, Cols: 40}))
	seen := make(chan string, 64)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if err != nil {
				close(seen)
				return
			}
			seen <- string(b[:n])
		}
	}()
	var all bytes.Buffer
	wait := func(what string) {
		t.Helper()
		limit := time.After(time.Minute)
		for !strings.Contains(all.String(), what) {
			select {
			case s := <-seen:
				all.WriteString(s)
			case <-limit:
				t.Fatalf("%q is not in %q", what, all.String())
			}
		}
		all.Reset()
	}
	set, kbd := ui.NewSet(), &keyboard{}
	router := &input.Router{Running: func() bool { return true }}
	mainloop.Lock.Lock()
	set.Add(t, 0, screen("first screen"))
	set.Add(t, 1, screen("second screen"))
	router.Add(kbd, "kbd", input.Of(input.KindKey))
	mainloop.Lock.Unlock()
	charset, _ := ParseCharset("")
	d, err := open(t.Context(), set, router, charset, keymap.US, tty, tty)
	require.NoError(t, err)
	wait("first screen")
	_, err = master.WriteString("\x1b2")
	require.NoError(t, err)
	wait("second screen")
	_, err = master.WriteString("q\x1b9")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		kbd.mu.Lock()
		defer kbd.mu.Unlock()
		return len(kbd.got) > 0
	}, time.Minute, time.Millisecond)
	require.Equal(t, "+q", kbd.got[0]) // what follows waits for the virtual clock
	require.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 5, Cols: 20}))
	d.winch <- os.Interrupt // the pty is not our controlling terminal: the signal does not come
	wait("\x1b[3;4H\x1b[0;37;40msecond screen")
	d.Close()
	wait(seqEnd)
}

// FuzzKeys gives the parser whatever a terminal may send: it takes something of it.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("\x1b[1;5Aabc\x1b\x1b[[A"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			_, n, _ := next(keymap.US, b, true)
			if n < 1 || n > len(b) {
				t.Fatalf("%d of %q", n, b)
			}
			b = b[n:]
		}
	})
}
