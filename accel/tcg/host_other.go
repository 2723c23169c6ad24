//go:build !amd64

package tcg

import (
	"sync"
	"unsafe"
)

const hostHasTSC = false

func hostTSC() uint64 { return 0 }

var pairLock sync.Mutex

// hostPair views 16 bytes of guest RAM.
func hostPair(host uintptr) *[2]uint64 { return (*[2]uint64)(unsafe.Add(nil, host)) }

// cas16 is indivisible only among its own callers on these hosts.
func cas16(addr uintptr, oldLo, oldHi, newLo, newHi uint64) (lo, hi uint64) {
	pairLock.Lock()
	defer pairLock.Unlock()
	p := hostPair(addr)
	lo, hi = p[0], p[1]
	if lo == oldLo && hi == oldHi {
		p[0], p[1] = newLo, newHi
	}
	return lo, hi
}
