package vnc

import "goemu/ui/input"

// keypad tells whether a key is of the number pad, numeric whether a keysym of the number pad is a digit.
func keypad(k input.Key) bool { n := k.Num(); return n >= 0x47 && n <= 0x53 }

func numeric(sym uint32) bool {
	return sym >= 0xffb0 && sym <= 0xffb9 || sym == 0xffac || sym == 0xffae
}
