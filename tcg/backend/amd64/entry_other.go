//go:build !(linux && amd64)

package amd64

import (
	"unsafe"

	"goemu/tcg/ir"
)

// Supported tells whether generated code can run on this host.
const Supported = false

var fastHelper func(h *ir.Header, id uint32) (ret uint64, ok bool)

func runJIT(unsafe.Pointer, uintptr) {}
