package interp

import "goemu/tcg/ir"

// pick2 is the two-bit selector for element i of an immediate shuffle.
func (o *vecOp) pick2(i int) int { return int(o.imm() >> (i & 3 * 2) & 3) }

func extractElem(lg uint) vecFunc {
	return func(o *vecOp) { o.io.Dst = o.b.u(lg, int(o.imm())&(max(o.n, 8)>>lg-1)) }
}

func insertElem(lg uint) vecFunc {
	return func(o *vecOp) {
		o.r = o.a
		o.r.put(lg, int(o.imm())&(max(o.n, 8)>>lg-1), o.io.A)
	}
}

// signMask collects the sign bits of VB's elements.
func signMask(lg uint) vecFunc {
	return func(o *vecOp) {
		o.io.Dst = 0
		for i := range o.n >> lg {
			o.io.Dst |= o.b.u(lg, i) >> (8<<lg - 1) << i
		}
	}
}

// testBits compares VA and VB in the bits of mask of each word.
func testBits(mask uint64) vecFunc {
	return func(o *vecOp) {
		var and, andN uint64
		for i := range o.n / 8 {
			and |= o.a[i] & o.b[i] & mask
			andN |= ^o.a[i] & o.b[i] & mask
		}
		o.io.FOut = flag(and == 0, ir.FlagZ) | flag(andN == 0, ir.FlagC)
	}
}

// zero clears the bytes from byte on in the first Imm vector registers.
func (o *vecOp) zero(from int) {
	for r := range min(ir.VReg(o.imm()), ir.VT0) {
		clear(o.regs.bytes(r)[from:])
	}
}

// sad8 is the sum of the absolute differences of 8 bytes.
func sad8(x, y uint64) uint64 {
	var sum uint64
	for i := 0; i < 64; i += 8 {
		a, b := x>>i&0xff, y>>i&0xff
		sum += max(a, b) - min(a, b)
	}
	return sum
}

// withSign is x with the sign of y.
func withSign(x, y int64) int64 {
	switch {
	case y < 0:
		return -x
	case y == 0:
		return 0
	}
	return x
}

// horizontal combines neighbours within each lane: the low half of the results from VA, the high half from VB.
func horizontal(lg uint, f func(x, y int64) int64) vecFunc {
	return func(o *vecOp) {
		per := o.lane() >> lg
		for i := range o.n >> lg {
			src, j := &o.a, i%per*2
			if j >= per {
				src, j = &o.b, j-per
			}
			j += i / per * per
			o.r.put(lg, i, uint64(f(src.s(lg, j), src.s(lg, j+1))))
		}
	}
}

// mpSad is MPSADBW: sums of absolute differences of four bytes of VB with eight neighbouring positions of VA; three bits of Imm for each lane.
func mpSad(o *vecOp) {
	for i := range o.n / 2 {
		lane := i / 8
		ctl := int(o.imm()) >> (lane * 3)
		a, b := lane*16+ctl>>2&1*4+i%8, lane*16+ctl&3*4
		var sum uint64
		for j := range 4 {
			x, y := o.a.u(0, a+j), o.b.u(0, b+j)
			sum += max(x, y) - min(x, y)
		}
		o.r.put(1, i, sum)
	}
}

// minPos finds the smallest unsigned word of VB and its index.
func minPos(o *vecOp) {
	best := 0
	for i := range 8 {
		if o.b.u(1, i) < o.b.u(1, best) {
			best = i
		}
	}
	o.r = vec{o.b.u(1, best) | uint64(best)<<16}
}

// widened extends the low elements of VB.
func widened(from, to uint, signed bool) vecFunc {
	return func(o *vecOp) {
		for i := range o.n >> to {
			v := o.b.u(from, i)
			if signed {
				v = uint64(sx(from, v))
			}
			o.r.put(to, i, v)
		}
	}
}

func shiftLeft(lg uint, x, n uint64) uint64 {
	if n >= 8<<lg {
		return 0
	}
	return x << n
}

func shiftRight(lg uint, x, n uint64) uint64 {
	if n >= 8<<lg {
		return 0
	}
	return x >> n
}

func shiftArith(lg uint, x, n uint64) uint64 { return uint64(sx(lg, x) >> min(n, 63)) }

// lowB is the count of shifts by a register.
func lowB(o *vecOp) uint64 { return o.b[0] }

// shifted shifts all elements by one count: VA by that of a register, or VB by the immediate if count is nil.
func shifted(lg uint, f func(lg uint, x, n uint64) uint64, count func(o *vecOp) uint64) vecFunc {
	return func(o *vecOp) {
		src, n := &o.b, o.imm()
		if count != nil {
			src, n = &o.a, count(o)
		}
		for i := range o.n >> lg {
			o.r.put(lg, i, f(lg, src.u(lg, i), n))
		}
	}
}

// byteShift selects byte j for byte i of a lane, if it lies in the same lane.
func byteShift(i, j int) int {
	if j < 0 || i>>4 != j>>4 {
		return -1
	}
	return fromB + j
}

// packed narrows VA's and VB's elements of each lane with saturation.
func packed(lg uint, sat func(lg uint, x int64) int64) vecFunc {
	return func(o *vecOp) {
		per := o.lane() >> lg // elements of one operand in a lane
		for i := range o.n >> (lg - 1) {
			src, j := &o.a, i%(2*per)
			if j >= per {
				src, j = &o.b, j-per
			}
			o.r.put(lg-1, i, uint64(sat(lg-1, src.s(lg, i/(2*per)*per+j))))
		}
	}
}

// unpacked interleaves the low or high halves of each lane.
func unpacked(lg uint, high bool) vecFunc {
	return moved(lg, func(o *vecOp, i int) int {
		per := o.lane() >> lg
		j := i/per*per + i%per/2 + i&1*fromB
		if high {
			j += per / 2
		}
		return j
	})
}

// shufBytes is PSHUFB.
func shufBytes(o *vecOp, i int) int {
	s := int(o.b.u(0, i))
	if s&0x80 != 0 {
		return -1
	}
	return i&^(o.lane()-1) + s&(o.lane()-1)
}

// alignBytes is PALIGNR: VA above VB, shifted right by Imm bytes.
func alignBytes(o *vecOp, i int) int {
	lane := o.lane()
	base, j := i&^(lane-1), i&(lane-1)+int(o.imm())
	switch {
	case j < lane:
		return fromB + base + j
	case j < 2*lane:
		return base + j - lane
	}
	return -1
}

// perm128 is VPERM2F128.
func perm128(o *vecOp, i int) int {
	ctl := int(o.imm()) >> (i >> 1 * 4)
	if ctl&8 != 0 {
		return -1
	}
	return ctl&1*2 + i&1 + ctl>>1&1*fromB
}

// insertF32 is INSERTPS with a register operand.
func insertF32(o *vecOp) {
	imm := int(o.imm())
	o.r = o.a
	o.r.put(2, imm>>4&3, o.b.u(2, imm>>6))
	for i := range 4 {
		if imm>>i&1 != 0 {
			o.r.put(2, i, 0)
		}
	}
}

// blendSign takes elements of VB where the sign bit of VC's element is set.
func blendSign(lg uint) vecFunc {
	return moved(lg, func(o *vecOp, i int) int { return i + int(o.c.u(lg, i)>>(8<<lg-1))*fromB })
}
