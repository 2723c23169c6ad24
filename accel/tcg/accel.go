package tcg

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"goemu/accel"
	"goemu/accel/gate"
	"goemu/internal/memory"
	"goemu/target/x86"
	eng "goemu/tcg"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/opt"
)

// maxInsns is the largest number of guest instructions in a block.
const maxInsns = 64

// Options configure the accelerator of one machine.
type Options struct {
	Engine  eng.Engine
	Config  *x86.Config // of all CPUs
	Memory  *memory.AddressSpace
	SMM     *memory.AddressSpace // what CPUs see in system management mode; nil: the same
	Machine accel.Machine
	// NoOptimise leaves out the passes over the intermediate representation.
	NoOptimise bool
	// SingleThread makes the virtual CPUs take turns (thread=single).
	SingleThread bool
	// OneInsn translates each instruction on its own, which makes logs easier to read.
	OneInsn bool
	// Single says that there will be only one CPU.
	Single bool
}

// Accel translates for the CPUs of one machine.
type Accel struct {
	opt       Options
	engine    eng.Engine
	patterner eng.Patterner // the engine, if it is one
	front     *front.Translator
	optimizer *opt.Optimizer
	machine   accel.Machine
	gen       atomic.Uint64
	gate      gate.Gate[*CPU]
	mu        sync.Mutex // guards table, watching and the frontend
	table     table
	watching  map[*memory.RAMBlock]bool
	killed    uint64        // how many blocks were dropped on their own; guarded by mu
	oneInsn   atomic.Bool   // each instruction is translated on its own
	hot       atomic.Bool   // some block is translated as hot code
	epoch     atomic.Uint64 // how often all blocks were dropped

	spare [][]byte // memory of CPUs that are gone; guarded by the gate's list

	breaks  atomic.Pointer[breaks] // a debugger's
	tsc     tscClock
	sampler sampler
	turn    *turn // SingleThread: whose turn it is
}

// New returns an accelerator without CPUs.
func New(o Options) (*Accel, error) {
	if o.Engine == nil || o.Config == nil || o.Memory == nil || o.Machine == nil {
		return nil, fmt.Errorf("tcg: incomplete options")
	}
	a := &Accel{opt: o, engine: o.Engine, machine: o.Machine, table: newTable(), watching: map[*memory.RAMBlock]bool{}}
	a.breaks.Store(&noBreaks)
	a.oneInsn.Store(o.OneInsn)
	if o.SingleThread {
		a.turn = newTurn()
	}
	a.front = front.New(front.Config{Features: o.Config.Features, Single: o.SingleThread || o.Single})
	a.front.Stop = func(addr uint64) bool { return a.breaks.Load().at[addr] }
	a.optimizer = opt.New(front.Globals)
	a.gate.Init()
	a.sampler.init(a)
	if r, ok := o.Engine.(eng.Retranslator); ok {
		r.OnRetranslate(a.retranslate)
	}
	a.patterner, _ = o.Engine.(eng.Patterner)
	a.tsc.init(o.Config.TSCFrequency)
	o.Memory.Listen(viewListener{a})
	if o.SMM != nil {
		o.SMM.Listen(viewListener{a})
	}
	return a, nil
}

// viewListener flushes the TLBs when the memory map changes.
type viewListener struct{ a *Accel }

// ViewChanged implements memory.Listener.
func (l viewListener) ViewChanged(_, _ []memory.Range) {
	for _, c := range l.a.list() {
		c.gate.Request(reqFlush)
	}
}

func (a *Accel) list() []*CPU { return a.gate.List() }

// CPUs returns the virtual CPUs in the order of their creation.
func (a *Accel) CPUs() []*CPU { return a.list() }

// parallel tells whether several CPUs may execute at the same time.
func (a *Accel) parallel() bool { return len(a.list()) > 1 && !a.opt.SingleThread }

// Start begins to execute the CPUs that do not yet; while the machine is paused they wait. Their request lines decide which of them run.
// When it returns every CPU has its thread.
func (a *Accel) Start() { a.gate.Start((*CPU).main) }

// Pause stops all CPUs and waits until they have stopped; the TSC stands still. Resume lets them go on.
func (a *Accel) Pause() {
	a.gate.Pause()
	a.tsc.stop()
}

// Resume lets paused CPUs go on.
func (a *Accel) Resume() { a.gate.Resume(a.tsc.start) }

// Remove takes a CPU out. It ends when it is between two instructions: it may be the one that executes the call, or wait for a lock that
// the caller holds. Until then it is one of the CPUs.
func (a *Accel) Remove(c *CPU) {
	if !c.gate.Remove() {
		a.forget(c)
	}
}

// forget drops a CPU that executes nothing any more. Its memory is kept for the next one, since others may yet raise its lines.
func (a *Accel) forget(c *CPU) {
	a.gate.Drop(c, func() { a.spare = append(a.spare, c.mem) })
}

// cpuMemory is memory for a CPU, all zeroes.
func (a *Accel) cpuMemory() (mem []byte, err error) {
	a.gate.Locked(func() {
		if n := len(a.spare); n > 0 {
			mem, a.spare = a.spare[n-1], a.spare[:n-1]
		}
	})
	if mem == nil {
		return mapMemory(cpuBytes)
	}
	return mem, unix.Madvise(mem, unix.MADV_DONTNEED)
}

// Close ends all CPUs and frees their memory.
func (a *Accel) Close() error {
	a.gate.Quit()
	a.sampler.timer.Stop()
	err := a.engine.Close()
	for _, c := range a.list() {
		if e := c.free(); err == nil {
			err = e
		}
	}
	for _, mem := range a.spare {
		if e := unix.Munmap(mem); err == nil {
			err = e
		}
	}
	return err
}

// Stats are counters for the curious.
type Stats struct{ Blocks, Flushes int }

// Stats returns the state of the block table.
func (a *Accel) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Stats{a.table.byKey.n, int(a.epoch.Load())}
}
