package kvm

import (
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"goemu/accel"
	"goemu/accel/gate"
	"goemu/target/x86"
)

// main is the goroutine of a CPU; up is called when it has its thread.
func (c *CPU) main(up func()) {
	runtime.LockOSThread() // for ever: the thread ends with the goroutine
	c.thread.Store(int64(unix.Gettid()))
	up()
	nameThread("CPU " + strconv.Itoa(c.index) + "/KVM")
	for c.service() {
		c.enter()
	}
	if c.gate.End() {
		c.accel.forget(c)
	}
}

// serveWaiting runs functions while the CPU waits.
func (c *CPU) serveWaiting() {
	if c.gate.Requests()&gate.Work != 0 {
		c.gate.RunWork()
	}
}

// heldUp tells whether the CPU is not to execute until that is taken back.
func (c *CPU) heldUp() bool { return c.lines.Load()&uint32(accel.IRQHalt) != 0 }

// service handles requests and interrupts until the CPU may enter the guest; false means quit.
func (c *CPU) service() bool {
	for {
		r := c.gate.Requests()
		switch {
		case r&gate.Quit != 0:
			return false
		case r&gate.Work != 0:
			c.complete()
			c.gate.RunWork()
		case r&gate.Pause != 0 || c.heldUp():
			c.complete()
			if c.gate.Requests()&gate.Pause != 0 || c.heldUp() { // completing takes its time
				c.gate.Park(c.serveWaiting, c.heldUp)
			}
		case c.serviceLines():
		case c.halted.Load() || c.waitSIPI:
			c.complete()
			c.gate.Wait(c.serveWaiting, func() bool { return c.gate.Requests() != 0 || c.wakingLines() != 0 })
		default:
			return true
		}
	}
}

// wakingLines are the lines that end HLT or the wait for a start-up interrupt.
func (c *CPU) wakingLines() uint32 {
	l := c.lines.Load()
	if c.waitSIPI {
		return l & uint32(accel.IRQReset|accel.IRQInit|accel.IRQSIPI|accel.IRQHalt)
	}
	if !c.ifFlag {
		l &^= uint32(accel.IRQHard)
	}
	return l &^ uint32(accel.IRQSIPI)
}

// serviceLines acts on one request line; false if there is nothing more to do before the guest is entered.
func (c *CPU) serviceLines() bool {
	l := accel.IRQ(c.lines.Load())
	switch {
	case l == 0:
		return false
	case l&accel.IRQReset != 0:
		c.Lower(accel.IRQReset)
		c.complete()
		c.Reset()
	case l&accel.IRQInit != 0:
		c.Lower(accel.IRQInit)
		c.complete()
		c.init()
	case l&accel.IRQSIPI != 0:
		c.Lower(accel.IRQSIPI)
		if c.waitSIPI {
			c.startUp()
		}
	case c.waitSIPI:
		return false
	case l&accel.IRQSMI != 0:
		c.Lower(accel.IRQSMI)
		if c.accel.smm {
			c.interruptBy(reqSMI)
		}
	case l&accel.IRQNMI != 0:
		c.Lower(accel.IRQNMI)
		c.interruptBy(reqNMI)
	case l&accel.IRQMCE != 0:
		c.Lower(accel.IRQMCE)
		c.machineCheck()
	case l&accel.IRQHard != 0 && c.halted.Load() && c.ifFlag: // it will be injected when the guest is entered
		c.halted.Store(false)
	default:
		return false
	}
	return true
}

// machineCheck makes the guest enter the handler of #MC. What it was about to enter is lost; a double fault becomes a triple fault.
func (c *CPU) machineCheck() {
	c.halted.Store(false)
	c.mustPull()
	s := &c.rest
	if s.ExceptionNr == x86.ExcDF {
		c.accel.machine.Request(accel.ShutdownTripleFault, "")
		return
	}
	s.ExceptionNr, s.HasErrorCode = x86.ExcMC, 0
	if s.MPState == mpHalted {
		s.MPState = mpRunnable
	}
	c.dirty = true
}

// interruptBy makes a request that interrupts the guest without a vector.
func (c *CPU) interruptBy(r request) {
	c.halted.Store(false)
	if c.dirty { // what is pushed later would take it back
		if err := c.push(); err != nil {
			c.internalError(err.Error())
			return
		}
	}
	if _, err := c.k.ioctl(c.fd, r, 0); err != nil {
		c.internalError(requestError(r, err).Error())
	}
	c.synced = false
}

// inject gives the guest the pending interrupt if it can take one now; otherwise the kernel is told to come back when it can.
func (c *CPU) inject() {
	clearFlag(c.run, runWindow)
	if c.lines.Load()&uint32(accel.IRQHard) == 0 {
		return
	}
	if !c.ready || !c.ifFlag {
		setFlag(c.run, runWindow)
		return
	}
	vec, ok := c.ack()
	if !ok {
		c.Lower(accel.IRQHard)
		if vec, ok = c.ack(); !ok { // nothing came between the two
			return
		}
	}
	n := uint32(vec)
	if _, err := c.k.ioctlData(c.fd, reqInterrupt, bytesOf(&n)); err != nil {
		c.internalError(requestError(reqInterrupt, err).Error())
		return
	}
	c.ready = false
	if c.lines.Load()&uint32(accel.IRQHard) != 0 {
		setFlag(c.run, runWindow)
	}
}

// enter lets the guest execute until something happens, and acts on that.
func (c *CPU) enter() {
	if c.dirty {
		if err := c.push(); err != nil {
			c.internalError(err.Error())
			return
		}
	}
	if c.debugging && (c.stepping || c.retold) {
		c.tellDebug()
	}
	seen := c.lines.Load() // what is raised from here on is looked at again before the guest goes on
	if c.ack != nil && !c.stepping {
		c.inject()
	}
	if c.ic != nil {
		le.PutUint64(c.run[runCR8:], uint64(c.ic.TPR()>>4))
	}
	if !c.mayEnter(seen) {
		return
	}
	c.synced = false
	soon := c.unfinished // after one access there often is another
	c.unfinished = false
	err := c.k.run(c.fd, soon)
	c.gate.Leave()
	c.left(err)
}

// mayEnter lets the CPU through the gate. It reports false if there is something to be done first; seen are the lines that have been served.
func (c *CPU) mayEnter(seen uint32) bool {
	for {
		clearFlag(c.run, runImmediateExit)
		if !c.gate.Enter() {
			continue
		}
		if c.gate.Requests() == 0 && c.lines.Load()&^seen == 0 {
			return true
		}
		c.gate.Leave()
		return false
	}
}

// left acts on the end of a run.
func (c *CPU) left(err error) {
	c.ready, c.ifFlag = c.run[runReady] != 0, c.run[runIF] != 0
	if c.ic != nil {
		c.adoptAPIC()
	}
	c.accel.kept.flush()
	switch err {
	case nil:
		c.handle()
	case unix.EINTR, unix.EAGAIN: // somebody wants attention
	default:
		c.internalError("error: kvm run failed " + requestErrno(err))
	}
}

// adoptAPIC takes over what the guest changed of the local interrupt controller without leaving.
func (c *CPU) adoptAPIC() {
	if tpr := uint8(le.Uint64(c.run[runCR8:])) << 4; tpr != c.ic.TPR()&0xf0 {
		c.ic.SetTPR(tpr)
	}
	if base := le.Uint64(c.run[runAPICBase:]); base != c.ic.Base() {
		c.ic.SetBase(base)
	}
}

// complete makes the kernel finish the access of the last exit, without executing anything further: only then is the CPU's state that
// after an instruction.
func (c *CPU) complete() {
	for c.unfinished {
		c.unfinished = false
		setFlag(c.run, runImmediateExit)
		c.left(c.k.run(c.fd, true))
	}
}

// maxThreadName is the longest name of a thread.
const maxThreadName = 15

// nameThread names the calling thread for the host's tools.
func nameThread(name string) {
	b := append([]byte(name[:min(len(name), maxThreadName)]), 0)
	_ = setThreadName(b)
}
