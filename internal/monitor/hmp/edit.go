package hmp

import (
	"fmt"
	"slices"
	"strings"
)

// editor is a line being typed on a terminal, with the lines before it.
type editor struct {
	prompt   string
	print    func(s string)
	run      func(line string)
	complete func(text string) (list []string, have int)

	buf, shown []byte
	cursor     int // in buf
	shownAt    int // cursor on the screen
	history    []string
	entry      int // of history that is edited, -1 for none
	state      escState
	param      int
}

type escState uint8

const (
	escNone escState = iota
	escBegun
	escCSI
	escSS3
)

const (
	maxLine    = 4095
	maxHistory = 64
)

// Control characters.
const (
	ctrlA, ctrlD, ctrlE, ctrlL, ctrlW = 1, 4, 5, 12, 23
	charTab, charEscape               = 9, 27
	charBackspace, charDelete         = 8, 127
	charCSI                           = 0x9b
)

// restart begins a new line.
func (e *editor) restart() { e.buf, e.cursor, e.entry = e.buf[:0], 0, -1 }

// show prints the prompt.
func (e *editor) show() {
	e.print(e.prompt)
	e.shown, e.shownAt, e.state = e.shown[:0], 0, escNone
}

// key takes one byte from the terminal.
func (e *editor) key(c byte) {
	switch e.state {
	case escNone:
		e.plain(c)
	case escBegun:
		e.state = escNone
		switch c {
		case '[':
			e.state, e.param = escCSI, 0
		case 'O':
			e.state = escSS3
		}
	case escCSI:
		if c >= '0' && c <= '9' {
			e.param = min(e.param*10+int(c-'0'), 1000)
			return
		}
		e.state = escNone
		e.sequence(c)
	case escSS3:
		e.state = escNone
		switch c {
		case 'F':
			e.cursor = len(e.buf)
		case 'H':
			e.cursor = 0
		}
	}
	e.update()
}

func (e *editor) plain(c byte) {
	switch c {
	case ctrlA:
		e.cursor = 0
	case ctrlD:
		e.remove()
	case ctrlE:
		e.cursor = len(e.buf)
	case charTab:
		e.completion()
	case ctrlL:
		e.print("\033[2J\033[1;1H")
		e.show()
	case '\n', '\r':
		e.enter()
	case ctrlW:
		e.removeWord()
	case charEscape:
		e.state = escBegun
	case charBackspace, charDelete:
		if e.cursor > 0 {
			e.cursor--
			e.remove()
		}
	case charCSI:
		e.state, e.param = escCSI, 0
	default:
		if c >= ' ' {
			e.insert(c)
		}
	}
}

// sequence acts on the last byte of an escape sequence.
func (e *editor) sequence(c byte) {
	const home, del, end = 1, 3, 4
	switch c {
	case 'A', 'F':
		e.up()
	case 'B', 'E':
		e.down()
	case 'D':
		e.cursor = max(e.cursor-1, 0)
	case 'C':
		e.cursor = min(e.cursor+1, len(e.buf))
	case '~':
		switch e.param {
		case home:
			e.cursor = 0
		case del:
			e.remove()
		case end:
			e.cursor = len(e.buf)
		}
	}
}

func (e *editor) insert(c byte) {
	if len(e.buf) < maxLine {
		e.buf = slices.Insert(e.buf, e.cursor, c)
		e.cursor++
	}
}

// remove deletes the character under the cursor.
func (e *editor) remove() {
	if e.cursor < len(e.buf) {
		e.buf = slices.Delete(e.buf, e.cursor, e.cursor+1)
	}
}

// removeWord deletes the word before the cursor.
func (e *editor) removeWord() {
	start := e.cursor
	for start > 0 && strings.IndexByte(blanks, e.buf[start-1]) >= 0 {
		start--
	}
	for start > 0 && strings.IndexByte(blanks, e.buf[start-1]) < 0 {
		start--
	}
	e.buf = slices.Delete(e.buf, start, e.cursor)
	e.cursor = start
}

func (e *editor) set(line string) {
	e.buf = append(e.buf[:0], line...)
	e.cursor = len(e.buf)
}

func (e *editor) up() {
	if e.entry == 0 || len(e.history) == 0 {
		return
	}
	if e.entry < 0 {
		e.entry = len(e.history)
	}
	e.entry--
	e.set(e.history[e.entry])
}

func (e *editor) down() {
	switch {
	case e.entry < 0:
		return
	case e.entry+1 < len(e.history):
		e.entry++
		e.set(e.history[e.entry])
	default:
		e.entry = -1
		e.set("")
	}
}

// enter ends the line.
func (e *editor) enter() {
	line := string(e.buf)
	e.remember(line)
	e.print("\n")
	e.restart()
	e.shown, e.shownAt = e.shown[:0], 0
	e.run(line)
}

// remember puts a line at the end of the history, taking it from where it was.
func (e *editor) remember(line string) {
	e.entry = -1
	if line == "" {
		return
	}
	if i := slices.Index(e.history, line); i >= 0 {
		e.history = slices.Delete(e.history, i, i+1)
	}
	if e.history = append(e.history, line); len(e.history) > maxHistory {
		e.history = slices.Delete(e.history, 0, 1)
	}
}

// completion completes the word before the cursor, or lists what it may become.
func (e *editor) completion() {
	list, have := e.complete(string(e.buf[:e.cursor]))
	if len(list) == 0 {
		return
	}
	common := list[0]
	width := 0
	for _, s := range list {
		for !strings.HasPrefix(s, common) {
			common = common[:len(common)-1]
		}
		width = max(width, len(s))
	}
	for i := have; i < len(common); i++ {
		e.insert(common[i])
	}
	if len(list) == 1 {
		if common != "" && common[len(common)-1] != '/' {
			e.insert(' ')
		}
		return
	}
	const screen, narrowest, gap = 80, 10, 2
	width = min(max(width+gap, narrowest), screen)
	var b strings.Builder
	b.WriteByte('\n')
	for i, s := range list {
		fmt.Fprintf(&b, "%-*s", width, s)
		if (i+1)%(screen/width) == 0 || i == len(list)-1 {
			b.WriteByte('\n')
		}
	}
	e.print(b.String())
	e.show()
}

// update brings the screen up to date.
func (e *editor) update() {
	var b strings.Builder
	if string(e.buf) != string(e.shown) {
		b.WriteString(strings.Repeat("\033[D", e.shownAt))
		b.Write(e.buf)
		b.WriteString("\033[K")
		e.shown = append(e.shown[:0], e.buf...)
		e.shownAt = len(e.buf)
	}
	switch d := e.cursor - e.shownAt; {
	case d > 0:
		b.WriteString(strings.Repeat("\033[C", d))
	case d < 0:
		b.WriteString(strings.Repeat("\033[D", -d))
	}
	e.shownAt = e.cursor
	if b.Len() > 0 {
		e.print(b.String())
	}
}
