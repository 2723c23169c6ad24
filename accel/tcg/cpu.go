package tcg

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"goemu/accel"
	"goemu/accel/gate"
	"goemu/internal/memory"
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Requests to a CPU beside those of its gate and the accel.IRQ lines.
const (
	reqFlush = gate.OwnRequest << iota // the memory map changed
	reqA20                             // the A20 gate changed
)

// CPU is a virtual CPU. It implements accel.CPU for the machine and goemu/tcg.CPU for the engine.
type CPU struct {
	accel  *Accel
	env    *x86.Env // outside the Go heap
	cfg    *x86.Config
	index  int
	apicID uint32
	ic     accel.InterruptController

	mem        []byte // environment, TLBs, jump caches
	kernel     tlb    // of x86.MMUKernelSMAP in all address spaces
	spaces     [numSpaces]space
	current    int // of them
	spaceClock uint64
	noJumps    uint64 // address of a jump cache that stays empty

	lines    atomic.Uint32 // accel.IRQ
	nmis     atomic.Uint32 // how often IRQNMI was raised and not yet served
	gate     gate.CPU
	halted   atomic.Bool
	stepping atomic.Bool // for a debugger
	asked    atomic.Bool // to leave translated code for a sample

	// stateMu orders what others do with the state of a CPU that is paused and what its goroutine does when the memory map changes then.
	stateMu sync.Mutex

	thread atomic.Int64
	a20    atomic.Bool // A20 gate: true = address line 20 works

	// All below belongs to the CPU's goroutine.
	once       bool      // the next block is one instruction that may overwrite itself and access watched pages
	alone      bool      // … and runs while no other CPU does
	again      bool      // why a load failed: it must be made in a block of its own
	woken      time.Time // when it was last idle
	waitSIPI   bool      // after INIT: an application processor waits for its start-up interrupt
	nmiBlocked bool
	smiBlocked bool
	ev         event // what Fault or a helper recorded
	jump       int   // the current one of jumpSets, or noJump
	jumpSets   [numJumpSets]jumpSet
	jumpClock  uint64
	jumpPages  codePages
	recent     [recentBlocks]atomic.Pointer[block] // found lately, by hash
	epoch      uint64                              // Accel.epoch when the last block was found
	lastRange  *memory.Range
	fastRAM    [fastRanges]ramRange
	fastRAMs   int
	lastView   *memory.FlatView
	watchPages map[uint64]bool
	watchDR6   uint64
	watchHits  *accel.DebugStop // a debugger's watchpoint that the instruction has met
	msr        msrs
	last       lastExit
	from       uint64 // address of the indirect branch that ended the last run, or noFrom
	fpEmpty    uint8  // x87 registers that are to be empty again after the next instruction
	delivering bool   // an event is being delivered
	fetch      fetcher
	sampled    bool // the next block to execute is where a sample was taken
	smmNMI     bool // nmiBlocked before SMM
	svm        svm
	pauses     uint
}

// recentBlocks is the size of a CPU's table of blocks that it found lately.
const recentBlocks = 1 << 17

// lastExit is the direct exit through which the last run ended; id 0: another way.
type lastExit struct {
	id   uint64
	slot int
}

// Layout of the memory of a CPU.
const (
	envRoom  = 128 << 10
	tlbRoom  = tlbMax * entSize
	cpuBytes = envRoom + (1+2*numSpaces)*tlbRoom + (numJumpSets+1)*jumpBytes
)

// NewCPU adds a CPU, at any time. It is reset and does not run before Start; a CPU other than the first waits for a start-up interrupt.
func (a *Accel) NewCPU(index int, apicID uint32, ic accel.InterruptController) (*CPU, error) {
	mem, err := a.cpuMemory()
	if err != nil {
		return nil, err
	}
	c := &CPU{accel: a, cfg: a.opt.Config, index: index, apicID: apicID, ic: ic, mem: mem, env: envAt(mem)}
	a.gate.Join(c, func() { setExitReq(&c.env.Header) })
	rest := c.initSpaces(mem[envRoom:])
	for i := range c.jumpSets {
		s := &c.jumpSets[i]
		s.addr, s.entries = uint64(addrOf(rest)), jumpsAt(rest[:jumpBytes])
		clearJumps(s.entries)
		s.filled, s.local = make([]uint16, bulkClear+1), make([]uint16, jumpEntries)
		rest = rest[jumpBytes:]
	}
	clearJumps(jumpsAt(rest[:jumpBytes]))
	c.noJumps = uint64(addrOf(rest))
	c.env.Jumps, c.jump = c.noJumps, noJump
	c.env.Owner = selfAddr(c)
	c.env.Stack = uint64(addrOf(mem)) + envRoom
	c.a20.Store(true)
	var s x86.State
	s.EnableMC(c.cfg.MCGCap())
	c.msr.mcgCtl, c.msr.mc = s.MCGCtl, s.MCBanks
	c.Reset()
	a.gate.Add(c)
	return c, nil
}

func (c *CPU) free() error {
	err := unix.Munmap(c.mem)
	c.mem, c.env = nil, nil
	return err
}

// SetInterruptController connects the local interrupt controller; it must be done before Start.
func (c *CPU) SetInterruptController(ic accel.InterruptController) { c.ic = ic }

// Reset puts the CPU in its power-up state. It must not be running (use Raise(accel.IRQReset) otherwise).
func (c *CPU) Reset() {
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	c.Lower(accel.IRQNMI | accel.IRQMCE | accel.IRQSMI | accel.IRQInit | accel.IRQSIPI | irqVirtual)
	c.nmis.Store(0)
	c.env.HFlags = 0
	c.env.Reset(c.cfg, false)
	c.msr.reset()
	c.svm = svm{mode2: x86.Mode2GIF | x86.Mode2VGIF}
	if c.cfg.Features.Has(x86.FeatMONITOR) {
		c.msr.miscEnable |= miscMWAIT
	}
	c.env.TSCOffset = 0
	c.ev = event{}
	c.nmiBlocked, c.smiBlocked = false, false
	c.halted.Store(false)
	c.waitSIPI = c.index != 0
	c.applyA20()
	c.flushTLB(true)
}

// Index implements accel.CPU.
func (c *CPU) Index() int { return c.index }

// APICID implements accel.CPU.
func (c *CPU) APICID() uint32 { return c.apicID }

// Thread is the host's number of the CPU's thread, 0 before it is started.
func (c *CPU) Thread() int { return int(c.thread.Load()) }

// Halted implements accel.CPU.
func (c *CPU) Halted() bool { return c.halted.Load() }

// Env is the CPU's environment. It may be used on the CPU's goroutine (Do), or while the CPU is paused or not started.
func (c *CPU) Env() *x86.Env { return c.env }

// Header implements goemu/tcg.CPU.
func (c *CPU) Header() *ir.Header { return &c.env.Header }

// Raise implements accel.CPU.
func (c *CPU) Raise(l accel.IRQ) {
	if l&accel.IRQNMI != 0 {
		c.nmis.Add(1)
	}
	if old := c.lines.Or(uint32(l)); old&uint32(l) != uint32(l) {
		c.gate.Kick()
	}
}

// Lower implements accel.CPU.
func (c *CPU) Lower(l accel.IRQ) {
	c.lines.And(^uint32(l))
	if l&accel.IRQHalt != 0 {
		c.gate.Kick()
	}
}

// Gated implements gate.Member.
func (c *CPU) Gated() *gate.CPU { return &c.gate }

// Do implements accel.CPU.
func (c *CPU) Do(f func()) { c.gate.Do(f) }

// SetA20 opens or closes the A20 gate.
func (c *CPU) SetA20(on bool) {
	if c.a20.Swap(on) != on {
		c.gate.Request(reqA20)
	}
}

func (c *CPU) applyA20() {
	mask := ^uint64(0)
	if !c.a20.Load() {
		mask &^= 1 << 20
	}
	if c.env.A20Mask != mask {
		c.env.A20Mask = mask
		c.flushTLB(true)
	}
}

// space is the address space that the CPU sees now.
func (c *CPU) space() *memory.AddressSpace {
	if c.env.HFlags&x86.HFSMM != 0 && c.accel.opt.SMM != nil {
		return c.accel.opt.SMM
	}
	return c.accel.opt.Memory
}
