package block

import "unsafe"

// pageSize is what buffers are aligned to: enough for O_DIRECT everywhere.
const pageSize = 4096

// alignedBuffer makes a page-aligned buffer of n bytes. Go's collector does not move objects, so the alignment lasts.
func alignedBuffer(n int64) []byte {
	buf := make([]byte, n+pageSize)
	skip := int64(-uintptr(unsafe.Pointer(unsafe.SliceData(buf))) & (pageSize - 1))
	return buf[skip : skip+n : skip+n]
}

// AlignedBuffer makes a buffer of n bytes whose address suits requests with any alignment.
func AlignedBuffer(n int64) []byte { return alignedBuffer(n) }
