//go:build linux && amd64

package amd64

import (
	"unsafe"
	_ "unsafe" // for linkname
)

// Supported tells whether generated code can run on this host.
const Supported = true

// enter calls generated code with the biased environment address in RBP, and fastCall on a stack of its own. Generated code preserves
// SP, DF, the x87 and SSE control words.
//
//go:noescape
func enter(base unsafe.Pointer, code uintptr, stack uint64)

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// runJIT runs generated code in the runtime's system-call state: the goroutine is invisible to the garbage collector and the
// scheduler meanwhile, so that an endless guest loop stops nobody.
//
//go:nosplit
//go:norace
func runJIT(base unsafe.Pointer, code uintptr, stack uint64) {
	entersyscall()
	enter(base, code, stack)
	exitsyscall()
}
