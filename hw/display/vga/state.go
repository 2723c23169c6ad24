package vga

import (
	"fmt"

	"goemu/migration/vmstate"
)

// vbeLayout is what a stream says about the layout of the extensions' registers.
const vbeLayout = 1

var CoreState = vmstate.Description[Core]{Name: "vga", Version: 2, MinVersion: 2,
	PreLoad:  func(c *Core) { c.bigEndian = false },
	PostLoad: func(c *Core, _ int) error { return c.loaded() },
	Fields: []vmstate.Field[Core]{
		vmstate.Of("latch", func(c *Core) *uint32 { return &c.latch }),
		vmstate.Of("sr_index", func(c *Core) *uint8 { return &c.seqIndex }),
		vmstate.Buffer("sr", seqCount, func(c *Core) []byte { return c.seq[:seqCount] }),
		vmstate.Of("gr_index", func(c *Core) *uint8 { return &c.gfxIndex }),
		vmstate.Buffer("gr", gfxCount, func(c *Core) []byte { return c.gfx[:gfxCount] }),
		vmstate.Of("ar_index", func(c *Core) *uint8 { return &c.attrIndex }),
		vmstate.Buffer("ar", attrCount, func(c *Core) []byte { return c.attr[:] }),
		vmstate.Of("ar_flip_flop", func(c *Core) *int32 { return &c.flipFlop }),
		vmstate.Of("cr_index", func(c *Core) *uint8 { return &c.crtIndex }),
		vmstate.Buffer("cr", 256, func(c *Core) []byte { return c.crt[:] }),
		vmstate.Of("msr", func(c *Core) *uint8 { return &c.misc }),
		vmstate.Of("fcr", func(c *Core) *uint8 { return &c.feature }),
		vmstate.Of("st00", func(c *Core) *uint8 { return &c.status0 }),
		vmstate.Of("st01", func(c *Core) *uint8 { return &c.status1 }),
		vmstate.Of("dac_state", func(c *Core) *uint8 { return &c.dacState }),
		vmstate.Of("dac_sub_index", func(c *Core) *uint8 { return &c.dacSub }),
		vmstate.Of("dac_read_index", func(c *Core) *uint8 { return &c.dacReadIndex }),
		vmstate.Of("dac_write_index", func(c *Core) *uint8 { return &c.dacWriteIndex }),
		vmstate.Buffer("dac_cache", 3, func(c *Core) []byte { return c.dacCache[:] }),
		vmstate.Buffer("palette", 768, func(c *Core) []byte { return c.palette[:] }),
		vmstate.Of("bank_offset", func(c *Core) *int32 { return &c.bank }),
		vmstate.Custom("is_vbe_vmstate", 1, func(_ *Core, w *vmstate.Writer) { w.U8(vbeLayout) }, func(_ *Core, r *vmstate.Reader) error {
			if v := r.U8(); r.Err() == nil && v != vbeLayout {
				return fmt.Errorf("%x != %x", v, vbeLayout)
			}
			return r.Err()
		}).As("uint8 equal"),
		vmstate.Of("vbe_index", func(c *Core) *uint16 { return &c.vbeIndex }),
		vmstate.Array("vbe_regs", func(c *Core) []uint16 { return c.vbe[:] }),
		vmstate.Of("vbe_start_addr", func(c *Core) *uint32 { return &c.vbeStart }),
		vmstate.Of("vbe_line_offset", func(c *Core) *uint32 { return &c.vbeLine }),
		vmstate.Of("vbe_bank_mask", func(c *Core) *uint32 { return &c.vbeBankMask }),
	},
	Subsections: []*vmstate.Description[Core]{{Name: "vga.endian", Version: 1, MinVersion: 1, Needed: func(c *Core) bool { return c.bigEndian },
		Fields: []vmstate.Field[Core]{vmstate.Of("big_endian_fb", func(c *Core) *bool { return &c.bigEndian })}}},
}
