package tcg

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

// mapMemory returns n zeroed bytes outside the Go heap.
func mapMemory(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("cannot allocate memory for a virtual CPU: %w", err)
	}
	return b, nil
}

func addrOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// The environment fits its room.
var _ [envRoom - unsafe.Sizeof(x86.Env{})]byte

// envAt views the start of b as a CPU environment.
func envAt(b []byte) *x86.Env { return (*x86.Env)(unsafe.Pointer(&b[0])) }

// selfAddr is where a CPU is.
func selfAddr(c *CPU) uint64 { return uint64(uintptr(unsafe.Pointer(c))) }

// entriesAt views b as soft TLB entries, jumpsAt as jump cache entries.
func entriesAt(b []byte) []ir.TLBEntry {
	return unsafe.Slice((*ir.TLBEntry)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(ir.TLBEntry{})))
}

func jumpsAt(b []byte) []ir.JumpEntry {
	return unsafe.Slice((*ir.JumpEntry)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(ir.JumpEntry{})))
}

// ptr makes a pointer of a host address outside the Go heap.
//
//go:nosplit
func ptr(host uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&host)) }

// hostBytes views n bytes of guest RAM, which lie within one page, at a host address.
func hostBytes(host uintptr, n int) []byte { return unsafe.Slice((*byte)(ptr(host)), n) }

// hostLoad and hostStore access guest RAM within one page.
func hostLoad(host uintptr, size int) uint64 {
	p := ptr(host)
	switch size {
	case 1:
		return uint64(*(*uint8)(p))
	case 2:
		return uint64(*(*uint16)(p))
	case 4:
		return uint64(atomic.LoadUint32((*uint32)(p)))
	}
	return atomic.LoadUint64((*uint64)(p))
}

func hostStore(host uintptr, size int, v uint64) {
	p := ptr(host)
	switch size {
	case 1:
		*(*uint8)(p) = uint8(v)
	case 2:
		*(*uint16)(p) = uint16(v)
	case 4:
		*(*uint32)(p) = uint32(v)
	default:
		*(*uint64)(p) = v
	}
}

// hostCAS compares and swaps size bytes of guest RAM within one page; it returns the old value.
func hostCAS(host uintptr, size int, old, val uint64) uint64 {
	switch size {
	case 8:
		p := (*uint64)(ptr(host))
		for {
			if atomic.CompareAndSwapUint64(p, old, val) {
				return old
			}
			if cur := atomic.LoadUint64(p); cur != old {
				return cur
			}
		}
	case 4:
		p := (*uint32)(ptr(host))
		for {
			if atomic.CompareAndSwapUint32(p, uint32(old), uint32(val)) {
				return old & 0xffffffff
			}
			if cur := atomic.LoadUint32(p); cur != uint32(old) {
				return uint64(cur)
			}
		}
	}
	return hostCASNarrow(host, size, old, val)
}

// hostCASNarrow does 1 and 2 bytes within the aligned words that hold them.
func hostCASNarrow(host uintptr, size int, old, val uint64) uint64 {
	mask := uint64(1)<<(8*size) - 1
	base, sh := host&^7, (host&7)*8
	if host&7 == 7 && size == 2 { // crosses two words; no page ends here
		base, sh = host&^3, (host&3)*8
	}
	p := (*uint64)(ptr(base))
	for {
		w := atomic.LoadUint64(p)
		if cur := w >> sh & mask; cur != old&mask {
			return cur
		}
		if atomic.CompareAndSwapUint64(p, w, w&^(mask<<sh)|(val&mask)<<sh) {
			return old & mask
		}
	}
}

// pteLoad and pteCAS access page-table entries.
func pteLoad64(host uintptr) uint64 { return atomic.LoadUint64((*uint64)(ptr(host))) }
func pteLoad32(host uintptr) uint64 { return uint64(atomic.LoadUint32((*uint32)(ptr(host)))) }

func pteCAS64(host uintptr, old, val uint64) bool {
	return atomic.CompareAndSwapUint64((*uint64)(ptr(host)), old, val)
}

func pteCAS32(host uintptr, old, val uint64) bool {
	return atomic.CompareAndSwapUint32((*uint32)(ptr(host)), uint32(old), uint32(val))
}

// setExitReq and clearExitReq change the poll flag of an environment, from any goroutine.
func setExitReq(h *ir.Header)   { atomic.StoreUint32(&h.ExitReq, 1) }
func clearExitReq(h *ir.Header) { atomic.StoreUint32(&h.ExitReq, 0) }

// orTag sets bits of a TLB tag that its own CPU may be reading.
func orTag(p *uint64, bits uint64)  { atomic.OrUint64(p, bits) }
func andTag(p *uint64, bits uint64) { atomic.AndUint64(p, bits) }

// storeWord publishes a word that other CPUs' code reads.
func storeWord(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

// overlap tells whether two slices share memory.
func overlap(a, b []byte) bool {
	x, y := addrOf(a), addrOf(b)
	return x < y+uintptr(len(b)) && y < x+uintptr(len(a))
}
