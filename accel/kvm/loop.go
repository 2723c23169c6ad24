package kvm

import (
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"goemu/accel"
)

// main is the goroutine of a CPU; up is called when it has its thread.
func (c *CPU) main(up func()) {
	runtime.LockOSThread() // for ever: the thread ends with the goroutine
	c.thread.Store(int64(unix.Gettid()))
	up()
	nameThread("CPU " + strconv.Itoa(c.index) + "/KVM")
	defer c.accel.running.Done()
	for c.service() {
		c.enter()
	}
	c.setParked(true)
	c.work.End()
	if c.removed.Load() {
		c.accel.forget(c)
	}
}

func (c *CPU) setParked(on bool) {
	c.accel.gateMu.Lock()
	c.parked.Store(on)
	c.accel.gate.Broadcast()
	c.accel.gateMu.Unlock()
}

// wait blocks until cond holds, serving Do meanwhile.
func (c *CPU) wait(cond func() bool) {
	for {
		if c.req.Load()&reqDo != 0 {
			c.runDo()
		}
		if cond() {
			return
		}
		<-c.wake
	}
}

// service handles requests and interrupts until the CPU may enter the guest; false means quit.
func (c *CPU) service() bool {
	for {
		r := c.req.Load()
		switch {
		case r&reqQuit != 0:
			return false
		case r&reqDo != 0:
			c.complete()
			c.runDo()
		case r&reqPause != 0 || c.lines.Load()&uint32(accel.IRQHalt) != 0:
			c.complete()
			c.park()
		case c.serviceLines():
		case c.halted.Load() || c.waitSIPI:
			c.complete()
			c.wait(func() bool { return c.req.Load() != 0 || c.wakingLines() != 0 })
		default:
			return true
		}
	}
}

// park waits while the machine is stopped.
func (c *CPU) park() {
	if c.req.Load()&reqPause == 0 && c.lines.Load()&uint32(accel.IRQHalt) == 0 { // completing took so long
		return
	}
	c.setParked(true)
	c.wait(func() bool {
		return c.req.Load()&reqQuit != 0 || c.req.Load()&reqPause == 0 && c.lines.Load()&uint32(accel.IRQHalt) == 0
	})
	c.setParked(false)
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
	case l&accel.IRQHard != 0 && c.halted.Load() && c.ifFlag: // it will be injected when the guest is entered
		c.halted.Store(false)
	default:
		return false
	}
	return true
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
	if c.ack != nil && !c.stepping {
		c.inject()
	}
	if c.ic != nil {
		le.PutUint64(c.run[runCR8:], uint64(c.ic.TPR()>>4))
	}
	seen := c.lines.Load()
	if !c.enterGate(seen) {
		return
	}
	c.synced = false
	c.unfinished = false
	_, err := c.k.ioctl(c.fd, reqRun, 0)
	c.leaveGate()
	c.left(err)
}

// enterGate is called before the CPU enters the guest, leaveGate after. It reports false if there is something to be done first; seen
// are the lines that have been served.
func (c *CPU) enterGate(seen uint32) bool {
	a := c.accel
	for {
		clearFlag(c.run, runImmediateExit)
		c.inside.Store(true)
		if c.req.Load() != 0 || c.lines.Load()&^seen != 0 {
			c.leaveGate()
			return false
		}
		if !a.stopping.Load() {
			return true
		}
		c.leaveGate()
		a.gateMu.Lock()
		for a.stopping.Load() {
			a.gate.Wait()
		}
		a.gateMu.Unlock()
	}
}

func (c *CPU) leaveGate() {
	c.inside.Store(false)
	if a := c.accel; a.stopping.Load() {
		a.gateMu.Lock()
		a.gate.Broadcast()
		a.gateMu.Unlock()
	}
}

// left acts on the end of a run.
func (c *CPU) left(err error) {
	c.ready, c.ifFlag = c.run[runReady] != 0, c.run[runIF] != 0
	if c.ic != nil {
		c.adoptAPIC()
	}
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
		_, err := c.k.ioctl(c.fd, reqRun, 0)
		c.left(err)
	}
}

// maxThreadName is the longest name of a thread.
const maxThreadName = 15

// nameThread names the calling thread for the host's tools.
func nameThread(name string) {
	b := append([]byte(name[:min(len(name), maxThreadName)]), 0)
	_ = setThreadName(b)
}
