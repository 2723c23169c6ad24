package keymap

import "goemu/ui/input"

// rows are the keys of a US keyboard by what they give without and with shift, and by QEMU's numbers.
var rows = []struct{ plain, shifted, numbers string }{
	{"`1234567890-=", "~!@#$%^&*()_+", "\x29\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"},
	{"qwertyuiop[]\\", "QWERTYUIOP{}|", "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x2b"},
	{"asdfghjkl;'", "ASDFGHJKL:\"", "\x1e\x1f\x20\x21\x22\x23\x24\x25\x26\x27\x28"},
	{"zxcvbnm,./", "ZXCVBNM<>?", "\x2c\x2d\x2e\x2f\x30\x31\x32\x33\x34\x35"},
	{" ", " ", "\x39"},
}

// otherKeys are the keysyms of keys that give no character, in runs of following numbers, with the names of the keys.
var otherKeys = []struct {
	first uint32
	names []string
}{
	{0xff08, []string{"backspace", "tab"}}, {0xff0d, []string{"ret"}}, {0xff13, []string{"pause", "scroll_lock", "sysrq"}},
	{0xff1b, []string{"esc"}}, {0xff50, []string{"home", "left", "up", "right", "down", "pgup", "pgdn", "end"}},
	{0xff61, []string{"print"}}, {0xff63, []string{"insert"}}, {0xff67, []string{"compose"}}, {0xff7f, []string{"num_lock"}},
	{0xff8d, []string{"kp_enter"}}, {0xff95, []string{"kp_7", "kp_4", "kp_8", "kp_6", "kp_2", "kp_9", "kp_3", "kp_1", "kp_5", "kp_0", "kp_decimal"}},
	{0xffaa, []string{"kp_multiply", "kp_add", "kp_decimal", "kp_subtract", "kp_decimal", "kp_divide"}},
	{0xffb0, []string{"kp_0", "kp_1", "kp_2", "kp_3", "kp_4", "kp_5", "kp_6", "kp_7", "kp_8", "kp_9"}}, {0xffbd, []string{"kp_equals"}},
	{0xffbe, []string{"f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12"}},
	{0xffe1, []string{"shift", "shift_r", "ctrl", "ctrl_r", "caps_lock"}}, {0xffe7, []string{"alt", "alt_r", "alt", "alt_r", "meta_l", "meta_r"}},
	{0xfe03, []string{"alt_r"}}, {0xfe20, []string{"tab"}}, {0xffff, []string{"delete"}},
}

// US is the layout of a US keyboard.
var US = func() Layout {
	l := Layout{}
	for _, r := range rows {
		for i := range len(r.numbers) { // keysyms of Latin 1 are the characters' codes
			k := input.Number(int(r.numbers[i]))
			l.stroke(uint32(r.plain[i]), Stroke{Key: k})
			if r.shifted[i] != r.plain[i] {
				l.stroke(uint32(r.shifted[i]), Stroke{k, Shift})
			}
		}
	}
	for _, r := range otherKeys {
		for i, name := range r.names {
			l.stroke(r.first+uint32(i), Stroke{Key: input.Find(name)})
		}
	}
	return l
}()
