// Package accel is the contract between a machine and what executes its virtual CPUs. It knows no device and no instruction set.
package accel

// IRQ is a set of request lines into a virtual CPU.
type IRQ uint32

// The request lines.
const (
	IRQHard IRQ = 1 << iota // the interrupt controller has a maskable interrupt: ask InterruptController.Ack for the vector
	IRQNMI
	IRQSMI
	IRQInit  // INIT
	IRQSIPI  // start-up; the vector comes from InterruptController.SIPIVector
	IRQReset // full reset of this CPU
	IRQHalt  // stop executing until resumed
	IRQMCE   // machine check exception; what happened is in the CPU's registers already
)

// CPU is a virtual CPU as devices and the machine see it. All methods may be called from any goroutine.
type CPU interface {
	Index() int
	APICID() uint32
	// Raise sets request lines, wakes a halted CPU and makes a running one look at them soon.
	Raise(IRQ)
	// Lower clears request lines.
	Lower(IRQ)
	// Do runs f on the CPU's own goroutine between two instructions and waits for it. Must not be called with the machine lock held
	// by a caller that f would need.
	Do(f func())
	// Halted tells whether the CPU waits for an interrupt.
	Halted() bool
}

// InterruptController is the CPU's local interrupt controller (the local APIC, or the 8259 pair in a machine without one).
// The CPU calls it on its own goroutine, without the machine lock.
type InterruptController interface {
	// Ack returns the vector of the pending interrupt of the highest priority and marks it in service; ok is false if none is left
	// (a spurious wake-up).
	Ack() (vector uint8, ok bool)
	// TPR and SetTPR are the whole task priority register; CR8 is its bits 7..4.
	TPR() uint8
	SetTPR(uint8)
	// Base and SetBase are IA32_APIC_BASE; SetBase reports false for a value that must raise #GP.
	Base() uint64
	SetBase(uint64) bool
	// ReadMSR and WriteMSR are the x2APIC registers 0x800..0x8ff; ok is false for #GP.
	ReadMSR(index uint32) (value uint64, ok bool)
	WriteMSR(index uint32, value uint64) (ok bool)
	// ReadPage and WritePage are accesses to the controller's register page, which only its own CPU sees at the address in Base. The
	// CPU makes them instead of Bus accesses while Base has the enable bit (11) and not the x2APIC bit (10) set; offset is 0..0xfff.
	ReadPage(offset uint32, size int) uint32
	WritePage(offset uint32, size int, value uint32)
	// Deadline and SetDeadline are IA32_TSC_DEADLINE.
	Deadline() uint64
	SetDeadline(uint64)
	// SIPIVector is the vector of the last start-up IPI.
	SIPIVector() uint8
	// InitReset puts the controller in the state after INIT.
	InitReset()
}

// Bus is what a CPU reaches outside itself.
type Bus interface {
	// ReadIO and WriteIO access the I/O port space for a CPU; size is 1, 2 or 4. They take the machine lock themselves.
	ReadIO(by Registers, port uint16, size int) uint32
	WriteIO(by Registers, port uint16, size int, value uint32)
}

// Registers is a CPU in a port access, for devices that take and give more than the value.
type Registers interface {
	// Registers calls f with the general registers by their numbers; what f changes takes effect. A value that is read goes to RAX
	// after that. Only on the CPU's goroutine, before the access returns.
	Registers(f func(*[16]uint64))
	// Rates are those of the time stamp counter and of the local APIC's timer, in Hz, 0 if not known.
	Rates() (tsc, bus uint64)
}

// Shutdown tells the machine why a CPU asks it to stop or restart.
type Shutdown uint8

// Reasons for Machine.Request.
const (
	ShutdownTripleFault Shutdown = iota // triple fault: reset the machine
	ShutdownInternal                    // run state internal-error; text says why, with a register dump
)

// Machine is what an accelerator needs of the machine it runs.
type Machine interface {
	Bus
	// Request asks for a machine-wide action; it returns at once.
	Request(why Shutdown, text string)
	// Stopping tells whether the machine has been asked for something that pauses its CPUs first. A CPU whose own access asked for it
	// executes nothing after that instruction.
	Stopping() bool
}
