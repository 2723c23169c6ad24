//go:build !(linux && amd64)

package amd64

import "unsafe"

// Supported tells whether generated code can run on this host.
const Supported = false

func runJIT(unsafe.Pointer, uintptr, uint64) {}
