package softfloat

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"goemu/internal/softfloat/hostfp"
)

// operand is a random number of format f with edge cases.
func operand(r *rand.Rand, f *Format) uint64 {
	fracBits := f.Prec - 1
	width := fracBits + expBits(f)
	maxExp := uint64(2*f.EMax + 1)
	frac := r.Uint64() & (1<<fracBits - 1)
	switch r.IntN(6) {
	case 0:
		frac = 0
	case 1:
		frac = 1 << r.IntN(fracBits)
	case 2:
		frac = (1<<fracBits - 1) &^ (1<<r.IntN(fracBits) - 1)
	case 3:
		frac = 1<<fracBits - 1
	}
	exp := r.Uint64() & maxExp
	switch r.IntN(8) {
	case 0:
		exp = 0
	case 1:
		exp = maxExp
	case 2:
		exp = r.Uint64N(4)
	case 3:
		exp = maxExp - r.Uint64N(4)
	case 4, 5:
		exp = uint64(f.EMax) + r.Uint64N(70) - 5
		exp &= maxExp
	}
	return r.Uint64()&1<<width | exp<<fracBits | frac
}

// MXCSR bits.
const (
	csrMask  = 0x1f80
	csrDAZ   = 1 << 6
	csrFTZ   = 1 << 15
	csrRound = 13
)

type sseCase struct {
	name string
	host func(a, b uint64, csr *uint32) uint64
	from *Format
	mask uint64
	soft func(e *Env, x, y Real, a, b uint64) uint64
}

func pack(to *Format, op func(e *Env, x, y Real) Real) func(e *Env, x, y Real, a, b uint64) uint64 {
	return func(e *Env, x, y Real, _, _ uint64) uint64 { return e.Pack(to, op(e, x, y)) }
}

func sseCases() []sseCase {
	const m32, m64 = 0xffffffff, ^uint64(0)
	sqrt := func(e *Env, x, _ Real) Real { return e.Sqrt(x) }
	conv := func(e *Env, x, _ Real) Real { return e.Quieted(x) }
	toInt := func(w uint) func(e *Env, x, y Real, a, b uint64) uint64 {
		return func(e *Env, x, _ Real, _, _ uint64) uint64 { return uint64(e.ToInt(x, w, e.Round)) }
	}
	rnd := func(e *Env, x, _ Real) Real { return e.Integral(x.Normal(), e.Round, true) }
	return []sseCase{
		{"addsd", hostfp.AddSD, F64, m64, pack(F64, (*Env).Add)}, {"addss", hostfp.AddSS, F32, m32, pack(F32, (*Env).Add)},
		{"subsd", hostfp.SubSD, F64, m64, pack(F64, (*Env).Sub)}, {"subss", hostfp.SubSS, F32, m32, pack(F32, (*Env).Sub)},
		{"mulsd", hostfp.MulSD, F64, m64, pack(F64, (*Env).Mul)}, {"mulss", hostfp.MulSS, F32, m32, pack(F32, (*Env).Mul)},
		{"divsd", hostfp.DivSD, F64, m64, pack(F64, (*Env).Div)}, {"divss", hostfp.DivSS, F32, m32, pack(F32, (*Env).Div)},
		{"sqrtsd", hostfp.SqrtSD, F64, m64, pack(F64, sqrt)}, {"sqrtss", hostfp.SqrtSS, F32, m32, pack(F32, sqrt)},
		{"cvtsd2ss", hostfp.CvtSD2SS, F64, m32, pack(F32, conv)}, {"cvtss2sd", hostfp.CvtSS2SD, F32, m64, pack(F64, conv)},
		{"cvtsd2si32", hostfp.CvtSD2SL, F64, m32, toInt(32)}, {"cvtsd2si64", hostfp.CvtSD2SQ, F64, m64, toInt(64)},
		{"cvtss2si32", hostfp.CvtSS2SL, F32, m32, toInt(32)}, {"cvtss2si64", hostfp.CvtSS2SQ, F32, m64, toInt(64)},
		{"cvtsi2sd", hostfp.CvtSQ2SD, F64, m64, func(e *Env, _, _ Real, a, _ uint64) uint64 { return e.Pack(F64, FromInt(int64(a))) }},
		{"cvtsi2ss", hostfp.CvtSQ2SS, F64, m32, func(e *Env, _, _ Real, a, _ uint64) uint64 { return e.Pack(F32, FromInt(int64(a))) }},
		{"roundsd", hostfp.RoundSD, F64, m64, pack(F64, rnd)}, {"roundss", hostfp.RoundSS, F32, m32, pack(F32, rnd)},
		{"minsd", hostfp.MinSD, F64, m64, func(e *Env, _, _ Real, a, b uint64) uint64 { return e.Min(F64, a, b) }},
		{"maxsd", hostfp.MaxSD, F64, m64, func(e *Env, _, _ Real, a, b uint64) uint64 { return e.Max(F64, a, b) }},
		{"minss", hostfp.MinSS, F32, m32, func(e *Env, _, _ Real, a, b uint64) uint64 { return e.Min(F32, a, b) }},
		{"maxss", hostfp.MaxSS, F32, m32, func(e *Env, _, _ Real, a, b uint64) uint64 { return e.Max(F32, a, b) }},
		{"cvtps2ph", hostfp.CvtPS2PH, F32, 0xffff, func(e *Env, x, _ Real, _, _ uint64) uint64 {
			e.FTZ = false
			return e.Pack(F16, e.Quieted(x))
		}},
		{"cvtph2ps", hostfp.CvtPH2PS, F16, m32, func(e *Env, _, _ Real, a, _ uint64) uint64 {
			e.DAZ = false
			x := e.Unpack(F16, a)
			return e.Pack(F32, e.Quieted(x.Normal()))
		}},
	}
}

func cases(t *testing.T) int {
	if testing.Short() {
		return 3000
	}
	return 30000
}

// TestSSE compares with the host: results and flags in all rounding modes, with and without FTZ and DAZ.
func TestSSE(t *testing.T) {
	for _, c := range sseCases() {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			bad := 0
			for range cases(t) {
				a, b := operand(r, c.from), operand(r, c.from)
				if c.name == "cvtph2ps" {
					a &= 0xffff
				}
				csr := randomCSR(r)
				e := envOf(csr)
				got := c.soft(e, e.Unpack(c.from, a), e.Unpack(c.from, b), a, b) & c.mask
				hostCSR := csr
				want := c.host(a, b, &hostCSR) & c.mask
				if got != want || e.Flags != Flags(hostCSR&0x3f) {
					t.Errorf("%#x, %#x, MXCSR %#x: got %#x flags %#x, host %#x flags %#x", a, b, csr, got, e.Flags, want, hostCSR&0x3f)
					if bad++; bad > 5 {
						t.FailNow()
					}
				}
			}
		})
	}
}

func randomCSR(r *rand.Rand) uint32 {
	return csrMask | r.Uint32N(4)<<csrRound | r.Uint32N(2)*csrDAZ | r.Uint32N(2)*csrFTZ
}

func envOf(csr uint32) *Env {
	return &Env{Round: Round(csr >> csrRound & 3), DAZ: csr&csrDAZ != 0, FTZ: csr&csrFTZ != 0}
}

// TestFMA compares fused multiply-add with the host.
func TestFMA(t *testing.T) {
	for _, c := range []struct {
		f    *Format
		mask uint64
		host func(a, b, c uint64, csr *uint32) uint64
	}{{F64, ^uint64(0), hostfp.FMASD}, {F32, 0xffffffff, hostfp.FMASS}} {
		r := rand.New(rand.NewPCG(3, 4))
		bad := 0
		for range cases(t) {
			a, b, z := operand(r, c.f), operand(r, c.f), operand(r, c.f)
			csr := randomCSR(r)
			if r.IntN(3) == 0 { // cancellation
				z = c.host(a, b, 1<<(c.f.Prec-1+expBits(c.f)), &csr) ^ 1<<(c.f.Prec-1+expBits(c.f)) ^ uint64(r.IntN(3))
				csr &^= 0x3f
			}
			e := envOf(csr)
			got := e.Pack(c.f, e.FMA(e.Unpack(c.f, b), e.Unpack(c.f, a), e.Unpack(c.f, z))) & c.mask
			hostCSR := csr
			want := c.host(a, b, z, &hostCSR) & c.mask
			if got != want || e.Flags != Flags(hostCSR&0x3f) {
				t.Errorf("%d bits: %#x * %#x + %#x, MXCSR %#x: got %#x flags %#x, host %#x flags %#x", c.f.Prec, a, b, z, csr, got, e.Flags, want, hostCSR&0x3f)
				if bad++; bad > 5 {
					t.FailNow()
				}
			}
		}
	}
}

// extended is a random 80-bit number with edge cases.
func extended(r *rand.Rand) (b [16]byte) {
	sig := r.Uint64() | topBit
	switch r.IntN(6) {
	case 0:
		sig = topBit
	case 1:
		sig = topBit | 1<<r.IntN(64)
	case 2:
		sig = ^uint64(0) << r.IntN(63)
	case 3:
		sig = r.Uint64() << 40 >> r.IntN(3) // few bits, perhaps an odd encoding
	}
	se := uint16(r.Uint32())
	switch r.IntN(8) {
	case 0:
		se &= 0x8003
		if r.IntN(2) == 0 {
			sig &^= topBit
		}
	case 1:
		se |= 0x7ffc
	case 2, 3, 4, 5:
		se = se&0x8000 | uint16(Extended.EMax-5+r.IntN(80))
	case 6:
		se &= 0x8000
		sig = r.Uint64() >> r.IntN(64)
	}
	binary.LittleEndian.PutUint64(b[:], sig)
	binary.LittleEndian.PutUint16(b[8:], se)
	return b
}

// TestX87 compares with the host in all rounding and precision modes.
func TestX87(t *testing.T) {
	one := func(f func(e *Env, x Real) Real) func(e *Env, x, y Real) Real {
		return func(e *Env, x, _ Real) Real { return f(e, x) }
	}
	for _, c := range []struct {
		name  string
		host  func(*hostfp.X87)
		exact bool // not subject to precision control
		soft  func(e *Env, x, y Real) Real
	}{
		{"fadd", hostfp.FAdd, false, (*Env).Add}, {"fsub", hostfp.FSub, false, (*Env).Sub},
		{"fmul", hostfp.FMul, false, (*Env).Mul}, {"fdiv", hostfp.FDiv, false, (*Env).Div},
		{"fsqrt", hostfp.FSqrt, false, one((*Env).Sqrt)},
		{"frndint", hostfp.FRndInt, true, one(func(e *Env, x Real) Real { return e.Integral(x, e.Round, true) })},
		{"fprem", hostfp.FPrem, true, func(e *Env, x, y Real) Real {
			r, _, _ := e.Remainder(x, y, false)
			return r
		}},
		{"fprem1", hostfp.FPrem1, true, func(e *Env, x, y Real) Real {
			r, _, _ := e.Remainder(x, y, true)
			return r
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			bad := 0
			for range cases(t) {
				x := hostfp.X87{A: extended(r), B: extended(r)}
				rc, pc := r.IntN(4), []int{0, 2, 3}[r.IntN(3)]
				x.CW = uint16(0x3f | rc<<10 | pc<<8)
				c.host(&x)
				e := &Env{Round: Round(rc), X87: true, Prec: [4]int{24, 0, 53, 64}[pc]}
				a := UnpackExtended(binary.LittleEndian.Uint64(x.A[:]), binary.LittleEndian.Uint16(x.A[8:]))
				b := UnpackExtended(binary.LittleEndian.Uint64(x.B[:]), binary.LittleEndian.Uint16(x.B[8:]))
				res := c.soft(e, a, b)
				pack := e.PackExtended
				if c.exact {
					pack = e.PackExact
				}
				sig, se := pack(res)
				got, want := fmt.Sprintf("%04x.%016x", se, sig), fmt.Sprintf("%04x.%016x", binary.LittleEndian.Uint16(x.R0[8:]), binary.LittleEndian.Uint64(x.R0[:]))
				if got != want || e.Flags != Flags(x.SW&0x3f) {
					t.Errorf("%x.%x, %x.%x CW %#x: got %s flags %#x, host %s flags %#x", binary.LittleEndian.Uint16(x.A[8:]), binary.LittleEndian.Uint64(x.A[:]),
						binary.LittleEndian.Uint16(x.B[8:]), binary.LittleEndian.Uint64(x.B[:]), x.CW, got, e.Flags, want, x.SW&0x3f)
					if bad++; bad > 5 {
						t.FailNow()
					}
				}
			}
		})
	}
}
