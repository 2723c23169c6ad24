// Package tcg is the accelerator that translates guest code. It owns the virtual CPUs: their execution loop, their memory management
// unit (page walks and soft TLBs), the table of translated blocks with chaining and invalidation, exception and interrupt
// delivery, and the helper functions of the x86 frontend. It joins a frontend with an engine and knows no device and no command line.
//
// # Goroutines and locks
//
// Each virtual CPU has one goroutine, locked to an OS thread, which alone touches the CPU's environment. Other goroutines reach it by
// request lines (Raise, Lower), by Do, or by stopping all CPUs (gate.Gate.Exclusive). The block table has its own lock, Accel.mu; a TLB
// has a lock because other CPUs mark pages in it as holding code. Lock order: machine lock, Accel.mu, tlb.mu.
package tcg
