// Package kvm is the accelerator that lets the host's processor execute the guest, by the kernel's virtual machines (/dev/kvm, Linux's
// Documentation/virt/kvm/api.rst). It knows no device and no command line.
//
// # Goroutines and locks
//
// Each virtual CPU has one goroutine, locked to an OS thread, which alone enters the guest. Other goroutines reach it by request lines
// (Raise, Lower), by Do, or by keeping all CPUs out of the guest (gate.Gate.Exclusive). While the machine is paused, or before it starts,
// anybody may get and set a CPU's state.
//
// # Wake-ups
//
// Who wants a CPU's attention sets a request, then the byte immediate_exit in the page that the CPU shares with the kernel, and then, if
// the CPU is inside the guest, sends its thread a signal. The CPU clears the byte before it looks at its requests: a request that it
// misses there was followed by a byte that stays set, with which the kernel comes back at once. The signal is the one that Go's runtime
// uses for preemption and always handles, so that no handler of our own is needed; it is harmless wherever else it arrives.
package kvm
