package amd64

import (
	"math/bits"
	"unsafe"

	"goemu/tcg"
	"goemu/tcg/ir"
)

// runner is the state of one Run: the environment and the place of its fields.
type runner struct {
	e   *Engine
	cpu tcg.CPU
	hdr *ir.Header
}

// Run implements tcg.Engine.
func (e *Engine) Run(cpu tcg.CPU, code tcg.Code) tcg.Leave {
	r := runner{e: e, cpu: cpu, hdr: cpu.Header()}
	if code.ID != 0 && r.hdr.ExitReq != 0 {
		return tcg.LeavePoll
	}
	base := unsafe.Add(unsafe.Pointer(r.hdr), EnvBias)
	r.hdr.Resume = uint64(code.Entry)
	r.hdr.Spill[vecLive] = 0
	if r.hdr.Sites[0][0].Entry == 0 {
		resetSites(r.hdr)
	}
	for {
		// An empty entry matches the all-ones program counter, which belongs to entry 0: make it lead somewhere.
		if j := (*ir.JumpEntry)(unsafe.Add(nil, r.hdr.Jumps)); j.Code == 0 {
			j.PC, j.Code = ^uint64(0), uint64(e.emptyStub)
		}
		runJIT(base, e.enterStub, r.hdr.Stack)
		d := (*desc)(unsafe.Add(nil, r.hdr.Resume))
		leave, done := leaves[d.kind%numLeaves](r, d)
		if done {
			return leave
		}
	}
}

// word is the 64-bit field at an offset of the environment.
func (r runner) word(off uint32) *uint64 { return (*uint64)(unsafe.Add(unsafe.Pointer(r.hdr), off)) }

// reg is the saved content of a host register.
func (r runner) reg(h Reg) *uint64 { return r.word(r.e.savedReg(h & 15)) }

// vecBuf is the mailbox for vector accesses.
func (r runner) vecBuf(n uint8) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&r.hdr.Vec)), len(r.hdr.Vec)*8)[:n]
}

// leaves handles the reasons of leaving generated code. done ends Run; otherwise Header.Resume says where to go on.
var leaves = makeLeaves()

func makeLeaves() [numLeaves]func(r runner, d *desc) (tcg.Leave, bool) {
	return [numLeaves]func(r runner, d *desc) (tcg.Leave, bool){
		0:              func(runner, *desc) (tcg.Leave, bool) { panic("BUG: leave descriptor without a kind") },
		leaveDirect:    runner.direct,
		leaveLookup:    func(r runner, d *desc) (tcg.Leave, bool) { return r.from(d.pc).at(d.pc, tcg.LeaveLookup) },
		leaveLookupReg: func(r runner, d *desc) (tcg.Leave, bool) { return r.from(d.pc).at(*r.reg(d.reg), tcg.LeaveLookup) },
		leavePoll:      func(r runner, d *desc) (tcg.Leave, bool) { return r.from(d.pc).at(d.pc, tcg.LeavePoll) },
		leavePollReg:   func(r runner, d *desc) (tcg.Leave, bool) { return r.from(d.pc).at(*r.reg(d.reg), tcg.LeavePoll) },
		leaveReason:    runner.reason,
		leaveDivide:    func(r runner, d *desc) (tcg.Leave, bool) { return r.at(d.pc, tcg.LeaveDivide) },
		leaveCall:      runner.call,
		leaveLoad:      runner.load,
		leaveStore:     runner.store,
		leaveRMW:       runner.loadRMW,
		leaveProbe:     runner.probe,
		leaveAtomic:    runner.atomic,
		leaveCmpXchg:   runner.cmpXchg,
		leaveDivS:      runner.divS,
		leaveSoft:      runner.soft,
		leaveLoadV:     runner.loadV,
		leaveStoreV:    runner.storeV,
		leaveSite:      runner.site,
	}
}

// from notes the address of the branch that leaves.
func (r runner) from(pc uint64) runner {
	r.hdr.Addr = pc
	return r
}

// at ends Run with the guest at pc.
func (r runner) at(pc uint64, l tcg.Leave) (tcg.Leave, bool) {
	r.hdr.PC = pc
	return l, true
}

func (r runner) direct(d *desc) (tcg.Leave, bool) {
	r.hdr.ExitTB, r.hdr.ExitSlot = d.x, uint32(d.n)
	return r.at(d.pc, tcg.LeaveDirect)
}

func (r runner) reason(d *desc) (tcg.Leave, bool) {
	r.hdr.ExitInfo = uint32(d.n)
	return r.at(d.pc, tcg.LeaveReason)
}

// resume goes on rel bytes behind the descriptor's start, unless the callback wanted something else.
func (r runner) resume(act tcg.Action, rel int32) (tcg.Leave, bool) {
	switch act {
	case tcg.Fault:
		return tcg.LeaveFault, true
	case tcg.Stop:
		return tcg.LeaveReason, true
	}
	r.hdr.Resume += uint64(int64(rel))
	return 0, false
}

// guestAddr is the address of a slow access.
func (r runner) guestAddr(d *desc) uint64 { return *r.reg(d.reg2) + uint64(int64(d.n)) }

func (r runner) call(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	a := &r.hdr.Args
	ret, act := r.cpu.Helper(uint32(d.n), a[0], a[1], a[2])
	if d.reg != NoReg {
		*r.reg(d.reg) = ret
	}
	return r.resume(act, descSize)
}

func (r runner) load(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	m, _, rel := unpackMem(d.x)
	v, act := r.cpu.Load(r.guestAddr(d), m)
	if act == tcg.Continue {
		*r.reg(d.reg) = v
	}
	return r.resume(act, rel)
}

func (r runner) store(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	m, _, rel := unpackMem(d.x)
	return r.resume(r.cpu.Store(r.guestAddr(d), m, r.hdr.Args[0]&ir.SizeMask(m.Size)), rel)
}

// loadRMW is the load of a read-modify-write: on plain RAM the store that follows uses the host address.
func (r runner) loadRMW(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	m, _, rel := unpackMem(d.x)
	addr := r.guestAddr(d)
	host, act := r.cpu.Probe(addr, m, true)
	if act != tcg.Continue {
		return r.resume(act, rel)
	}
	v, act := r.cpu.Load(addr, m)
	if act == tcg.Continue {
		*r.reg(d.reg) = v
		*r.reg(Reg(d.aux)) = uint64(host)
	}
	return r.resume(act, rel)
}

func (r runner) probe(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	m, write, rel := unpackMem(d.x)
	_, act := r.cpu.Probe(r.guestAddr(d), m, write != 0)
	return r.resume(act, rel)
}

func (r runner) atomic(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	m, k, rel := unpackMem(d.x)
	v, act := r.cpu.Atomic(r.guestAddr(d), m, ir.AtomicKind(k), r.hdr.Args[0]&ir.SizeMask(m.Size))
	if act == tcg.Continue {
		*r.reg(d.reg) = v
	}
	return r.resume(act, rel)
}

func (r runner) cmpXchg(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	m, _, rel := unpackMem(d.x)
	v, act := r.cpu.CmpXchg(r.guestAddr(d), m, r.hdr.Args[0]&ir.SizeMask(m.Size), r.hdr.Args[1]&ir.SizeMask(m.Size))
	if act == tcg.Continue {
		*r.reg(d.reg) = v
	}
	return r.resume(act, rel)
}

// divS is a signed division of 128 by 64 bits.
func (r runner) divS(d *desc) (tcg.Leave, bool) {
	a := &r.hdr.Args
	q, rem, ok := divS128(a[1], a[0], a[2])
	if !ok {
		return r.at(d.pc, tcg.LeaveDivide)
	}
	a[0], a[1] = q, rem
	return r.resume(tcg.Continue, descSize)
}

// divS128 divides hi:lo by d, truncating; ok is false if the quotient does not fit or d is 0.
func divS128(hi, lo, d uint64) (q, rem uint64, ok bool) {
	nneg, dneg := hi>>63 != 0, d>>63 != 0
	if nneg {
		var c uint64
		lo, c = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, c)
	}
	if dneg {
		d = -d
	}
	if hi >= d {
		return 0, 0, false
	}
	q, rem = bits.Div64(hi, lo, d)
	limit := uint64(1<<63 - 1)
	if nneg != dneg {
		limit = 1 << 63
	}
	if q > limit {
		return 0, 0, false
	}
	if nneg != dneg {
		q = -q
	}
	if nneg {
		rem = -rem
	}
	return q, rem, true
}

func (r runner) soft(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	ret, ret2, image := r.e.opt.Soft(r.cpu, &r.e.softs[d.n], &r.hdr.Args)
	*r.reg(d.reg), *r.reg(d.reg2) = ret, ret2
	r.hdr.Ret = image
	return r.resume(tcg.Continue, descSize)
}

func (r runner) loadV(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	m, _, rel := unpackMem(d.x)
	return r.resume(r.cpu.LoadVec(r.guestAddr(d), m, r.vecBuf(m.Size)), rel)
}

func (r runner) storeV(d *desc) (tcg.Leave, bool) {
	r.hdr.PC = d.pc
	m, _, rel := unpackMem(d.x)
	return r.resume(r.cpu.StoreVec(r.guestAddr(d), m, r.vecBuf(m.Size)), rel)
}
