package kvm

import (
	"fmt"
	"sync"

	"goemu/accel"
	"goemu/accel/gate"
	"goemu/internal/memory"
	"goemu/internal/strerror"
	"goemu/target/x86"

	"golang.org/x/sys/unix"
)

// describe is the text of an error of the kernel.
func describe(e unix.Errno) string { return strerror.Text(e) }

// Where Intel's virtualisation keeps what it needs of the guest's physical memory: a page table of its own and, after it, three pages of
// a task state, below the firmware's largest image.
const (
	identityMap = 0xfeffc000
	tssAddress  = identityMap + 0x1000
)

// Options configure the accelerator of one machine.
type Options struct {
	Host    *Host
	Config  *x86.Config // of all CPUs
	Memory  *memory.AddressSpace
	Ports   *memory.AddressSpace // nil: all accesses go to Machine
	SMM     *memory.AddressSpace // what CPUs see in system management mode; nil: there is none
	Machine accel.Machine
	// Chips are the interrupt controllers that are put into the kernel.
	Chips accel.Chips
	// DirtyRing is how many entries each CPU's ring of written pages has, a power of two; 0: the kernel logs in bitmaps.
	DirtyRing uint32
	// Notify says what becomes of guests that let no event through for NotifyWindow ticks (0: as many as the processor must have), where the
	// host notices.
	Notify       NotifyExit
	NotifyWindow uint32
	Warn         Warning // nil: nobody wants to know
}

// Accel is a virtual machine of the kernel with its CPUs.
type Accel struct {
	h       *Host
	k       kernel
	opt     Options
	machine accel.Machine
	slots   slots
	posts   posts
	kept    keptWrites
	routes  routes
	gate    gate.Gate[*CPU]
	cpuid   *cpuidList // of the first CPU
	pmu     counters
	debug   debugger
	eoi     func(vector uint8) // of OnEOI
	clock   guestClock

	smm, tripleFaults bool // the kernel has system management mode, and tells of triple faults that are on their way

	notifyOnce sync.Once // guards the warning about notify exits
	ticks      uint64    // of the time stamp counter, as loaded

	spare map[uint32]*CPU // that have been removed, by APIC identifier: the kernel never lets go of one; guarded by the gate's list
}

// New gives a virtual machine memory; it has no CPUs yet. The host is the accelerator's from now on.
func New(o Options) (*Accel, error) {
	a := &Accel{h: o.Host, k: o.Host.k, opt: o, machine: o.Machine, spare: map[uint32]*CPU{}}
	a.gate.Init()
	a.slots.init(a)
	for _, f := range []func() error{a.setUpLogging, a.setUpNotify, a.setUpEvents} {
		if err := f(); err != nil {
			a.h.Close()
			return nil, err
		}
	}
	if o.Host.has(capIdentityMap) {
		addr := uint64(identityMap)
		if _, err := a.k.ioctlData(a.h.vm, reqSetIdentityMap, bytesOf(&addr)); err != nil {
			return nil, a.fail(reqSetIdentityMap, err)
		}
	}
	if _, err := a.k.ioctl(a.h.vm, reqSetTSSAddr, tssAddress); err != nil {
		return nil, a.fail(reqSetTSSAddr, err)
	}
	if err := a.createChips(); err != nil {
		a.h.Close()
		return nil, err
	}
	a.posts.init(a)
	a.kept.init(a)
	a.cpuid = a.h.guestCPUID(o.Config)
	if o.Config.PMU {
		a.pmu = findCounters(a.h.leaf(leafPMU, 0))
	}
	o.Memory.Listen(spaceListener{&a.slots, 0})
	o.Memory.Listen(registerListener{a, false})
	if o.Ports != nil {
		o.Ports.Listen(registerListener{a, true})
	}
	if a.smm {
		o.SMM.Listen(spaceListener{&a.slots, 1})
	}
	if a.slots.err != nil {
		a.posts.close()
		a.kept.close()
		a.slots.close()
		a.h.Close()
		return nil, a.slots.err
	}
	return a, nil
}

// setUpEvents switches on what the kernel tells of events on request.
func (a *Accel) setUpEvents() error {
	a.smm = a.opt.SMM != nil && a.h.HasSMM()
	if !a.h.has(capTripleFault) {
		return nil
	}
	if err := a.h.enable(capTripleFault, 1); err != nil {
		return fmt.Errorf("kvm: Failed to enable triple fault event cap: %w", requestError(reqEnableCap, err))
	}
	a.tripleFaults = true
	return nil
}

// fail is the error of a request that the kernel refused, and closes the machine, which will not come to be.
func (a *Accel) fail(r request, err error) error {
	a.h.Close()
	return requestError(r, err)
}

// requestError is the error of a request that the kernel refused.
func requestError(r request, err error) error {
	return fmt.Errorf("ioctl(%s) failed: %s", requestNames[r], strerror.Of(err))
}

func (a *Accel) list() []*CPU { return a.gate.List() }

// CPUs returns the virtual CPUs in the order of their creation.
func (a *Accel) CPUs() []*CPU { return a.list() }

// exclusive runs f while no CPU is inside the guest. It may be called on a CPU's goroutine that handles an exit.
func (a *Accel) exclusive(f func()) { a.gate.Exclusive(nil, f) }

// Start begins to execute the CPUs that do not yet; while the machine is paused they wait. Their request lines decide which of them run.
// When it returns every CPU has its thread.
func (a *Accel) Start() { a.gate.Start((*CPU).main) }

// Pause stops all CPUs and waits until they have stopped. Resume lets them go on.
func (a *Accel) Pause() {
	a.gate.Pause()
	a.stopClock()
}

// Resume lets paused CPUs go on.
func (a *Accel) Resume() { a.gate.Resume(a.startClock) }

// Close ends all CPUs and gives everything back to the kernel. It may be called again.
func (a *Accel) Close() error {
	if a.h.closed {
		return nil
	}
	a.gate.Quit()
	a.posts.close()
	a.kept.close()
	a.slots.close()
	for _, c := range a.list() {
		c.free()
	}
	for _, c := range a.spare {
		c.free()
	}
	a.h.Close()
	return nil
}

// TSC is the guest's time stamp counter; the machine is paused.
func (a *Accel) TSC() uint64 {
	if l := a.list(); len(l) > 0 {
		return l[0].State().TSC
	}
	return 0
}

// SetTSC tells what the counter shows that CPUs go by whose state has none: those of a translator. It precedes their SetState.
func (a *Accel) SetTSC(v uint64) { a.ticks = v }
