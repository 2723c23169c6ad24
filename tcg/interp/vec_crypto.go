package interp

import (
	"encoding/binary"
	"math/bits"
)

// Arithmetic in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, section 4.2).

func gfMul(x, y byte) byte {
	var r byte
	for ; y != 0; y >>= 1 {
		r ^= x & -(y & 1)
		x = x<<1 ^ 0x1b&-(x>>7)
	}
	return r
}

// gfInverse is x^254, the inverse of x (0 for 0).
func gfInverse(x byte) byte {
	r := byte(1)
	for range 7 {
		x = gfMul(x, x)
		r = gfMul(r, x)
	}
	return r
}

// sbox and invSbox are the substitution of AES (FIPS 197, section 5.1.1).
var sbox, invSbox = makeSboxes()

func makeSboxes() (s, inv [256]byte) {
	for i := range 256 {
		x := gfInverse(byte(i))
		v := x ^ bits.RotateLeft8(x, 1) ^ bits.RotateLeft8(x, 2) ^ bits.RotateLeft8(x, 3) ^ bits.RotateLeft8(x, 4) ^ 0x63
		s[i] = v
		inv[v] = byte(i)
	}
	return s, inv
}

// state is an AES state: byte 4c+r is row r of column c.
type state [16]byte

// perLane applies f to VA's and VB's 16-byte lanes.
func perLane(f func(a, b *state) state) vecFunc {
	return func(o *vecOp) {
		for i := range o.n / 16 {
			var a, b state
			for j := range 2 {
				binary.LittleEndian.PutUint64(a[j*8:], o.a[i*2+j])
				binary.LittleEndian.PutUint64(b[j*8:], o.b[i*2+j])
			}
			r := f(&a, &b)
			for j := range 2 {
				o.r[i*2+j] = binary.LittleEndian.Uint64(r[j*8:])
			}
		}
	}
}

func (s *state) xor(k *state) (r state) {
	for i := range r {
		r[i] = s[i] ^ k[i]
	}
	return r
}

// subShift substitutes bytes and rotates row r left by r*dir columns.
func (s *state) subShift(box *[256]byte, dir int) (r state) {
	for i := range r {
		row, col := i&3, i>>2
		r[i] = box[s[(col+row*dir)&3*4+row]]
	}
	return r
}

// mix multiplies each column by the polynomial with coefficients m.
func (s *state) mix(m [4]byte) (r state) {
	for i := range r {
		col := i &^ 3
		for j := range 4 {
			r[i] ^= gfMul(s[col+j], m[(j-i)&3])
		}
	}
	return r
}

var (
	mixForward = [4]byte{2, 3, 1, 1}
	mixInverse = [4]byte{14, 11, 13, 9}
)

func aesEnc(a, b *state) state {
	s := a.subShift(&sbox, 1)
	s = s.mix(mixForward)
	return s.xor(b)
}

func aesEncLast(a, b *state) state {
	s := a.subShift(&sbox, 1)
	return s.xor(b)
}

func aesDec(a, b *state) state {
	s := a.subShift(&invSbox, -1)
	s = s.mix(mixInverse)
	return s.xor(b)
}

func aesDecLast(a, b *state) state {
	s := a.subShift(&invSbox, -1)
	return s.xor(b)
}

func aesIMC(_, b *state) state { return b.mix(mixInverse) }

// aesKeyGen is AESKEYGENASSIST.
func aesKeyGen(o *vecOp) {
	sub := func(x uint64) (r uint32) {
		for i := 0; i < 32; i += 8 {
			r |= uint32(sbox[byte(x>>i)]) << i
		}
		return r
	}
	for i := range 2 {
		w := sub(o.b.u(2, 2*i+1))
		o.r.put(2, 2*i, uint64(w))
		o.r.put(2, 2*i+1, uint64(bits.RotateLeft32(w, -8))^o.imm())
	}
}

// clMul is PCLMULQDQ: the carry-less product of one 64-bit half of each operand.
func clMul(o *vecOp) {
	for l := 0; l < o.n/8; l += 2 {
		x, y := o.a[l+int(o.imm()&1)], o.b[l+int(o.imm()>>4&1)]
		var lo, hi uint64
		for i := range 64 {
			m := -(y >> i & 1)
			lo ^= x << i & m
			hi ^= x >> (64 - i) & m
		}
		o.r[l], o.r[l+1] = lo, hi
	}
}

// gfAffine is GF2P8AFFINEQB after f: a bit matrix in each 64-bit word of VB times the bytes of VA, plus Imm.
func gfAffine(f func(byte) byte) vecFunc {
	return func(o *vecOp) {
		for i := range o.n {
			x, m, r := f(byte(o.a.u(0, i))), o.b[i/8], o.imm()
			for bit := range 8 {
				row := byte(m >> (56 - bit*8))
				r ^= uint64(bits.OnesCount8(row&x)&1) << bit
			}
			o.r.put(0, i, r)
		}
	}
}

// w32 is the elements of a 16-byte register, the highest first (the order in which the SHA instructions name them).
func w32(v *vec) (a, b, c, d uint32) {
	return uint32(v[1] >> 32), uint32(v[1]), uint32(v[0] >> 32), uint32(v[0])
}

func fromW32(a, b, c, d uint32) vec {
	return vec{uint64(c)<<32 | uint64(d), uint64(a)<<32 | uint64(b)}
}

// sha1Rnds4 makes four rounds of SHA-1 (FIPS 180-4, section 6.1.2).
func sha1Rnds4(o *vecOp) {
	a, b, c, d := w32(&o.a)
	var w [4]uint32
	w[0], w[1], w[2], w[3] = w32(&o.b)
	k := [4]uint32{0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6}[o.imm()&3]
	e := uint32(0) // is in w[0] already
	for i := range 4 {
		var f uint32
		switch o.imm() & 3 {
		case 0:
			f = b&c ^ ^b&d
		case 2:
			f = b&c ^ b&d ^ c&d
		default:
			f = b ^ c ^ d
		}
		t := f + bits.RotateLeft32(a, 5) + w[i] + e + k
		a, b, c, d, e = t, a, bits.RotateLeft32(b, 30), c, d
	}
	o.r = fromW32(a, b, c, d)
}

func sha1NextE(o *vecOp) {
	a, _, _, _ := w32(&o.a)
	o.r = o.b
	o.r.put(2, 3, o.b.u(2, 3)+uint64(bits.RotateLeft32(a, 30)))
}

func sha1Msg1(o *vecOp) {
	w0, w1, w2, w3 := w32(&o.a)
	w4, w5, _, _ := w32(&o.b)
	o.r = fromW32(w2^w0, w3^w1, w4^w2, w5^w3)
}

func sha1Msg2(o *vecOp) {
	x0, x1, x2, x3 := w32(&o.a)
	_, w13, w14, w15 := w32(&o.b)
	w16 := bits.RotateLeft32(x0^w13, 1)
	o.r = fromW32(w16, bits.RotateLeft32(x1^w14, 1), bits.RotateLeft32(x2^w15, 1), bits.RotateLeft32(x3^w16, 1))
}

// sha256Rnds2 makes two rounds of SHA-256 (FIPS 180-4, section 6.2.2).
func sha256Rnds2(o *vecOp) {
	c, d, g, h := w32(&o.a)
	a, b, e, f := w32(&o.b)
	for i := range 2 {
		s1 := bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)
		t1 := h + s1 + (e&f ^ ^e&g) + uint32(o.c.u(2, i))
		s0 := bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)
		a, b, c, d, e, f, g, h = t1+s0+(a&b^a&c^b&c), a, b, c, d+t1, e, f, g
	}
	o.r = fromW32(a, b, e, f)
}

func sha256Msg1(o *vecOp) {
	sigma := func(x uint32) uint32 { return bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3 }
	w3, w2, w1, w0 := w32(&o.a)
	_, _, _, w4 := w32(&o.b)
	o.r = fromW32(w3+sigma(w4), w2+sigma(w3), w1+sigma(w2), w0+sigma(w1))
}

func sha256Msg2(o *vecOp) {
	sigma := func(x uint32) uint32 { return bits.RotateLeft32(x, -17) ^ bits.RotateLeft32(x, -19) ^ x>>10 }
	x3, x2, x1, x0 := w32(&o.a)
	w15, w14, _, _ := w32(&o.b)
	w16, w17 := x0+sigma(w14), x1+sigma(w15)
	o.r = fromW32(x3+sigma(w17), x2+sigma(w16), w17, w16)
}
