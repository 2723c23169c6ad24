package x86

import "goemu/tcg/ir"

// arith are the flags kept lazily in ir.Header.
const arith = ir.FlagAll

// Image is the image of the six arithmetic flags.
func (e *Env) Image() uint64 { return ir.Image(e.CCOp, e.CCDst, e.CCSrc) }

// crBit maps a control bit to a mode bit.
type crBit struct {
	cr uint64
	hf uint32
}

var cr0Bits = [...]crBit{{CR0PE, HFPE}, {CR0MP, HFMP}, {CR0EM, HFEM}, {CR0TS, HFTS}}

var cr4Bits = [...]crBit{
	{CR4OSFXSR, HFOSFXSR}, {CR4UMIP, HFUMIP}, {CR4OSXSAVE, HFOSXSAVE}, {CR4FSGSBASE, HFFSGSBase},
}

// hfKept are the mode bits that are not derived from other state: the privilege level, SMM, the nested guest and the debugger's wish.
const hfKept = HFCPLMask | HFSMM | HFGuest | HFOneInsn

// UpdateHFlags derives HFlags from the control registers, EFER, CS, SS, EFLAGS and the FPU control words, and calls SelectMMU.
func (e *Env) UpdateHFlags() {
	h := e.HFlags & hfKept
	for _, b := range cr0Bits {
		if e.CR[0]&b.cr != 0 {
			h |= b.hf
		}
	}
	for _, b := range cr4Bits {
		if e.CR[4]&b.cr != 0 {
			h |= b.hf
		}
	}
	if h&HFPE == 0 {
		h &^= HFCPLMask
	}
	if e.EFlags&FlagVM != 0 {
		h |= HFVM | HFCPLMask
	}
	h |= e.segmentBits()
	if e.EFlags&FlagTF != 0 {
		h |= HFTF
	}
	if e.EFlags&FlagRF != 0 {
		h |= HFRF
	}
	h |= uint32(e.EFlags&FlagIOPL) >> 12 << HFIOPLShift
	if e.CR[4]&CR4OSXSAVE != 0 && e.XCR0&(XFeatSSE|XFeatAVX) == XFeatSSE|XFeatAVX {
		h |= HFAVX
	}
	if e.Shadow != 0 {
		h |= HFInhibit
	}
	if h&HFCPLMask == 3 && e.CR[0]&CR0AM != 0 && e.EFlags&FlagAC != 0 {
		h |= HFAlign
	}
	e.HFlags = h
	e.SelectMMU()
	e.UpdateFPUSoft()
}

// SelectMMU makes the soft TLB that EFLAGS.AC selects that of MMUKernel. It follows every change of EFLAGS.AC.
func (e *Env) SelectMMU() { e.TLB[MMUKernel] = e.TLB[e.KernelMMU()] }

// KernelMMU is the regime of explicit accesses at privilege levels 0 to 2.
func (e *Env) KernelMMU() uint8 {
	if e.EFlags&FlagAC != 0 {
		return MMUKernelAC
	}
	return MMUKernelSMAP
}

// UpdateFPUSoft derives the mode bits that tell that floating-point exceptions are unmasked.
//
//go:nosplit
func (e *Env) UpdateFPUSoft() {
	e.HFlags &^= HFFPSoft | HFSSESoft
	if e.FPCW&0x3f != 0x3f || e.FPSW&0x80 != 0 {
		e.HFlags |= HFFPSoft
	}
	if e.MXCSR&MXCSRExcMask != MXCSRExcMask {
		e.HFlags |= HFSSESoft
	}
}

func (e *Env) segmentBits() (h uint32) {
	cs, ss := &e.Seg[CS], &e.Seg[SS]
	if e.EFER&EFERLMA != 0 {
		h |= HFLMA
		if cs.Flags&SegL != 0 {
			return h | HFCS64 | HFCS32 | HFSS32
		}
	}
	if cs.Flags&SegB != 0 {
		h |= HFCS32
	}
	if ss.Flags&SegB != 0 {
		h |= HFSS32
	}
	if e.Seg[DS].Base|e.Seg[ES].Base|ss.Base != 0 {
		h |= HFAddSeg
	}
	if e.CR[0]&CR0PE != 0 && e.EFlags&FlagVM == 0 && e.limited() {
		h |= HFLimits
	}
	return h
}

// CompatBits are the mode bits of the segments in the compatibility sub-mode of long mode that differ from those of 64-bit code.
//
//go:nosplit
func (e *Env) CompatBits() (h uint32) {
	if e.Seg[DS].Base|e.Seg[ES].Base|e.Seg[SS].Base != 0 {
		h |= HFAddSeg
	}
	if e.limited() {
		h |= HFLimits
	}
	return h
}

// limited tells whether accesses to a segment must be checked: because of its limit or kind, or, for FS and GS, whose limits are looked at
// in any case, because of its kind.
//
//go:nosplit
func (e *Env) limited() bool {
	for n := ES; n <= GS; n++ {
		s := &e.Seg[n]
		f := s.Flags
		switch {
		case n >= FS && f&SegP == 0:
		case n < FS && (s.Limit != ^uint32(0) || f&SegP == 0), f&SegCode != 0 && f&SegR == 0, f&SegCode == 0 && f&(SegW|SegE) != SegW:
			return true
		case f&SegCode != 0 && n != CS: // cannot be written
			return true
		}
	}
	return false
}

// SetCPL changes the current privilege level. UpdateHFlags does not derive it.
func (e *Env) SetCPL(n int) { e.HFlags = e.HFlags&^HFCPLMask | uint32(n)&HFCPLMask }
