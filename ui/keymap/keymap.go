// Package keymap tells which keys give the symbols that viewers name, on keyboards of several countries. Symbols are X's keysyms; the files
// are those of QEMU.
package keymap

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"goemu/ui/input"
)

// Mods are modifiers that a symbol needs.
type Mods uint8

// The modifiers.
const (
	Shift Mods = 1 << iota
	AltGr
	Ctrl
)

// Stroke is how a symbol is typed.
type Stroke struct {
	Key  input.Key
	Mods Mods
}

// Layout is the strokes of each keysym, the usual one first. Of a keysym's bits the low 16 count, so that symbols of Unicode can be meant.
type Layout map[uint32][]Stroke

// maxStrokes is how many strokes of a symbol are kept; maxLine is longer than any line of a layout.
const (
	maxStrokes = 4
	maxLine    = 1024
)

// Parse reads a layout. Each line has the name of a keysym, the number of a key (as QEMU numbers them) and what else is needed: shift, altgr,
// ctrl; addupper adds the upper case of the name with shift. Symbols without a known name are left out.
func Parse(r io.Reader) (Layout, error) {
	l := Layout{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := lines.Text()
		name, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(line, "#"), name == "map":
			continue
		case name == "include":
			return nil, errors.New("keymap include files are not supported any more")
		}
		l.add(name, rest)
	}
	return l, lines.Err()
}

// add takes a line.
func (l Layout) add(name, rest string) {
	sym := Symbol(name)
	fields := strings.Fields(rest)
	if sym == 0 || len(fields) == 0 {
		return
	}
	n, err := strconv.ParseUint(fields[0], 0, 8)
	if err != nil {
		return
	}
	s := Stroke{Key: input.Number(int(n))}
	upper := false
	for _, f := range fields[1:] {
		switch f {
		case "shift":
			s.Mods |= Shift
		case "altgr":
			s.Mods |= AltGr
		case "ctrl":
			s.Mods |= Ctrl
		case "addupper":
			upper = true
		}
	}
	l.stroke(sym, s)
	if u := Symbol(strings.ToUpper(name)); upper && u != 0 {
		l.stroke(u, Stroke{s.Key, s.Mods | Shift})
	}
}

func (l Layout) stroke(sym uint32, s Stroke) {
	if len(l[sym]) < maxStrokes {
		l[sym] = append(l[sym], s)
	}
}

// leftTab is what shift and tab give.
const leftTab, tab = 0xfe20, 0xff09

// Key returns the key of a keysym, input.KeyUnmapped if there is none. Of several one that goes up is one that is down; one that goes down is
// that of the modifiers held.
func (l Layout) Key(sym uint32, down bool, held Mods, isDown func(input.Key) bool) input.Key {
	if sym &= 0xffff; sym == leftTab {
		sym = tab
	}
	list := l[sym]
	if len(list) == 0 {
		return input.KeyUnmapped
	}
	for _, s := range list {
		if down && s.Mods == held || !down && isDown(s.Key) {
			return s.Key
		}
	}
	return list[0].Key
}

// Rune returns how a character is typed.
func (l Layout) Rune(r rune) (Stroke, bool) {
	list := l[uint32(r)]
	if r > 0xffff || len(list) == 0 {
		return Stroke{}, false
	}
	return list[0], true
}

// names are the keysyms by their names.
var names = sync.OnceValue(func() map[string]uint32 {
	m := map[string]uint32{}
	for _, r := range nameRuns {
		for i, name := range strings.Fields(r.names) {
			m[name] = r.first + uint32(i)
		}
	}
	return m
})

// Symbol returns the keysym with a name, or that of UXXXX, a character of Unicode; 0 if there is none.
func Symbol(name string) uint32 {
	if sym := names()[name]; sym != 0 {
		return sym
	}
	if len(name) == 5 && name[0] == 'U' {
		n, err := strconv.ParseUint(name[1:], 16, 32)
		if err == nil {
			return uint32(n)
		}
	}
	return 0
}
