package vga

import (
	"fmt"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// Cirrus is the device type cirrus-vga: a Cirrus Logic GD5446 with 4 MiB of memory.
type Cirrus struct {
	pci.Device
	Core
	cirrusRegs
	MemoryMiB     uint32 `prop:"vgamem_mb,default=4"`
	Blitter       bool   `prop:"blitter,default=true"`
	GlobalVMState bool   `prop:"global-vmstate,default=false"`

	windows windows
	hidden  [48]uint8 // the cursor's palette; as in QEMU not part of the state
	cursor  cursor
	blit    blit
}

func newCirrus() qdev.Device {
	c := new(Cirrus)
	c.ROMFile = "vgabios-cirrus.bin"
	return c
}

// PCIInfo implements pci.Function.
func (c *Cirrus) PCIInfo() pci.Info {
	return pci.Info{Vendor: vendorCirrus, Device: deviceGD5446, Class: pci.ClassDisplayVGA}
}

const vendorCirrus, deviceGD5446 = 0x1013, 0x00b8

// Realize implements qdev.Device.
func (c *Cirrus) Realize() error {
	if c.MemoryMiB != 4 && c.MemoryMiB != 8 && c.MemoryMiB != 16 {
		return fmt.Errorf("Invalid cirrus_vga ram size '%d'", c.MemoryMiB)
	}
	name := c.RAMName("vga.vram")
	if c.GlobalVMState {
		name = "vga.vram"
	}
	if err := c.Init(c.MemoryMiB, name); err != nil {
		return err
	}
	c.chip = c
	bar0, bar1 := c.makeWindows(c.Bus().Memory(), c.Bus().Ports())
	c.SetBAR(0, pci.BARPrefetch, bar0)
	c.SetBAR(1, pci.BARMem32, bar1)
	c.Connect(c)
	return nil
}

// Unrealize implements qdev.Device.
func (c *Cirrus) Unrealize() { c.con.Close() }

// Reset implements qdev.Device.
func (c *Cirrus) Reset() {
	c.Core.Reset()
	c.cirrusRegs = cirrusRegs{dacLock: hiddenDACReads + 1, shadow: c.shadow, cursorX: c.cursorX, cursorY: c.cursorY}
	c.seq[seqUnlock], c.seq[seqMClk], c.seq[seqDRAM], c.seq[seqConfig], c.seq[seqMemorySize] = locked, 0x2d, 0x98, 0x20, 0x04
	c.gfx[gfxMemoryConfig] = 0x0f
	c.crt[crtID] = cirrusID
	c.blit.at, c.blit.end, c.blit.left = 0, 0, 0
	c.updateAccess()
}

// bpp implements chip.
func (c *Cirrus) bpp() int {
	if !c.svga() {
		return 0
	}
	switch c.seq[seqMode] & modeBPP {
	case 0x02, 0x06:
		if c.dacMode&15 == 1 {
			return 16
		}
		return 15
	case 0x04:
		return 24
	case 0x08:
		return 32
	}
	return 8
}

// resolution implements chip.
func (c *Cirrus) resolution() (width, height int) {
	height = c.lines()
	if c.crt[crtMisc]&crtInterlaced != 0 {
		height *= 2
	}
	return (int(c.crt[crtHDisplay]) + 1) * 8, height
}

// layout implements chip.
func (c *Cirrus) layout() (line, start, split uint32) {
	x := uint32(c.crt[crtExtended])
	line = (uint32(c.crt[crtOff]) | x&0x10<<4) << 3
	start = uint32(c.crt[crtStartHigh])<<8 | uint32(c.crt[crtStartLow]) | x&0x01<<16 | x&0x0c<<15 | uint32(c.crt[crtOverlay]&0x80)<<12
	split = uint32(c.crt[crtLineCompare]) | uint32(c.crt[crtOverflow]&0x10)<<4 | uint32(c.crt[crtMaxScan]&0x40)<<3
	return line, start, split
}

// loaded takes over a loaded state. A transfer to the blitter is not part of it.
func (c *Cirrus) loaded() error {
	c.gfx[0], c.gfx[1] = c.shadow[0]&15, c.shadow[1]&15
	c.blit.at, c.blit.end, c.blit.left = 0, 0, 0
	c.updateAccess()
	return c.Core.loaded()
}

var cirrusPCIState = vmstate.Description[Cirrus]{Name: "cirrus_vga", Version: 2, MinVersion: 2, Fields: []vmstate.Field[Cirrus]{
	vmstate.Struct("dev", &pci.State, func(c *Cirrus) *pci.Device { return &c.Device }),
	vmstate.Struct("cirrus_vga", &cirrusState, func(c *Cirrus) *Cirrus { return c }),
}}

var cirrusState = vmstate.Description[Cirrus]{Name: "cirrus_vga", Version: 2, MinVersion: 1,
	PostLoad: func(c *Cirrus, _ int) error { return c.loaded() },
	Fields: []vmstate.Field[Cirrus]{
		vmstate.Of("vga.latch", func(c *Cirrus) *uint32 { return &c.latch }),
		vmstate.Of("vga.sr_index", func(c *Cirrus) *uint8 { return &c.seqIndex }),
		vmstate.Buffer("vga.sr", 256, func(c *Cirrus) []byte { return c.seq[:] }),
		vmstate.Of("vga.gr_index", func(c *Cirrus) *uint8 { return &c.gfxIndex }),
		vmstate.Of("cirrus_shadow_gr0", func(c *Cirrus) *uint8 { return &c.shadow[0] }),
		vmstate.Of("cirrus_shadow_gr1", func(c *Cirrus) *uint8 { return &c.shadow[1] }),
		vmstate.Buffer("vga.gr", 254, func(c *Cirrus) []byte { return c.gfx[2:] }),
		vmstate.Of("vga.ar_index", func(c *Cirrus) *uint8 { return &c.attrIndex }),
		vmstate.Buffer("vga.ar", attrCount, func(c *Cirrus) []byte { return c.attr[:] }),
		vmstate.Of("vga.ar_flip_flop", func(c *Cirrus) *int32 { return &c.flipFlop }),
		vmstate.Of("vga.cr_index", func(c *Cirrus) *uint8 { return &c.crtIndex }),
		vmstate.Buffer("vga.cr", 256, func(c *Cirrus) []byte { return c.crt[:] }),
		vmstate.Of("vga.msr", func(c *Cirrus) *uint8 { return &c.misc }),
		vmstate.Of("vga.fcr", func(c *Cirrus) *uint8 { return &c.feature }),
		vmstate.Of("vga.st00", func(c *Cirrus) *uint8 { return &c.status0 }),
		vmstate.Of("vga.st01", func(c *Cirrus) *uint8 { return &c.status1 }),
		vmstate.Of("vga.dac_state", func(c *Cirrus) *uint8 { return &c.dacState }),
		vmstate.Of("vga.dac_sub_index", func(c *Cirrus) *uint8 { return &c.dacSub }),
		vmstate.Of("vga.dac_read_index", func(c *Cirrus) *uint8 { return &c.dacReadIndex }),
		vmstate.Of("vga.dac_write_index", func(c *Cirrus) *uint8 { return &c.dacWriteIndex }),
		vmstate.Buffer("vga.dac_cache", 3, func(c *Cirrus) []byte { return c.dacCache[:] }),
		vmstate.Buffer("vga.palette", 768, func(c *Cirrus) []byte { return c.palette[:] }),
		vmstate.Of("vga.bank_offset", func(c *Cirrus) *int32 { return &c.bank }),
		vmstate.Of("cirrus_hidden_dac_lockindex", func(c *Cirrus) *uint8 { return &c.dacLock }),
		vmstate.Of("cirrus_hidden_dac_data", func(c *Cirrus) *uint8 { return &c.dacMode }),
		vmstate.Of("vga.hw_cursor_x", func(c *Cirrus) *uint32 { return &c.cursorX }),
		vmstate.Of("vga.hw_cursor_y", func(c *Cirrus) *uint32 { return &c.cursorY }),
	},
}
