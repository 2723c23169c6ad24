package kvm

import (
	"fmt"

	"goemu/internal/memory"
	"goemu/internal/strerror"
)

// dirtyLogging is how the kernel tells what guests write.
type dirtyLogging uint8

const (
	dirtyPlain  dirtyLogging = iota // a bitmap for each slot, which reading clears
	dirtyManual                     // one that is cleared piece by piece: write protection comes when the pages are about to be read
	dirtyRing                       // a ring for each CPU
)

// Bits of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.
const manualWanted = 1<<0 | 1<<1 // clearing apart; all bits are set when the logging begins

// CheckRing refuses a dirty ring that the kernel cannot have, in QEMU's words. It returns the number of entries that there will be: 0 where the
// kernel knows no such rings.
func (h *Host) CheckRing(entries uint32, warn Warning) (uint32, error) {
	limit := h.caps[capDirtyRing]
	switch {
	case entries == 0:
	case limit == 0:
		warn("KVM dirty ring not available, using bitmap method")
		return 0, nil
	case uint64(entries)*sizeDirtyEntry > uint64(limit):
		return 0, fmt.Errorf("KVM dirty ring size %d too big (maximum is %d).  Please use a smaller value.", entries, limit/sizeDirtyEntry)
	}
	return entries, nil
}

// setUpLogging chooses how the kernel logs. It precedes all slots and CPUs.
func (a *Accel) setUpLogging() error {
	if n := a.opt.DirtyRing; n != 0 {
		if err := a.h.enable(capDirtyRing, uint64(n)*sizeDirtyEntry); err != nil {
			return fmt.Errorf("Enabling of KVM dirty ring failed: %s. Suggested minimum value is 1024.", strerror.Of(err))
		}
		a.slots.log = dirtyRing
		return nil
	}
	can := a.h.caps[capManualProtect] & manualWanted
	switch {
	case can == 0:
	case a.h.enable(capManualProtect, uint64(can)) == nil:
		a.slots.log = dirtyManual
	default:
		a.warn(fmt.Sprintf("Trying to enable capability %d of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 but failed. Falling back to the legacy mode. ", can))
	}
	return nil
}

// Sync implements memory.Watcher: what the guest has written since the last time is marked.
func (s *slots) Sync(r *memory.RAMBlock) {
	if s.log == dirtyRing {
		if r.Tracked() {
			s.a.exclusive(func() { // a processor may hold entries back while it is in the guest
				s.mu.Lock()
				defer s.mu.Unlock()
				s.reap()
			})
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.all {
		if p := &s.all[i]; p.ram == r && p.logged {
			s.fetch(i)
		}
	}
}

// collect marks what the guest has written in a slot that is about to go. Preconditions: mu is held and no CPU is inside the guest.
func (s *slots) collect(number int) {
	if s.log == dirtyRing {
		s.reap()
	} else {
		s.fetch(number)
	}
}

// fetch marks what the guest has written in a slot since the last time. Preconditions: mu is held.
func (s *slots) fetch(number int) {
	p := &s.all[number]
	pages := p.size >> memory.PageBits
	bitmap := make([]uint64, (pages+63)/64)
	log := dirtyLog{Slot: p.number(number), Bitmap: addressOfWords(bitmap)}
	if _, err := s.a.k.ioctlData(s.a.h.vm, reqGetDirtyLog, bytesOf(&log)); err != nil {
		for i := range bitmap { // sent once too often is better than never
			bitmap[i] = ^uint64(0)
		}
	}
	p.ram.NotePages(p.offset>>memory.PageBits, pages, bitmap)
	keepWords(bitmap)
	if s.log == dirtyManual {
		p.unarmed = bitmap // the kernel gives those that were left once more
	}
}

// Arm implements memory.Watcher.
func (s *slots) Arm(r *memory.RAMBlock, first, n uint64) {
	if s.log != dirtyManual {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.all {
		p := &s.all[i]
		if p.ram != r || !p.logged || p.unarmed == nil {
			continue
		}
		start := p.offset >> memory.PageBits
		lo, hi := max(first, start), min(first+n, start+p.size>>memory.PageBits)
		if lo < hi {
			s.clear(i, lo-start, hi-start)
		}
	}
}

// clear makes the kernel log writes again to those of a slot's pages [lo, hi) that were found dirty. Preconditions: mu is held.
func (s *slots) clear(number int, lo, hi uint64) {
	p := &s.all[number]
	lo &^= 63
	words := p.unarmed[lo>>6 : (hi+63)>>6]
	any := uint64(0)
	for _, w := range words {
		any |= w
	}
	if any == 0 {
		return
	}
	c := clearLog{Slot: p.number(number), Pages: uint32(min(uint64(len(words))*64, p.size>>memory.PageBits-lo)), First: lo, Bitmap: addressOfWords(words)}
	if _, err := s.a.k.ioctlData(s.a.h.vm, reqClearDirtyLog, bytesOf(&c)); err != nil && s.err == nil {
		s.err = requestError(reqClearDirtyLog, err)
		s.a.memoryFailed(s.err)
	}
	keepWords(words)
	clear(words)
}

// sizeDirtyEntry is the size of struct kvm_dirty_gfn: flags, slot, and the page's number in the slot, ringOffset pages into a CPU's mapping.
const (
	sizeDirtyEntry = 16
	ringOffset     = 64

	entrySlot, entryPage = 4, 8
	entryDirty           = 1 << 0
	entryReset           = 1 << 1
)

// reap marks what the rings of all CPUs hold and makes the kernel log further writes. Preconditions: mu is held.
func (s *slots) reap() {
	n := 0
	for _, c := range s.a.everyCPU() {
		n += s.reapCPU(c)
	}
	if n == 0 {
		return
	}
	if _, err := s.a.k.ioctl(s.a.h.vm, reqResetRings, 0); err != nil && s.err == nil {
		s.err = requestError(reqResetRings, err)
		s.a.memoryFailed(s.err)
	}
}

// reapCPU marks what the ring of a CPU holds and returns the number of entries.
func (s *slots) reapCPU(c *CPU) (n int) {
	for limit := len(c.ring) / sizeDirtyEntry; n < limit; n++ {
		e := c.ring[c.reaped*sizeDirtyEntry:][:sizeDirtyEntry]
		if flagWord(e).Load()&entryDirty == 0 {
			return n
		}
		s.note(int(le.Uint32(e[entrySlot:])), le.Uint64(e[entryPage:]))
		flagWord(e).Store(entryReset)
		c.reaped = (c.reaped + 1) % limit
	}
	return n
}

// note marks a page of a slot.
func (s *slots) note(number int, page uint64) {
	if number &= 1<<spaceShift - 1; number >= len(s.all) {
		return
	}
	if p := &s.all[number]; page < p.size>>memory.PageBits {
		p.ram.NotePage(p.offset>>memory.PageBits + page)
	}
}

// ringFull empties the rings for a CPU that cannot go on before.
func (a *Accel) ringFull() {
	a.slots.mu.Lock()
	defer a.slots.mu.Unlock()
	a.slots.reap()
}

// everyCPU are the CPUs and those that have been removed, whose rings may hold entries.
func (a *Accel) everyCPU() []*CPU {
	var list []*CPU
	a.gate.Locked(func() {
		list = append(list, a.list()...)
		for _, c := range a.spare {
			list = append(list, c)
		}
	})
	return list
}
