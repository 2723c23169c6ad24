package accel

// LocalPage is the register page of a local APIC: 32-bit registers at multiples of 16 (Intel SDM volume 3, table 10-1).
type LocalPage [1024]byte

// LocalKeeper is the interrupt controller of a CPU whose work the kernel does while the machine runs: it keeps the state while not.
type LocalKeeper interface {
	InterruptController
	// Registers gives the state: IA32_APIC_BASE and the page.
	Registers(p *LocalPage) (base uint64)
	// SetRegisters takes it over. waitSIPI tells whether the CPU waits for its start-up interrupt.
	SetRegisters(base uint64, p *LocalPage, waitSIPI bool)
	// AckExternal is the acknowledge cycle of the 8259 pair, where that is not in the kernel; ok is false if it wants nothing.
	AckExternal() (vector uint8, ok bool)
}

// Chips tells which of the PC's interrupt controllers work in the kernel while the machine runs.
type Chips uint8

// Values of Chips.
const (
	ChipsNone  Chips = iota
	ChipsLocal       // the local APICs
	ChipsAll         // these, the 8259 pair and the I/O APIC
)

// MSIRoute is the message that an interrupt stands for.
type MSIRoute struct {
	Addr uint64
	Data uint32
}

// PICState is one 8259A, in the order of the kernel's and of the migrated form.
type PICState struct {
	LastIRR, IRR, IMR, ISR, PriorityAdd, IRQBase, ReadISR, Poll, SpecialMask, InitState, AutoEOI, RotateAutoEOI, Nested, Init4, ELCR uint8
	ELCRMask                                                                                                                         uint8
}

// IOAPICState is an I/O APIC.
type IOAPICState struct {
	Base               uint64
	Select, ID, IRR, _ uint32
	Table              [24]uint64
}

// KernelChips is an accelerator with some of the PC's interrupt controllers: they work in the kernel while the machine runs. All methods
// may be called from any goroutine, those that get and set state while all CPUs are paused.
type KernelChips interface {
	// Chips tells which; if none, nothing else may be called.
	Chips() Chips
	// SetLine drives a global interrupt, with ChipsAll.
	SetLine(gsi int, level bool)
	// RoutePins tells, with ChipsLocal, what the pins of the I/O APIC send: for the vectors of level-triggered messages the kernel reports the
	// end of interrupt. OnEOI registers who hears of it, on a CPU's goroutine without locks; it precedes the start.
	RoutePins(routes []MSIRoute)
	OnEOI(f func(vector uint8))
	// SignalMSI sends a message-signalled interrupt.
	SignalMSI(addr uint64, data uint32)
	// Direct sends a message at each signal of an event descriptor while the machine runs, where the kernel can; other signals stay in the
	// descriptor for whoever else listens to it. stop ends that.
	Direct(event int, m MSIRoute) (stop func(), err error)
	// PullLocal takes the state of all CPUs and their local controllers out of the kernel, PushLocal puts it there.
	PullLocal()
	PushLocal()
	// PIC, SetPIC, IOAPIC and SetIOAPIC exchange the state of the others, with ChipsAll; number 0 is the master.
	PIC(number int) PICState
	SetPIC(number int, s PICState)
	IOAPIC() IOAPICState
	SetIOAPIC(s IOAPICState)
}

// PITChannel is a counter of the 8254; its fields are those of the migrated form.
type PITChannel struct {
	Count                                                                                           uint32
	LatchedCount                                                                                    uint16
	CountLatched, StatusLatched, Status, ReadState, WriteState, WriteLatch, RWMode, Mode, BCD, Gate uint8
	Age                                                                                             int64 // nanoseconds since the count was loaded
}

// PITState is an 8254. Replaced tells that the HPET has taken the first counter's interrupt over.
type PITState struct {
	Channels [3]PITChannel
	Replaced bool
}

// KernelPIT is an accelerator that can do the 8254's work, if it has all interrupt controllers.
type KernelPIT interface {
	// CreatePIT makes the timer, before any CPU runs. discard says that interrupts which the guest has not taken in time are lost; otherwise
	// they come later.
	CreatePIT(discard bool) error
	// PIT and SetPIT exchange its state.
	PIT() PITState
	SetPIT(PITState)
}
