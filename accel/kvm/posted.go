package kvm

import (
	"encoding/binary"
	"math"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// registerListener tells the kernel of writes to device registers that need no exit each. It implements memory.Listener.
type registerListener struct {
	a     *Accel
	ports bool
}

// ViewChanged implements memory.Listener.
func (l registerListener) ViewChanged(removed, added []memory.Range) {
	for i := range removed {
		l.a.posts.change(&removed[i], l.ports, false)
		l.a.kept.change(&removed[i], l.ports, false)
	}
	for i := range added {
		l.a.posts.change(&added[i], l.ports, true)
		l.a.kept.change(&added[i], l.ports, true)
	}
}

// ioEventFD is struct kvm_ioeventfd.
type ioEventFD struct {
	Data, Addr uint64
	Len        uint32
	FD         int32
	Flags      uint32
	_          [36]byte
}

// Flags of it.
const (
	ioMatch    = 1 << 0
	ioPorts    = 1 << 1
	ioDeassign = 1 << 2
)

// post is a doorbell that the kernel rings.
type post struct {
	fd   int
	file *os.File // of fd
	said ioEventFD
}

// place is where a doorbell is.
type place struct {
	ports      bool
	addr, data uint64
	match      bool
}

// posts are the doorbells that the kernel takes. Where it takes no more, the guest leaves for each.
type posts struct {
	a    *Accel
	any  bool // it takes writes of any size
	on   bool
	mu   sync.Mutex
	all  map[place]*post
	done sync.WaitGroup
}

func (p *posts) init(a *Accel) {
	p.a, p.on, p.any, p.all = a, a.h.has(capIOEventFD), a.h.has(capAnyLength), map[place]*post{}
}

// change follows a range that appears or disappears.
func (p *posts) change(r *memory.Range, ports, on bool) {
	if !p.on || r.RAM != nil {
		return
	}
	for _, w := range r.Region.Posted {
		if w.Offset < r.Offset || w.Offset-r.Offset > r.Last-r.Start {
			continue
		}
		at := place{ports, r.Start + (w.Offset - r.Offset), w.Data, w.Match}
		p.mu.Lock()
		old := p.all[at]
		delete(p.all, at)
		if old != nil {
			old.said.Flags |= ioDeassign
			_, _ = p.a.k.ioctlData(p.a.h.vm, reqIOEventFD, bytesOf(&old.said))
			_ = old.file.Close() // which ends its goroutine
		}
		if on {
			p.assign(at, w, r.Region.Ops())
		}
		p.mu.Unlock()
	}
}

// assign lets the kernel take a doorbell. Preconditions: mu is held.
func (p *posts) assign(at place, w memory.Posted, ops memory.Ops) {
	const widest = 2 // what drivers write
	size := w.Size
	if size == 0 && !p.any {
		size = widest
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return
	}
	b := &post{fd: fd, file: os.NewFile(uintptr(fd), "doorbell"), said: ioEventFD{Data: w.Data, Addr: at.addr, Len: uint32(size), FD: int32(fd)}}
	if at.match {
		b.said.Flags |= ioMatch
	}
	if at.ports {
		b.said.Flags |= ioPorts
	}
	if _, err := p.a.k.ioctlData(p.a.h.vm, reqIOEventFD, bytesOf(&b.said)); err != nil {
		_ = b.file.Close()
		return
	}
	p.all[at] = b
	p.done.Go(func() { b.serve(w, ops) })
}

// serve makes the write whenever the kernel tells.
func (b *post) serve(w memory.Posted, ops memory.Ops) {
	const defaultSize = 2
	size := w.Size
	if size == 0 {
		size = defaultSize
	}
	var count [8]byte
	for {
		if _, err := b.file.Read(count[:]); err != nil {
			return
		}
		ops.Write(w.Offset, size, w.Data)
	}
}

// close ends all.
func (p *posts) close() {
	p.mu.Lock()
	for _, b := range p.all {
		_ = b.file.Close()
	}
	p.all, p.on = map[place]*post{}, false
	p.mu.Unlock()
	p.done.Wait()
}

// zone is struct kvm_coalesced_mmio_zone.
type zone struct {
	Addr        uint64
	Size, Ports uint32
}

// The ring of writes that the kernel has kept back (struct kvm_coalesced_mmio_ring) is a page of those that each CPU shares with it: places of
// the next entry to read and the next to write, then the entries.
const (
	keptFirst, keptLast, keptEntries        = 0, 4, 8
	keptEntry                               = 24
	keptAddr, keptLen, keptPorts, keptBytes = 0, 8, 12, 16
	keptMax                                 = (memory.PageSize - keptEntries) / keptEntry
)

// keptWrites are writes to device registers that the kernel keeps back until the guest leaves for something else.
type keptWrites struct {
	a           *Accel
	memory, pio bool   // what the kernel can keep back
	ring        []byte // nil before the first CPU
	cancel      func()
}

func (k *keptWrites) init(a *Accel) {
	k.a, k.memory, k.pio = a, a.h.has(capCoalescedMMIO), a.h.has(capCoalescedPIO)
	k.cancel = memory.OnFlush(k.flushLocked)
}

// share takes the ring from the pages of the first CPU.
func (k *keptWrites) share(run []byte) {
	at := k.a.h.caps[capCoalescedMMIO] * memory.PageSize
	if k.ring == nil && at > 0 && at+memory.PageSize <= len(run) {
		k.ring = run[at:][:memory.PageSize]
	}
}

// change follows a range that appears or disappears.
func (k *keptWrites) change(r *memory.Range, ports, on bool) {
	if r.RAM != nil || ports && !k.pio || !ports && !k.memory {
		return
	}
	for _, s := range r.Region.Coalesced {
		first, last := max(s.Offset, r.Offset), min(s.Offset+s.Size-1, r.Offset+(r.Last-r.Start))
		if first > last || last-first >= math.MaxUint32 {
			continue
		}
		z := zone{Addr: r.Start + (first - r.Offset), Size: uint32(last - first + 1), Ports: uint32(bit(ports))}
		request := reqUncoalesce
		if on {
			request = reqCoalesce
		}
		_, _ = k.a.k.ioctlData(k.a.h.vm, request, bytesOf(&z)) // without, the guest leaves for each
	}
}

// flush makes what has been kept back. It is called without the machine lock.
func (k *keptWrites) flush() {
	if k.ring == nil || flagWord(k.ring[keptFirst:]).Load() == flagWord(k.ring[keptLast:]).Load() {
		return
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	k.flushLocked()
}

// flushLocked is flush under the machine lock, which guards the ring's beginning.
func (k *keptWrites) flushLocked() {
	if k.ring == nil {
		return
	}
	first := flagWord(k.ring[keptFirst:])
	for n := first.Load() % keptMax; n != flagWord(k.ring[keptLast:]).Load()%keptMax; n = first.Load() % keptMax {
		e := k.ring[keptEntries+keptEntry*n:][:keptEntry]
		addr, size, ports := le.Uint64(e[keptAddr:]), le.Uint32(e[keptLen:]), le.Uint32(e[keptPorts:]) != 0
		var b [8]byte
		copy(b[:], e[keptBytes:keptBytes+min(size, 8)])
		first.Store((n + 1) % keptMax) // before the write, which may flush
		k.write(addr, int(min(size, 8)), binary.LittleEndian.Uint64(b[:]), ports)
	}
}

// write makes one write of the sizes that there are.
func (k *keptWrites) write(addr uint64, size int, v uint64, ports bool) {
	space := k.a.opt.Memory
	if ports {
		space = k.a.opt.Ports
	}
	for size > 0 && space != nil {
		n := pieces(addr, size)
		space.Store(addr, n, v)
		addr, size, v = addr+uint64(n), size-n, v>>(8*n)
	}
}

func (k *keptWrites) close() {
	if k.cancel != nil {
		k.cancel()
	}
	k.ring, k.memory, k.pio = nil, false, false
}
