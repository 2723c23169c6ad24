package interp

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"goemu/tcg"
	"goemu/tcg/ir"
)

// pointer makes an address outside the Go heap, or of an object that is kept alive otherwise, a pointer.
func pointer(addr uint64) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

func address(b *block) uintptr          { return uintptr(unsafe.Pointer(b)) }
func blockAt(addr uintptr) *block       { return (*block)(pointer(uint64(addr))) }
func hostAt[T any](addr uintptr) *T     { return (*T)(pointer(uint64(addr))) }
func (x *exec) env() unsafe.Pointer     { return unsafe.Pointer(x.hdr) }
func field[T any](x *exec, o uint64) *T { return (*T)(unsafe.Add(x.env(), o)) }

// jumpEntry is the entry of the jump cache for pc.
func (x *exec) jumpEntry(pc uint64) *ir.JumpEntry {
	return (*ir.JumpEntry)(pointer(x.hdr.Jumps + ir.JumpIndex(pc)*uint64(unsafe.Sizeof(ir.JumpEntry{}))))
}

// tlbEntry is the soft-TLB entry for an address.
func (x *exec) tlbEntry(addr uint64, mmu uint8) *ir.TLBEntry {
	t := &x.hdr.TLB[mmu&(ir.NumMMU-1)]
	return (*ir.TLBEntry)(pointer(t.Base + addr>>(ir.PageBits-5)&t.Mask))
}

const pageMask = 1<<ir.PageBits - 1

// hostRead is the place of a guest word that may be read directly, or nil.
func hostRead[T any](x *exec, addr uint64, mmu uint8) *T {
	e := x.tlbEntry(addr, mmu)
	var t T
	if (addr+uint64(unsafe.Sizeof(t))-1)&^pageMask != e.Read {
		return nil
	}
	return (*T)(pointer(addr + e.Addend))
}

// hostWrite is the place of a guest word that may be written directly, or nil.
func hostWrite[T any](x *exec, addr uint64, mmu uint8) *T {
	e := x.tlbEntry(addr, mmu)
	var t T
	if (addr+uint64(unsafe.Sizeof(t))-1)&^pageMask != e.Write {
		return nil
	}
	return (*T)(pointer(addr + e.Addend))
}

// hostWriteAddr is hostWrite for a size known only now; 0 if there is no direct access.
func (x *exec) hostWriteAddr(addr uint64, m ir.MemOp) uintptr {
	e := x.tlbEntry(addr, m.MMU)
	if (addr+uint64(m.Size)-1)&^pageMask != e.Write {
		return 0
	}
	return uintptr(addr + e.Addend)
}

// hostBytes are size bytes at a guest address that may be accessed directly, or nil.
func (x *exec) hostBytes(addr uint64, m ir.MemOp, write bool) []byte {
	e := x.tlbEntry(addr, m.MMU)
	tag := e.Read
	if write {
		tag = e.Write
	}
	if (addr+uint64(m.Size)-1)&^pageMask != tag {
		return nil
	}
	return unsafe.Slice((*byte)(pointer(addr+e.Addend)), m.Size)
}

// atomicAligned tells whether the host makes an access at the address indivisible. amd64 does it everywhere.
func atomicAligned(host uintptr, size uint8) bool {
	return runtime.GOARCH == "amd64" || host&uintptr(size-1) == 0
}

// atomicApply changes size bytes at a host address indivisibly by f and returns what was there.
func atomicApply(host uintptr, size uint8, f func(uint64) uint64) uint64 {
	switch size {
	case 8:
		p := hostAt[uint64](host)
		for {
			old := atomic.LoadUint64(p)
			if atomic.CompareAndSwapUint64(p, old, f(old)) {
				return old
			}
		}
	case 4:
		p := hostAt[uint32](host)
		for {
			old := atomic.LoadUint32(p)
			if atomic.CompareAndSwapUint32(p, old, uint32(f(uint64(old)))) {
				return uint64(old)
			}
		}
	}
	return atomicPart(host, size, f)
}

// atomicPart changes 1 or 2 bytes within the word around them. Two bytes that straddle two aligned words (amd64 only) lie in an unaligned one.
func atomicPart(host uintptr, size uint8, f func(uint64) uint64) uint64 {
	base := host &^ 3
	if host-base+uintptr(size) > 4 {
		base = host - 1
	}
	p, sh, mask := hostAt[uint32](base), (host-base)*8, uint32(ir.SizeMask(size))
	for {
		word := atomic.LoadUint32(p)
		old := word >> sh & mask
		repl := word&^(mask<<sh) | uint32(f(uint64(old)))&mask<<sh
		if atomic.CompareAndSwapUint32(p, word, repl) {
			return uint64(old)
		}
	}
}

// fenceWord is the target of the locked operation that makes a full barrier.
var fenceWord atomic.Uint32

func fence(*exec, *inst) bool {
	fenceWord.Add(1)
	return false
}

func get(x *exec, in *inst) bool {
	x.v[in.dst] = *field[uint64](x, in.imm)
	return false
}

func set(x *exec, in *inst) bool {
	*field[uint64](x, in.imm) = x.v[in.a]
	return false
}

func ldEnv[T word](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(*field[T](x, in.imm))
	return false
}

func ldEnvS[T signedWord](x *exec, in *inst) bool {
	x.v[in.dst] = uint64(int64(*field[T](x, in.imm)))
	return false
}

func stEnv[T word](x *exec, in *inst) bool {
	*field[T](x, in.imm) = T(x.v[in.a])
	return false
}

// scratch is room for the value of a slow vector access.
func (x *exec) scratch(n uint8) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&x.hdr.Vec)), len(x.hdr.Vec)*8)[:n]
}

func ldV(x *exec, in *inst) bool {
	m, addr, v := in.mem, x.v[in.a]+in.imm, registers{x.env()}.bytes(in.src.VD)
	if int(m.Size) > len(v) {
		m.Size = uint8(len(v))
	}
	buf := x.hostBytes(addr, m, false)
	if buf == nil || misaligned(in, addr) {
		x.hdr.PC = in.pc
		buf = x.scratch(m.Size)
		if act := x.cpu.LoadVec(addr, m, buf); act != tcg.Continue {
			return x.abort(act)
		}
	}
	n, end := copy(v, buf), len(v)
	if in.src.Attr&ir.AttrMerge != 0 {
		end = max(n, min(end, int(in.src.Size)))
	}
	clear(v[n:end])
	return false
}

func stV(x *exec, in *inst) bool {
	m, addr, v := in.mem, x.v[in.a]+in.imm, registers{x.env()}.bytes(in.src.VA)
	if int(m.Size) > len(v) {
		m.Size = uint8(len(v))
	}
	if buf := x.hostBytes(addr, m, true); buf != nil && !misaligned(in, addr) {
		copy(buf, v)
		return false
	}
	x.hdr.PC = in.pc
	buf := x.scratch(m.Size)
	copy(buf, v)
	if act := x.cpu.StoreVec(addr, m, buf); act != tcg.Continue {
		return x.abort(act)
	}
	return false
}
