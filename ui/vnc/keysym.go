package vnc

import "goemu/ui/input"

// otherKeys are the keysyms of keys that give no character, in runs of following numbers, with the names of the keys.
var otherKeys = []struct {
	first uint32
	names []string
}{
	{0xff08, []string{"backspace", "tab"}}, {0xff0d, []string{"ret"}}, {0xff13, []string{"pause", "scroll_lock", "sysrq"}},
	{0xff1b, []string{"esc"}}, {0xff50, []string{"home", "left", "up", "right", "down", "pgup", "pgdn", "end"}},
	{0xff61, []string{"print"}}, {0xff63, []string{"insert"}}, {0xff67, []string{"compose"}}, {0xff7f, []string{"num_lock"}},
	{0xff8d, []string{"kp_enter"}}, {0xff95, []string{"kp_7", "kp_4", "kp_8", "kp_6", "kp_2", "kp_9", "kp_3", "kp_1", "kp_5", "kp_0", "kp_decimal"}},
	{0xffaa, []string{"kp_multiply", "kp_add", "kp_comma", "kp_subtract", "kp_decimal", "kp_divide"}},
	{0xffb0, []string{"kp_0", "kp_1", "kp_2", "kp_3", "kp_4", "kp_5", "kp_6", "kp_7", "kp_8", "kp_9"}}, {0xffbd, []string{"kp_equals"}},
	{0xffbe, []string{"f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12"}},
	{0xffe1, []string{"shift", "shift_r", "ctrl", "ctrl_r", "caps_lock"}}, {0xffe7, []string{"alt", "alt_r", "alt", "alt_r", "meta_l", "meta_r"}},
	{0xfe03, []string{"alt_r"}}, {0xfe20, []string{"tab"}}, {0xffff, []string{"delete"}},
}

// keymap returns the keys of keysyms on a US keyboard.
func keymap() map[uint32]input.Key {
	m := map[uint32]input.Key{}
	for char, t := range input.Typed { // keysyms of Latin 1 are the characters' codes
		m[uint32(char)] = t.Key
	}
	for _, r := range otherKeys {
		for i, name := range r.names {
			m[r.first+uint32(i)] = input.Find(name)
		}
	}
	return m
}

// keypad tells whether a key is of the number pad, numeric whether a keysym of the number pad is a digit.
func keypad(k input.Key) bool { n := k.Num(); return n >= 0x47 && n <= 0x53 }

func numeric(sym uint32) bool {
	return sym >= 0xffb0 && sym <= 0xffb9 || sym == 0xffac || sym == 0xffae
}
