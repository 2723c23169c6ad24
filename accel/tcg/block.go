package tcg

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"goemu/internal/memory"
	"goemu/target/x86"
	eng "goemu/tcg"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/ir"
)

// key identifies a block: where its code is in host memory (which stands for the guest physical address), and everything that
// translation depends on.
type key struct {
	host   uintptr
	pc     uint64
	csBase uint64
	flags  uint32
	cond   uint32 // blockOnce
}

// blockOnce marks blocks of one instruction that the execution loop asked for, beside the normal ones.
const blockOnce = 1

// block is a translated block in the table.
type block struct {
	key    key
	target uint64    // Engine.JumpTarget
	page2  *codePage // of the last bytes, if the block crosses a page boundary
	next   *block    // in blockTable
	dead   atomic.Bool
	heat   int32 // samples that were taken here, under Accel.mu

	id    uint64
	code  eng.Code
	bytes int
	page  *codePage
	out   []outLink // the exits
	in    []link    // exits of other blocks that are linked to this one
}

type link struct {
	from *block
	slot int
}

// codePage is a page of RAM that holds translated code.
type codePage struct {
	host   uintptr
	ram    *memory.RAMBlock
	page   uint64 // in ram
	blocks []*block
	seen   map[place0]seen // code that may move
	lines  uint64          // those with code, maybe some without
}

// lineBits is the size of a line, a 64th of a page.
const lineBits = ir.PageBits - 6

// linesOf are the lines of a page that [off, off+n) touches, n above 0.
func linesOf(off, n uint64) uint64 {
	first, last := off>>lineBits, min((off+n-1)>>lineBits, 63)
	return ^uint64(0) << first & (^uint64(0) >> (63 - last))
}

// add notes a block with code in the page.
func (p *codePage) add(b *block) {
	p.blocks = append(p.blocks, b)
	p.lines |= linesOf(b.within(p))
}

// table is the set of all blocks, under Accel.mu.
type table struct {
	byKey blockTable
	pool  blockPool
	byID  []*block
	pages map[uintptr]*codePage
	hot   map[key]bool // to be translated for speed
}

// linear is the linear address of a block.
func (k *key) linear() uint64 { return (k.pc + k.base()) & k.mask() }

func (k *key) base() uint64 {
	if k.flags&x86.HFCS64 != 0 {
		return 0
	}
	return k.csBase
}

// mask is what linear addresses wrap around at.
func (k *key) mask() uint64 {
	if k.flags&x86.HFCS64 != 0 {
		return ^uint64(0)
	}
	return 0xffffffff
}

func newTable() table {
	return table{byID: []*block{nil}, pages: map[uintptr]*codePage{}, hot: map[key]bool{}}
}

// codeAddr is the linear address of a program counter.
func (c *CPU) codeAddr(pc uint64) uint64 {
	if c.env.HFlags&x86.HFCS64 != 0 {
		return pc
	}
	return (pc + c.env.Seg[x86.CS].Base) & 0xffffffff
}

// codePlace is where code is fetched from.
type codePlace struct {
	addr   uint64  // linear
	host   uintptr // 0: not in RAM
	global bool
	flags  uint32 // meta*
	phys   uint64 // page
}

// place finds the code at a linear address; ok is false if the fetch faults.
func (c *CPU) place(addr uint64) (p codePlace, ok bool) {
	e, m, ok := c.resolve(addr, accExec, c.mmuIndex())
	if !ok {
		return p, false
	}
	p = codePlace{addr: addr, global: m.flags&metaGlobal != 0, flags: m.flags, phys: m.phys}
	if e.Code&ir.TLBMMIO == 0 {
		p.host = uintptr(addr + e.Addend)
	}
	return p, true
}

// find returns the block at the program counter, translating it if need be. ok is false if fetching it raised an exception.
func (c *CPU) find() (b *block, ok bool, err error) {
	e := c.env
	addr := c.codeAddr(e.PC)
	p, ok := c.place(addr)
	if !ok {
		return nil, false, nil
	}
	k := key{host: p.host, pc: e.PC, csBase: e.Seg[x86.CS].Base, flags: e.BlockFlags()}
	if c.once {
		k.cond |= blockOnce
	}
	c.epoch = c.accel.epoch.Load()
	if p.host == 0 {
		return c.translateBlock(k, p)
	}
	slot := &c.recent[k.slot()]
	if b = slot.Load(); b == nil || b.key != k || b.dead.Load() {
		b = c.accel.lookup(k)
	}
	if b != nil && b.page2 != nil {
		second, ok := c.place(c.next(addr&pageMask, 1<<ir.PageBits))
		if !ok || second.host&^(1<<ir.PageBits-1) != b.page2.host {
			b = nil
		} else {
			p.global = p.global && second.global
		}
	}
	if b == nil {
		if b, ok, err = c.translateBlock(k, p); !ok || err != nil {
			return b, ok, err
		}
		if b.page2 != nil {
			p.global = false
		}
	}
	slot.Store(b)
	if c.jump != noJump && !c.once {
		if s := &c.jumpSets[c.jump]; !s.add(k.pc, b.target, p.global) {
			s.clear()
			s.add(k.pc, b.target, p.global)
		}
		c.jumpPages.add(addr, p.flags)
		if b.dead.Load() { // another CPU may have looked for it here too early
			c.forget(b)
		}
	}
	return b, true, nil
}

// slot is the place of a block in CPU.recent.
func (k *key) slot() uint64 { return recentSlot(uint64(k.host), k.pc, k.flags) }

//go:nosplit
func recentSlot(host, pc uint64, flags uint32) uint64 {
	h := (pc>>ir.PageBits*0x9e3779b97f4a7c15 ^ uint64(flags)*0xc2b2ae3d27d4eb4f) >> 40
	return (host ^ host>>15 ^ h) & (recentBlocks - 1)
}

// lookup finds a block in the table.
func (a *Accel) lookup(k key) *block {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.table.byKey.get(&k)
}

// translateBlock translates and enters the block k. In the one case that the code cache is full, all blocks go, unless another CPU has
// just seen to that.
func (c *CPU) translateBlock(k key, p codePlace) (*block, bool, error) {
	a := c.accel
	for flushed := false; ; {
		b, ok, err := c.translateOnce(k, p)
		var full eng.ErrFull
		if err == nil || !errors.As(err, &full) || flushed {
			return b, ok, err
		}
		a.gate.Exclusive(&c.gate, func() {
			if flushed = a.epoch.Load() == c.epoch; flushed {
				a.flushBlocks()
			}
		})
		c.epoch = a.epoch.Load()
	}
}

func (c *CPU) translateOnce(k key, p codePlace) (*block, bool, error) {
	a := c.accel
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.table.byKey.get(&k); b != nil && b.page2 == nil && p.host != 0 {
		return b, true, nil // another CPU was faster
	}
	var page *codePage
	if p.host != 0 {
		page = a.codePage(c, p.host, p.phys)
	}
	limit := maxInsns
	if c.once || p.host == 0 || a.oneInsn.Load() {
		limit = 1
	}
	movable := page != nil && limit > 1 && a.movable(&k)
	if movable {
		if b, ok, err := a.moved(&k, page); ok {
			return b, true, err
		}
	}
	f := &c.fetch
	*f = fetcher{c: c, first: p}
	a.front.Through = 0
	if a.table.hot[k] && limit > 1 {
		a.front.Through = hotThrough
	}
	irb, err := a.front.Translate(k.pc, k.csBase, k.flags, f, limit)
	if errors.Is(err, front.ErrFetch) {
		return nil, false, nil // the exception is recorded
	}
	if err != nil {
		return nil, true, fmt.Errorf("cannot translate the code at %#x: %w", k.pc, err)
	}
	irb.Hot = a.table.hot[k]
	c.traceCode(irb, &f.first)
	a.optimise(irb)
	id := uint64(len(a.table.byID))
	compiled, err := a.engine.Compile(irb, id)
	if err != nil {
		if !errors.Is(err, eng.ErrFull{}) {
			err = fmt.Errorf("%w\n%s", err, ir.Text(irb, front.Globals))
		}
		return nil, true, err
	}
	b := a.table.pool.block(irb.Exits)
	b.bytes, b.code = irb.Bytes, compiled
	home := page
	if page != nil {
		if off := uint64(p.host) & ^pageMask; off+uint64(b.bytes) > 1<<ir.PageBits {
			if f.second.host == 0 {
				page = nil // its end is not in RAM: used once
				b.dead.Store(true)
			} else {
				b.page2 = a.codePage(c, f.second.host, f.second.phys)
			}
		}
	}
	a.enter(b, &k, id, page)
	if b.page2 != nil {
		b.page2.add(b)
	}
	if b.page = home; movable && page != nil && b.page2 == nil {
		c.note(b, irb, p, limit)
	}
	return b, true, nil
}

// enter puts a new block into everything, or only gives it its identity if it has no page. Called under mu.
func (a *Accel) enter(b *block, k *key, id uint64, page *codePage) {
	b.key, b.id, b.page, b.target = *k, id, page, a.engine.JumpTarget(b.code)
	a.table.byID = append(a.table.byID, b)
	if page == nil {
		return
	}
	page.add(b)
	if old := a.table.byKey.get(k); old != nil {
		a.kill(old)
	}
	a.table.byKey.put(b)
}

// codePage finds or makes the record of the page around host and protects it from unnoticed stores. Called under mu.
func (a *Accel) codePage(c *CPU, host uintptr, phys uint64) *codePage {
	host &^= 1<<ir.PageBits - 1
	if p := a.table.pages[host]; p != nil {
		return p
	}
	r := c.physRange(phys)
	p := &codePage{host: host, ram: r.RAM, page: (r.Offset + (phys - r.Start)) >> ir.PageBits}
	a.table.pages[host] = p
	a.watchRAM(p.ram)
	p.ram.SetCode(p.page)
	for _, cpu := range a.list() {
		cpu.protect(host)
	}
	return p
}

// kill takes a block out of everything. Called under mu.
func (a *Accel) kill(b *block) {
	if b.dead.Load() {
		return
	}
	a.killed++
	b.dead.Store(true)
	a.table.byKey.remove(b)
	for _, l := range b.in {
		if l.from.out[l.slot].to == b {
			a.engine.Unlink(l.from.code, l.slot)
			l.from.out[l.slot].to = nil
		}
	}
	b.in = nil
	for slot := range b.out {
		if to := b.out[slot].to; to != nil {
			a.engine.Unlink(b.code, slot)
			to.in = slices.DeleteFunc(to.in, func(l link) bool { return l.from == b })
			b.out[slot].to = nil
		}
	}
	for _, cpu := range a.list() {
		cpu.forget(b)
	}
	a.table.byID[b.id] = nil
}

// overlaps tells whether a block has code in [off, off+n) of a page.
func (b *block) overlaps(p *codePage, off, n uint64) bool {
	start, size := b.within(p)
	return start < off+n && off < start+size
}

// within is where the block's code begins in a page, and how long it is there.
func (b *block) within(p *codePage) (off, n uint64) {
	off, n = uint64(b.key.host)&^pageMask, uint64(b.bytes)
	if p != b.page {
		return 0, off + n - 1<<ir.PageBits
	}
	return off, n
}

// invalidate kills the blocks in [off, off+n) of a page; called under mu.
func (a *Accel) invalidate(p *codePage, off, n uint64) {
	if p.lines&linesOf(off, n) == 0 {
		return
	}
	p.seen, p.lines = nil, 0
	keep := p.blocks[:0]
	for _, b := range p.blocks {
		if b.dead.Load() {
			continue
		}
		if b.overlaps(p, off, n) {
			a.kill(b)
			continue
		}
		keep = append(keep, b)
		p.lines |= linesOf(b.within(p))
	}
	clear(p.blocks[len(keep):])
	p.blocks = keep
	if len(keep) == 0 {
		delete(a.table.pages, p.host)
		p.ram.ClearCode(p.page)
	}
}

// codeWritten is told of writes that do not come from a CPU.
func (a *Accel) codeWritten(ram *memory.RAMBlock, off, n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	host := uintptr(ram.Host()) + uintptr(off)
	if p := a.table.pages[host&^(1<<ir.PageBits-1)]; p != nil {
		a.invalidate(p, off&^pageMask, n)
	}
}

// watchRAM asks a RAM block to report such writes. Called under mu.
func (a *Accel) watchRAM(ram *memory.RAMBlock) {
	if a.watching[ram] {
		return
	}
	a.watching[ram] = true
	ram.OnCodeWrite(func(off, n uint64) { a.codeWritten(ram, off, n) })
}

// notDirty is called before a store to a page that may hold code or whose writes are tracked. It reports false if the store would
// change the code being executed: then nothing may be stored, and the instruction is executed again by itself.
func (c *CPU) notDirty(e *ir.TLBEntry, addr uint64, n int) bool {
	a := c.accel
	host := uintptr(addr + e.Addend)
	a.mu.Lock()
	p := a.table.pages[host&^(1<<ir.PageBits-1)]
	if p != nil {
		off := addr & ^pageMask
		if !c.once && c.runsIn(p, off, uint64(n)) {
			a.mu.Unlock()
			return false
		}
		a.invalidate(p, off, uint64(n))
	}
	a.mu.Unlock()
	c.cleanTag(e)
	if e.Write&ir.TLBNotDirty != 0 {
		c.markDirty(host, uint64(n))
	}
	return true
}

// stillCode is called after a store that notDirty allowed: if another CPU has translated the page in between, from the old bytes,
// those blocks go too.
func (c *CPU) stillCode(host uintptr, n int) {
	a := c.accel
	if !a.parallel() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.table.pages[host&^(1<<ir.PageBits-1)]; p != nil {
		a.invalidate(p, uint64(host)&^pageMask, uint64(n))
	}
}

// runsIn tells whether the instruction being executed may belong to a block with code in [off, off+n) of a page.
func (c *CPU) runsIn(p *codePage, off, n uint64) bool {
	if p.lines&linesOf(off, n) == 0 {
		return false
	}
	pc := c.env.PC
	for _, b := range p.blocks {
		if !b.dead.Load() && pc-b.key.pc < uint64(b.bytes) && b.overlaps(p, off, n) {
			return true
		}
	}
	return false
}

// cleanTag lets stores go directly to a page without code: where writes are tracked, it is dirty now until the next round (CPU.relog).
func (c *CPU) cleanTag(e *ir.TLBEntry) {
	host := uintptr(e.Write&pageMask + e.Addend)
	ram, page, ok := c.ramAt(host)
	if ok && !ram.HasCode(page) {
		if ram.Tracked() {
			ram.NotePage(page)
		}
		andTag(&e.Write, ^uint64(ir.TLBNotDirty))
		if ram.HasCode(page) { // made code in between
			orTag(&e.Write, ir.TLBNotDirty)
		}
	}
}

// ramAt finds the RAM block around a host address in this CPU's view.
func (c *CPU) ramAt(host uintptr) (ram *memory.RAMBlock, page uint64, ok bool) {
	for _, r := range c.space().View().Ranges {
		if r.RAM == nil {
			continue
		}
		if off := uint64(host) - uint64(uintptr(r.RAM.Host())); off < r.RAM.Size() {
			return r.RAM, off >> ir.PageBits, true
		}
	}
	return nil, 0, false
}

// markDirty reports a store to tracked RAM.
func (c *CPU) markDirty(host uintptr, n uint64) {
	if ram, _, ok := c.ramAt(host); ok && ram.Tracked() {
		ram.MarkDirty(uint64(host)-uint64(uintptr(ram.Host())), n)
	}
}

// SetOneInsn tells whether each instruction is to be translated on its own. It must not be called on a CPU's goroutine.
func (a *Accel) SetOneInsn(on bool) {
	if a.oneInsn.Swap(on) != on {
		a.gate.Exclusive(nil, a.flushBlocks)
	}
}

// flushBlocks drops every block. No CPU executes code, but one may be looking for a block: the epoch ends when none can be found any more.
func (a *Accel) flushBlocks() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.table.pages {
		p.ram.ClearCode(p.page)
	}
	for _, b := range a.table.byID {
		if b != nil {
			b.dead.Store(true)
		}
	}
	a.table = newTable()
	for _, c := range a.list() {
		c.clearJumpSets()
		for i := range c.recent {
			c.recent[i].Store(nil)
		}
	}
	a.engine.Flush()
	a.epoch.Add(1)
}

// chain links the exit through which the last block was left to the block that follows. Only exits within a page are linked firmly;
// others go through the jump cache.
func (c *CPU) chain(fromID uint64, slot int, to *block) {
	a := c.accel
	a.mu.Lock()
	defer a.mu.Unlock()
	if fromID >= uint64(len(a.table.byID)) {
		return
	}
	from := a.table.byID[fromID]
	if from == nil || from.dead.Load() || to.dead.Load() || slot >= len(from.out) || from.out[slot].to != nil || to.page == nil || from.page == nil {
		return
	}
	if from.key.cond != 0 || (from.key.flags^to.key.flags)&^x86.HFTopMask != 0 || from.key.csBase != to.key.csBase || from.out[slot].pc != to.key.pc {
		return
	}
	cross := from.page != to.page || to.page2 != nil || c.codeAddr(from.key.pc)>>ir.PageBits != c.codeAddr(to.key.pc)>>ir.PageBits
	a.engine.Link(from.code, slot, to.code, cross)
	from.out[slot].to = to
	to.in = append(to.in, link{from, slot})
}
