package tcg

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

const (
	jumpEntries = 1 << ir.JumpBits
	jumpBytes   = jumpEntries * 16
	numJumpSets = 6
	emptyPC     = ^uint64(0)
	bulkClear   = jumpEntries / 4 // more entries than that are cleared without a list
	uncacheable = x86.HFInhibit | x86.HFOneInsn | x86.HFTF | x86.HFRF
)

// jumpSet is an indirect-jump cache for one kind of code: the generated code looks only at the program counter, so the mode bits and
// the code base select the cache.
type jumpSet struct {
	used    bool
	flags   uint32
	csBase  uint64
	addr    uint64 // host address of entries
	entries []ir.JumpEntry
	filled  []uint16 // entries that were filled since the last clear
	local   []uint16 // those among them on pages that are not global
	stamp   uint64
}

// selectJumps makes the jump cache of the present mode the current one.
func (c *CPU) selectJumps() {
	e := c.env
	flags, base := e.HFlags, e.Seg[x86.CS].Base
	if c.once || flags&uncacheable != 0 {
		c.jumps = nil
		e.Jumps = c.noJumps
		return
	}
	if s := c.jumps; s != nil && s.flags == flags && s.csBase == base {
		return
	}
	c.jumpClock++
	victim := &c.jumpSets[0]
	for i := range c.jumpSets {
		s := &c.jumpSets[i]
		if s.used && s.flags == flags && s.csBase == base {
			c.useJumps(s)
			return
		}
		if s.stamp < victim.stamp {
			victim = s
		}
	}
	c.accel.mu.Lock() // others look for invalidated blocks in here
	victim.clear()
	victim.used, victim.flags, victim.csBase = true, flags, base
	c.accel.mu.Unlock()
	c.useJumps(victim)
}

func (c *CPU) useJumps(s *jumpSet) {
	s.stamp = c.jumpClock
	c.jumps = s
	c.env.Jumps = s.addr
}

func clearJumps(e []ir.JumpEntry) {
	for i := range e {
		storeWord(&e[i].PC, emptyPC)
	}
}

func (s *jumpSet) clear() {
	if len(s.filled) > bulkClear {
		clearJumps(s.entries)
	} else {
		for _, i := range s.filled {
			storeWord(&s.entries[i].PC, emptyPC)
		}
	}
	s.filled, s.local = s.filled[:0], s.local[:0]
}

// add enters a block; global tells that its pages are.
func (s *jumpSet) add(pc, code uint64, global bool) {
	i := ir.JumpIndex(pc)
	e := &s.entries[i]
	if e.PC == pc && e.Code == code {
		return
	}
	storeWord(&e.PC, emptyPC)
	storeWord(&e.Code, code)
	storeWord(&e.PC, pc)
	if len(s.filled) <= bulkClear {
		s.filled = append(s.filled, uint16(i))
	}
	if global {
		return
	}
	if len(s.local) >= jumpEntries { // duplicates: compact by forgetting everything
		s.clear()
		return
	}
	s.local = append(s.local, uint16(i))
}

// codePages is the set, with false positives, of the pages whose code is in the jump caches.
type codePages struct {
	used  bool
	small [256]uint64 // by 4 KiB page
	large [2]bloom    // by 2 MiB and 1 GiB, of code in large pages
}

func (s *codePages) slot(page uint64) (int, uint64) {
	h := (page * 0x9e3779b97f4a7c15) >> 50
	return int(h >> 6), 1 << (h & 63)
}

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

// flushJumps empties the jump caches, or drops what is on pages that are not global.
func (c *CPU) flushJumps(all bool) {
	for i := range c.jumpSets {
		s := &c.jumpSets[i]
		if all {
			s.clear()
			continue
		}
		for _, j := range s.local {
			storeWord(&s.entries[j].PC, emptyPC)
		}
		s.local = s.local[:0]
	}
	if all {
		c.jumpPages.clear()
	}
}

// forget removes a block that is no longer valid. Any goroutine may call it under Accel.mu.
func (c *CPU) forget(b *block) {
	i := ir.JumpIndex(b.key.pc)
	for k := range c.jumpSets {
		if e := &c.jumpSets[k].entries[i]; e.PC == b.key.pc && e.Code == b.target {
			storeWord(&e.PC, emptyPC)
		}
	}
}
