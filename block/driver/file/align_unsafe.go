package file

import "unsafe"

// address is where a slice lies in memory; it is used for its low bits only.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// alignedBuffer makes a page-aligned buffer of n bytes. Go's collector does not move objects, so the alignment lasts.
func alignedBuffer(n int64) []byte {
	buf := make([]byte, n+pageSize)
	skip := int64(-address(buf) & (pageSize - 1))
	return buf[skip : skip+n : skip+n]
}
