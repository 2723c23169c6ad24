package vga

import (
	"errors"
	"math/bits"

	"goemu/hw/display/edid"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
	"goemu/ui"
)

// Limits of the bochs-display's video memory, the smallest picture it shows, and the size of its EDID.
const (
	bochsMinMemory, bochsMaxMemory = 4 << 20, 256 << 20
	bochsMinSide                   = 64
	bochsEDID                      = 256
)

// Bochs is the device type bochs-display: the Bochs extensions without a VGA.
type Bochs struct {
	pci.Device
	Memory qdev.Size `prop:"vgamem,default=16777216"`
	EDID   bool      `prop:"edid,default=true"`
	edid.Info
	Order

	regs      [vbeRegs]uint16
	bigEndian bool

	vram   *memory.Region
	con    *ui.Console
	shown  bochsMode
	redraw bool
}

// bochsMode is where the picture lies in video memory.
type bochsMode struct {
	format        *ui.Format
	width, height int
	stride, at    uint64
}

func newBochs() qdev.Device {
	b := new(Bochs)
	b.ROMFile = "vgabios-bochs-display.bin"
	return b
}

var bochsState = vmstate.Description[Bochs]{Name: "bochs-display", Fields: []vmstate.Field[Bochs]{
	vmstate.Struct("pci", &pci.State, func(b *Bochs) *pci.Device { return &b.Device }),
	vmstate.Array("vbe_regs", func(b *Bochs) []uint16 { return b.regs[:] }),
	vmstate.Of("big_endian_fb", func(b *Bochs) *bool { return &b.bigEndian }),
}}

// PCIInfo implements pci.Function.
func (b *Bochs) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorQEMU, Device: 0x1111, Class: pci.ClassDisplayOther, Revision: revisionWithExt}
}

// Realize implements qdev.Device.
func (b *Bochs) Realize() (err error) {
	switch {
	case b.Memory < bochsMinMemory:
		return errors.New("bochs-display: video memory too small")
	case b.Memory > bochsMaxMemory:
		return errors.New("bochs-display: video memory too big")
	}
	size := uint64(1) << bits.Len64(uint64(b.Memory)-1)
	if b.vram, err = memory.NewRAM(b.RAMName("bochs-display-vram"), size); err != nil {
		return err
	}
	bar := NewRegisters("bochs-display-mmio")
	add := func(name string, at, size uint64, ops memory.Ops, valid, impl memory.Access) {
		r := memory.NewIO(name, size, ops)
		r.Valid, r.Impl = valid, impl
		bar.Add(r, at, 0)
	}
	any := memory.Access{Min: 1, Max: 4}
	add("bochs dispi interface", mmioVBEAt, mmioVBE, bochsRegs{b}, any, memory.Access{Min: 2, Max: 2})
	add("qemu extended regs", mmioExtAt, mmioExt, ExtendedRegs{&b.bigEndian}, memory.Access{Min: 4, Max: 4}, memory.Access{})
	if b.EDID {
		add("edid", 0, bochsEDID, Blob(edid.Generate(b.Info, bochsEDID)), any, memory.Access{Min: 1, Max: 1})
	}
	b.Order.show(b.QOM(), &b.bigEndian)
	b.SetBAR(0, pci.BARPrefetch, b.vram)
	b.SetBAR(2, pci.BARMem32, bar)
	b.con = ui.Main.Add(b, 0, b)
	b.con.Track(b.vram.RAM())
	return nil
}

// Unrealize implements qdev.Device.
func (b *Bochs) Unrealize() { b.con.Close() }

// bochsRegs answers the registers, which only keep what is written.
type bochsRegs struct{ b *Bochs }

// Read implements memory.Ops.
func (r bochsRegs) Read(off uint64, _ int) uint64 {
	switch i := off >> 1; {
	case i == vbeID:
		return vbeLastID
	case i == vbeMemory:
		return r.b.vram.Size() >> 16
	case i < vbeRegs:
		return uint64(r.b.regs[i])
	}
	return ^uint64(0)
}

// Write implements memory.Ops.
func (r bochsRegs) Write(off uint64, _ int, v uint64) {
	if i := off >> 1; i < vbeRegs {
		r.b.regs[i] = uint16(v)
	}
}

// mode reads the registers; ok is false if they describe no picture within video memory.
func (b *Bochs) mode() (m bochsMode, ok bool) {
	if b.regs[vbeEnable]&vbeEnabled == 0 {
		return m, false
	}
	switch {
	case b.regs[vbeBPP] == 16:
		m.format = &ui.RGB565
	case b.regs[vbeBPP] == 32 && b.bigEndian:
		m.format = &ui.BGRX8888
	case b.regs[vbeBPP] == 32:
		m.format = &ui.XRGB8888
	default:
		return m, false
	}
	m.width, m.height = int(b.regs[vbeX]), int(b.regs[vbeY])
	m.stride = uint64(max(b.regs[vbeVirtWidth], b.regs[vbeX])) * uint64(m.format.Bytes)
	m.at = uint64(b.regs[vbeXOffset])*uint64(m.format.Bytes) + uint64(b.regs[vbeYOffset])*m.stride
	return m, m.width >= bochsMinSide && m.height >= bochsMinSide && m.at+m.stride*uint64(m.height) <= b.vram.Size()
}

// Invalidate implements ui.Hardware.
func (b *Bochs) Invalidate() { b.redraw = true }

// Update implements ui.Hardware.
func (b *Bochs) Update() {
	m, ok := b.mode()
	if !ok { // the last picture stays
		if m = b.shown; m.format == nil {
			return
		}
	}
	full := m != b.shown || b.redraw
	if full {
		b.shown, b.redraw = m, false
		b.con.Resize(m.width, m.height)
	}
	mem, s := b.vram.RAM().Bytes(), b.con.Surface()
	first := -1
	for y := 0; y <= m.height; y++ {
		at, n := m.at+uint64(y)*m.stride, uint64(m.width*m.format.Bytes)
		changed := y < m.height && (full || b.con.Dirty(at, n))
		if changed {
			m.format.Line(s.Row(y), mem[at:at+n])
		}
		switch {
		case changed && first < 0:
			first = y
		case !changed && first >= 0:
			b.con.Changed(0, first, m.width, y-first)
			first = -1
		}
	}
	b.con.Clean()
}
