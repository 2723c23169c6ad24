package interp

import (
	"goemu/tcg"
	"goemu/tcg/ir"
)

// abort ends the block as a callback asked for.
func (x *exec) abort(act tcg.Action) bool {
	x.slot, x.leave = slotLeave, tcg.LeaveFault
	if act == tcg.Stop {
		x.leave = tcg.LeaveReason
	}
	return true
}

// misaligned tells whether the access must fault for its alignment; the slow path raises it.
func misaligned(in *inst, addr uint64) bool {
	return in.mem.Align != 0 && addr&uint64(in.mem.Align-1) != 0
}

func ld[T word](x *exec, in *inst) bool {
	addr := x.v[in.a] + in.imm
	if p := hostRead[T](x, addr, in.mem.MMU); p != nil && !misaligned(in, addr) {
		x.v[in.dst] = uint64(*p)
		return false
	}
	v, ok := x.slowLoad(in, addr)
	if !ok {
		return true
	}
	x.v[in.dst] = uint64(T(v))
	return false
}

func lds[T signedWord](x *exec, in *inst) bool {
	addr := x.v[in.a] + in.imm
	if p := hostRead[T](x, addr, in.mem.MMU); p != nil && !misaligned(in, addr) {
		x.v[in.dst] = uint64(int64(*p))
		return false
	}
	v, ok := x.slowLoad(in, addr)
	if !ok {
		return true
	}
	x.v[in.dst] = uint64(int64(T(v)))
	return false
}

func (x *exec) slowLoad(in *inst, addr uint64) (uint64, bool) {
	x.hdr.PC = in.pc
	v, act := x.cpu.Load(addr, in.mem)
	if act != tcg.Continue {
		x.abort(act)
		return 0, false
	}
	return v, true
}

func st[T word](x *exec, in *inst) bool {
	addr := x.v[in.a] + in.imm
	if p := hostWrite[T](x, addr, in.mem.MMU); p != nil && !misaligned(in, addr) {
		*p = T(x.v[in.b])
		return false
	}
	x.hdr.PC = in.pc
	if act := x.cpu.Store(addr, in.mem, uint64(T(x.v[in.b]))); act != tcg.Continue {
		return x.abort(act)
	}
	return false
}

func ldRMW[T word](x *exec, in *inst) bool {
	addr := x.v[in.a] + in.imm
	if p := hostWrite[T](x, addr, in.mem.MMU); p != nil && !misaligned(in, addr) {
		x.v[in.dst] = uint64(*p)
		return false
	}
	x.hdr.PC = in.pc
	host, act := x.cpu.Probe(addr, in.mem, true)
	if act != tcg.Continue {
		return x.abort(act)
	}
	if host != 0 {
		x.v[in.dst] = uint64(*hostAt[T](host))
		return false
	}
	v, ok := x.slowLoad(in, addr)
	if !ok {
		return true
	}
	x.v[in.dst] = uint64(T(v))
	return false
}

func probe(x *exec, in *inst) bool {
	x.hdr.PC = in.pc
	if _, act := x.cpu.Probe(x.v[in.a]+in.imm, in.mem, in.imm2 != 0); act != tcg.Continue {
		return x.abort(act)
	}
	return false
}

func atomicOp(x *exec, in *inst) bool {
	addr, kind, val := x.v[in.a]+in.imm, ir.AtomicKind(in.imm2), x.v[in.b]
	host, act := x.atomicHost(in, addr)
	if act != tcg.Continue {
		return x.abort(act)
	}
	if host != 0 {
		x.v[in.dst] = atomicApply(host, in.mem.Size, func(old uint64) uint64 { return applyAtomic(kind, old, val) })
		return false
	}
	old, act := x.cpu.Atomic(addr, in.mem, kind, val&ir.SizeMask(in.mem.Size))
	if act != tcg.Continue {
		return x.abort(act)
	}
	x.v[in.dst] = old & ir.SizeMask(in.mem.Size)
	return false
}

func applyAtomic(k ir.AtomicKind, old, val uint64) uint64 {
	switch k {
	case ir.AtomicAdd:
		return old + val
	case ir.AtomicAnd:
		return old & val
	case ir.AtomicOr:
		return old | val
	case ir.AtomicXor:
		return old ^ val
	}
	return val
}

func cmpXchg(x *exec, in *inst) bool {
	mask := ir.SizeMask(in.mem.Size)
	addr, want, repl := x.v[in.a]+in.imm, x.v[in.b]&mask, x.v[in.c]&mask
	host, act := x.atomicHost(in, addr)
	if act != tcg.Continue {
		return x.abort(act)
	}
	if host != 0 {
		x.v[in.dst] = atomicApply(host, in.mem.Size, func(old uint64) uint64 {
			if old == want {
				return repl
			}
			return old
		})
		return false
	}
	old, act := x.cpu.CmpXchg(addr, in.mem, want, repl)
	if act != tcg.Continue {
		return x.abort(act)
	}
	x.v[in.dst] = old & mask
	return false
}

// atomicHost is the host address of the operand of an indivisible access, 0 if it must be made by a callback.
func (x *exec) atomicHost(in *inst, addr uint64) (uintptr, tcg.Action) {
	if host := x.hostWriteAddr(addr, in.mem); host != 0 && !misaligned(in, addr) && atomicAligned(host, in.mem.Size) {
		return host, tcg.Continue
	}
	x.hdr.PC = in.pc
	host, act := x.cpu.Probe(addr, in.mem, true)
	if !atomicAligned(host, in.mem.Size) {
		host = 0
	}
	return host, act
}

func call(x *exec, in *inst) bool {
	x.hdr.PC = in.pc
	ret, act := x.cpu.Helper(uint32(in.imm), x.v[in.a], x.v[in.b], x.v[in.c])
	if act != tcg.Continue {
		return x.abort(act)
	}
	x.v[in.dst] = ret
	return false
}

func exitCond(x *exec, in *inst) bool {
	if !x.f[in.fin].test(in.cond) {
		return false
	}
	x.slot = int(in.imm)
	return true
}

func exitNZ[T word](x *exec, in *inst) bool {
	x.slot = int(in.imm)
	return T(x.v[in.a]) != 0
}

func exitZ[T word](x *exec, in *inst) bool {
	x.slot = int(in.imm)
	return T(x.v[in.a]) == 0
}

func gotoExit(x *exec, in *inst) bool {
	x.slot = int(in.imm)
	return true
}

func jump(x *exec, in *inst) bool {
	x.slot, x.target, x.hdr.Addr = slotJump, x.v[in.a], in.pc
	return true
}
