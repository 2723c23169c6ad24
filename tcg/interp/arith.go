package interp

import "goemu/tcg/ir"

func add[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(x.v[in.a]) + T(x.v[in.b]))
	return false
}

func addF[T word](x *exec, in *inst) bool {
	b := T(x.v[in.b])
	r := T(x.v[in.a]) + b
	x.v[in.dst] = uint64(r)
	x.f[in.fout] = flags{in.cc, uint64(r), uint64(b)}
	return false
}

func sub[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(x.v[in.a]) - T(x.v[in.b]))
	return false
}

func subF[T word](x *exec, in *inst) bool {
	b := T(x.v[in.b])
	r := T(x.v[in.a]) - b
	x.v[in.dst] = uint64(r)
	x.f[in.fout] = flags{in.cc, uint64(r), uint64(b)}
	return false
}

func cmp[T word](x *exec, in *inst) bool {
	x.f[in.fout] = flags{in.cc, uint64(T(x.v[in.a])), uint64(T(x.v[in.b]))}
	return false
}

func and[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(x.v[in.a] & x.v[in.b]))
	return false
}

func andF[T word](x *exec, in *inst) bool { return x.logic(in, uint64(T(x.v[in.a]&x.v[in.b]))) }

func or[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(x.v[in.a] | x.v[in.b]))
	return false
}

func orF[T word](x *exec, in *inst) bool { return x.logic(in, uint64(T(x.v[in.a]|x.v[in.b]))) }

func xor[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(x.v[in.a] ^ x.v[in.b]))
	return false
}

func xorF[T word](x *exec, in *inst) bool { return x.logic(in, uint64(T(x.v[in.a]^x.v[in.b]))) }

func andN[T word](x *exec, in *inst) bool { return x.logic(in, uint64(T(x.v[in.b]&^x.v[in.a]))) }

func (x *exec) logic(in *inst, r uint64) bool {
	x.v[in.dst] = r
	x.f[in.fout] = flags{in.cc, r, 0}
	return false
}

func not[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(^T(x.v[in.a]))
	return false
}

func neg[T word](x *exec, in *inst) bool {
	a := T(x.v[in.a])
	x.v[in.dst] = uint64(-a)
	x.f[in.fout] = flags{in.cc, uint64(-a), uint64(a)}
	return false
}

func adc[T word](x *exec, in *inst) bool {
	a, b, c := T(x.v[in.a]), T(x.v[in.b]), T(x.f[in.fin].carry())
	r := a + b + c
	x.v[in.dst] = uint64(r)
	x.setImage(in.fout, szp(r)|flag(r < a || c != 0 && r == a, ir.FlagC)|
		uint64(a^b^r)&ir.FlagA|flag(msb((a^r)&(b^r)), ir.FlagV))
	return false
}

func sbb[T word](x *exec, in *inst) bool {
	a, b, c := T(x.v[in.a]), T(x.v[in.b]), T(x.f[in.fin].carry())
	r := a - b - c
	x.v[in.dst] = uint64(r)
	x.setImage(in.fout, szp(r)|flag(a < b || c != 0 && a == b, ir.FlagC)|
		uint64(a^b^r)&ir.FlagA|flag(msb((a^b)&(a^r)), ir.FlagV))
	return false
}

func inc[T word](x *exec, in *inst) bool {
	r := uint64(T(x.v[in.a]) + 1)
	x.v[in.dst] = r
	x.f[in.fout] = flags{in.cc, r, x.f[in.fin].carry()}
	return false
}

func dec[T word](x *exec, in *inst) bool {
	r := uint64(T(x.v[in.a]) - 1)
	x.v[in.dst] = r
	x.f[in.fout] = flags{in.cc, r, x.f[in.fin].carry()}
	return false
}

// addX adds with one flag as carry in and out.
func addX[T word](x *exec, in *inst, bit uint64) bool {
	a, b, f := T(x.v[in.a]), T(x.v[in.b]), x.f[in.fin].image()
	c := T(b2u(f&bit != 0))
	r := a + b + c
	x.v[in.dst] = uint64(r)
	x.setImage(in.fout, f&^bit|flag(r < a || c != 0 && r == a, bit))
	return false
}

func adcx[T word](x *exec, in *inst) bool { return addX[T](x, in, ir.FlagC) }
func adox[T word](x *exec, in *inst) bool { return addX[T](x, in, ir.FlagV) }

func ext[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(x.v[in.a]))
	return false
}

// signedWord is a word to be sign-extended.
type signedWord interface {
	int8 | int16 | int32 | int64
}

func sext[T signedWord](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(int64(T(x.v[in.a])))
	return false
}

func extract(x *exec, in *inst) bool {
	x.v[in.dst] = x.v[in.a] >> (in.imm & 0xff) & (1<<(in.imm>>8) - 1)
	return false
}

func deposit(x *exec, in *inst) bool {
	m := uint64(1)<<(in.imm>>8) - 1
	pos := in.imm & 0xff
	x.v[in.dst] = x.v[in.a]&^(m<<pos) | x.v[in.b]&m<<pos
	return false
}

func lea[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(T(x.v[in.a] + x.v[in.b]<<in.imm2 + in.imm))
	return false
}

func sel[T word](x *exec, in *inst) bool {
	r := T(x.v[in.b])
	if x.f[in.fin].test(in.cond) {
		r = T(x.v[in.a])
	}
	x.v[in.dst] = uint64(r)
	return false
}

func selZ[T word](x *exec, in *inst) bool {
	r := x.v[in.b]
	if T(x.v[in.c]) == 0 {
		r = x.v[in.a]
	}
	x.v[in.dst] = r
	return false
}
