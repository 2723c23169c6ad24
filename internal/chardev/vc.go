package chardev

import "strconv"

// vcEnd is a text console that nobody sees.
type vcEnd struct{ nullEnd }

func (vcEnd) name() string { return "vc" }

// openVC opens a text console.
func openVC(b *Backend, s *Spec) error {
	if s.screen == nil {
		b.end, b.discard = vcEnd{}, true
		return nil
	}
	number := func(chars, pixels string, size int) int {
		text, _ := s.get(chars)
		n, _ := strconv.Atoi(text)
		if text, ok := s.get(pixels); ok && n == 0 {
			n, _ = strconv.Atoi(text)
			n /= size
		}
		return n
	}
	const charWidth, charHeight = 8, 16
	b.connected = true
	b.end = &pumpEnd{b: b, label: "vc", p: startPump(b, s.screen(s.ID, number("cols", "width", charWidth), number("rows", "height", charHeight)), true, nil)}
	return nil
}
