package kvm

import "unsafe"

// writeWord writes to where a structure of the kernel's points, as the kernel does.
func writeWord(at, v uint64) { *(*uint64)(*(*unsafe.Pointer)(unsafe.Pointer(&at))) = v }
