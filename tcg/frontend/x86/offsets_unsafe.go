package x86

import (
	"unsafe"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Places of the environment's fields that translated code addresses.
const (
	offRegs   = unsafe.Offsetof(x86.Env{}.Regs)
	offEFlags = unsafe.Offsetof(x86.Env{}.EFlags)
	offHF     = unsafe.Offsetof(x86.Env{}.HFlags)
	offShadow = unsafe.Offsetof(x86.Env{}.Shadow)
	offWait   = unsafe.Offsetof(x86.Env{}.IRQWait)
	offReq    = unsafe.Offsetof(x86.Env{}.ExitReq)
	offSeg    = unsafe.Offsetof(x86.Env{}.Seg)
	offGDT    = unsafe.Offsetof(x86.Env{}.GDT)
	offIDT    = unsafe.Offsetof(x86.Env{}.IDT)
	offCR0    = unsafe.Offsetof(x86.Env{}.CR)
	offTSCAux = unsafe.Offsetof(x86.Env{}.TSCAux)
	offKernGS = unsafe.Offsetof(x86.Env{}.KernelGSBase)
	offArg0   = unsafe.Offsetof(x86.Env{}.Args)
	offCR4    = unsafe.Offsetof(x86.Env{}.CR) + 4*8
	offFP     = unsafe.Offsetof(x86.Env{}.FP)
	offFPTop  = unsafe.Offsetof(x86.Env{}.FPTop)
	offFPTag  = unsafe.Offsetof(x86.Env{}.FPTag)
	offFPIP   = unsafe.Offsetof(x86.Env{}.FPIP)
	offFPDP   = unsafe.Offsetof(x86.Env{}.FPDP)
	offFPOp   = unsafe.Offsetof(x86.Env{}.FPOp)
	offFPCS   = unsafe.Offsetof(x86.Env{}.FPCS)
	offFPDS   = unsafe.Offsetof(x86.Env{}.FPDS)
	offFPCW   = unsafe.Offsetof(x86.Env{}.FPCW)
	offArg1   = offArg0 + 8
	offTLB    = unsafe.Offsetof(x86.Env{}.TLB)

	tlbSize     = unsafe.Sizeof(ir.TLBTable{})
	tlbBase     = unsafe.Offsetof(ir.TLBTable{}.Base)
	tlbMask     = unsafe.Offsetof(ir.TLBTable{}.Mask)
	segSize     = unsafe.Sizeof(x86.Segment{})
	segBase     = unsafe.Offsetof(x86.Segment{}.Base)
	segLimit    = unsafe.Offsetof(x86.Segment{}.Limit)
	segFlags    = unsafe.Offsetof(x86.Segment{}.Flags)
	segSelector = unsafe.Offsetof(x86.Segment{}.Selector)
	tableBase   = unsafe.Offsetof(x86.Table{}.Base)
	tableLimit  = unsafe.Offsetof(x86.Table{}.Limit)
)
