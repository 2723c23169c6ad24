package softfloat

// Min is MINSS and MINSD: the smaller of a and b, b if either is a NaN (which is invalid) or both are zero.
func (e *Env) Min(f *Format, a, b uint64) uint64 { return e.choose(f, a, b, Less) }

// Max is MAXSS and MAXSD likewise.
func (e *Env) Max(f *Format, a, b uint64) uint64 { return e.choose(f, a, b, Greater) }

func (e *Env) choose(f *Format, a, b uint64, want Ordering) uint64 {
	x, y := e.Unpack(f, a), e.Unpack(f, b)
	v, r := b, &y
	if e.Compare(x, y, true) == want {
		v, r = a, &x
	}
	if r.Kind == KindZero { // a denormal number taken as zero
		v &= 1 << (f.Prec - 1 + expBits(f))
	}
	return v
}
