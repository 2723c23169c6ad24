package tcg

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"goemu/accel"
	"goemu/accel/gate"
	"goemu/target/x86"
	eng "goemu/tcg"
)

// Exit reasons of the accelerator itself, beside x86.Exit*.
const (
	exitOnce  = 0x100 + iota // execute the instruction at PC by itself: it overwrites its own block or hits a watched page
	exitAlone                // … while no other CPU executes
	exitSet                  // a helper has set PC and mode
)

// main is the goroutine of a CPU; up is called when it has its thread.
func (c *CPU) main(up func()) {
	runtime.LockOSThread()
	c.thread.Store(int64(unix.Gettid()))
	up()
	for c.gate.Requests()&gate.Quit == 0 {
		c.guarded()
	}
	if c.gate.End() {
		c.accel.forget(c)
	}
}

// guarded executes until quit or an internal error, which stops the machine and parks the CPU.
func (c *CPU) guarded() {
	defer func() {
		if r := recover(); r != nil {
			c.gate.Leave()
			c.internalError(fmt.Sprintf("%v\n%s", r, debug.Stack()))
		}
	}()
	for {
		clearExitReq(&c.env.Header)
		if c.pendingWork() {
			if !c.service() {
				return
			}
			c.env.IRQWait = c.lines.Load()
		} else {
			c.env.IRQWait = 0
		}
		c.step()
	}
}

// internalError reports a bug of the translator and stops this CPU for good.
func (c *CPU) internalError(text string) {
	c.accel.machine.Request(accel.ShutdownInternal, text+"\n"+c.Dump())
	c.gate.ParkForGood(c.serveWaiting)
}

// pendingWork tells whether anything asks for attention.
func (c *CPU) pendingWork() bool {
	return c.gate.Requests()|c.lines.Load() != 0 || c.halted.Load() || c.waitSIPI
}

// serveWaiting acts on what may be asked of the CPU while it waits: functions, and changes of the memory map.
func (c *CPU) serveWaiting() {
	if c.gate.Requests()&gate.Work != 0 {
		c.gate.RunWork()
	}
	if c.gate.Requests()&reqFlush != 0 {
		c.flushMap()
	}
}

// heldUp tells whether the CPU is not to execute until that is taken back.
func (c *CPU) heldUp() bool { return c.lines.Load()&uint32(accel.IRQHalt) != 0 }

// flushMap acts on a change of the memory map.
func (c *CPU) flushMap() {
	c.gate.Done(reqFlush)
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	c.lastRange, c.lastView = nil, nil
	c.flushTLB(true)
}

// service handles requests and interrupts until the CPU may execute; false means quit.
func (c *CPU) service() bool {
	for {
		r := c.gate.Requests()
		switch {
		case r&gate.Quit != 0:
			return false
		case r&gate.Work != 0:
			c.gate.RunWork()
		case r&reqFlush != 0:
			c.flushMap()
		case r&reqA20 != 0:
			c.gate.Done(reqA20)
			c.applyA20()
		case r&gate.Pause != 0 || c.heldUp():
			c.gate.Park(c.serveWaiting, c.heldUp)
		case c.serviceLines():
		case c.stepping.Load() && c.halted.Load() && !c.waitSIPI && c.wakingLines() != 0: // the interrupt waits for the end of stepping
			c.halted.Store(false)
		case c.halted.Load() || c.waitSIPI:
			c.idle()
		default: // what waits cannot be taken now
			return true
		}
		c.last.id = 0 // the CPU may go on anywhere
	}
}

// idle waits for a line that ends HLT or the wait for start-up.
func (c *CPU) idle() {
	c.gate.Wait(c.serveWaiting, func() bool { return c.gate.Requests() != 0 || c.wakingLines() != 0 })
	c.woken = time.Now()
}

// wakingLines are the lines that would be acted upon now.
func (c *CPU) wakingLines() uint32 {
	l := c.lines.Load()
	if c.waitSIPI {
		return l & uint32(accel.IRQReset|accel.IRQInit|accel.IRQSIPI|accel.IRQHalt)
	}
	l = uint32(c.open(accel.IRQ(l)))
	if c.nmiBlocked {
		l &^= uint32(accel.IRQNMI)
	}
	if c.smiBlocked {
		l &^= uint32(accel.IRQSMI)
	}
	return l &^ uint32(accel.IRQSIPI)
}

// serviceLines acts on one request line; false if there is nothing to do now.
func (c *CPU) serviceLines() bool {
	l := accel.IRQ(c.lines.Load())
	if c.stepping.Load() {
		l &^= accel.IRQHard | accel.IRQNMI | accel.IRQMCE | accel.IRQSMI | irqVirtual
	}
	l = c.open(l)
	if l == 0 {
		return false
	}
	shadow := c.env.Shadow != 0
	switch {
	case l&accel.IRQReset != 0:
		c.Lower(accel.IRQReset)
		c.Reset()
	case l&accel.IRQInit != 0 && !c.smiBlocked:
		if !c.endNow(x86.SVMExitINIT) {
			c.Lower(accel.IRQInit)
			c.init()
		}
	case l&accel.IRQSIPI != 0:
		c.Lower(accel.IRQSIPI)
		if c.waitSIPI {
			c.startUp()
		}
	case c.waitSIPI:
		return false
	case l&accel.IRQSMI != 0 && !c.smiBlocked && !shadow:
		if !c.endNow(x86.SVMExitSMI) {
			c.Lower(accel.IRQSMI)
			c.halted.Store(false)
			c.enterSMM()
		}
	case l&accel.IRQNMI != 0 && !c.nmiBlocked && !shadow:
		if c.endNow(x86.SVMExitNMI) {
			break
		}
		c.Lower(accel.IRQNMI)
		if c.nmis.Swap(0) > 1 { // one more waits while the first is handled
			c.lines.Or(uint32(accel.IRQNMI))
		}
		c.halted.Store(false)
		c.nmiBlocked = true
		c.deliver(event{kind: evHardware, vector: x86.ExcNMI})
	case l&accel.IRQMCE != 0:
		c.Lower(accel.IRQMCE)
		c.halted.Store(false)
		c.deliver(event{kind: evFault, vector: x86.ExcMC})
	case l&accel.IRQHard != 0 && (!shadow || c.svm.mode2&x86.Mode2VIntr != 0):
		return c.endNow(x86.SVMExitINTR) || c.interrupt()
	case l&irqVirtual != 0 && !shadow:
		c.virtualInterrupt()
	default:
		return false
	}
	return true
}

// allowNMI ends the handling of an NMI. Of those that came meanwhile one is kept.
func (c *CPU) allowNMI() {
	if c.nmiBlocked && c.nmis.Load() > 1 {
		c.nmis.Store(1)
	}
	c.nmiBlocked = false
}

// interrupt takes a maskable interrupt, if there still is one.
func (c *CPU) interrupt() bool {
	if c.ic == nil {
		c.Lower(accel.IRQHard)
		return true
	}
	vec, ok := c.ic.Ack()
	if !ok {
		c.Lower(accel.IRQHard)
		if vec, ok = c.ic.Ack(); !ok { // nothing came between the two
			return true
		}
	}
	c.halted.Store(false)
	c.deliver(event{kind: evHardware, vector: vec})
	return true
}

// init is the INIT request: the CPU waits for a start-up interrupt, except the first, which starts from the reset vector.
func (c *CPU) init() {
	c.svm = svm{SVMState: x86.SVMState{HSave: c.svm.HSave}, mode2: x86.Mode2GIF | x86.Mode2VGIF}
	c.Lower(irqVirtual)
	c.env.HFlags &^= x86.HFGuest
	c.env.Reset(c.cfg, true)
	c.flushTLB(true)
	c.halted.Store(false)
	c.nmiBlocked, c.smiBlocked = false, false
	if c.ic != nil {
		c.ic.InitReset()
		c.waitSIPI = c.ic.Base()&x86.APICBaseBSP == 0
		return
	}
	c.waitSIPI = c.index != 0
}

// startUp begins execution at the page that the start-up interrupt names.
func (c *CPU) startUp() {
	c.waitSIPI = false
	v := uint64(c.ic.SIPIVector())
	c.env.Seg[x86.CS].Selector = uint16(v << 8)
	c.env.Seg[x86.CS].Base = v << 12
	c.env.PC = 0
	c.env.UpdateHFlags()
}

// step finds and runs the next block, and what it links to, and acts on why it came back.
func (c *CPU) step() {
	b, stepping := c.accel.breaks.Load(), c.stepping.Load()
	if b == &noBreaks && !stepping {
		c.run()
		return
	}
	if stepping {
		c.once, c.last.id = true, 0
		c.env.HFlags |= x86.HFOneInsn
		defer func() { c.env.HFlags &^= x86.HFOneInsn }()
	} else if b.at[c.codeAddr(c.env.PC)] {
		c.stopFor(b, accel.DebugStop{CPU: c.index})
		return
	}
	c.run()
	switch {
	case c.once: // the instruction is yet to be executed
	case c.watchHits != nil:
		c.stopFor(b, *c.watchHits)
	case stepping:
		c.stopFor(b, accel.DebugStop{CPU: c.index})
	}
}

// run is step without a debugger.
func (c *CPU) run() {
	if c.env.DR[7]&0xff != 0 && c.breakpoint() {
		return
	}
	c.selectJumps()
	if c.alone && c.accel.parallel() {
		c.accel.gate.Exclusive(&c.gate, c.execute)
		return
	}
	c.execute()
}

// execute runs blocks until something else is to be done.
func (c *CPU) execute() {
	b, ok, err := c.find()
	switch {
	case err != nil:
		c.onceDone()
		panic(err)
	case !ok:
		c.onceDone()
		c.branchFault()
		c.deliverRecorded()
		return
	}
	if c.sampled && !c.once {
		c.sampled = false
		if c.accel.warm(b) { // it was dropped, to be translated anew
			c.last.id = 0
			return
		}
	}
	if c.last.id != 0 {
		c.chain(c.last.id, c.last.slot, b)
		c.last.id = 0
	}
	shared := !c.gate.Alone()
	if t := c.accel.turn; t != nil && shared {
		t.take(c)
		defer t.give()
	}
	for shared && !c.gate.Enter() {
	}
	if c.epoch != c.accel.epoch.Load() { // the block is gone
		if shared {
			c.gate.Leave()
		}
		return
	}
	c.traceExec(b)
	c.env.TSCDelta = c.accel.tsc.delta(c.env.TSCOffset)
	c.accel.sampler.wake(c)
	leave := c.accel.engine.Run(c, b.code)
	if shared {
		c.gate.Leave()
	}
	c.left(leave, b.key.flags)
}

// onceDone ends the special treatment of one instruction.
func (c *CPU) onceDone() {
	c.once, c.alone = false, false
}

// left acts on the end of a run that began with a block of these flags.
func (c *CPU) left(leave eng.Leave, flags uint32) {
	h := &c.env.Header
	once := c.once
	c.onceDone()
	if c.fpEmpty != 0 {
		c.restoreEmpty()
	}
	c.from = noFrom
	switch leave {
	case eng.LeaveLookup:
		c.from = h.Addr
	case eng.LeavePoll:
		c.from = h.Addr
		c.sampled = c.asked.Swap(false)
		c.once = c.stepping.Load() // it has not executed the instruction
	case eng.LeaveDirect:
		if !once {
			c.last.id, c.last.slot = h.ExitTB, int(h.ExitSlot)
		}
	case eng.LeaveFault:
		c.deliverFault()
		return
	case eng.LeaveDivide:
		c.watchDR6 = 0
		c.deliver(event{kind: evFault, vector: x86.ExcDE})
		return
	case eng.LeaveReason:
		c.leftFor(h.ExitInfo, flags)
	}
	if c.watchDR6 != 0 && !c.once && c.env.Shadow != x86.ShadowSS {
		c.setHits()
		c.deliver(event{kind: evTrap, vector: x86.ExcDB})
	}
}

// yieldEvery is how many pauses a CPU with a host processor of its own makes until it offers that to others.
const yieldEvery = 64

// yield lets other CPUs run. Every CPU is a thread: where there are more of them than processors, the one that is waited for may be
// without, and only the host can give it ours. Otherwise it executes, and giving the thread away would only cost time.
func (c *CPU) yield() {
	n := len(c.accel.list())
	if c.accel.turn != nil {
		runtime.Gosched()
		return
	}
	if c.pauses++; n > runtime.NumCPU() || n > 1 && c.pauses%yieldEvery == 0 {
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// leftFor acts on the reason that a block or a callback gave.
func (c *CPU) leftFor(reason, flags uint32) {
	switch reason {
	case x86.ExitHalt:
		c.halted.Store(true)
	case x86.ExitPause:
		c.yield()
	case x86.ExitException:
		c.watchDR6 = 0
		c.deliver(event{kind: evFault, vector: uint8(c.env.Args[0]), hasErr: c.env.Args[1] != x86.NoErrorCode, err: uint32(c.env.Args[1])})
	case x86.ExitDebug:
		if flags&x86.HFTF != 0 && c.env.Shadow != x86.ShadowSS {
			c.singleStep()
		}
	case exitSet:
		if flags&x86.HFTF != 0 && c.env.EFlags&x86.FlagTF != 0 {
			c.singleStep()
		}
	case x86.ExitX87Stack:
		c.x87StackFault()
	case exitOnce:
		c.once = true
	case exitAlone:
		c.once, c.alone = true, true
	}
}
