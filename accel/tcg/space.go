package tcg

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// numSpaces is how many address spaces (process-context identifiers) have soft TLBs of their own. Without identifiers, all is in the
// space of identifier 0.
const numSpaces = 8

// noSpace stands for the code of all address spaces, or for a space that is not there.
const noSpace = -1

// space holds what the CPU knows of an address space: the tables of the regimes that see user pages. The one of supervisor accesses
// with EFLAGS.AC clear belongs to all spaces, and what is not global in it goes when the space changes.
type space struct {
	valid bool
	pcid  uint64
	stamp uint64
	user  tlb // x86.MMUUser
	ac    tlb // x86.MMUKernelAC
}

// pcidMask are the bits of CR3 with the process-context identifier; cr3Keep asks to keep its translations.
const (
	pcidMask = 0xfff
	cr3Keep  = 1 << 63
)

// pcid is the current process-context identifier.
//
//go:nosplit
func (c *CPU) pcid() uint64 {
	if c.env.CR[4]&x86.CR4PCIDE == 0 {
		return 0
	}
	return c.env.CR[3] & pcidMask
}

// table is the soft TLB of a regime in the current address space. Regimes are those that CPU.regime gives.
//
//go:nosplit
func (c *CPU) table(mmu uint8) *tlb {
	s := &c.spaces[c.current&(numSpaces-1)]
	switch mmu {
	case x86.MMUUser:
		return &s.user
	case x86.MMUKernelAC:
		return &s.ac
	}
	return &c.kernel
}

// showTables makes generated code use the tables of the current address space.
//
//go:nosplit
func (c *CPU) showTables() {
	e, s := c.env, &c.spaces[c.current&(numSpaces-1)]
	e.TLB[x86.MMUUser], e.TLB[x86.MMUKernelAC], e.TLB[x86.MMUKernelSMAP] = s.user.hdr, s.ac.hdr, c.kernel.hdr
	if e.EFlags&x86.FlagAC != 0 {
		e.TLB[x86.MMUKernel] = s.ac.hdr
	} else {
		e.TLB[x86.MMUKernel] = c.kernel.hdr
	}
}

// initSpaces gives all tables their memory and returns what is left.
func (c *CPU) initSpaces(mem []byte) []byte {
	for _, t := range c.allTables() {
		t.init(entriesAt(mem[:tlbRoom]), addrOf(mem))
		mem = mem[tlbRoom:]
	}
	c.spaces[0].valid = true
	c.showTables()
	return mem
}

// allTables are the soft TLBs of all spaces.
func (c *CPU) allTables() []*tlb {
	list := []*tlb{&c.kernel}
	for i := range c.spaces {
		list = append(list, &c.spaces[i].user, &c.spaces[i].ac)
	}
	return list
}

// protect makes the CPU's stores to a page of RAM take the slow path. Any goroutine may call it.
func (c *CPU) protect(hostPage uintptr) {
	c.kernel.protect(hostPage)
	for i := range c.spaces {
		c.spaces[i].user.protect(hostPage)
		c.spaces[i].ac.protect(hostPage)
	}
}

// findSpace is the space of an identifier, or noSpace.
//
//go:nosplit
func (c *CPU) findSpace(pcid uint64) int {
	for i := range c.spaces {
		if s := &c.spaces[i]; s.valid && s.pcid == pcid {
			return i
		}
	}
	return noSpace
}

// switchSpace changes to a space that is there; keep tells that its translations stay.
//
//go:nosplit
//go:norace
func (c *CPU) switchSpace(i int, keep bool) {
	s := &c.spaces[i&(numSpaces-1)]
	if !keep {
		s.user.dropLocal()
		s.ac.dropLocal()
		c.dropLocalJumps(i)
	}
	c.kernel.dropLocal()
	c.dropLocalJumps(noSpace)
	if i != c.current && c.accel.hot.Load() { // generated code remembers entries of user code's table
		sites := &c.env.Sites[x86.MMUUser]
		for k := range sites {
			sites[k].Entry = s.user.hdr.Base
		}
	}
	c.spaceClock++
	s.stamp = c.spaceClock
	c.current = i
	c.showTables()
	c.env.Gen = c.accel.gen.Add(1)
}

// enterSpace changes to the space of an identifier, in the place of another one if it is new.
func (c *CPU) enterSpace(pcid uint64, keep bool) {
	i := c.findSpace(pcid)
	if i == noSpace {
		i = 0
		for k := range c.spaces {
			if s := &c.spaces[k]; !s.valid || c.spaces[i].valid && s.stamp < c.spaces[i].stamp {
				i = k
			}
		}
		c.emptySpace(i)
		c.spaces[i].valid, c.spaces[i].pcid = true, pcid
	}
	c.switchSpace(i, keep)
}

// emptySpace drops all of a space.
func (c *CPU) emptySpace(i int) {
	c.spaces[i].user.flush()
	c.spaces[i].ac.flush()
	for k := range c.jumpSets {
		if s := &c.jumpSets[k]; s.space == i {
			s.clear()
		}
	}
}

// flushTLB empties all soft TLBs (all), or drops what is not global in the current space.
func (c *CPU) flushTLB(all bool) {
	if !all {
		c.switchSpace(c.current, false)
		return
	}
	c.fastRAMs = 0
	for i := range c.spaces {
		c.spaces[i].valid = false // emptied when it gets another identifier
	}
	c.kernel.flush()
	c.emptySpace(c.current)
	s := &c.spaces[c.current]
	s.valid, s.pcid = true, c.pcid()
	c.clearJumpSets()
	c.showTables()
	c.newGen()
}

// flushPage drops the translation of one linear address, and those in other spaces if they are global.
func (c *CPU) flushPage(addr uint64) {
	for _, mmu := range regimes {
		c.table(mmu).flushPage(addr)
	}
	for i := range c.spaces {
		if s := &c.spaces[i]; i != c.current && s.valid && !(s.user.dropGlobal(addr) && s.ac.dropGlobal(addr)) {
			s.valid = false
		}
	}
	if c.jumpPages.has(addr) {
		c.clearJumpSets()
	}
	c.newGen()
}

// flushSpaces drops what is not global in the space of an identifier, or in all (INVPCID).
func (c *CPU) flushSpaces(pcid uint64, every bool) {
	for i := range c.spaces {
		if s := &c.spaces[i]; i != c.current && (every || s.pcid == pcid) {
			s.valid = false
		}
	}
	if every || c.spaces[c.current].pcid == pcid {
		c.flushTLB(false)
	}
}

// flushForeign drops the translation of an address in the space of an identifier; global ones may stay.
func (c *CPU) flushForeign(pcid, addr uint64) {
	if c.spaces[c.current].pcid == pcid {
		c.flushPage(addr)
		return
	}
	c.flushSpaces(pcid, false)
}

// dropGlobal drops a global translation of addr; false if there may be one of a large page.
//
//go:nosplit
func (t *tlb) dropGlobal(addr uint64) bool {
	if t.large2M.has(addr>>21) || t.large1G.has(addr>>30) {
		return false
	}
	i := addr >> ir.PageBits & uint64(len(t.entries)-1)
	if i >= uint64(len(t.entries)) || i >= uint64(len(t.meta)) || t.meta[i].flags&metaGlobal == 0 {
		return true
	}
	if e := &t.entries[i]; (e.Read^addr)>>ir.PageBits == 0 || (e.Write^addr)>>ir.PageBits == 0 || (e.Code^addr)>>ir.PageBits == 0 {
		t.drop(i)
	}
	return true
}

// newGen makes chained jumps across pages stale.
func (c *CPU) newGen() { c.env.Gen = c.accel.gen.Add(1) }

// mmuIndex is the regime of the CPU's own accesses, systemMMU that of implicit ones (descriptor tables, task state).
func (c *CPU) mmuIndex() uint8 {
	if c.env.HFlags&x86.HFCPLMask == 3 {
		return x86.MMUUser
	}
	return c.env.KernelMMU()
}

func (c *CPU) systemMMU() uint8 { return x86.MMUKernelSMAP }

// regime is the soft TLB of an access that translated code makes.
func (c *CPU) regime(mmu uint8) uint8 {
	if mmu == x86.MMUKernel {
		return c.env.KernelMMU()
	}
	return mmu
}
