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

// InitInputs makes the device's input lines, which call f with their number.
func (b *Base) InitInputs(f func(n int, level bool), count int) []*IRQ {
	b.inputs = NewIRQs(func(n int, level bool) {
		f(n, level)
		if b.tap != nil {
			b.tap(n, level)
		}
	}, count)
	return b.inputs
}

// Inputs returns the device's input lines.
func (b *Base) Inputs() []*IRQ { return b.inputs }

// InitOutputs makes known where the device keeps its output lines.
func (b *Base) InitOutputs(lines ...**IRQ) { b.outputs = lines }

// TapInputs makes f hear of every call of an input line, after the device.
func (b *Base) TapInputs(f func(n int, level bool)) { b.tap = f }

// TapOutputs makes f hear of every call of an output line, after who is at its end.
func (b *Base) TapOutputs(f func(n int, level bool)) {
	for i, p := range b.outputs {
		old := *p
		*p = NewIRQ(func(n int, level bool) {
			old.Set(level)
			f(n, level)
		}, i)
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
