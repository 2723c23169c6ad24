package vnc

import (
	"goemu/ui"
	"goemu/ui/input"
)

// terminal is what a terminal sends for keys without a character, by QEMU's numbers of the keys.
var terminal = map[int]string{
	0xc8: "\x1b[A", 0xd0: "\x1b[B", 0xcd: "\x1b[C", 0xcb: "\x1b[D",
	0xc7: "\x1b[1~", 0xd3: "\x1b[3~", 0xcf: "\x1b[4~", 0xc9: "\x1b[5~", 0xd1: "\x1b[6~",
	0xb5: "/", 0x37: "*", 0x4a: "-", 0x4e: "+", 0x9c: "\n",
}

// pad are the keys of the number pad: what they are with and without NumLock.
var pad = map[int]struct {
	digit string
	key   int
}{
	0x47: {"7", 0xc7}, 0x48: {"8", 0xc8}, 0x49: {"9", 0xc9}, 0x4b: {"4", 0xcb}, 0x4c: {"5", 0}, 0x4d: {"6", 0xcd},
	0x4f: {"1", 0xcf}, 0x50: {"2", 0xd0}, 0x51: {"3", 0xd1}, 0x52: {"0", 0}, 0x53: {".", 0xd3},
}

// scrolling is by how many lines a key moves the text with the control key.
var scrolling = map[int]int{0xc8: 1, 0xd0: -1, 0xc9: 10, 0xd1: -10}

// symbols are keysyms outside of Latin 1 that stand for a control character.
var symbols = map[uint32]byte{0xff08: 0x08, 0xff09: '\t', 0xff0a: '\n', 0xff0d: '\r', 0xff1b: 0x1b}

// typeKey types a key at a text console.
func (s *Server) typeKey(t ui.Typist, k input.Key, sym uint32) {
	n, control := k.Num(), s.held(input.KeyCtrl, input.KeyCtrlR)
	if p, ok := pad[n]; ok {
		if s.num || p.key == 0 {
			t.Type([]byte(p.digit))
			return
		}
		n = p.key
	}
	if lines := scrolling[n]; lines != 0 && control {
		t.Scroll(lines)
		return
	}
	if seq, ok := terminal[n]; ok {
		t.Type([]byte(seq))
		return
	}
	c, ok := symbols[sym]
	if sym < 0x100 {
		c, ok = byte(sym), true
	}
	if !ok {
		return
	}
	if control {
		c &= 0x1f
	}
	t.Type([]byte{c})
}
