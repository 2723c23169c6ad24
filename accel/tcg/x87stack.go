package tcg

import front "goemu/tcg/frontend/x86"

// Bits of the x87 status word.
const (
	swIE = 1 << 0
	swSF = 1 << 6
	swES = 1 << 7
	swC1 = 1 << 9
	swB  = 1 << 15
)

// indefinite is the x87 NaN that invalid operations give.
var indefinite = [16]byte{7: 0xc0, 8: 0xff, 9: 0xff}

// x87StackFault does what the instruction at the program counter does when it reads an empty register or pushes onto a full one. If the
// exception is masked, empty registers become the indefinite NaN, with which the instruction is executed again; a push pushes it.
func (c *CPU) x87StackFault() {
	e := c.env
	use, ok := front.X87Stack(c.codeAt(e.PC), e.PC, codeSize(e.HFlags))
	if !ok {
		return // changed meanwhile: to be executed again
	}
	var empty uint8
	for i := range uint32(8) {
		if use.Src>>i&1 != 0 && e.FPTag[(e.FPTop+i)&7] != 0 {
			empty |= 1 << i
		}
	}
	overflow := empty == 0 && use.Push && e.FPTag[(e.FPTop-1)&7] == 0
	if empty == 0 && !overflow {
		return
	}
	e.FPSW = e.FPSW&^swC1 | swIE | swSF
	if overflow {
		e.FPSW |= swC1
	}
	switch {
	case e.FPCW&swIE == 0:
		e.FPSW |= swES | swB
		e.FPIP, e.PC = e.PC, use.Next
		e.UpdateFPUSoft()
	case overflow:
		if use.Src != 0 { // an instruction with two results
			e.FP[e.FPTop&7] = indefinite
		}
		e.FPTop = (e.FPTop - 1) & 7
		e.FP[e.FPTop], e.FPTag[e.FPTop] = indefinite, 0
		e.FPIP, e.PC = e.PC, use.Next
	default:
		for i := range uint32(8) {
			if r := (e.FPTop + i) & 7; empty>>i&1 != 0 {
				e.FP[r], e.FPTag[r] = indefinite, 0
				if use.Dst>>i&1 == 0 {
					c.fpEmpty |= 1 << r
				}
			}
		}
		c.once = true
	}
}

// restoreEmpty makes registers empty again that were filled for the one instruction that has been executed since.
func (c *CPU) restoreEmpty() {
	for r := range c.env.FPTag {
		if c.fpEmpty>>r&1 != 0 {
			c.env.FPTag[r] = 1
		}
	}
	c.fpEmpty = 0
}
