package i8257

import "goemu/migration/vmstate"

var chipState = vmstate.Description[Chip]{Name: "dma", Version: 1, MinVersion: 1, Fields: []vmstate.Field[Chip]{
	vmstate.Of("command", func(c *Chip) *uint8 { return &c.command }),
	vmstate.Of("mask", func(c *Chip) *uint8 { return &c.mask }),
	vmstate.Of("flip_flop", func(c *Chip) *uint8 { return &c.upper }),
	vmstate.Computed("dshift", func(c *Chip) int32 { return c.Shift }, func(*Chip, int32) {}),
	vmstate.Structs("regs", &channelState, func(c *Chip) []channel { return c.regs[:] }).Since(1),
}, PostLoad: func(c *Chip, _ int) error { c.run(); return nil }}

var channelState = vmstate.Description[channel]{Name: "dma_regs", Version: 1, MinVersion: 1, Fields: []vmstate.Field[channel]{
	vmstate.Array("now", func(c *channel) []int32 { return c.now[:] }),
	vmstate.Array("base", func(c *channel) []uint16 { return c.base[:] }),
	vmstate.Of("mode", func(c *channel) *uint8 { return &c.mode }),
	vmstate.Of("page", func(c *channel) *uint8 { return &c.page }),
	vmstate.Of("pageh", func(c *channel) *uint8 { return &c.high }),
	vmstate.Of("dack", func(c *channel) *uint8 { return &c.dack }),
	vmstate.Of("eop", func(c *channel) *uint8 { return &c.eop }),
}}
