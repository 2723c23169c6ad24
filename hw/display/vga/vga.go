package vga

import (
	"errors"
	"math/bits"

	"goemu/internal/memory"
	"goemu/ui"
)

// maxVideoMemory is the largest video memory in MiB.
const maxVideoMemory = 512

// guestRegs is the state that the guest sees.
type guestRegs struct {
	latch                                         uint32
	seqIndex, gfxIndex, attrIndex, crtIndex       uint8
	seq, gfx                                      [256]uint8
	attr                                          [attrCount]uint8
	flipFlop                                      int32
	crt                                           [256]uint8
	misc, feature, status0, status1               uint8
	dacState, dacSub, dacReadIndex, dacWriteIndex uint8
	dacCache                                      [3]uint8
	palette                                       [768]uint8
	bank                                          int32 // offset of the 64 KiB window in bytes
	vbeIndex                                      uint16
	vbe                                           [vbeRegs]uint16
	vbeStart, vbeLine, vbeBankMask                uint32 // the start counts groups of 4 bytes
	bigEndian                                     bool
}

// Core is the adapter without the bus it sits on.
type Core struct {
	guestRegs
	chip   chip     // nil for the standard VGA
	seqVBE [8]uint8 // what stands for seq while the extensions are on
	dac8   bool     // palette entries have 8 bits

	vram   *memory.Region
	mem    []byte
	mask   uint32
	con    *ui.Console
	space  *memory.Region // with the low window; nil if the adapter has none
	low    *memory.Region
	chain4 *memory.Region // shows the window directly as long as it is plain memory
	alias  window

	screen
}

// window is where the low window shows video memory directly.
type window struct {
	base, size, offset uint64
}

// Init makes the video memory. mib is its size, which is adjusted; name that of the memory in migration streams.
func (c *Core) Init(mib uint32, name string) (err error) {
	mib = max(1, min(mib, maxVideoMemory))
	mib = 1 << bits.Len32(mib-1)
	if c.vram, err = memory.NewRAM(name, uint64(mib)<<20); err != nil {
		return err
	}
	c.mem = c.vram.RAM().Bytes()
	c.mask = uint32(len(c.mem) - 1)
	return nil
}

// Connect shows the adapter's screen on a console.
func (c *Core) Connect(owner any) {
	c.ShowOn(ui.Main.Add(owner, 0, c))
}

// ShowOn shows the adapter's screen on a console that is there already.
func (c *Core) ShowOn(con *ui.Console) {
	c.con = con
	con.Track(c.vram.RAM())
}

// VRAM is the video memory.
func (c *Core) VRAM() *memory.Region { return c.vram }

// MapLow makes the adapter answer at the addresses of the VGA in space and at its ports in io.
func (c *Core) MapLow(space, io *memory.Region) {
	c.space = space
	c.low = memory.NewIO("vga-lowmem", lowMemSize, lowMem{c})
	c.low.Coalesced = []memory.Span{{Size: lowMemSize}}
	c.low.Impl = memory.Access{Min: 1, Max: 1}
	space.Add(c.low, lowMemBase, 1)
	for _, p := range []struct {
		name string
		at   uint16
		n    uint64
	}{{"vga", portCRTIndexMono, 2}, {"vga", portStatus1Mono, 1}, {"vga", portAttr, 16}, {"vga", portCRTIndexColor, 2}, {"vga", portStatus1Color, 1}} {
		r := memory.NewIO(p.name, p.n, &ports{c: c, base: p.at, n: uint16(p.n)})
		r.Valid.Unaligned, r.Impl.Unaligned = true, true
		io.Add(r, uint64(p.at), 0)
	}
	r := memory.NewIO("vbe", portVBEDataOther-portVBEIndex+2, vbePorts{c})
	r.Valid.Unaligned, r.Impl.Unaligned = true, true
	io.Add(r, portVBEIndex, 0)
}

// Reset puts the adapter in its power-on state; video memory keeps its contents.
func (c *Core) Reset() {
	c.guestRegs = guestRegs{vbeBankMask: uint32(len(c.mem)>>16 - 1)}
	c.vbe[vbeID] = vbeLastID
	c.seqVBE, c.dac8 = [8]uint8{}, false
	c.screen.reset()
	c.updateWindow()
}

// vbeOn tells whether the extensions are on.
func (c *Core) vbeOn() bool { return c.vbe[vbeEnable]&vbeEnabled != 0 }

// sr is the sequencer's register that counts.
func (c *Core) sr(i int) uint8 {
	if c.vbeOn() {
		return c.seqVBE[i]
	}
	return c.seq[i]
}

// bankOffset is the start of the 64 KiB window, which always lies in video memory.
func (c *Core) bankOffset() uint64 {
	return min(uint64(uint32(c.bank)), uint64(len(c.mem)-window64K))
}

// updateWindow shows video memory in the low window without any calls as long as it is plain memory there.
func (c *Core) updateWindow() {
	if c.space == nil {
		return
	}
	var w window
	if c.sr(seqPlaneWrite)&allPlanes == allPlanes && c.sr(seqMemMode)&memChain4 != 0 {
		switch c.gfx[gfxMisc] >> 2 & 3 {
		case 0:
			w = window{lowMemBase, lowMemSize, 0}
		case 1:
			w = window{lowMemBase, window64K, c.bankOffset()}
		case 2:
			w = window{lowMemBase + monoWindow, window32K, 0}
		default:
			w = window{lowMemBase + colorWindow, window32K, 0}
		}
	}
	if w == c.alias {
		return
	}
	memory.Begin()
	defer memory.Commit()
	if c.chain4 != nil {
		c.space.Remove(c.chain4)
		c.chain4 = nil
		c.planes = allPlanes
	}
	c.alias = w
	if w.size != 0 {
		c.chain4 = memory.NewAlias("vga.chain4", c.vram, w.offset, w.size)
		c.space.Add(c.chain4, w.base, 2)
	}
}

// loaded takes over a loaded state.
func (c *Core) loaded() error {
	if c.dacSub > 2 || c.chip == nil && (int(c.seqIndex) >= seqCount || int(c.gfxIndex) >= gfxCount) {
		return errors.New("vga: a register number of the stream is out of range")
	}
	if c.bank < 0 || int(c.bank) > len(c.mem)-window64K {
		return errors.New("vga: bank of the stream lies outside of video memory")
	}
	c.screen.graphics = modeNone
	c.vbeToVGA()
	c.updateWindow()
	return nil
}
