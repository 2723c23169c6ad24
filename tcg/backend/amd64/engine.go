package amd64

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"goemu/tcg"
	"goemu/tcg/ir"
)

var errNoSoft = errors.New("amd64: no software execution of vector instructions")

// defaultCache is the size of the code cache when none is given.
const defaultCache = 256 << 20

// Options of an Engine.
type Options struct {
	CacheSize int          // bytes of code cache; 0: a default
	Vec       ir.VecLayout // where the vector state is
	Bulk      *ir.Bulk     // registers of bulk operations; nil: their helpers do all the work
	// Fast tries to run a helper without leaving to Go, for the helpers in FastIDs; ok false: the normal way must be taken. It runs
	// inside the runtime's system-call state: it and all it calls must be nosplit and must not allocate, lock, panic or store Go pointers.
	Fast    func(h *ir.Header, id uint32) (ret uint64, ok bool)
	FastIDs []uint32
	// FastHost and FastLookup are tried in the same way, if Fast is there: the host address of plain RAM for an access, and the entry of
	// the block at a program counter; 0: the normal way must be taken.
	FastHost   func(h *ir.Header, addr, size uint64, mmu uint8, write bool) uint64
	FastLookup func(h *ir.Header, pc uint64) uint64
	// Soft executes a vector or x87 instruction on the environment: in has args A, B, C and the image of FIn; it returns Dst, Dst2 and
	// the image of FOut. Nil: blocks with such instructions are refused.
	Soft func(cpu tcg.CPU, in *ir.Inst, args *[4]uint64) (ret, ret2, image uint64)
}

// Engine implements tcg.Engine by generated code.
type Engine struct {
	globals  []ir.GlobalInfo
	opt      Options
	pin      [maxGlobals]Reg // host register of a global, or NoReg
	pinnedTo [16]int         // global of a host register, or -1
	cache    *codeCache
	now      func() time.Duration // sinceEpoch, but in tests
	comp     compiler
	emitters [ir.OpEnd]func(*compiler, *ir.Inst)
	softs    []ir.Inst
	nextSite uint32 // Header.Sites are given out in turn
	anew     func(id uint64)
	plainMu  sync.Mutex
	plain    map[uint64]bool // guest instructions whose accesses do not guess

	enterStub, flagsStub, emptyStub uintptr
	leaveStubs                      [2][2]uintptr // [a fast helper is tried][the block uses vector state]
	vecStub, x87Stub                uintptr
	vecSpecials                     [ir.NumVecOps]vecSpecial
	x87Emits                        [ir.NumX87Ops]x87Emit
	feats                           [numHostFeats]bool

	// Dump, if set, is called with the code of each new block.
	Dump func(b *ir.Block, entry uintptr, code []byte)
}

// pinnable are the registers for globals. A global whose index is such a register's number goes there, others take what is left.
var pinnable = [...]Reg{RAX, RCX, RDX, RBX, RSI, RDI, R8, R9, R12, R13}

// New makes an engine for a frontend's globals.
func New(globals []ir.GlobalInfo, opt Options) (*Engine, error) {
	if !Supported {
		return nil, errors.New("amd64: generated code cannot run on this host")
	}
	switch lack := hostLacks(); {
	case lack != "":
		return nil, fmt.Errorf("amd64: the host CPU lacks %s", lack)
	case len(globals) > maxGlobals:
		return nil, errors.New("amd64: too many globals")
	}
	if opt.CacheSize == 0 {
		opt.CacheSize = defaultCache
	}
	cache, err := newCodeCache(opt.CacheSize)
	if err != nil {
		return nil, err
	}
	e := &Engine{plain: map[uint64]bool{}, globals: globals, opt: opt, cache: cache, now: sinceEpoch, emitters: makeEmitters(), vecSpecials: makeVecSpecials(), x87Emits: makeX87(), feats: hostFeats()}
	e.comp.e = e
	e.assignPins()
	e.setFast()
	e.emitStubs()
	return e, nil
}

// assignPins gives the hottest globals host registers.
func (e *Engine) assignPins() {
	for i := range e.pin {
		e.pin[i] = NoReg
	}
	for i := range e.pinnedTo {
		e.pinnedTo[i] = -1
	}
	var hot []int
	for g := range e.globals {
		if e.globals[g].Hot > 0 {
			hot = append(hot, g)
		}
	}
	sort.SliceStable(hot, func(i, j int) bool { return e.globals[hot[i]].Hot > e.globals[hot[j]].Hot })
	hot = hot[:min(len(hot), len(pinnable))]
	var free uint32
	for _, r := range pinnable {
		free |= 1 << r
	}
	assign := func(g int, r Reg) {
		e.pin[g], e.pinnedTo[r] = r, g
		free &^= 1 << r
	}
	for _, g := range hot {
		if free>>g&1 != 0 && g < 16 {
			assign(g, Reg(g))
		}
	}
	for _, g := range hot {
		if e.pin[g] != NoReg {
			continue
		}
		for _, r := range pinnable {
			if free>>r&1 != 0 {
				assign(g, r)
				break
			}
		}
	}
}

// globalMem is a global's place in the environment.
func (e *Engine) globalMem(g ir.Global) Operand { return envMem(e.globals[g].Offset) }

// keep stores an instruction for software execution and returns its index.
func (e *Engine) keep(in *ir.Inst) int32 {
	e.softs = append(e.softs, *in)
	return int32(len(e.softs) - 1)
}

// isFast tells whether what a descriptor asks for is tried without leaving to Go first.
func (e *Engine) isFast(d *desc) bool {
	switch {
	case e.opt.Fast == nil:
		return false
	case d.kind == leaveCall:
		return slices.Contains(e.opt.FastIDs, uint32(d.n))
	case d.kind == leaveLookup || d.kind == leaveLookupReg:
		return e.opt.FastLookup != nil
	case d.kind >= leaveLoad && d.kind <= leaveCmpXchg || d.kind == leaveLoadV || d.kind == leaveStoreV:
		return e.opt.FastHost != nil
	}
	return false
}

// OnRetranslate implements tcg.Retranslator.
func (e *Engine) OnRetranslate(f func(id uint64)) { e.anew = f }

// Name implements tcg.Engine.
func (e *Engine) Name() string { return "jit" }

// JumpTarget implements tcg.Engine.
func (e *Engine) JumpTarget(c tcg.Code) uint64 { return uint64(c.Entry) }

// exitInfo is a row of the table in front of a block, as positions in the cache. patch 0: the exit is not linkable.
type exitInfo struct{ patch, stub, patch2, leave, look int }

func (e *Engine) exitInfo(c tcg.Code, slot int) (x exitInfo) {
	entry := int(c.Entry - e.cache.base)
	row := e.cache.rw[entry-infoSize-(slot+1)*exitInfoSize:]
	for k, p := range [...]*int{&x.patch, &x.stub, &x.patch2, &x.leave, &x.look} {
		if off := int32(binary.LittleEndian.Uint32(row[k*4:])); off != 0 {
			*p = entry + int(off)
		}
	}
	return x
}

// Link implements tcg.Engine. Exits to other pages always go through the jump cache; an exit to a block that crosses into the next page
// does so once it is linked.
func (e *Engine) Link(from tcg.Code, slot int, to tcg.Code, crossPage bool) {
	x := e.exitInfo(from, slot)
	switch {
	case x.patch == 0 || crossPage && x.look == 0:
		return
	case crossPage && x.patch2 != 0:
		e.cache.patch(x.patch2, int32(x.look-(x.patch2+4)))
		return
	case crossPage:
		e.cache.patch(x.patch, int32(x.look-(x.patch+4)))
		return
	}
	entry := int(to.Entry - e.cache.base)
	if x.patch2 == 0 || e.cache.rw[entry-infoSize] != 0 {
		e.cache.patch(x.patch, int32(entry-(x.patch+4)))
		return
	}
	e.cache.patch(x.patch2, int32(entry-(x.patch2+4)))
	e.cache.patch(x.patch, int32(x.stub-(x.patch+4)))
}

// Unlink implements tcg.Engine.
func (e *Engine) Unlink(from tcg.Code, slot int) {
	x := e.exitInfo(from, slot)
	if x.patch == 0 {
		return
	}
	e.cache.patch(x.patch, int32(x.stub-(x.patch+4)))
	if x.patch2 != 0 {
		e.cache.patch(x.patch2, int32(x.leave-(x.patch2+4)))
	}
}

// Flush implements tcg.Engine.
func (e *Engine) Flush() {
	e.cache.next = e.cache.floor
	e.softs = e.softs[:0]
	e.plainMu.Lock()
	clear(e.plain)
	e.plainMu.Unlock()
}

// Usage is how much of the code cache is in use, and how much there is, in bytes. It is called under the translator's lock.
func (e *Engine) Usage() (used, size int) { return e.cache.next, len(e.cache.rx) }

// Close implements tcg.Engine.
func (e *Engine) Close() error { return e.cache.close() }

func putU64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }
