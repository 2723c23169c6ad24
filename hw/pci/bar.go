package pci

import (
	"encoding/binary"

	"goemu/internal/memory"
)

// BARs of a function; the last one is the expansion ROM.
const (
	numBARs = 7
	romBAR  = 6
)

// BARType says what a base address register maps.
type BARType uint8

// The kinds of BARs; BARPrefetch may be added to a memory kind.
const (
	BARIO       BARType = barIO
	BARMem32    BARType = 0
	BARMem64    BARType = barMem64
	BARPrefetch BARType = barPrefetch
)

type bar struct {
	region *memory.Region
	typ    BARType
	size   uint64
	mapped *memory.Region // container the region is in
	addr   uint64
}

func (d *Device) barOffset(n int) int {
	switch {
	case n == romBAR && d.bridge:
		return regBridgeROM
	case n == romBAR:
		return RegROM
	}
	return RegBAR0 + 4*n
}

// SetBAR makes base address register n (0..5) map region, whose size must be a power of two. A 64-bit one takes the next register too.
func (d *Device) SetBAR(n int, typ BARType, region *memory.Region) {
	size := region.Size()
	if size == 0 || size&(size-1) != 0 || n < 0 || n >= numBARs {
		panic("BUG: PCI BAR " + region.Name())
	}
	d.bars[n] = bar{region: region, typ: typ, size: size}
	at, mask := d.barOffset(n), ^(size - 1)
	if n == romBAR {
		mask |= romEnable
	}
	d.Set32(at, uint32(typ))
	d.SetWritable32(at, uint32(mask))
	if d.wide(n) {
		binary.LittleEndian.PutUint64(d.Writable[at:], mask)
		d.Set32(at+4, 0)
	}
}

// BAR returns the region behind a base address register and the address it is mapped at; ok is false while it is not mapped.
func (d *Device) BAR(n int) (r *memory.Region, addr uint64, ok bool) {
	b := &d.bars[n]
	return b.region, b.addr, b.mapped != nil
}

// BARType returns the kind of a base address register.
func (d *Device) BARType(n int) BARType { return d.bars[n].typ }

func (d *Device) wide(n int) bool {
	return n != romBAR && d.bars[n].typ&(barIO|barMem64) == barMem64
}

func (d *Device) resetBAR(n int) {
	if d.bars[n].region == nil {
		return
	}
	d.Set32(d.barOffset(n), uint32(d.bars[n].typ))
	if d.wide(n) {
		d.Set32(d.barOffset(n)+4, 0)
	}
}

// barAddress returns the address a register asks for; ok is false if it maps nothing.
func (d *Device) barAddress(n int) (addr uint64, ok bool) {
	b, at, cmd := &d.bars[n], d.barOffset(n), d.Get16(RegCommand)
	if b.typ&barIO != 0 {
		addr = uint64(d.Get32(at)) &^ (b.size - 1)
		last := addr + b.size - 1
		return addr, cmd&CommandIO != 0 && addr != 0 && last > addr && last < 0xffff
	}
	if cmd&CommandMemory == 0 || n == romBAR && d.Config[at]&romEnable == 0 {
		return 0, false
	}
	addr = uint64(d.Get32(at))
	if d.wide(n) {
		addr |= uint64(d.Get32(at+4)) << 32
	}
	addr &^= b.size - 1
	last := addr + b.size - 1
	if addr == 0 || last <= addr || last > memory.Whole {
		return 0, false
	}
	return addr, d.wide(n) || last < 0xffffffff
}

// updateMappings maps the BARs where the guest wants them.
func (d *Device) updateMappings() {
	memory.Begin()
	defer memory.Commit()
	for n := range d.bars {
		b := &d.bars[n]
		if b.region == nil {
			continue
		}
		addr, ok := d.barAddress(n)
		ok = ok && !d.off
		if ok == (b.mapped != nil) && addr == b.addr {
			continue
		}
		d.unmap(n)
		if !ok {
			continue
		}
		space := d.bus.pciMem
		if b.typ&barIO != 0 {
			space = d.bus.io
		}
		space.Add(b.region, addr, 1)
		b.mapped, b.addr = space, addr
	}
}

func (d *Device) unmap(n int) {
	b := &d.bars[n]
	if b.mapped != nil {
		b.mapped.Remove(b.region)
	}
	b.mapped, b.addr = nil, 0
}
