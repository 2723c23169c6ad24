package tcg

import (
	"encoding/binary"

	"goemu/target/x86"
	eng "goemu/tcg"
)

// Offsets in the FXSAVE area and the XSAVE header.
const (
	fxFCW, fxFSW, fxFTW, fxFOP, fxFIP, fxFDP, fxMXCSR, fxMask = 0, 2, 4, 6, 8, 16, 24, 28
	fxST, fxXMM, fxSize                                       = 32, 160, 512
	xsBV, xcompBV, xsHeaderEnd                                = 512, 520, 576
	fxLegacyBytes                                             = 416 // what FXSAVE writes
	xcompact                                                  = 1 << 63
)

var le = binary.LittleEndian

// fpStatus is the status word with the stack top.
func (c *CPU) fpStatus() uint16 { return c.env.FPSW&^0x3800 | uint16(c.env.FPTop&7)<<11 }

func (c *CPU) setFPStatus(v uint16) {
	c.env.FPSW = v &^ 0x3800
	c.env.FPTop = uint32(v >> 11 & 7)
}

// putX87 writes the x87 part of an FXSAVE image.
func (c *CPU) putX87(b []byte, wide bool) {
	e := c.env
	le.PutUint16(b[fxFCW:], e.FPCW)
	le.PutUint16(b[fxFSW:], c.fpStatus())
	tag := byte(0)
	for i, t := range e.FPTag {
		if t == 0 {
			tag |= 1 << i
		}
	}
	b[fxFTW], b[fxFTW+1] = tag, 0
	le.PutUint16(b[fxFOP:], e.FPOp)
	if wide {
		le.PutUint64(b[fxFIP:], e.FPIP)
		le.PutUint64(b[fxFDP:], e.FPDP)
	} else {
		le.PutUint32(b[fxFIP:], uint32(e.FPIP))
		le.PutUint32(b[fxFIP+4:], uint32(e.FPCS))
		le.PutUint32(b[fxFDP:], uint32(e.FPDP))
		le.PutUint32(b[fxFDP+4:], uint32(e.FPDS))
	}
	for i := range 8 {
		at := b[fxST+16*i:]
		copy(at[:10], e.FP[(int(e.FPTop)+i)&7][:10])
		clear(at[10:16])
	}
}

func (c *CPU) getX87(b []byte, wide bool) {
	e := c.env
	e.FPCW = le.Uint16(b[fxFCW:])
	c.setFPStatus(le.Uint16(b[fxFSW:]))
	for i := range e.FPTag {
		e.FPTag[i] = 1 &^ (b[fxFTW] >> i)
	}
	e.FPOp = le.Uint16(b[fxFOP:])
	if wide {
		e.FPIP, e.FPDP = le.Uint64(b[fxFIP:]), le.Uint64(b[fxFDP:])
	} else {
		e.FPIP, e.FPCS = uint64(le.Uint32(b[fxFIP:])), le.Uint16(b[fxFIP+4:])
		e.FPDP, e.FPDS = uint64(le.Uint32(b[fxFDP:])), le.Uint16(b[fxFDP+4:])
	}
	for i := range 8 {
		copy(e.FP[(int(e.FPTop)+i)&7][:10], b[fxST+16*i:])
	}
	e.UpdateFPUSoft()
}

// vectors is the number of XMM registers that the mode shows.
func (c *CPU) vectors() int {
	if c.env.HFlags&x86.HFCS64 != 0 {
		return 16
	}
	return 8
}

func (c *CPU) putXMM(b []byte) {
	for i := range c.vectors() {
		copy(b[fxXMM+16*i:], c.env.V[i][:16])
	}
}

func (c *CPU) getXMM(b []byte) {
	for i := range c.vectors() {
		copy(c.env.V[i][:16], b[fxXMM+16*i:])
	}
}

func (c *CPU) setMXCSR(v uint32) {
	if v&^x86.MXCSRMask != 0 {
		c.gp(0)
	}
	c.env.MXCSR = v
	c.env.UpdateFPUSoft()
}

func (c *CPU) aligned16(at uint64, n uint64) {
	if at&(n-1) != 0 {
		c.gp(0)
	}
}

func helpFXSAVE(c *CPU, at, wide, _ uint64) (uint64, eng.Action) {
	c.aligned16(at, 16)
	var b [fxLegacyBytes]byte
	n := fxXMM
	c.putX87(b[:], wide != 0)
	if c.env.CR[4]&x86.CR4OSFXSR != 0 {
		le.PutUint32(b[fxMXCSR:], c.env.MXCSR)
		le.PutUint32(b[fxMask:], x86.MXCSRMask)
		c.putXMM(b[:])
		n = fxXMM + 16*c.vectors()
	}
	c.wrBytes(at, b[:n], c.mmuIndex())
	return 0, eng.Continue
}

// fxrstor implements FXRSTOR.
func (c *CPU) fxrstor(at, wide uint64) {
	c.aligned16(at, 16)
	var b [fxLegacyBytes]byte
	c.rdBytes(at, b[:], c.mmuIndex())
	if c.env.CR[4]&x86.CR4OSFXSR != 0 {
		c.setMXCSR(le.Uint32(b[fxMXCSR:]))
		c.getXMM(b[:])
	}
	c.getX87(b[:], wide != 0)
}

// putComponent and getComponent move an extended component.
func (c *CPU) putComponent(bit int, b []byte) {
	switch 1 << bit {
	case x86.XFeatAVX:
		for i := range c.vectors() {
			copy(b[16*i:], c.env.V[i][16:])
		}
	case x86.XFeatPKRU:
		le.PutUint64(b, uint64(c.env.PKRU))
	}
}

func (c *CPU) getComponent(bit int, b []byte) {
	switch 1 << bit {
	case x86.XFeatAVX:
		for i := range c.vectors() {
			copy(c.env.V[i][16:], b[16*i:16*i+16])
		}
	case x86.XFeatPKRU:
		c.setPKRU(le.Uint32(b))
	}
}

// clearComponent puts an extended component in its initial state.
func (c *CPU) clearComponent(bit int) {
	var zero [256]byte
	c.getComponent(bit, zero[:])
}

// setPKRU changes the rights of the protection keys.
func (c *CPU) setPKRU(v uint32) {
	if c.env.PKRU != v {
		c.env.PKRU = v
		c.flushTLB(true)
	}
}

// place is where a component lies: in the standard format, or in the compacted format for a set of components.
func componentAt(x x86.XComponent, set uint64, compact bool) uint64 {
	if !compact {
		return uint64(x.Offset)
	}
	at := x86.XLegacySize
	for _, y := range x86.XComponents {
		if set>>y.Bit&1 == 0 {
			continue
		}
		if y.Aligned {
			at = (at + 63) &^ 63
		}
		if y.Bit == x.Bit {
			break
		}
		at += y.Size
	}
	return uint64(at)
}

// checkXSAVE checks the prerequisites common to the family; it returns the requested components.
func (c *CPU) checkXSAVE(at uint64) uint64 {
	if c.env.CR[4]&x86.CR4OSXSAVE == 0 {
		c.ud()
	}
	c.aligned16(at, 64)
	return c.pair() & c.env.XCR0
}

// xsave stores the components in rfbm.
func (c *CPU) xsave(at uint64, wide, compact bool) {
	rfbm := c.checkXSAVE(at)
	mmu := c.mmuIndex()
	size := x86.XSize(rfbm)
	if compact {
		size = x86.XSizeCompact(rfbm)
	}
	c.probeWrite(at, int(size), mmu)
	var b [fxSize]byte
	if rfbm&x86.XFeatX87 != 0 {
		c.putX87(b[:], wide)
		c.wrBytes(at, b[:fxMXCSR], mmu)
		c.wrBytes(at+fxST, b[fxST:fxXMM], mmu)
	}
	if rfbm&(x86.XFeatSSE|x86.XFeatAVX) != 0 {
		le.PutUint32(b[fxMXCSR:], c.env.MXCSR)
		le.PutUint32(b[fxMask:], x86.MXCSRMask)
		c.wrBytes(at+fxMXCSR, b[fxMXCSR:fxMXCSR+8], mmu)
	}
	if rfbm&x86.XFeatSSE != 0 {
		c.putXMM(b[:])
		c.wrBytes(at+fxXMM, b[fxXMM:fxXMM+16*c.vectors()], mmu)
	}
	for _, x := range x86.XComponents {
		if rfbm>>x.Bit&1 == 0 {
			continue
		}
		var w [256]byte
		c.putComponent(x.Bit, w[:x.Size])
		n := x.Size
		if 1<<x.Bit == x86.XFeatAVX {
			n = 16 * c.vectors()
		}
		c.wrBytes(at+componentAt(x, rfbm, compact), w[:n], mmu)
	}
	if compact {
		c.wr(at+xsBV, 8, rfbm, mmu)
		c.wr(at+xcompBV, 8, rfbm|xcompact, mmu)
		return
	}
	old := c.rd(at+xsBV, 8, mmu)
	c.wr(at+xsBV, 8, old&^rfbm|rfbm, mmu)
}

// xrstor loads the components in rfbm.
func (c *CPU) xrstor(at uint64, wide, compactOnly bool) {
	rfbm := c.checkXSAVE(at)
	mmu := c.mmuIndex()
	var h [fxSize + 64]byte
	c.rdBytes(at, h[:], mmu)
	bv, comp := le.Uint64(h[xsBV:]), le.Uint64(h[xcompBV:])
	compact := comp&xcompact != 0
	switch {
	case compactOnly && !compact:
		c.gp(0)
	case compact && c.cfg.Features[x86.FXSAVE]&(1<<1) == 0:
		c.gp(0)
	case compact && (comp&^xcompact&^c.env.XCR0 != 0 || bv&^comp != 0):
		c.gp(0)
	case !compact && (bv&^c.env.XCR0 != 0 || comp != 0 || le.Uint64(h[xcompBV+8:]) != 0):
		c.gp(0)
	}
	if rfbm&(x86.XFeatSSE|x86.XFeatAVX) != 0 && (!compact || bv&(x86.XFeatSSE) != 0) {
		c.setMXCSR(le.Uint32(h[fxMXCSR:]))
	} else if rfbm&x86.XFeatSSE != 0 {
		c.setMXCSR(x86.MXCSRDefault)
	}
	if rfbm&x86.XFeatX87 != 0 {
		if bv&x86.XFeatX87 != 0 {
			c.getX87(h[:], wide)
		} else {
			c.initX87()
		}
	}
	if rfbm&x86.XFeatSSE != 0 {
		if bv&x86.XFeatSSE == 0 {
			clear(h[fxXMM : fxXMM+256])
		}
		c.getXMM(h[:])
	}
	for _, x := range x86.XComponents {
		if rfbm>>x.Bit&1 == 0 {
			continue
		}
		if bv>>x.Bit&1 == 0 {
			c.clearComponent(x.Bit)
			continue
		}
		var w [256]byte
		c.rdBytes(at+componentAt(x, comp, compact), w[:x.Size], mmu)
		c.getComponent(x.Bit, w[:])
	}
}

// initX87 is FNINIT, with cleared registers.
func (c *CPU) initX87() {
	c.fninit()
	c.env.FP = [8][16]byte{}
}

func (c *CPU) fninit() {
	e := c.env
	e.FPCW, e.FPSW, e.FPTop = x86.FPCWInit, 0, 0
	for i := range e.FPTag {
		e.FPTag[i] = 1
	}
	e.FPOp, e.FPIP, e.FPDP, e.FPCS, e.FPDS = 0, 0, 0, 0, 0
	e.UpdateFPUSoft()
}

// Layout of the environment of FSTENV: seven words of 2 or 4 bytes.
const (
	envCW, envSW, envTW, envIP, envCS, envDP, envDS, envWords = 0, 1, 2, 3, 4, 5, 6, 7
)

// fullTags is the tag word with two bits a register.
func (c *CPU) fullTags() (w uint16) {
	for i := range 8 {
		w |= uint16(tagOfReg(&c.env.FP[i], c.env.FPTag[i] != 0)) << (2 * i)
	}
	return w
}

// tagOfReg classifies an x87 register: 0 valid, 1 zero, 2 special, 3 empty.
func tagOfReg(r *[16]byte, empty bool) int {
	man, exp := le.Uint64(r[:]), le.Uint16(r[8:])&0x7fff
	switch {
	case empty:
		return 3
	case exp == 0 && man == 0:
		return 1
	case exp == 0 || exp == 0x7fff || man>>63 == 0:
		return 2
	}
	return 0
}

// fstenv writes the environment in the format of an operand size; it returns its length.
func (c *CPU) fstenv(at uint64, size int) int {
	e := c.env
	vals := [envWords]uint64{uint64(e.FPCW), uint64(c.fpStatus()), uint64(c.fullTags())}
	c.pointerWords(&vals, size)
	var b [28]byte
	for i, v := range vals {
		if size == 2 {
			le.PutUint16(b[2*i:], uint16(v))
			continue
		}
		if i < envIP {
			v |= 0xffff0000
		}
		le.PutUint32(b[4*i:], uint32(v))
	}
	n := envWords * envUnit(size)
	c.wrBytes(at, b[:n], c.mmuIndex())
	return n
}

// pointerWords makes the words with the pointers of the environment: offsets and selectors in protected mode, else linear addresses and
// the opcode (SDM volume 1, figures 8-9 to 8-12).
func (c *CPU) pointerWords(w *[envWords]uint64, size int) {
	e := c.env
	op := uint64(e.FPOp & 0x7ff)
	if c.protectedMode() {
		w[envIP], w[envCS], w[envDP], w[envDS] = e.FPIP, uint64(e.FPCS), e.FPDP, uint64(e.FPDS)
		if size != 2 {
			w[envCS] |= op << 16
		}
		return
	}
	ip, dp := uint64(e.FPCS)<<4+e.FPIP, uint64(e.FPDS)<<4+e.FPDP
	w[envIP], w[envDP] = ip&0xffff, dp&0xffff
	w[envCS], w[envDS] = ip>>16<<12|op, dp>>16<<12
}

// maskX87 masks all x87 exceptions, as FNSTENV does after storing.
func (c *CPU) maskX87() {
	const errorSummaryBusy = 1<<7 | 1<<15
	e := c.env
	e.FPCW |= x86.FPCWInit & 0x3f
	e.FPSW &^= errorSummaryBusy
	e.UpdateFPUSoft()
}

func envUnit(size int) int {
	if size == 2 {
		return 2
	}
	return 4
}

func (c *CPU) fldenv(at uint64, size int) int {
	e := c.env
	n := envWords * envUnit(size)
	var b [28]byte
	c.rdBytes(at, b[:n], c.mmuIndex())
	word := func(i int) uint64 {
		if size == 2 {
			return uint64(le.Uint16(b[2*i:]))
		}
		return uint64(le.Uint32(b[4*i:]))
	}
	e.FPCW = uint16(word(envCW))
	c.setFPStatus(uint16(word(envSW)))
	for i := range e.FPTag {
		e.FPTag[i] = 0
		if word(envTW)>>(2*i)&3 == 3 {
			e.FPTag[i] = 1
		}
	}
	e.FPIP, e.FPCS, e.FPDP, e.FPDS = word(envIP), uint16(word(envCS)), word(envDP), uint16(word(envDS))
	switch {
	case !c.protectedMode():
		e.FPOp = e.FPCS & 0x7ff
		e.FPIP, e.FPDP = e.FPIP&0xffff|word(envCS)>>12<<16, e.FPDP&0xffff|word(envDS)>>12<<16
		e.FPCS, e.FPDS = 0, 0
	case size != 2:
		e.FPOp = uint16(word(envCS)>>16) & 0x7ff
	}
	e.UpdateFPUSoft()
	return n
}

func helpFSAVE(c *CPU, at, size, _ uint64) (uint64, eng.Action) {
	n := envWords * envUnit(int(size))
	c.probeWrite(at, n+80, c.mmuIndex())
	c.fstenv(at, int(size))
	var b [80]byte
	for i := range 8 {
		copy(b[10*i:10*i+10], c.env.FP[(int(c.env.FPTop)+i)&7][:10])
	}
	c.wrBytes(at+uint64(n), b[:], c.mmuIndex())
	c.fninit()
	return 0, eng.Continue
}

func helpFRSTOR(c *CPU, at, size, _ uint64) (uint64, eng.Action) {
	n := envWords * envUnit(int(size))
	var b [80]byte
	c.rdBytes(at+uint64(n), b[:], c.mmuIndex())
	c.fldenv(at, int(size))
	for i := range 8 {
		copy(c.env.FP[(int(c.env.FPTop)+i)&7][:10], b[10*i:10*i+10])
	}
	return 0, eng.Continue
}
