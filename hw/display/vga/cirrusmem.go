package vga

import "goemu/internal/memory"

const (
	cirrusMemory = 4 << 20 // that the chip can address
	cirrusMask   = cirrusMemory - 1
	bankSize     = window32K

	// Registers in memory: at 0xb8000, or in the last bytes of video memory.
	blitRegsAt, blitRegs = 0x18000, 0x100

	cirrusBAR, cirrusBlitAt, cirrusBlitSize, cirrusMMIO = 32 << 20, 16 << 20, 4 << 20, 0x1000
)

// blitRegister is the graphics register that a byte of the registers in memory is, 0xff if none is.
var blitRegister = func() (list [blitRegs]uint8) {
	for i := range list {
		list[i] = 0xff
	}
	copy(list[0x00:], []uint8{0, gfxBG1, gfxBG2, gfxBG3, 1, gfxFG1, gfxFG2, gfxFG3})
	for i := range uint8(gfxSrcPitch + 2 - gfxWidth) {
		list[0x08+i] = gfxWidth + i
	}
	copy(list[0x10:], []uint8{gfxDst, gfxDst + 1, gfxDst + 2, 0xff, gfxSrc, gfxSrc + 1, gfxSrc + 2, gfxWriteMask, gfxBlitMode})
	copy(list[0x1a:], []uint8{gfxROP, gfxBlitExt, gfxTransparent, gfxTransparent + 1})
	copy(list[0x20:], []uint8{gfxTransMask, gfxTransMask + 1})
	list[0x40] = gfxStart
	return list
}()

func (c *Cirrus) readBlitRegister(at uint64) uint8 {
	if i := blitRegister[at&(blitRegs-1)]; i != 0xff {
		return c.readGfx(i)
	}
	return 0xff
}

func (c *Cirrus) writeBlitRegister(at uint64, v uint8) {
	if i := blitRegister[at&(blitRegs-1)]; i != 0xff {
		c.writeGfx(i, v)
	}
}

// svga tells whether the chip's own modes are on.
func (c *Cirrus) svga() bool { return c.seq[seqMode]&modeSVGA != 0 }

// bank is where a half of the window at 0xa0000 shows video memory, and how much of it; 0, 0 for nothing.
func (c *Cirrus) bankAt(i int) (base, limit uint64) {
	reg := gfxBank0
	if c.gfx[gfxBanking]&bankDual != 0 {
		reg += i
	}
	base = uint64(c.gfx[reg]) << 12
	if c.gfx[gfxBanking]&bankGranular16K != 0 {
		base = uint64(c.gfx[reg]) << 14
	}
	if base >= cirrusMemory {
		return 0, 0
	}
	limit = cirrusMemory - base
	if c.gfx[gfxBanking]&bankDual == 0 && i != 0 {
		if limit <= bankSize {
			return 0, 0
		}
		base, limit = base+bankSize, limit-bankSize
	}
	return base, limit
}

// scaled is an address in video memory after what gfxBanking multiplies it by.
func (c *Cirrus) scaled(at uint64) uint64 {
	switch {
	case c.gfx[gfxBanking]&bank16Bytes == bank16Bytes:
		at <<= 4
	case c.gfx[gfxBanking]&bank8Bytes != 0:
		at <<= 3
	}
	return at & cirrusMask
}

// expands tells whether a byte that is written stands for 8 pixels: write modes 4 and 5.
func (c *Cirrus) expands() bool {
	mode := c.gfx[gfxMode] & 7
	return (mode == 4 || mode == 5) && c.gfx[gfxBanking]&bankWrites != 0
}

// store writes a byte to video memory as the write mode has it.
func (c *Cirrus) store(at uint64, v uint8) {
	if !c.expands() {
		c.mem[at] = v
		c.vram.RAM().MarkDirty(at, 1)
		return
	}
	size := uint64(1)
	if c.gfx[gfxBanking]&bank16Bytes == bank16Bytes {
		size = 2
	}
	for x := range uint64(8) {
		p := (at + size*x) & cirrusMask &^ (size - 1)
		i := int(v >> (7 - x) & 1)
		if i == 0 && c.gfx[gfxMode]&7 != 5 {
			continue
		}
		c.mem[p] = c.shadow[i]
		if size == 2 {
			c.mem[p+1] = c.gfx[gfxBG1+i]
		}
		c.vram.RAM().MarkDirty(p, size)
	}
}

// cirrusLow answers the window at 0xa0000.
type cirrusLow struct{ c *Cirrus }

// Read implements memory.Ops.
func (l cirrusLow) Read(addr uint64, size int) uint64 {
	c := l.c
	switch {
	case !c.svga():
		return lowMem{&c.Core}.Read(addr, size)
	case addr < window64K:
		base, limit := c.bankAt(int(addr / bankSize))
		if addr %= bankSize; addr < limit {
			return uint64(c.mem[c.scaled(base+addr)])
		}
	case addr-blitRegsAt < blitRegs && c.seq[seqConfig]&(configMMIO|configMMIOAtEnd) == configMMIO:
		return uint64(c.readBlitRegister(addr))
	}
	return 0xff
}

// Write implements memory.Ops.
func (l cirrusLow) Write(addr uint64, size int, v uint64) {
	c := l.c
	switch {
	case !c.svga():
		lowMem{&c.Core}.Write(addr, size, v)
	case addr < window64K && c.blit.wants():
		c.feed(uint8(v))
	case addr < window64K:
		base, limit := c.bankAt(int(addr / bankSize))
		if addr %= bankSize; addr < limit {
			c.store(c.scaled(base+addr), uint8(v))
		}
	case addr-blitRegsAt < blitRegs && c.seq[seqConfig]&(configMMIO|configMMIOAtEnd) == configMMIO:
		c.writeBlitRegister(addr, uint8(v))
	}
}

// cirrusLinear answers video memory behind BAR 0 while that is not plain memory.
type cirrusLinear struct{ c *Cirrus }

// registers tells whether the blitter's registers are at an address.
func (l cirrusLinear) registers(addr uint64) bool {
	const both = configMMIO | configMMIOAtEnd
	return l.c.seq[seqConfig]&both == both && addr >= cirrusMemory-blitRegs
}

// Read implements memory.Ops.
func (l cirrusLinear) Read(addr uint64, _ int) uint64 {
	if addr &= cirrusMask; l.registers(addr) {
		return uint64(l.c.readBlitRegister(addr))
	}
	return uint64(l.c.mem[l.c.scaled(addr)])
}

// Write implements memory.Ops.
func (l cirrusLinear) Write(addr uint64, _ int, v uint64) {
	switch addr &= cirrusMask; {
	case l.registers(addr):
		l.c.writeBlitRegister(addr, uint8(v))
	case l.c.blit.wants():
		l.c.feed(uint8(v))
	default:
		l.c.store(l.c.scaled(addr), uint8(v))
	}
}

// cirrusFeed answers the part of BAR 0 to which the CPU writes what the blitter draws.
type cirrusFeed struct{ c *Cirrus }

// Read implements memory.Ops.
func (cirrusFeed) Read(uint64, int) uint64 { return 0xff }

// Write implements memory.Ops.
func (f cirrusFeed) Write(_ uint64, _ int, v uint64) {
	if f.c.blit.wants() {
		f.c.feed(uint8(v))
	}
}

// cirrusRegisters answers BAR 1: the ports from 0x3c0 on, then the blitter's registers.
type cirrusRegisters struct{ c *Cirrus }

// Read implements memory.Ops.
func (r cirrusRegisters) Read(off uint64, _ int) uint64 {
	switch {
	case off < blitRegs:
		return uint64(r.c.in(portAttr + uint16(off)))
	case off < 2*blitRegs:
		return uint64(r.c.readBlitRegister(off))
	}
	return 0xff
}

// Write implements memory.Ops.
func (r cirrusRegisters) Write(off uint64, _ int, v uint64) {
	switch {
	case off < blitRegs:
		r.c.out(portAttr+uint16(off), uint8(v))
	case off < 2*blitRegs:
		r.c.writeBlitRegister(off, uint8(v))
	}
}

// windows are the parts of the address space behind the device.
type windows struct {
	bar, low *memory.Region
	linear   *memory.Region    // shows video memory directly in bar
	banks    [2]*memory.Region // so, in low
}

// bytewise is a region of registers or memory that is accessed byte by byte.
func bytewise(name string, size uint64, ops memory.Ops) *memory.Region {
	r := memory.NewIO(name, size, ops)
	r.Impl = memory.Access{Min: 1, Max: 1}
	return r
}

// makeWindows makes all regions and returns those behind BAR 0 and 1.
func (c *Cirrus) makeWindows(space, io *memory.Region) (bar0, bar1 *memory.Region) {
	w := &c.windows
	io.Add(bytewise("cirrus-io", cirrusPortsLen, c), cirrusPorts, 0)
	w.low = memory.NewContainer("cirrus-lowmem-container", lowMemSize)
	w.low.Add(bytewise("cirrus-low-memory", lowMemSize, cirrusLow{c}), 0, 0)
	for i, name := range []string{"vga.bank0", "vga.bank1"} {
		w.banks[i] = memory.NewAlias(name, c.vram, 0, bankSize)
		w.banks[i].SetEnabled(false)
		w.low.Add(w.banks[i], uint64(i)*bankSize, 1)
	}
	space.Add(w.low, lowMemBase, 1)
	w.bar = memory.NewContainer("cirrus-pci-bar0", cirrusBAR)
	w.bar.Add(bytewise("cirrus-linear-io", c.vram.Size(), cirrusLinear{c}), 0, 0)
	w.bar.Add(bytewise("cirrus-bitblt-mmio", cirrusBlitSize, cirrusFeed{c}), cirrusBlitAt, 0)
	w.linear = memory.NewAlias("vga.vram", c.vram, 0, c.vram.Size())
	w.linear.SetEnabled(false)
	w.bar.Add(w.linear, 0, 1)
	return w.bar, bytewise("cirrus-mmio", cirrusMMIO, cirrusRegisters{c})
}

// updateAccess shows video memory directly where it is plain memory now.
func (c *Cirrus) updateAccess() {
	const both = configMMIO | configMMIOAtEnd
	plain := c.seq[seqConfig]&both != both && !c.blit.wants() && c.gfx[gfxBanking]&bank16Bytes != bank16Bytes && c.gfx[gfxBanking]&bank8Bytes == 0 && !c.expands()
	memory.Begin()
	defer memory.Commit()
	c.windows.linear.SetEnabled(plain)
	for i, r := range c.windows.banks {
		base, _ := c.bankAt(i)
		on := plain && c.svga() && base+bankSize <= uint64(len(c.mem)) // as with QEMU beyond the limit, too
		r.SetEnabled(on)
		if on {
			r.SetAliasOffset(base)
		}
	}
}
