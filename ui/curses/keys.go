package curses

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"goemu/ui/input"
	"goemu/ui/keymap"
)

// press is a key with the modifiers that are held.
type press struct {
	key                     input.Key
	shift, ctrl, alt, altGr bool
	char                    rune // that the key gives, 0 if it is not one of text
}

// named are keys that need no modifier.
func named(name string) press { return press{key: input.Find(name)} }

const esc = 0x1b

// controls are the keys of control characters, other than those of a letter.
var controls = map[byte]press{
	0x00: {key: input.Find("spc"), ctrl: true},
	0x08: {key: input.Find("backspace"), ctrl: true},
	'\t': named("tab"), '\r': named("ret"), '\n': {key: input.Find("j"), ctrl: true}, esc: named("esc"), 0x7f: named("backspace"),
	0x1c: {key: input.Find("backslash"), ctrl: true}, 0x1d: {key: input.Find("bracket_right"), ctrl: true},
	0x1e: {key: input.Find("6"), ctrl: true}, 0x1f: {key: input.Find("minus"), ctrl: true},
}

// finals are the keys of sequences that end with a letter, after ESC [ or ESC O (ECMA-48, xterm's control sequences).
var finals = map[byte]press{
	'A': named("up"), 'B': named("down"), 'C': named("right"), 'D': named("left"), 'E': named("kp_5"), 'F': named("end"), 'H': named("home"),
	'P': named("f1"), 'Q': named("f2"), 'R': named("f3"), 'S': named("f4"), 'M': named("kp_enter"), 'Z': {key: input.Find("tab"), shift: true},
}

// numbered are the keys of sequences ESC [ number ~.
var numbered = map[int]string{
	1: "home", 2: "insert", 3: "delete", 4: "end", 5: "pgup", 6: "pgdn", 7: "home", 8: "end",
	11: "f1", 12: "f2", 13: "f3", 14: "f4", 15: "f5", 17: "f6", 18: "f7", 19: "f8", 20: "f9", 21: "f10", 23: "f11", 24: "f12",
}

// The modifiers in a sequence: one less than the number.
const modShift, modAlt, modCtrl = 1, 2, 4

// maxSequence bounds what is looked at for the end of a sequence.
const maxSequence = 16

// next takes a key from the bytes of a terminal and returns how many it took; 0 if there may be more to come. last says that nothing comes
// soon: what looked like the beginning of a sequence is a key then. ok is false for bytes that stand for no key.
func next(l keymap.Layout, b []byte, last bool) (p press, n int, ok bool) {
	if len(b) == 0 {
		return p, 0, false
	}
	if b[0] != esc {
		return plain(l, b, last)
	}
	switch {
	case len(b) == 1 && last:
		return controls[esc], 1, true
	case len(b) == 1:
		return p, 0, false
	case b[1] == '[' || b[1] == 'O':
		if p, n, ok = sequence(b); n > 0 || !last {
			return p, n, ok
		}
	case b[1] == esc: // Alt with a key that is a sequence, or ESC twice
		if p, n, ok = next(l, b[1:], last); ok && n > 1 {
			p.alt = true
			return p, n + 1, true
		}
		if n == 0 {
			return p, 0, false
		}
		return controls[esc], 1, true
	}
	p, n, ok = plain(l, b[1:], true)
	p.alt = true
	return p, n + 1, ok
}

// plain takes one character.
func plain(l keymap.Layout, b []byte, last bool) (p press, n int, ok bool) {
	if !last && !utf8.FullRune(b) {
		return p, 0, false
	}
	c, n := utf8.DecodeRune(b)
	if p, ok := controls[b[0]]; ok {
		return p, n, true
	}
	p.ctrl = c < ' '
	if p.char = c; p.ctrl {
		p.char += 'a' - 1
	}
	s, ok := l.Rune(p.char)
	p.key, p.shift, p.altGr = s.Key, s.Mods&keymap.Shift != 0, s.Mods&keymap.AltGr != 0
	return p, n, ok
}

// sequence takes a control sequence; n is 0 if its end is missing.
func sequence(b []byte) (p press, n int, ok bool) {
	at := 2
	if b[1] == '[' && len(b) > 2 && b[2] == '[' { // the Linux console's function keys
		if len(b) < 4 {
			return p, 0, false
		}
		if c := b[3]; c >= 'A' && c <= 'E' {
			return named("f" + string('1'+c-'A')), 4, true
		}
		return p, 4, false
	}
	for at < len(b) && (b[at] >= '0' && b[at] <= '9' || b[at] == ';') {
		at++
	}
	switch {
	case at == len(b) && at > maxSequence:
		return p, at, false
	case at == len(b):
		return p, 0, false
	}
	args := strings.Split(string(b[2:at]), ";")
	if b[at] == '~' {
		code, _ := strconv.Atoi(args[0])
		p.key = input.Find(numbered[code])
	} else {
		p = finals[b[at]]
	}
	if len(args) > 1 {
		mods, _ := strconv.Atoi(args[1])
		mods--
		p.shift, p.alt, p.ctrl = p.shift || mods&modShift != 0, mods&modAlt != 0, mods&modCtrl != 0
	}
	return p, at + 1, p.key != input.KeyUnmapped
}
