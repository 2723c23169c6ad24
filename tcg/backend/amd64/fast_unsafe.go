package amd64

import (
	"sync/atomic"
	"unsafe"

	"goemu/tcg/ir"
)

// The fast functions of Options. Engines of one process share them, and where savedReg says that host registers are.
var (
	fastHelper func(h *ir.Header, id uint32) (ret uint64, ok bool)
	fastHost   func(h *ir.Header, addr, size uint64, mmu uint8, write bool) uint64
	fastLookup func(h *ir.Header, pc uint64) uint64
	fastSaved  [16]uint32
)

func (e *Engine) setFast() {
	if e.opt.Fast == nil {
		return
	}
	fastHelper, fastHost, fastLookup = e.opt.Fast, e.opt.FastHost, e.opt.FastLookup
	for r := range fastSaved {
		fastSaved[r] = e.savedReg(Reg(r))
	}
}

// fastReg is the saved content of a host register.
//
//go:nosplit
//go:norace
func fastReg(h *ir.Header, r Reg) *uint64 {
	return (*uint64)(unsafe.Add(unsafe.Pointer(h), fastSaved[r&15]))
}

// fastCall does what the descriptor at Header.Resume asks for inside the system-call state: nothing here and in what is called may grow
// the stack, allocate, lock or panic. It reports false if Go must do it.
//
//lint:ignore U1000 called by the assembly beside it
//go:nosplit
//go:norace
func fastCall(base unsafe.Pointer) bool {
	h := (*ir.Header)(unsafe.Add(base, -EnvBias))
	d := (*desc)(unsafe.Add(nil, h.Resume))
	switch d.kind {
	case leaveCall:
		h.PC = d.pc
		ret, ok := fastHelper(h, uint32(d.n))
		if !ok {
			return false
		}
		if d.x != 0 {
			*(*uint64)(unsafe.Add(unsafe.Pointer(h), d.x)) = ret
		}
		h.Resume += descSize
		return true
	case leaveLookup, leaveLookupReg:
		pc := d.pc
		if d.kind == leaveLookupReg {
			pc = *fastReg(h, d.reg)
		}
		code := fastLookup(h, pc)
		if code == 0 {
			return false
		}
		h.Resume = code
		return true
	}
	return fastAccess(h, d)
}

// fastAccess makes a memory access to plain RAM.
//
//go:nosplit
//go:norace
func fastAccess(h *ir.Header, d *desc) bool {
	size, kind, align, mmu := d.x&0xff, uint8(d.x>>8)&0x7f, d.x>>16&0xff, uint8(d.x>>24)
	addr := *fastReg(h, d.reg2) + uint64(int64(d.n))
	if align > 1 && addr&(align-1) != 0 {
		return false
	}
	write := d.kind != leaveLoad && d.kind != leaveLoadV && (d.kind != leaveProbe || kind != 0)
	at := fastHost(h, addr, size, mmu, write)
	if at == 0 {
		return false
	}
	p := unsafe.Add(nil, at)
	switch d.kind {
	case leaveLoad:
		*fastReg(h, d.reg) = fastLoad(p, size, d.x>>15&1 != 0)
	case leaveStore:
		fastStore(p, size, h.Args[0])
	case leaveRMW:
		*fastReg(h, d.reg) = fastLoad(p, size, d.x>>15&1 != 0)
		*fastReg(h, Reg(d.aux)) = at
	case leaveProbe:
	case leaveAtomic:
		old, ok := fastAtomic(p, size, ir.AtomicKind(kind), h.Args[0])
		if !ok {
			return false
		}
		*fastReg(h, d.reg) = old
	case leaveCmpXchg:
		old, ok := fastCAS(p, size, h.Args[0], h.Args[1])
		if !ok {
			return false
		}
		*fastReg(h, d.reg) = old
	case leaveLoadV:
		fastCopy(unsafe.Pointer(&h.Vec), p, size)
	case leaveStoreV:
		fastCopy(p, unsafe.Pointer(&h.Vec), size)
	default:
		return false
	}
	h.Resume += uint64(int64(int32(d.x >> 32)))
	return true
}

//go:nosplit
//go:norace
func fastLoad(p unsafe.Pointer, size uint64, signed bool) uint64 {
	switch {
	case size == 8:
		return *(*uint64)(p)
	case size == 4 && signed:
		return uint64(*(*int32)(p))
	case size == 4:
		return uint64(*(*uint32)(p))
	case size == 2 && signed:
		return uint64(*(*int16)(p))
	case size == 2:
		return uint64(*(*uint16)(p))
	case signed:
		return uint64(*(*int8)(p))
	}
	return uint64(*(*uint8)(p))
}

//go:nosplit
//go:norace
func fastStore(p unsafe.Pointer, size, v uint64) {
	switch size {
	case 8:
		*(*uint64)(p) = v
	case 4:
		*(*uint32)(p) = uint32(v)
	case 2:
		*(*uint16)(p) = uint16(v)
	default:
		*(*uint8)(p) = uint8(v)
	}
}

// fastCAS compares and swaps 4 or 8 bytes indivisibly.
//
//go:nosplit
//go:norace
func fastCAS(p unsafe.Pointer, size, want, val uint64) (old uint64, ok bool) {
	for {
		switch size {
		case 8:
			if old = atomic.LoadUint64((*uint64)(p)); old != want || atomic.CompareAndSwapUint64((*uint64)(p), want, val) {
				return old, true
			}
		case 4:
			o := atomic.LoadUint32((*uint32)(p))
			if old = uint64(o); o != uint32(want) || atomic.CompareAndSwapUint32((*uint32)(p), uint32(want), uint32(val)) {
				return old, true
			}
		default:
			return 0, false
		}
	}
}

// fastAtomic changes 4 or 8 bytes indivisibly.
//
//go:nosplit
//go:norace
func fastAtomic(p unsafe.Pointer, size uint64, k ir.AtomicKind, val uint64) (old uint64, ok bool) {
	for {
		now := fastLoad(p, size, false)
		v := val
		switch k {
		case ir.AtomicAdd:
			v = now + val
		case ir.AtomicAnd:
			v = now & val
		case ir.AtomicOr:
			v = now | val
		case ir.AtomicXor:
			v = now ^ val
		}
		if old, ok = fastCAS(p, size, now, v); !ok || old == now {
			return old, ok
		}
	}
}

// fastCopy copies 4 to 32 bytes.
//
//go:nosplit
//go:norace
func fastCopy(d, s unsafe.Pointer, n uint64) {
	i := uint64(0)
	for ; i+8 <= n; i += 8 {
		*(*uint64)(unsafe.Add(d, i)) = *(*uint64)(unsafe.Add(s, i))
	}
	for ; i < n; i++ {
		*(*uint8)(unsafe.Add(d, i)) = *(*uint8)(unsafe.Add(s, i))
	}
}
