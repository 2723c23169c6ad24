package input

// Stroke is how a character is typed.
type Stroke struct {
	Key   Key
	Shift bool
}

// rows are the keys of a US keyboard by what they give without and with shift, and by QEMU's numbers.
var rows = []struct{ plain, shifted, numbers string }{
	{"`1234567890-=", "~!@#$%^&*()_+", "\x29\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"},
	{"qwertyuiop[]\\", "QWERTYUIOP{}|", "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x2b"},
	{"asdfghjkl;'", "ASDFGHJKL:\"", "\x1e\x1f\x20\x21\x22\x23\x24\x25\x26\x27\x28"},
	{"zxcvbnm,./", "ZXCVBNM<>?", "\x2c\x2d\x2e\x2f\x30\x31\x32\x33\x34\x35"},
	{" ", " ", "\x39"},
}

// Typed are the characters of a US keyboard.
var Typed = func() map[byte]Stroke {
	m := map[byte]Stroke{}
	for _, r := range rows {
		for i := range len(r.numbers) {
			k := Number(int(r.numbers[i]))
			m[r.shifted[i]] = Stroke{k, true}
			m[r.plain[i]] = Stroke{Key: k}
		}
	}
	return m
}()
