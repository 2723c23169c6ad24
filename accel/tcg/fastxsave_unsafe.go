package tcg

import (
	"unsafe"

	"goemu/target/x86"
)

// word16, word32 and word64 are parts of an area in host memory.
//
//go:nosplit
func word16(p unsafe.Pointer, off uint64) *uint16 { return (*uint16)(unsafe.Add(p, off)) }

//go:nosplit
func word32(p unsafe.Pointer, off uint64) *uint32 { return (*uint32)(unsafe.Add(p, off)) }

//go:nosplit
func word64(p unsafe.Pointer, off uint64) *uint64 { return (*uint64)(unsafe.Add(p, off)) }

// fastFeatures are the components that the fast forms know.
const fastFeatures = x86.XFeatX87 | x86.XFeatSSE | x86.XFeatAVX

// fastArea finds the XSAVE area of 64-bit code for the components that EDX:EAX asks for, if it is in one page.
//
//go:nosplit
//go:norace
func fastArea(e *x86.Env, acc access) (p unsafe.Pointer, rfbm uint64, ok bool) {
	at := e.Args[0]
	rfbm = (e.Regs[x86.RDX]<<32 | e.Regs[x86.RAX]&0xffffffff) & e.XCR0
	if e.CR[4]&x86.CR4OSXSAVE == 0 || at&63 != 0 || e.HFlags&x86.HFCS64 == 0 || e.Args[1] == 0 {
		return nil, 0, false
	}
	mmu := uint8(x86.MMUKernel)
	if e.HFlags&x86.HFCPLMask == 3 {
		mmu = x86.MMUUser
	}
	host := fastHost(e, at, xsHeaderEnd+256, mmu, acc)
	return ptr(uintptr(host)), rfbm, host != 0
}

// fastXSAVEC is XSAVEC and XSAVES.
//
//go:nosplit
//go:norace
func fastXSAVEC(e *x86.Env) bool {
	p, rfbm, ok := fastArea(e, accWrite)
	if !ok || rfbm&^fastFeatures != 0 {
		return false
	}
	if rfbm&x86.XFeatX87 != 0 {
		fastPutX87(e, p)
	}
	if rfbm&(x86.XFeatSSE|x86.XFeatAVX) != 0 {
		*word32(p, fxMXCSR), *word32(p, fxMask) = e.MXCSR, x86.MXCSRMask
	}
	for i := range uint64(16) {
		v := unsafe.Pointer(&e.V[i])
		if rfbm&x86.XFeatSSE != 0 {
			*word64(p, fxXMM+16*i), *word64(p, fxXMM+16*i+8) = *word64(v, 0), *word64(v, 8)
		}
		if rfbm&x86.XFeatAVX != 0 {
			*word64(p, xsHeaderEnd+16*i), *word64(p, xsHeaderEnd+16*i+8) = *word64(v, 16), *word64(v, 24)
		}
	}
	*word64(p, xsBV), *word64(p, xcompBV) = rfbm, rfbm|xcompact
	return true
}

//go:nosplit
//go:norace
func fastPutX87(e *x86.Env, p unsafe.Pointer) {
	*word16(p, fxFCW), *word16(p, fxFSW) = e.FPCW, e.FPSW&^0x3800|uint16(e.FPTop&7)<<11
	tag := uint16(0)
	for i := range e.FPTag {
		if e.FPTag[i] == 0 {
			tag |= 1 << i
		}
	}
	*word16(p, fxFTW), *word16(p, fxFOP) = tag, e.FPOp
	*word64(p, fxFIP), *word64(p, fxFDP) = e.FPIP, e.FPDP
	for i := range uint64(8) {
		v := unsafe.Pointer(&e.FP[(uint64(e.FPTop)+i)&7])
		*word64(p, fxST+16*i), *word64(p, fxST+16*i+8) = *word64(v, 0), *word64(v, 8)&0xffff
	}
}

// fastXRSTORS is XRSTORS; changed are the mode bits that became others.
//
//go:nosplit
//go:norace
func fastXRSTORS(e *x86.Env) (changed uint64, ok bool) {
	p, rfbm, ok := fastArea(e, accRead)
	if !ok || rfbm&^fastFeatures != 0 {
		return 0, false
	}
	bv, comp := *word64(p, xsBV), *word64(p, xcompBV)
	if comp&xcompact == 0 || comp&^xcompact&^fastFeatures != 0 || comp&^xcompact&^e.XCR0 != 0 || bv&^comp != 0 {
		return 0, false
	}
	mxcsr := e.MXCSR
	switch {
	case rfbm&(x86.XFeatSSE|x86.XFeatAVX) != 0 && bv&x86.XFeatSSE != 0:
		if mxcsr = *word32(p, fxMXCSR); mxcsr&^x86.MXCSRMask != 0 {
			return 0, false
		}
	case rfbm&x86.XFeatSSE != 0:
		mxcsr = x86.MXCSRDefault
	}
	e.MXCSR = mxcsr
	if rfbm&x86.XFeatX87 != 0 {
		fastGetX87(e, p, bv&x86.XFeatX87 != 0)
	}
	for i := range uint64(16) {
		v := unsafe.Pointer(&e.V[i])
		if rfbm&x86.XFeatSSE != 0 {
			*word64(v, 0), *word64(v, 8) = 0, 0
			if bv&x86.XFeatSSE != 0 {
				*word64(v, 0), *word64(v, 8) = *word64(p, fxXMM+16*i), *word64(p, fxXMM+16*i+8)
			}
		}
		if rfbm&x86.XFeatAVX != 0 {
			*word64(v, 16), *word64(v, 24) = 0, 0
			if bv&x86.XFeatAVX != 0 {
				*word64(v, 16), *word64(v, 24) = *word64(p, xsHeaderEnd+16*i), *word64(p, xsHeaderEnd+16*i+8)
			}
		}
	}
	was := e.HFlags
	e.UpdateFPUSoft()
	return uint64(was ^ e.HFlags), true
}

// fastGetX87 loads the x87 state, or its initial one.
//
//go:nosplit
//go:norace
func fastGetX87(e *x86.Env, p unsafe.Pointer, used bool) {
	e.FPCW, e.FPSW, e.FPTop = x86.FPCWInit, 0, 0
	e.FPOp, e.FPIP, e.FPDP = 0, 0, 0
	tag := uint16(0)
	if used {
		sw := *word16(p, fxFSW)
		e.FPCW, e.FPSW, e.FPTop = *word16(p, fxFCW), sw&^0x3800, uint32(sw>>11&7)
		e.FPOp, e.FPIP, e.FPDP = *word16(p, fxFOP), *word64(p, fxFIP), *word64(p, fxFDP)
		tag = *word16(p, fxFTW)
	} else {
		e.FPCS, e.FPDS = 0, 0
	}
	for i := range e.FPTag {
		e.FPTag[i] = 1 &^ uint8(tag>>i)
	}
	for i := range uint64(8) {
		v := unsafe.Pointer(&e.FP[(uint64(e.FPTop)+i)&7])
		if used {
			*word64(v, 0), *word16(v, 8) = *word64(p, fxST+16*i), *word16(p, fxST+16*i+8)
		} else {
			*word64(v, 0), *word64(v, 8) = 0, 0
		}
	}
}
