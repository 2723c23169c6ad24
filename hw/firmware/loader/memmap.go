package loader

import "encoding/binary"

// usable tells whether [addr, addr+size) lies in one usable range.
func usable(mem []E820, addr, size uint64) bool {
	if addr+size < addr {
		return false
	}
	for _, e := range mem {
		if e.Type == RAMUsable && addr >= e.Addr && addr+size <= e.Addr+e.Size {
			return true
		}
	}
	return false
}

// topBelow returns the end of the highest usable range that starts below limit, cut at limit; 0 for none.
func topBelow(mem []E820, limit uint64) uint64 {
	top := uint64(0)
	for _, e := range mem {
		if e.Type == RAMUsable && e.Addr < limit {
			top = max(top, min(e.Addr+e.Size, limit))
		}
	}
	return top
}

// Sizes of a memory map entry in the zero page, in hvm_memmap_table_entry and in a multiboot mmap (with its size field).
const (
	e820EntrySize      = 20
	pvhMemmapSize      = 24
	multibootEntrySize = 24
)

// putE820 writes entries in the zero page's form and returns how many fitted.
func putE820(b []byte, mem []E820) int {
	n := 0
	for _, e := range mem {
		if len(b) < e820EntrySize {
			break
		}
		binary.LittleEndian.PutUint64(b, e.Addr)
		binary.LittleEndian.PutUint64(b[8:], e.Size)
		binary.LittleEndian.PutUint32(b[16:], uint32(e.Type))
		b = b[e820EntrySize:]
		n++
	}
	return n
}

// pageSize is the granule of everything the loader places.
const pageSize = 4096

func alignUp(v, to uint64) uint64   { return (v + to - 1) &^ (to - 1) }
func alignDown(v, to uint64) uint64 { return v &^ (to - 1) }
