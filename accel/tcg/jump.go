package tcg

import (
	"sync/atomic"

	"goemu/target/x86"
	"goemu/tcg/ir"
)

const (
	jumpEntries = 1 << ir.JumpBits
	jumpBytes   = jumpEntries * 16
	numJumpSets = 16
	emptyPC     = ^uint64(0)
	bulkClear   = jumpEntries / 4 // more entries than that are cleared without a list
	noJump      = -1
	uncacheable = x86.HFInhibit | x86.HFOneInsn | x86.HFTF | x86.HFRF
)

// jumpSet is an indirect-jump cache for one kind of code: the generated code looks only at the program counter, so the mode bits and
// the code base select the cache, and for user code the address space.
type jumpSet struct {
	used    bool
	flags   uint32
	csBase  uint64
	space   int    // of user code, else noSpace
	addr    uint64 // host address of entries
	entries []ir.JumpEntry
	filled  []uint16 // the first nfilled are the entries that were filled since the last clear
	local   []uint16 // the first nlocal are those among them on pages that are not global
	nfilled int
	nlocal  int
	stamp   uint64
}

// selectJumps makes the jump cache of the present mode the current one.
func (c *CPU) selectJumps() {
	e := c.env
	if c.once || e.HFlags&uncacheable != 0 {
		c.jump = noJump
		e.Jumps = c.noJumps
		return
	}
	if c.findJumps(e.HFlags, e.Seg[x86.CS].Base) {
		return
	}
	victim := 0
	for i := range c.jumpSets {
		if c.jumpSets[i].stamp < c.jumpSets[victim].stamp {
			victim = i
		}
	}
	s := &c.jumpSets[victim]
	c.accel.mu.Lock() // others look for invalidated blocks in here
	s.clear()
	s.used, s.flags, s.csBase, s.space = true, e.HFlags, e.Seg[x86.CS].Base, c.jumpSpace(e.HFlags)
	c.accel.mu.Unlock()
	c.useJumps(victim)
}

// jumpSpace is the address space that the jump cache of a mode belongs to.
//
//go:nosplit
func (c *CPU) jumpSpace(flags uint32) int {
	if flags&x86.HFCPLMask == 3 {
		return c.current
	}
	return noSpace
}

// findJumps makes the jump cache of a mode the current one if there is one. It may be used in the runtime's system-call state.
//
//go:nosplit
//go:norace
func (c *CPU) findJumps(flags uint32, base uint64) bool {
	space := c.jumpSpace(flags)
	if uint(c.jump) < numJumpSets {
		if s := &c.jumpSets[c.jump]; s.flags == flags && s.csBase == base && s.space == space {
			return true
		}
	}
	for i := range c.jumpSets {
		if s := &c.jumpSets[i]; s.used && s.flags == flags && s.csBase == base && s.space == space {
			c.useJumps(i)
			return true
		}
	}
	return false
}

//go:nosplit
//go:norace
func (c *CPU) useJumps(i int) {
	if uint(i) < numJumpSets {
		s := &c.jumpSets[i]
		c.jumpClock++
		s.stamp = c.jumpClock
		c.jump = i
		c.env.Jumps = s.addr
	}
}

func clearJumps(e []ir.JumpEntry) {
	for i := range e {
		e[i].PC = emptyPC
	}
}

func (s *jumpSet) clear() {
	if s.nfilled > bulkClear {
		clearJumps(s.entries)
	} else {
		for _, i := range s.filled[:s.nfilled] {
			s.entries[i].PC = emptyPC
		}
	}
	s.nfilled, s.nlocal = 0, 0
}

// add enters a block; global tells that its pages are. It reports false if the set must be cleared first. It may be used in the
// runtime's system-call state.
//
//go:nosplit
//go:norace
func (s *jumpSet) add(pc, code uint64, global bool) bool {
	i := ir.JumpIndex(pc)
	if i >= uint64(len(s.entries)) {
		return false
	}
	e := &s.entries[i]
	if e.PC == pc && e.Code == code {
		return true
	}
	if !global && s.nlocal >= len(s.local) {
		return false
	}
	e.Code = code // only this CPU's thread uses the entry
	atomic.StoreUint64(&e.PC, pc)
	if s.nfilled < len(s.filled) {
		s.filled[s.nfilled] = uint16(i)
		s.nfilled++
	}
	if !global {
		s.local[s.nlocal] = uint16(i)
		s.nlocal++
	}
	return true
}

// codePages is the set, with false positives, of the pages whose code is in the jump caches.
type codePages struct {
	used  bool
	small [256]uint64 // by 4 KiB page
	large [2]bloom    // by 2 MiB and 1 GiB, of code in large pages
}

//go:nosplit
func (s *codePages) slot(page uint64) (int, uint64) {
	h := (page * 0x9e3779b97f4a7c15) >> 50
	return int(h >> 6), 1 << (h & 63)
}

//go:nosplit
func (s *codePages) add(addr uint64, flags uint32) {
	s.used = true
	i, m := s.slot(addr >> ir.PageBits)
	s.small[i] |= m
	if flags&metaLarge2M != 0 {
		s.large[0].add(addr >> 21)
	}
	if flags&metaLarge1G != 0 {
		s.large[1].add(addr >> 30)
	}
}

// has tells whether code at addr may be in there. A block may reach into the page behind the one it is entered for.
func (s *codePages) has(addr uint64) bool {
	i, m := s.slot(addr >> ir.PageBits)
	j, n := s.slot(addr>>ir.PageBits - 1)
	return s.small[i]&m != 0 || s.small[j]&n != 0 || s.large[0].has(addr>>21) || s.large[1].has(addr>>30)
}

func (s *codePages) clear() {
	if s.used {
		*s = codePages{}
	}
}

// clearJumpSets empties the jump caches.
func (c *CPU) clearJumpSets() {
	for i := range c.jumpSets {
		c.jumpSets[i].clear()
	}
	c.jumpPages.clear()
}

// dropLocalJumps drops code on pages that are not global from the jump caches of an address space.
//
//go:nosplit
//go:norace
func (c *CPU) dropLocalJumps(space int) {
	for i := range c.jumpSets {
		s := &c.jumpSets[i]
		if s.space != space || s.nlocal == 0 {
			continue
		}
		for k := 0; k < s.nlocal && k < len(s.local); k++ {
			if j := int(s.local[k]); j < len(s.entries) {
				s.entries[j].PC = emptyPC
			}
		}
		s.nlocal = 0
	}
}

// forget removes a block that is no longer valid. Any goroutine may call it under Accel.mu, and the CPU itself at any time.
func (c *CPU) forget(b *block) {
	i := ir.JumpIndex(b.key.pc)
	for k := range c.jumpSets {
		if e := &c.jumpSets[k].entries[i]; e.PC == b.key.pc && e.Code == b.target {
			storeWord(&e.PC, emptyPC)
		}
	}
}
