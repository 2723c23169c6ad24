package ring

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// pair is the first four bytes of a ring: flags below, idx above. Both are read or written at once; the access is atomic and ordered
// if the driver aligned the ring, as it must, and merely memory-safe if it did not.
func loadPair(ring []byte) uint32 {
	p := unsafe.Pointer(unsafe.SliceData(ring[:4]))
	if uintptr(p)&3 == 0 {
		return atomic.LoadUint32((*uint32)(p))
	}
	return binary.LittleEndian.Uint32(ring)
}

func storePair(ring []byte, v uint32) {
	p := unsafe.Pointer(unsafe.SliceData(ring[:4]))
	if uintptr(p)&3 == 0 {
		atomic.StoreUint32((*uint32)(p), v)
		return
	}
	binary.LittleEndian.PutUint32(ring, v)
	fence()
}

var fenceWord atomic.Uint32

// fence keeps later loads from being done before earlier stores.
func fence() { fenceWord.Add(0) }
