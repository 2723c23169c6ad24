package amd64

import (
	"unsafe"

	"goemu/tcg/ir"
)

// EnvBias is added to the environment's address in RBP, so that the head of the environment is within reach of 8-bit displacements.
const EnvBias = 128

// Offsets of ir.Header.
const (
	offExitReq = uint32(unsafe.Offsetof(ir.Header{}.ExitReq))
	offCCOp    = uint32(unsafe.Offsetof(ir.Header{}.CCOp))
	offCCDst   = uint32(unsafe.Offsetof(ir.Header{}.CCDst))
	offCCSrc   = uint32(unsafe.Offsetof(ir.Header{}.CCSrc))
	offArgs    = uint32(unsafe.Offsetof(ir.Header{}.Args))
	offRet     = uint32(unsafe.Offsetof(ir.Header{}.Ret))
	offResume  = uint32(unsafe.Offsetof(ir.Header{}.Resume))
	offVec     = uint32(unsafe.Offsetof(ir.Header{}.Vec))
	offTLB     = uint32(unsafe.Offsetof(ir.Header{}.TLB))
	sizeTLB    = uint32(unsafe.Sizeof(ir.Header{}.TLB))
	offJumps   = uint32(unsafe.Offsetof(ir.Header{}.Jumps))
	offSpill   = uint32(unsafe.Offsetof(ir.Header{}.Spill))
	offSites   = uint32(unsafe.Offsetof(ir.Header{}.Sites))

	siteSize = uint32(unsafe.Sizeof(ir.Site{}))
	offLeft  = uint32(unsafe.Offsetof(ir.Site{}.Left))
)

// Header.Spill: words 0…15 hold the scratch registers while Go runs (by register number), the next ones what emitters save within an
// instruction, then vector bookkeeping; temporaries follow from slotBase on.
const (
	saveRAX   = 16
	saveRCX   = 17
	saveFlags = 18 // two words of the flags stub
	vecLive   = 20 // non-zero: the guest's vector state is in the host's registers
)

// envMem is a field of the environment.
func envMem(off uint32) Operand { return M(RBP, int32(off)-EnvBias) }

// spillMem is a word of Header.Spill.
func spillMem(n int) Operand { return envMem(offSpill + uint32(n)*8) }
