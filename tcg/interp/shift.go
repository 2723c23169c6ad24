package interp

import "goemu/tcg/ir"

// count is a masked shift count.
func count[T word](v uint64) uint {
	if width[T]() == 64 {
		return uint(v & 63)
	}
	return uint(v & 31)
}

// unshifted is a flag-setting shift by 0.
func (x *exec) unshifted(in *inst, a uint64) bool {
	x.v[in.dst] = a
	x.f[in.fout] = x.f[in.fin]
	return false
}

func shl[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(x.v[in.a]) << count[T](x.v[in.b]))
	return false
}

func shr[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(x.v[in.a]) >> count[T](x.v[in.b]))
	return false
}

func sar[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(signed(T(x.v[in.a])) >> count[T](x.v[in.b])))
	return false
}

func shlF[T word](x *exec, in *inst) bool {
	a, n := T(x.v[in.a]), count[T](x.v[in.b])
	if n == 0 {
		return x.unshifted(in, uint64(a))
	}
	r := a << n
	c := n <= width[T]() && a>>(width[T]()-n)&1 != 0
	x.v[in.dst] = uint64(r)
	x.setImage(in.fout, szp(r)|flag(c, ir.FlagC)|flag(c != msb(r), ir.FlagV))
	return false
}

func shrF[T word](x *exec, in *inst) bool {
	a, n := T(x.v[in.a]), count[T](x.v[in.b])
	if n == 0 {
		return x.unshifted(in, uint64(a))
	}
	r := a >> n
	x.v[in.dst] = uint64(r)
	x.setImage(in.fout, szp(r)|flag(a>>(n-1)&1 != 0, ir.FlagC)|flag(msb(r<<1^r), ir.FlagV))
	return false
}

func sarF[T word](x *exec, in *inst) bool {
	a, n := signed(T(x.v[in.a])), count[T](x.v[in.b])
	if n == 0 {
		return x.unshifted(in, uint64(T(a)))
	}
	r := T(a >> n)
	x.v[in.dst] = uint64(r)
	x.setImage(in.fout, szp(r)|flag(a>>(n-1)&1 != 0, ir.FlagC))
	return false
}

// rotated defines the result of a rotation: only carry and overflow change.
func (x *exec) rotated(in *inst, r uint64, c, v bool) bool {
	f := x.f[in.fin].image()
	x.v[in.dst] = r
	x.setImage(in.fout, f&^(ir.FlagC|ir.FlagV)|flag(c, ir.FlagC)|flag(v, ir.FlagV))
	return false
}

func rol[T word](x *exec, in *inst) bool {
	a, n := T(x.v[in.a]), count[T](x.v[in.b])
	if n == 0 {
		return x.unshifted(in, uint64(a))
	}
	n %= width[T]()
	r := a<<n | a>>(width[T]()-n)
	c := r&1 != 0
	return x.rotated(in, uint64(r), c, c != msb(r))
}

func ror[T word](x *exec, in *inst) bool {
	a, n := T(x.v[in.a]), count[T](x.v[in.b])
	if n == 0 {
		return x.unshifted(in, uint64(a))
	}
	n %= width[T]()
	r := a>>n | a<<(width[T]()-n)
	return x.rotated(in, uint64(r), msb(r), msb(r^r<<1))
}

func rcl[T word](x *exec, in *inst) bool {
	a, n := T(x.v[in.a]), count[T](x.v[in.b])
	if n == 0 {
		return x.unshifted(in, uint64(a))
	}
	cin := x.f[in.fin].carry()
	c := cin != 0
	if n %= width[T]() + 1; n != 0 {
		c = a>>(width[T]()-n)&1 != 0
		a = a<<n | T(cin)<<(n-1) | a>>(width[T]()+1-n)
	}
	return x.rotated(in, uint64(a), c, c != msb(a))
}

func rcr[T word](x *exec, in *inst) bool {
	a, n := T(x.v[in.a]), count[T](x.v[in.b])
	if n == 0 {
		return x.unshifted(in, uint64(a))
	}
	cin := x.f[in.fin].carry()
	c := cin != 0
	if n %= width[T]() + 1; n != 0 {
		c = a>>(n-1)&1 != 0
		a = a>>n | T(cin)<<(width[T]()-n) | a<<(width[T]()+1-n)
	}
	return x.rotated(in, uint64(a), c, msb(a^a<<1))
}

func rorx[T word](x *exec, in *inst) bool {
	a, n := T(x.v[in.a]), count[T](x.v[in.b])
	x.v[in.dst] = uint64(a>>n | a<<(width[T]()-n))
	return false
}

// shld shifts A left and fills from the top of B. Counts beyond a width of 16 go on through B and A again.
func shld[T word](x *exec, in *inst) bool {
	a, b, n := T(x.v[in.a]), T(x.v[in.b]), count[T](x.v[in.c])
	if n == 0 {
		return x.unshifted(in, uint64(a))
	}
	w, hi, lo := width[T](), a, b
	if n > w {
		n -= w
		hi, lo = b, a
	}
	return doubleShifted(x, in, a, hi<<n|lo>>(w-n), hi>>(w-n)&1 != 0)
}

// shrd shifts A right and fills from the bottom of B.
func shrd[T word](x *exec, in *inst) bool {
	a, b, n := T(x.v[in.a]), T(x.v[in.b]), count[T](x.v[in.c])
	if n == 0 {
		return x.unshifted(in, uint64(a))
	}
	w, lo, hi := width[T](), a, b
	if n > w {
		n -= w
		lo, hi = b, a
	}
	return doubleShifted(x, in, a, lo>>n|hi<<(w-n), lo>>(n-1)&1 != 0)
}

func doubleShifted[T word](x *exec, in *inst, a, r T, c bool) bool {
	x.v[in.dst] = uint64(r)
	x.setImage(in.fout, szp(r)|flag(c, ir.FlagC)|flag(msb(r^a), ir.FlagV))
	return false
}
