//go:build linux && amd64

package amd64

import (
	"unsafe"
	_ "unsafe" // for linkname

	"goemu/tcg/ir"
)

// Supported tells whether generated code can run on this host.
const Supported = true

// enter calls generated code with the biased environment address in RBP. Generated code preserves SP, DF, the x87 and SSE control words.
//
//go:noescape
func enter(base unsafe.Pointer, code uintptr)

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// fastHelper is Options.Fast. Engines of one process share it.
var fastHelper func(h *ir.Header, id uint32) (ret uint64, ok bool)

// fastCall runs a helper inside the system-call state: nothing here and in what is called may grow the stack, allocate, lock or
// panic. It reports false if the helper must be run the normal way.
//
//lint:ignore U1000 called by the assembly beside it
//go:nosplit
//go:norace
func fastCall(base unsafe.Pointer) bool {
	h := (*ir.Header)(unsafe.Add(base, -EnvBias))
	d := unsafe.Add(nil, h.Resume)
	ret, ok := fastHelper(h, *(*uint32)(unsafe.Add(d, descN)))
	if !ok {
		return false
	}
	if off := *(*uint64)(unsafe.Add(d, descX)); off != 0 {
		*(*uint64)(unsafe.Add(unsafe.Pointer(h), off)) = ret
	}
	h.Resume += descSize
	return true
}

// runJIT runs generated code in the runtime's system-call state: the goroutine is invisible to the garbage collector and the
// scheduler meanwhile, so that an endless guest loop stops nobody.
//
//go:nosplit
//go:norace
func runJIT(base unsafe.Pointer, code uintptr) {
	entersyscall()
	enter(base, code)
	exitsyscall()
}
