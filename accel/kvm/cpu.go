package kvm

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"goemu/accel"
	"goemu/accel/gate"
	"goemu/internal/memory"
	"goemu/target/x86"
)

var le = binary.LittleEndian

// CPU is a virtual CPU. It implements accel.CPU.
type CPU struct {
	accel  *Accel
	k      kernel
	fd     int
	run    []byte // the page shared with the kernel (struct kvm_run)
	ring   []byte // of pages that it has written, nil without
	reaped int    // place in ring of the next entry; guarded by slots.mu
	index  int
	apicID uint32
	ic     accel.InterruptController // that works here; nil if the kernel's does
	keeper accel.LocalKeeper         // keeps the state of the kernel's
	ack    func() (uint8, bool)      // acknowledges what IRQHard asks for; nil if the kernel has all controllers
	base   uint64                    // IA32_APIC_BASE of the kernel's, as pulled

	lines  atomic.Uint32 // accel.IRQ
	gate   gate.CPU
	halted atomic.Bool
	thread atomic.Int64
	gone   chan struct{} // closed when its goroutine has ended

	// All below belongs to the CPU's goroutine, or to whoever has paused it.
	env        x86.Env         // with rest the state, if synced
	rest       x86.State       // what env has no room for
	xsave      []byte          // the vector and floating-point state as the kernel has it; nil: not yet read
	synced     bool            // env and rest are the state
	dirty      bool            // … and newer than the kernel's
	whole      bool            // … in everything, after a reset or a load: also in what goes on by itself
	unfinished bool            // the kernel has yet to complete the access of the last exit
	ready      bool            // an interrupt can be injected
	ifFlag     bool            // EFLAGS.IF
	waitSIPI   bool            // after INIT: an application processor waits for its start-up interrupt
	stepping   bool            // for a debugger
	debugging  bool            // the kernel knows of a debugger's wishes, or has to be told of them
	retold     bool            // … that have changed
	errorCode  uint32          // of the exception on its way
	noMSR      map[uint32]bool // registers that the kernel refuses

	pdptrFor    uint64 // CR3 for which the page directory pointers are
	latchedINIT uint8  // an INIT waits for the end of system management mode
}

// NewCPU adds a CPU, at any time. It is reset and does not run before Start; a CPU other than the first waits for a start-up interrupt.
func (a *Accel) NewCPU(index int, apicID uint32) (*CPU, error) {
	c, err := a.revive(apicID)
	if c == nil && err == nil {
		c, err = a.create(index, apicID)
	}
	if err != nil {
		return nil, err
	}
	c.rest.A20Mask = -1
	c.Reset()
	a.gate.Add(c)
	return c, nil
}

// create asks the kernel for a CPU.
func (a *Accel) create(index int, apicID uint32) (*CPU, error) {
	fd, err := a.k.ioctl(a.h.vm, reqCreateVCPU, uint64(apicID))
	if err != nil {
		return nil, fmt.Errorf("kvm_init_vcpu: kvm_get_vcpu failed (%d): %w", index, requestError(reqCreateVCPU, err))
	}
	c := &CPU{accel: a, k: a.k, fd: fd, index: index, apicID: apicID, gone: make(chan struct{})}
	a.gate.Join(c, c.interrupt)
	if c.run, err = a.k.mmap(fd, 0, a.h.runSize); err != nil {
		_ = a.k.close(fd)
		return nil, fmt.Errorf("kvm_init_vcpu: mmap'ing vcpu state failed (%d): %w", index, err)
	}
	a.kept.share(c.run)
	if n := int(a.opt.DirtyRing); n != 0 {
		if c.ring, err = a.k.mmap(fd, ringOffset*memory.PageSize, n*sizeDirtyEntry); err != nil {
			c.free()
			return nil, fmt.Errorf("kvm_init_vcpu: mmap'ing dirty ring failed (%d): %w", index, err)
		}
	}
	if err := c.setUp(); err != nil {
		c.free()
		return nil, err
	}
	return c, nil
}

// setUp tells the kernel what kind of CPU it is.
func (c *CPU) setUp() error {
	if err := c.setUpMCE(); err != nil {
		return err
	}
	if khz := c.accel.opt.Config.TSCFrequency / 1000; khz != 0 {
		if err := c.setTSCRate(khz); err != nil {
			return err
		}
	}
	if err := c.setUpHyperV(); err != nil {
		return err
	}
	list := forCPU(c.accel.cpuid, c.apicID)
	c.addFrequency(list)
	if _, err := c.k.ioctlData(c.fd, reqSetCPUID2, bytesOf(list)); err != nil {
		return requestError(reqSetCPUID2, err)
	}
	return nil
}

// setTSCRate makes the time stamp counter run at a rate of its own, if the host can do that.
func (c *CPU) setTSCRate(khz uint64) error {
	now, err := c.k.ioctl(c.fd, reqGetTSCKHz, 0)
	if err == nil && uint64(now) == khz {
		return nil
	}
	if _, err := c.k.ioctl(c.fd, reqSetTSCKHz, khz); err != nil {
		return fmt.Errorf("TSC frequency mismatch between VM (%d kHz) and host (%d kHz), and TSC scaling unavailable", khz, now)
	}
	return nil
}

func (c *CPU) free() {
	if c.ring != nil {
		_ = c.k.munmap(c.ring)
	}
	_ = c.k.munmap(c.run)
	_ = c.k.close(c.fd)
}

// SetInterruptController connects the local interrupt controller; it must be done before Start.
func (c *CPU) SetInterruptController(ic accel.InterruptController) {
	if !c.accel.localInKernel() {
		c.ic, c.ack = ic, ic.Ack
		return
	}
	c.keeper, _ = ic.(accel.LocalKeeper)
	if c.keeper != nil && c.accel.opt.Chips == accel.ChipsLocal {
		c.ack = c.keeper.AckExternal
	}
}

// Index implements accel.CPU.
func (c *CPU) Index() int { return c.index }

// APICID implements accel.CPU.
func (c *CPU) APICID() uint32 { return c.apicID }

// Thread is the host's number of the CPU's thread, 0 before it is started.
func (c *CPU) Thread() int { return int(c.thread.Load()) }

// Halted implements accel.CPU.
func (c *CPU) Halted() bool { return c.halted.Load() }

// Raise implements accel.CPU.
func (c *CPU) Raise(l accel.IRQ) {
	switch c.accel.opt.Chips { // INIT and start-up are the kernel's business, and interrupts, unless they come from an 8259 pair that is not there
	case accel.ChipsLocal:
		l &= accel.IRQHard | accel.IRQNMI | accel.IRQMCE | accel.IRQSMI | accel.IRQReset | accel.IRQHalt
	case accel.ChipsAll:
		l &= accel.IRQNMI | accel.IRQMCE | accel.IRQSMI | accel.IRQReset | accel.IRQHalt
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

// interrupt gets the CPU out of the guest, or keeps it from entering. See the package's comment.
func (c *CPU) interrupt() {
	setFlag(c.run, runImmediateExit)
	if c.gate.Inside() {
		_ = c.k.interrupt(c.Thread())
	}
}

// Gated implements gate.Member.
func (c *CPU) Gated() *gate.CPU { return &c.gate }

// Do implements accel.CPU.
func (c *CPU) Do(f func()) { c.gate.Do(f) }

// SetA20 keeps the state of the A20 gate, which has no effect on the host's processor.
func (c *CPU) SetA20(bool) {}
