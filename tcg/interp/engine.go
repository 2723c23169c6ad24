package interp

import (
	"fmt"
	"sync"
	"sync/atomic"

	"goemu/tcg"
	"goemu/tcg/ir"
)

// Limits of a block and of all blocks.
const (
	maxVals   = 1 << 15 // temporaries of a block; the slots above hold constants
	maxConsts = 1<<16 - maxVals - 16
	codeLimit = 256 << 20 // bytes of all blocks
)

// Engine implements tcg.Engine.
type Engine struct {
	globals []ir.GlobalInfo
	poison  bool

	// Under the translator's lock.
	blocks []*block // keeps alive what jump caches name by address
	used   int
	ranges []uint16 // scratch of compile: slots of the block's flags values

	mu      sync.Mutex // guards byConst
	byConst map[uint64]uint16
	consts  atomic.Pointer[[]uint64] // append-only; replaced when it grows

	execs sync.Map // *ir.Header → *exec
}

// New returns an interpreter for guests with these globals.
func New(globals []ir.GlobalInfo) *Engine {
	e := &Engine{globals: globals}
	e.Flush()
	return e
}

// PoisonUpperBits makes every operation scribble over those bits of its result that the representation leaves unspecified (a test aid).
func (e *Engine) PoisonUpperBits() { e.poison = true }

// Name implements tcg.Engine.
func (e *Engine) Name() string { return "interp" }

// block is a compiled block.
type block struct {
	id      uint64
	pc      uint64
	code    []inst
	exits   []exit
	nconsts int // constants that must be in the slots
}

// exit is a way out of a block.
type exit struct {
	kind   ir.ExitKind
	reason uint32
	pc     uint64
	link   atomic.Pointer[block]
	cross  atomic.Bool // linked across pages: goes through the jump cache
}

// inst is a decoded instruction: an index names a slot of exec.v or exec.f.
type inst struct {
	fn        handler
	imm       uint64
	pc        uint64 // of the guest instruction
	dst, dst2 uint16
	a, b, c   uint16
	fin, fout uint16
	cond      ir.Cond
	imm2      uint8
	cc        uint32 // lazy flags that the operation makes
	mem       ir.MemOp
	src       *ir.Inst // vectors only
}

// handler executes an instruction. It returns true to end the block, with exec.slot telling how.
type handler func(x *exec, in *inst) bool

// Values of exec.slot that are no exit.
const (
	slotJump  = -1 // to exec.target
	slotLeave = -2 // with exec.leave
)

// Compile implements tcg.Engine.
func (e *Engine) Compile(b *ir.Block, id uint64) (tcg.Code, error) {
	if e.used > codeLimit {
		return tcg.Code{}, tcg.ErrFull{}
	}
	blk, err := e.compile(b, id)
	if err != nil {
		return tcg.Code{}, err
	}
	const instSize, blockSize = 80, 160
	size := len(blk.code)*instSize + len(blk.exits)*40 + blockSize
	e.blocks = append(e.blocks, blk)
	e.used += size
	return tcg.Code{ID: id, Entry: address(blk), Size: size}, nil
}

// JumpTarget implements tcg.Engine.
func (e *Engine) JumpTarget(c tcg.Code) uint64 { return uint64(c.Entry) }

// Link implements tcg.Engine.
func (e *Engine) Link(from tcg.Code, slot int, to tcg.Code, crossPage bool) {
	x := &blockAt(from.Entry).exits[slot]
	if crossPage {
		x.cross.Store(true)
		return
	}
	x.link.Store(blockAt(to.Entry))
}

// Unlink implements tcg.Engine.
func (e *Engine) Unlink(from tcg.Code, slot int) {
	x := &blockAt(from.Entry).exits[slot]
	x.link.Store(nil)
	x.cross.Store(false)
}

// Flush implements tcg.Engine.
func (e *Engine) Flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.blocks, e.used = nil, 0
	e.byConst = map[uint64]uint16{}
	e.consts.Store(new([]uint64))
	e.execs.Range(func(_, x any) bool {
		x.(*exec).nconsts = 0
		return true
	})
}

// Close implements tcg.Engine.
func (e *Engine) Close() error {
	e.Flush()
	e.execs.Clear()
	return nil
}

// exec is the state of one virtual CPU.
type exec struct {
	v       *[1 << 16]uint64 // temporaries from slotVals up, constants from the top down
	f       *[1 << 16]flags
	hdr     *ir.Header
	cpu     tcg.CPU
	slot    int
	target  uint64
	leave   tcg.Leave
	nconsts int
	vec     VecUnit
}

// The first slots of exec.v and exec.f: slot 0 holds 0, or no flags; results that nobody wants go to slotDrop.
const (
	slotZero = iota
	slotDrop
	slotVals
	topConst = 1<<16 - 1
)

func (e *Engine) exec(cpu tcg.CPU) *exec {
	hdr := cpu.Header()
	if x, ok := e.execs.Load(hdr); ok {
		x := x.(*exec)
		x.cpu = cpu
		return x
	}
	x := &exec{v: new([1 << 16]uint64), f: new([1 << 16]flags), hdr: hdr, cpu: cpu}
	e.execs.Store(hdr, x)
	return x
}

// loadConsts copies the constants that came since the last time into their slots.
func (x *exec) loadConsts(e *Engine) {
	all := *e.consts.Load()
	for i := x.nconsts; i < len(all); i++ {
		x.v[topConst-i] = all[i]
	}
	x.nconsts = len(all)
}

// constSlot is the slot of a constant, or false when there are too many.
func (e *Engine) constSlot(v uint64) (uint16, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.byConst[v]; ok {
		return s, true
	}
	all := *e.consts.Load()
	if len(all) >= maxConsts {
		return 0, false
	}
	s := uint16(topConst - len(all))
	e.byConst[v] = s
	all = append(all, v)
	e.consts.Store(&all)
	return s, true
}

// Run implements tcg.Engine.
func (e *Engine) Run(cpu tcg.CPU, c tcg.Code) tcg.Leave {
	x := e.exec(cpu)
	for b := blockAt(c.Entry); ; {
		if b.nconsts > x.nconsts {
			x.loadConsts(e)
		}
		code := b.code
		for i := 0; ; i++ {
			if in := &code[i]; in.fn(x, in) {
				break
			}
		}
		next, leave := x.after(b)
		if next == nil {
			return leave
		}
		b = next
	}
}

// after finds the block that follows, or the reason to leave.
func (x *exec) after(b *block) (*block, tcg.Leave) {
	if x.slot == slotLeave {
		return nil, x.leave
	}
	if x.slot == slotJump {
		return x.lookup(x.target)
	}
	h, e := x.hdr, &b.exits[x.slot]
	if e.kind == ir.ExitTo {
		h.PC, h.ExitInfo, h.ExitTB, h.ExitSlot = e.pc, e.reason, b.id, uint32(x.slot)
		return nil, tcg.LeaveReason
	}
	if next := e.link.Load(); next != nil {
		if atomic.LoadUint32(&h.ExitReq) != 0 {
			h.PC, h.Addr = e.pc, e.pc
			return nil, tcg.LeavePoll
		}
		return next, 0
	}
	if e.cross.Load() {
		return x.lookup(e.pc)
	}
	h.PC, h.ExitTB, h.ExitSlot = e.pc, b.id, uint32(x.slot)
	return nil, tcg.LeaveDirect
}

// lookup finds the block at pc in the jump cache.
func (x *exec) lookup(pc uint64) (*block, tcg.Leave) {
	if atomic.LoadUint32(&x.hdr.ExitReq) != 0 {
		x.hdr.PC = pc
		return nil, tcg.LeavePoll
	}
	if j := x.jumpEntry(pc); j.PC == pc {
		return blockAt(uintptr(j.Code)), 0
	}
	x.hdr.PC = pc
	return nil, tcg.LeaveLookup
}

// compile decodes a block.
func (e *Engine) compile(b *ir.Block, id uint64) (*block, error) {
	if len(b.Vals) > maxVals-slotVals {
		return nil, fmt.Errorf("interp: block at %#x has %d values", b.PC, len(b.Vals))
	}
	if n := len(b.Insts); n == 0 || b.Insts[n-1].Op.Info().Attr&ir.OpEnds == 0 {
		return nil, fmt.Errorf("interp: block at %#x has no end", b.PC)
	}
	d := decoder{e: e, b: b, code: make([]inst, 0, len(b.Insts)), slots: e.slots(len(b.Vals))}
	for i := range b.Insts {
		if err := d.inst(&b.Insts[i]); err != nil {
			return nil, fmt.Errorf("interp: block at %#x: %w", b.PC, err)
		}
	}
	blk := &block{id: id, pc: b.PC, code: d.code, exits: make([]exit, len(b.Exits)), nconsts: len(*e.consts.Load())}
	for i, x := range b.Exits {
		blk.exits[i].kind, blk.exits[i].pc, blk.exits[i].reason = x.Kind, x.PC, x.Reason
	}
	return blk, nil
}

// slots is a table from Vals to slots, to be filled in.
func (e *Engine) slots(n int) []uint16 {
	if cap(e.ranges) < n {
		e.ranges = make([]uint16, 2*n)
	}
	e.ranges = e.ranges[:n]
	e.ranges[0] = slotZero
	return e.ranges
}
