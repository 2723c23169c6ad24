package tcg

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// populate gives a new slice memory at once, which costs less than a page fault for each page. It is a hint only.
func populate[T any](s []T) {
	if len(s) == 0 {
		return
	}
	page := uintptr(unix.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.SliceData(s)))
	skip := -start & (page - 1)
	n := uintptr(len(s)) * unsafe.Sizeof(s[0])
	if n < skip+page {
		return
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), n)
	_ = unix.Madvise(b[skip:skip+(n-skip)&^(page-1)], unix.MADV_POPULATE_WRITE)
}
