package kvm

import (
	"slices"
	"sync"

	"goemu/accel"
	"goemu/internal/memory"
)

// pageMask is the granularity of the kernel's memory slots.
const pageMask = memory.PageSize - 1

// slot is a piece of guest memory that the kernel maps. size 0: not in use.
type slot struct {
	guest, size uint64
	space       uint32 // 0, or 1 for what CPUs see in system management mode
	ram         *memory.RAMBlock
	offset      uint64 // of guest in ram
	readOnly    bool
	logged      bool     // the kernel logs writes
	unarmed     []uint64 // pages that were found dirty and whose further writes are not yet logged, with dirtyManual
}

// slots tells the kernel of the machine's memory.
type slots struct {
	a   *Accel
	mu  sync.Mutex
	all []slot // by the kernel's number
	log dirtyLogging
	err error // the first that occurred
}

func (s *slots) init(a *Accel) { s.a = a }

// spaceListener is the memory.Listener of one address space.
type spaceListener struct {
	*slots
	space uint32
}

// ViewChanged implements memory.Listener.
func (s spaceListener) ViewChanged(removed, added []memory.Range) {
	var gone, fresh []slot
	for i := range removed {
		if p, ok := slotOf(&removed[i], s.space); ok {
			gone = append(gone, p)
		}
	}
	for i := range added {
		if p, ok := slotOf(&added[i], s.space); ok {
			fresh = append(fresh, p)
		}
	}
	if len(gone)+len(fresh) == 0 {
		return
	}
	s.a.exclusive(func() { // a CPU must not meet the state between
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, p := range gone {
			s.remove(p)
		}
		for _, p := range fresh {
			s.add(p)
		}
	})
}

// slotOf is the part of a range that the kernel can map: whole pages of memory.
func slotOf(r *memory.Range, space uint32) (slot, bool) {
	if r.RAM == nil {
		return slot{}, false
	}
	start := (r.Start + pageMask) &^ pageMask
	end := (r.Last + 1) &^ pageMask
	p := slot{guest: start, space: space, ram: r.RAM, offset: r.Offset + (start - r.Start), readOnly: r.ReadOnly}
	if start >= end || p.offset&pageMask != 0 {
		return slot{}, false
	}
	p.size = end - start
	return p, true
}

// remove and add change a slot. Preconditions: mu is held and no CPU is inside the guest.
func (s *slots) remove(p slot) {
	for i := range s.all {
		q := &s.all[i]
		if q.size != p.size || q.guest != p.guest || q.space != p.space || q.ram != p.ram || q.offset != p.offset || q.readOnly != p.readOnly {
			continue
		}
		if q.logged {
			s.collect(i)
		}
		s.tell(i, slot{guest: q.guest, space: q.space})
		s.all[i] = slot{}
		return
	}
}

func (s *slots) add(p slot) {
	i := slices.IndexFunc(s.all, func(q slot) bool { return q.size == 0 })
	if i < 0 {
		i = len(s.all)
		s.all = append(s.all, slot{})
	}
	p.logged = p.ram.Tracked() && !p.readOnly
	p.ram.AddWatcher(s)
	s.all[i] = p
	s.tell(i, p)
}

// spaceShift is where the address space is in the kernel's number of a slot.
const spaceShift = 16

// number is the kernel's.
func (p *slot) number(index int) uint32 { return uint32(index) | p.space<<spaceShift }

// tell gives the kernel a slot.
func (s *slots) tell(number int, p slot) {
	s.all[number].unarmed = nil
	r := memoryRegion{Slot: p.number(number), Guest: p.guest, Size: p.size}
	if p.size != 0 {
		r.Userspace = addressOf(p.ram.Bytes()) + p.offset
	}
	if p.readOnly {
		r.Flags |= memReadOnly
	}
	if p.logged {
		r.Flags |= memLogDirty
	}
	if _, err := s.a.k.ioctlData(s.a.h.vm, reqSetMemoryRegion, bytesOf(&r)); err != nil && s.err == nil {
		s.err = requestError(reqSetMemoryRegion, err)
		s.a.memoryFailed(s.err)
	}
}

// TrackChanged implements memory.Watcher: writes to a block have to be logged, or have not.
func (s *slots) TrackChanged(r *memory.RAMBlock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.all {
		p := &s.all[i]
		if p.ram != r || p.size == 0 {
			continue
		}
		if on := r.Tracked() && !p.readOnly; on != p.logged {
			p.logged = on
			s.tell(i, *p)
		}
	}
}

// close forgets all slots; the memory is going to be unmapped.
func (s *slots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.all {
		if s.all[i].ram != nil {
			s.all[i].ram.RemoveWatcher(s)
		}
	}
	s.all = nil
}

// memoryFailed acts on memory that the kernel refuses: at the start New reports it, later the machine stops.
func (a *Accel) memoryFailed(err error) {
	if len(a.list()) > 0 {
		a.machine.Request(accel.ShutdownInternal, err.Error())
	}
}
