// Package i8257 is the DMA controller of the PC: two chips with four channels each, the second of which moves words (Intel 8237A data sheet;
// the page registers are the PC AT's). Memory-to-memory transfers and the other commands that no PC uses are left out, as in QEMU.
package i8257

import (
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

const channels = 4

// What a channel has two of.
const addr, count = 0, 1

// Ports of a chip, in units of the chip's word: two for each channel, address and count, then the chip's registers.
const (
	channelPorts = 2 * channels

	regStatus  = 0 // read; the command when written
	regRequest = 1 // read: the mask
	regMask    = 2
	regMode    = 3
	regClear   = 4 // the byte pointer
	regReset   = 5
	regUnmask  = 6
	regMasks   = 7
)

// Bits of the registers.
const (
	cmdUnsupported       = 0xfb // everything but the bit that disables the controller
	setBit               = 0x04 // of a request or a mask for one channel
	channelMask          = 0x03
	modeTransfer         = 0x0c // 0: verify, nothing is moved
	modeDecrement        = 0x20
	statusRequests       = 4 // shift
	statusReached        = 0x0f
	highPageMask         = 0x7f
	pagePorts            = 8
	pollNS         int64 = 10_000_000 // how often a device that has moved only a part is asked again
)

// pageChannels are the channels of the page registers by their ports; -1: no register.
var pageChannels = [pagePorts]int{-1, 2, 3, 1, -1, -1, -1, 0}

// channel is the state of a channel.
type channel struct {
	now              [2]int32  // bytes: the address within the page, and what has been moved
	base             [2]uint16 // words, less one for the count
	mode, page, high uint8
	dack, eop        uint8 // of the stream

	handler isa.DMAHandler
}

// Chip is the device type i8257.
type Chip struct {
	isa.Device
	Base     int32 `prop:"base,default=0"`
	PageBase int32 `prop:"page-base,default=128"`
	Shift    int32 `prop:"dshift,default=0"`

	memory                *memory.AddressSpace
	command, mask, status uint8
	upper                 uint8 // the next byte of an address or count is the upper one
	regs                  [channels]channel
	running               bool
	poll                  *clock.Timer
}

// Class is the device type.
var Class = qdev.Class{Name: "i8257", Bus: isa.BusType, Internal: true, Category: qdev.Other,
	New: func() qdev.Device { return new(Chip) }, State: qdev.State(&chipState)}

// NewPair puts the two chips on the bus: the first at port 0, the second, which moves words, at port 0xc0. mem is what they reach.
func NewPair(tree *qdev.Tree, bus *isa.Bus, mem *memory.AddressSpace) error {
	for i, at := range [2]struct{ base, page int32 }{{0, 0x80}, {0xc0, 0x88}} {
		d, err := tree.New(&Class)
		if err != nil {
			return err
		}
		chip := d.(*Chip)
		chip.Base, chip.PageBase, chip.Shift, chip.memory = at.base, at.page, int32(i), mem
		if err := qdev.Realize(chip, bus); err != nil {
			return err
		}
		var list []isa.DMAChannel
		for n := range channels {
			list = append(list, port{chip, n})
		}
		bus.SetDMA(i*channels, list)
	}
	return nil
}

// Realize implements qdev.Device.
func (c *Chip) Realize() error {
	size := channelPorts << c.Shift
	c.MapPorts("dma-chan", uint16(c.Base), size, channelRegs{c}).Impl.Max = 1
	c.MapPorts("dma-cont", uint16(c.Base)+uint16(size), size, controlRegs{c}).Impl.Max = 1
	for n, ch := range pageChannels {
		if ch >= 0 {
			c.MapPorts("dma-page", uint16(c.PageBase)+uint16(n), 1, pageReg{&c.regs[ch].page}).Impl.Max = 1
		}
	}
	c.poll = mainloop.NewTimer(clock.Virtual, c.run)
	return nil
}

// Unrealize implements qdev.Device.
func (c *Chip) Unrealize() {
	c.poll.Del()
	c.UnmapPorts()
}

// Reset implements qdev.Device. The channels' registers are kept.
func (c *Chip) Reset() {
	c.clear()
	c.poll.Del()
}

func (c *Chip) clear() { c.upper, c.mask, c.status, c.command = 0, 0xff, 0, 0 }

// pageReg is a page register.
type pageReg struct{ p *uint8 }

// Read implements memory.Ops.
func (r pageReg) Read(uint64, int) uint64 { return uint64(*r.p) }

// Write implements memory.Ops.
func (r pageReg) Write(_ uint64, _ int, v uint64) { *r.p = uint8(v) }

// channelRegs are the addresses and counts.
type channelRegs struct{ *Chip }

// at is the channel of a port, and which of its registers is there.
func (c channelRegs) at(off uint64) (ch *channel, reg int) {
	n := off >> c.Shift
	return &c.regs[n>>1&channelMask], int(n & 1)
}

// flip moves the byte pointer and returns whether it stood at the upper byte.
func (c *Chip) flip() bool {
	was := c.upper != 0
	c.upper = 1
	if was {
		c.upper = 0
	}
	return was
}

// Read implements memory.Ops: what is left to move, or where the next transfer goes.
func (c channelRegs) Read(off uint64, _ int) uint64 {
	ch, reg := c.at(off)
	var v int32
	switch {
	case reg == count:
		v = int32(ch.base[count])<<c.Shift - ch.now[count]
	case ch.mode&modeDecrement != 0:
		v = ch.now[addr] - ch.now[count]
	default:
		v = ch.now[addr] + ch.now[count]
	}
	v >>= c.Shift
	if c.flip() {
		v >>= 8
	}
	return uint64(uint8(v))
}

// Write implements memory.Ops. The upper byte starts the channel over.
func (c channelRegs) Write(off uint64, _ int, v uint64) {
	ch, reg := c.at(off)
	if !c.flip() {
		ch.base[reg] = ch.base[reg]&0xff00 | uint16(uint8(v))
		return
	}
	ch.base[reg] = ch.base[reg]&0xff | uint16(v)<<8
	ch.now[addr], ch.now[count] = int32(ch.base[addr])<<c.Shift, 0
}

// controlRegs are the registers that the channels share.
type controlRegs struct{ *Chip }

// Read implements memory.Ops. Reading the status forgets which channels have reached their ends.
func (c controlRegs) Read(off uint64, _ int) uint64 {
	switch off >> c.Shift {
	case regStatus:
		v := c.status
		c.status &^= statusReached
		return uint64(v)
	case regRequest:
		return uint64(c.mask)
	}
	return 0
}

// Write implements memory.Ops.
func (c controlRegs) Write(off uint64, _ int, value uint64) {
	v := uint8(value)
	n := v & channelMask
	switch off >> c.Shift {
	case regStatus:
		if v&cmdUnsupported == 0 {
			c.command = v
		}
	case regRequest:
		c.setRequest(int(n), v&setBit != 0)
		c.status &^= 1 << n
		c.run()
	case regMask:
		c.mask &^= 1 << n
		if v&setBit != 0 {
			c.mask |= 1 << n
		}
		c.run()
	case regMode:
		c.regs[n].mode = v
	case regClear:
		c.upper = 0
	case regReset:
		c.clear()
	case regUnmask:
		c.mask = 0
		c.run()
	case regMasks:
		c.mask = v
		c.run()
	}
}

func (c *Chip) setRequest(n int, on bool) {
	c.status &^= 1 << (n + statusRequests)
	if on {
		c.status |= 1 << (n + statusRequests)
	}
}
