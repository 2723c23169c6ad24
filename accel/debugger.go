package accel

// Watchpoint is a range of linear addresses whose accesses stop the CPU that makes them.
type Watchpoint struct {
	Addr, Len   uint64
	Read, Write bool
}

// DebugStop tells why a CPU has stopped for a debugger.
type DebugStop struct {
	CPU   int
	Watch *Watchpoint // that was hit, nil for a breakpoint or a step
	Addr  uint64      // that met it
}

// Debugger is what an accelerator does for debuggers. All methods but OnStop's function are called while all CPUs are paused.
type Debugger interface {
	// SetBreakpoints makes every CPU stop before it executes the instruction at any of these linear addresses; those set before are gone.
	SetBreakpoints(addrs []uint64)
	// SetWatchpoints makes every CPU stop after an instruction that accesses one of the ranges.
	SetWatchpoints(list []Watchpoint)
	// SetStep makes a CPU stop after its next instruction. It takes no interrupts and meets no breakpoints meanwhile.
	SetStep(cpu int, on bool)
	// OnStop registers what is called on the CPU's goroutine, without locks, when it has stopped. It executes nothing until Resume.
	OnStop(f func(DebugStop))
}

// WatchLimiter is a Debugger whose watchpoints are few, or of few forms.
type WatchLimiter interface {
	// CanWatch tells whether these watchpoints are possible together.
	CanWatch(list []Watchpoint) bool
}
