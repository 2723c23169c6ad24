package memory

import (
	"slices"
	"sync"
)

// Posted is a write to a region of device registers that need not have had its effect when the guest goes on, and of which equal ones that
// follow each other may become one: a doorbell. An accelerator may let the host's kernel take it; then the region's Ops hear of it later, on
// another goroutine.
type Posted struct {
	Offset uint64
	Size   int    // of the write; 0: any
	Match  bool   // only of this value
	Data   uint64 // … which is also what Ops get
}

// Span is a part of a region.
type Span struct{ Offset, Size uint64 }

// coalescers are the accelerators that keep writes back, see Region.Coalesced.
var coalescers struct {
	sync.Mutex
	list []*func()
}

// OnFlush registers an accelerator that keeps writes back: f, called under the machine lock, makes them. The function that it returns ends that.
func OnFlush(f func()) (cancel func()) {
	coalescers.Lock()
	defer coalescers.Unlock()
	coalescers.list = append(coalescers.list, &f)
	return func() {
		coalescers.Lock()
		defer coalescers.Unlock()
		coalescers.list = slices.DeleteFunc(coalescers.list, func(x *func()) bool { return x == &f })
	}
}

// FlushCoalesced makes the writes that have been kept back. A device calls it before it looks by itself at what guests change with such
// writes. Preconditions: the machine lock is held.
func FlushCoalesced() {
	coalescers.Lock()
	list := slices.Clone(coalescers.list)
	coalescers.Unlock()
	for _, f := range list {
		(*f)()
	}
}
