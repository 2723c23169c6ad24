package qdev

// IRQ is an interrupt line or any other one-bit wire: the holder drives it, a handler at the other end hears every call. A nil line is
// not connected. Lines are driven under the machine lock.
type IRQ struct {
	f func(n int, level bool)
	n int
}

// NewIRQ returns a line that calls f with n.
func NewIRQ(f func(n int, level bool), n int) *IRQ { return &IRQ{f, n} }

// NewIRQs returns count lines that call f with 0, 1, ….
func NewIRQs(f func(n int, level bool), count int) []*IRQ {
	lines := make([]*IRQ, count)
	for i := range lines {
		lines[i] = NewIRQ(f, i)
	}
	return lines
}

// Set drives the line.
func (q *IRQ) Set(level bool) {
	if q != nil {
		q.f(q.n, level)
	}
}

// Raise drives the line high.
func (q *IRQ) Raise() { q.Set(true) }

// Lower drives the line low.
func (q *IRQ) Lower() { q.Set(false) }

// Pulse drives the line high and low again.
func (q *IRQ) Pulse() { q.Set(true); q.Set(false) }

// Invert returns a line that drives out with the opposite level.
func Invert(out *IRQ) *IRQ { return NewIRQ(func(_ int, level bool) { out.Set(!level) }, 0) }

// Split returns a line that drives several.
func Split(outs ...*IRQ) *IRQ {
	return NewIRQ(func(_ int, level bool) {
		for _, o := range outs {
			o.Set(level)
		}
	}, 0)
}

// Or returns n lines; out is high while any of them is.
func Or(out *IRQ, n int) []*IRQ {
	levels := make([]bool, n)
	return NewIRQs(func(i int, level bool) {
		levels[i] = level
		any := false
		for _, l := range levels {
			any = any || l
		}
		out.Set(any)
	}, n)
}
