package tcg

import (
	"encoding/binary"

	"goemu/target/x86"
	eng "goemu/tcg"
	"goemu/tcg/ir"
)

// tagOf is the tag of an entry for a kind of access.
func tagOf(e *ir.TLBEntry, acc access) uint64 {
	switch acc {
	case accWrite:
		return e.Write
	case accExec:
		return e.Code
	}
	return e.Read
}

// resolve finds or fills the entry for an access within one page; ok is false if it faults.
func (c *CPU) resolve(addr uint64, acc access, mmu uint8) (e *ir.TLBEntry, m *meta, ok bool) {
	t := c.table(mmu)
	i := t.index(addr)
	e = &t.entries[i]
	if tag := tagOf(e, acc); tag&ir.TLBInvalid != 0 || tag&pageMask != addr&pageMask {
		if i, ok = c.fillTLB(addr, acc, mmu); !ok {
			return nil, nil, false
		}
		e = &t.entries[i]
	}
	return e, &t.meta[i], true
}

// plain tells whether a tag of a present entry allows direct access to RAM.
func plain(tag uint64) bool { return tag&^pageMask == 0 }

// crosses tells whether n bytes at addr lie in two pages.
func crosses(addr uint64, n int) bool { return addr&^pageMask+uint64(n) > 1<<ir.PageBits }

// load reads 1 to 8 bytes.
func (c *CPU) load(addr uint64, size int, mmu uint8) (v uint64, ok bool) {
	if crosses(addr, size) {
		return c.loadSplit(addr, size, mmu)
	}
	e, m, ok := c.resolve(addr, accRead, mmu)
	if !ok {
		return 0, false
	}
	if e.Read&ir.TLBWatch != 0 && !c.watchHit(addr, size, accRead) {
		return 0, false
	}
	if e.Read&ir.TLBMMIO != 0 {
		return c.readMMIO(m.phys|addr&^pageMask, size), true
	}
	return hostLoad(uintptr(addr+e.Addend), size), true
}

// loadSplit reads over a page boundary.
func (c *CPU) loadSplit(addr uint64, size int, mmu uint8) (uint64, bool) {
	var b [8]byte
	if !c.loadBytes(addr, b[:size], mmu) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[:]), true
}

// next is the address n bytes on; outside long mode linear addresses have 32 bits.
func (c *CPU) next(addr uint64, n int) uint64 {
	addr += uint64(n)
	if c.env.HFlags&x86.HFLMA == 0 {
		addr &= 0xffffffff
	}
	return addr
}

// loadBytes reads any number of bytes; all pages are checked first.
func (c *CPU) loadBytes(addr uint64, b []byte, mmu uint8) bool {
	if crosses(addr, len(b)) && !c.checkRange(addr, len(b), accRead, mmu) {
		return false
	}
	for len(b) > 0 {
		e, m, ok := c.resolve(addr, accRead, mmu)
		if !ok {
			return false
		}
		n := min(len(b), int(1<<ir.PageBits-addr&^pageMask))
		if e.Read&ir.TLBWatch != 0 && !c.watchHit(addr, n, accRead) {
			return false
		}
		if e.Read&ir.TLBMMIO != 0 {
			c.readMMIOBytes(m.phys|addr&^pageMask, b[:n])
		} else {
			copy(b, hostBytes(uintptr(addr+e.Addend), n))
		}
		b, addr = b[n:], c.next(addr, n)
	}
	return true
}

// checkRange makes sure that an access to n bytes does not fault.
func (c *CPU) checkRange(addr uint64, n int, acc access, mmu uint8) bool {
	for n > 0 {
		if _, _, ok := c.resolve(addr, acc, mmu); !ok {
			return false
		}
		k := min(n, int(1<<ir.PageBits-addr&^pageMask))
		n, addr = n-k, c.next(addr, k)
	}
	return true
}

// stored is what became of a store.
type stored uint8

const (
	storeDone  stored = iota
	storeFault        // an exception is recorded
	storeAgain        // nothing was stored; execute the instruction alone (see CPU.once)
)

// store writes 1 to 8 bytes.
func (c *CPU) store(addr uint64, size int, v uint64, mmu uint8) stored {
	if crosses(addr, size) {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], v)
		return c.storeBytes(addr, b[:size], mmu)
	}
	e, m, ok := c.resolve(addr, accWrite, mmu)
	if !ok {
		return storeFault
	}
	host := uintptr(addr + e.Addend)
	if plain(e.Write) {
		hostStore(host, size, v)
		return storeDone
	}
	if r, done := c.storeSlow(e, m, addr, size, v); done {
		return r
	}
	hostStore(host, size, v)
	c.stillCode(host, size)
	return storeDone
}

// storeSlow handles what is special about a page; done is false if the caller must still store to RAM.
func (c *CPU) storeSlow(e *ir.TLBEntry, m *meta, addr uint64, size int, v uint64) (r stored, done bool) {
	if e.Write&ir.TLBWatch != 0 && !c.watchHit(addr, size, accWrite) {
		return storeFault, true
	}
	if e.Write&ir.TLBMMIO != 0 {
		if m.flags&metaROM == 0 {
			c.writeMMIO(m.phys|addr&^pageMask, size, v)
		}
		return storeDone, true
	}
	if e.Write&ir.TLBNotDirty != 0 && !c.notDirty(e, addr, size) {
		return storeAgain, true
	}
	return storeDone, false
}

// storeBytes writes any number of bytes; nothing is written if a page faults.
func (c *CPU) storeBytes(addr uint64, b []byte, mmu uint8) stored {
	if crosses(addr, len(b)) && !c.checkRange(addr, len(b), accWrite, mmu) {
		return storeFault
	}
	for len(b) > 0 {
		e, m, ok := c.resolve(addr, accWrite, mmu)
		if !ok {
			return storeFault
		}
		n := min(len(b), int(1<<ir.PageBits-addr&^pageMask))
		switch {
		case e.Write&ir.TLBWatch != 0 && !c.watchHit(addr, n, accWrite):
			return storeFault
		case e.Write&ir.TLBMMIO != 0:
			if m.flags&metaROM == 0 {
				c.writeMMIOBytes(m.phys|addr&^pageMask, b[:n])
			}
		case e.Write&ir.TLBNotDirty != 0 && !c.notDirty(e, addr, n):
			return storeAgain
		default:
			copy(hostBytes(uintptr(addr+e.Addend), n), b)
			if e.Write&ir.TLBNotDirty != 0 {
				c.stillCode(uintptr(addr+e.Addend), n)
			}
		}
		b, addr = b[n:], c.next(addr, n)
	}
	return storeDone
}

// action turns the outcome of a store into what the engine is to do.
func (c *CPU) action(r stored) eng.Action {
	switch r {
	case storeFault:
		return eng.Fault
	case storeAgain:
		c.env.ExitInfo = exitOnce
		return eng.Stop
	}
	return eng.Continue
}

// aligned raises the exception of a misaligned access.
func (c *CPU) aligned(addr uint64, m ir.MemOp) bool {
	if m.Align > 1 && addr&uint64(m.Align-1) != 0 {
		c.setException(alignFault(m), 0)
		return false
	}
	return true
}

// alignFault is the exception of a misaligned access: #GP for vectors, else it is the alignment check.
func alignFault(m ir.MemOp) uint8 {
	if m.Size > 8 {
		return x86.ExcGP
	}
	return x86.ExcAC
}

// checkAlign raises #AC for a misaligned access of a helper while alignment is checked.
func (c *CPU) checkAlign(addr uint64, n int) {
	if c.env.HFlags&x86.HFAlign != 0 && addr&uint64(n-1) != 0 {
		c.raise(x86.ExcAC, 0)
	}
}

// Load implements goemu/tcg.CPU.
func (c *CPU) Load(addr uint64, m ir.MemOp) (uint64, eng.Action) {
	if !c.aligned(addr, m) {
		return 0, eng.Fault
	}
	v, ok := c.load(addr, int(m.Size), c.regime(m.MMU))
	if !ok {
		return 0, c.failed()
	}
	if m.Signed {
		sh := 64 - 8*uint(m.Size)
		v = uint64(int64(v<<sh) >> sh)
	}
	return v, eng.Continue
}

// failed is what to do about a load that did not happen.
func (c *CPU) failed() eng.Action {
	if c.again {
		c.again = false
		return c.action(storeAgain)
	}
	return eng.Fault
}

// Store implements goemu/tcg.CPU.
func (c *CPU) Store(addr uint64, m ir.MemOp, val uint64) eng.Action {
	if !c.aligned(addr, m) {
		return eng.Fault
	}
	return c.stored(c.store(addr, int(m.Size), val, c.regime(m.MMU)))
}

func (c *CPU) stored(r stored) eng.Action {
	if r == storeFault {
		return c.failed()
	}
	return c.action(r)
}

// LoadVec implements goemu/tcg.CPU.
func (c *CPU) LoadVec(addr uint64, m ir.MemOp, buf []byte) eng.Action {
	if !c.aligned(addr, m) {
		return eng.Fault
	}
	if !c.loadBytes(addr, buf, c.regime(m.MMU)) {
		return c.failed()
	}
	return eng.Continue
}

// StoreVec implements goemu/tcg.CPU.
func (c *CPU) StoreVec(addr uint64, m ir.MemOp, buf []byte) eng.Action {
	if !c.aligned(addr, m) {
		return eng.Fault
	}
	return c.stored(c.storeBytes(addr, buf, c.regime(m.MMU)))
}

// Probe implements goemu/tcg.CPU.
func (c *CPU) Probe(addr uint64, m ir.MemOp, write bool) (uintptr, eng.Action) {
	if !c.aligned(addr, m) {
		return 0, eng.Fault
	}
	acc := accRead
	if write {
		acc = accWrite
	}
	if crosses(addr, int(m.Size)) {
		if !c.checkRange(addr, int(m.Size), acc, c.regime(m.MMU)) {
			return 0, eng.Fault
		}
		return 0, eng.Continue
	}
	e, _, ok := c.resolve(addr, acc, c.regime(m.MMU))
	if !ok {
		return 0, eng.Fault
	}
	if write && e.Write&^pageMask == ir.TLBNotDirty {
		c.cleanTag(e)
	}
	if write && !plain(e.Write) || e.Read&pageMask != addr&pageMask || !plain(e.Read) && !write {
		return 0, eng.Continue
	}
	return uintptr(addr + e.Addend), eng.Continue
}

// atomicHost finds the host address for an indivisible access, after all that a store to the page requires. act other than Continue
// abandons the instruction; host 0 means that the access must be made in exclusive mode on whatever is there.
func (c *CPU) atomicHost(addr uint64, m ir.MemOp) (host uintptr, act eng.Action) {
	if !c.aligned(addr, m) {
		return 0, eng.Fault
	}
	if crosses(addr, int(m.Size)) {
		if !c.checkRange(addr, int(m.Size), accWrite, c.regime(m.MMU)) {
			return 0, eng.Fault
		}
		return 0, eng.Continue
	}
	e, _, ok := c.resolve(addr, accWrite, c.regime(m.MMU))
	if !ok {
		return 0, eng.Fault
	}
	switch {
	case e.Write&ir.TLBMMIO != 0:
		return 0, eng.Continue
	case e.Write&ir.TLBWatch != 0 && !c.watchHit(addr, int(m.Size), accWrite):
		return 0, c.failed()
	case e.Write&ir.TLBNotDirty != 0 && !c.notDirty(e, addr, int(m.Size)):
		return 0, c.action(storeAgain)
	}
	return uintptr(addr + e.Addend), eng.Continue
}

// Atomic implements goemu/tcg.CPU.
func (c *CPU) Atomic(addr uint64, m ir.MemOp, k ir.AtomicKind, val uint64) (uint64, eng.Action) {
	host, act := c.atomicHost(addr, m)
	if act != eng.Continue {
		return 0, act
	}
	if host == 0 {
		return c.atomicSlow(addr, m, func(old uint64) (uint64, bool) { return atomicResult(k, old, val), true })
	}
	for {
		old := hostLoad(host, int(m.Size))
		if hostCAS(host, int(m.Size), old, atomicResult(k, old, val)) == old {
			return old, eng.Continue
		}
	}
}

// CmpXchg implements goemu/tcg.CPU.
func (c *CPU) CmpXchg(addr uint64, m ir.MemOp, expected, val uint64) (uint64, eng.Action) {
	host, act := c.atomicHost(addr, m)
	if act != eng.Continue {
		return 0, act
	}
	mask := ^uint64(0) >> (64 - 8*uint(m.Size))
	if host == 0 {
		return c.atomicSlow(addr, m, func(old uint64) (uint64, bool) { return val, old == expected&mask })
	}
	return hostCAS(host, int(m.Size), expected&mask, val&mask), eng.Continue
}

// atomicSlow makes an access that the host cannot make indivisible: alone among the CPUs if there are several.
func (c *CPU) atomicSlow(addr uint64, m ir.MemOp, f func(old uint64) (val uint64, write bool)) (uint64, eng.Action) {
	if c.accel.parallel() && !c.alone {
		c.env.ExitInfo = exitAlone
		return 0, eng.Stop
	}
	old, ok := c.load(addr, int(m.Size), c.regime(m.MMU))
	if !ok {
		return 0, c.failed()
	}
	if v, write := f(old); write {
		return old, c.stored(c.store(addr, int(m.Size), v, c.regime(m.MMU)))
	}
	return old, eng.Continue
}

func atomicResult(k ir.AtomicKind, old, val uint64) uint64 {
	switch k {
	case ir.AtomicAdd:
		return old + val
	case ir.AtomicAnd:
		return old & val
	case ir.AtomicOr:
		return old | val
	case ir.AtomicXor:
		return old ^ val
	}
	return val
}
