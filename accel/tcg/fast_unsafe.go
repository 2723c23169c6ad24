package tcg

import (
	"unsafe"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// FastHelpers are the helpers that FastHelper may do, as an engine's options want them.
var FastHelpers = []uint32{
	uint32(x86.HelperRDTSC), uint32(x86.HelperRDTSCP), uint32(x86.HelperCmpXchg8B), uint32(x86.HelperMovs), uint32(x86.HelperStos), uint32(x86.HelperSyscall), uint32(x86.HelperSysret),
	uint32(x86.HelperIret), uint32(x86.HelperWriteCR), uint32(x86.HelperINVLPG), uint32(x86.HelperWriteFSGSBase), uint32(x86.HelperCmpXchg16B), uint32(x86.HelperRDPKRU),
	uint32(x86.HelperXSAVEC), uint32(x86.HelperXSAVES), uint32(x86.HelperXRSTORS), uint32(x86.HelperLoadSeg), uint32(x86.HelperPopF), uint32(x86.HelperSysenter), uint32(x86.HelperSysexit),
}

// noTSC in Env.TSCDelta: the guest's counter is not the host's plus a constant now.
const noTSC = ^uint64(0)

// fastBytes is the longest string that FastHelper copies or fills.
const fastBytes = 1024

// FastHelper does the plain cases of some helpers while generated code stays in the runtime's system-call state; ok false leaves them to
// CPU.Helper. It and what it calls must be nosplit and must not allocate, lock, panic or store Go pointers.
//
//go:nosplit
//go:norace
func FastHelper(h *ir.Header, id uint32) (ret uint64, ok bool) {
	e := (*x86.Env)(unsafe.Pointer(h))
	switch x86.Helper(id) {
	case x86.HelperRDTSC, x86.HelperRDTSCP:
		if e.TSCDelta == noTSC || e.CR[4]&x86.CR4TSD != 0 {
			return 0, false
		}
		t := hostTSC() + e.TSCDelta
		e.Regs[x86.RAX], e.Regs[x86.RDX] = t&0xffffffff, t>>32
		if x86.Helper(id) == x86.HelperRDTSCP {
			e.Regs[x86.RCX] = e.TSCAux & 0xffffffff
		}
		return 0, true
	case x86.HelperCmpXchg8B:
		return 0, fastCmpXchg8(e, e.Args[0])
	case x86.HelperWriteFSGSBase:
		v := e.Args[1]
		if uint64(int64(v<<16)>>16) != v {
			return 0, false
		}
		e.Seg[e.Args[0]&3|4].Base = v // FS or GS
		return 0, true
	case x86.HelperRDPKRU:
		if e.CR[4]&x86.CR4PKE == 0 || e.Regs[x86.RCX]&0xffffffff != 0 {
			return 0, false
		}
		e.Regs[x86.RAX], e.Regs[x86.RDX] = uint64(e.PKRU), 0
		return 0, true
	case x86.HelperXSAVEC, x86.HelperXSAVES:
		return 0, fastXSAVEC(e)
	case x86.HelperXRSTORS:
		return fastXRSTORS(e)
	case x86.HelperCmpXchg16B:
		return 0, fastCmpXchg16(e, e.Args[0])
	case x86.HelperMovs:
		return 0, fastString(e, e.Args[0], true)
	case x86.HelperStos:
		return 0, fastString(e, e.Args[0], false)
	case x86.HelperLoadSeg:
		return 0, fastLoadSeg(e, e.Args[0], uint16(e.Args[1]))
	}
	c := owner(e)
	if c == nil {
		return 0, false
	}
	switch x86.Helper(id) {
	case x86.HelperSyscall:
		return c.fastSyscall(e.Args[0])
	case x86.HelperSysret:
		return c.fastSysret(e.Args[0])
	case x86.HelperIret:
		if e.Args[0] == 4 {
			return c.fastIretFlat()
		}
		return c.fastIret(e.Args[0])
	case x86.HelperSysenter:
		return c.fastSysenter()
	case x86.HelperSysexit:
		return c.fastSysexit()
	case x86.HelperPopF:
		return 0, c.fastPopF(e.Args[0], e.Args[1])
	case x86.HelperINVLPG:
		return 0, c.fastINVLPG(e.Args[0])
	case x86.HelperWriteCR:
		return 0, e.Args[0] == 3 && c.fastCR3(e.Args[1])
	}
	return 0, false
}

// plainStrings tells whether MOVS and STOS with addresses of size bytes go upwards through flat memory, and the mask of these addresses.
//
//go:nosplit
func plainStrings(e *x86.Env, size uint64) (mask uint64, ok bool) {
	const (
		all  = x86.HFCS64 | x86.HFCS32 | x86.HFPE | x86.HFVM | x86.HFAddSeg | x86.HFLimits
		flat = x86.HFCS32 | x86.HFPE
	)
	if e.HFlags&x86.HFAlign != 0 || e.EFlags&x86.FlagDF != 0 {
		return 0, false
	}
	if size == 8 {
		return ^uint64(0), e.HFlags&x86.HFCS64 != 0
	}
	return 1<<32 - 1, size == 4 && e.HFlags&all == flat
}

// fastString is MOVS and STOS upwards within one page, of RAM that the soft TLB knows.
//
//go:nosplit
//go:norace
func fastString(e *x86.Env, a uint64, move bool) bool {
	seg := a >> 16 & 0xff
	mask, ok := plainStrings(e, a>>8&0xff)
	if !ok || move && (seg == x86.FS || seg == x86.GS) {
		return false
	}
	n := uint64(1)
	if a>>24&3 != repNone {
		n = e.Regs[x86.RCX] & mask
	}
	size := a & 0xff
	if size == 0 || n > fastBytes/size {
		return false
	}
	n *= size
	if n != 0 && !fastBlock(e, n, size, mask, move) {
		return false
	}
	if n == 0 && mask != ^uint64(0) {
		return false // upper halves of registers
	}
	if move {
		e.Regs[x86.RSI] = (e.Regs[x86.RSI] + n) & mask
	}
	e.Regs[x86.RDI] = (e.Regs[x86.RDI] + n) & mask
	if a>>24&3 != repNone {
		e.Regs[x86.RCX] = 0
	}
	return true
}

// fastBlock copies or fills n bytes by elements of size bytes.
//
//go:nosplit
//go:norace
func fastBlock(e *x86.Env, n, size, mask uint64, move bool) bool {
	mmu := uint8(x86.MMUKernel)
	if e.HFlags&x86.HFCPLMask == 3 {
		mmu = x86.MMUUser
	}
	d := fastHost(e, e.Regs[x86.RDI]&mask, n, mmu, accWrite)
	if d == 0 {
		return false
	}
	dst := ptr(uintptr(d))
	if !move {
		fastFill(dst, n, e.Regs[x86.RAX], size)
		return true
	}
	s := fastHost(e, e.Regs[x86.RSI]&mask, n, mmu, accRead)
	if s == 0 || d-s < n { // the copy would read what it has written
		return false
	}
	fastCopy(dst, ptr(uintptr(s)), n)
	return true
}

//go:nosplit
//go:norace
func fastCopy(dst, src unsafe.Pointer, n uint64) {
	i := uint64(0)
	for ; i+8 <= n; i += 8 {
		*(*uint64)(unsafe.Add(dst, i)) = *(*uint64)(unsafe.Add(src, i))
	}
	for ; i < n; i++ {
		*(*uint8)(unsafe.Add(dst, i)) = *(*uint8)(unsafe.Add(src, i))
	}
}

//go:nosplit
//go:norace
func fastFill(dst unsafe.Pointer, n, v, size uint64) {
	switch size {
	case 1:
		v = v & 0xff * 0x0101010101010101
	case 2:
		v = v & 0xffff * 0x0001000100010001
	case 4:
		v = v & 0xffffffff * 0x0000000100000001
	}
	i := uint64(0)
	for ; i+8 <= n; i += 8 {
		*(*uint64)(unsafe.Add(dst, i)) = v
	}
	for ; i < n; i++ {
		*(*uint8)(unsafe.Add(dst, i)) = uint8(v >> (i & 7 * 8))
	}
}
