// Package ramfb is a screen in guest memory that firmware sets up through the firmware configuration device (QEMU's docs/specs/ramfb). It
// has no registers and does not say what has changed.
package ramfb

import (
	"encoding/binary"
	"errors"
	"slices"

	"goemu/hw/firmware/fwcfg"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/ui"
)

// The item is written whole: be64 address, be32 format, flags, width, height and bytes from one line to the next (0: no gaps).
const (
	itemName                            = "etc/ramfb"
	itemFormat, itemWidth               = 8, 16
	itemHeight, itemStride              = 20, 24
	itemSize                            = 28
	minSide, maxWidth, maxHeight        = 16, 16000, 12000
	romItem, rom                        = "vgaroms/vgabios-ramfb.bin", "vgabios-ramfb.bin"
	xr24, ar24, xb24, ab24       uint32 = 'X' | 'R'<<8 | tail, 'A' | 'R'<<8 | tail, 'X' | 'B'<<8 | tail, 'A' | 'B'<<8 | tail
	rg24                         uint32 = 'R' | 'G'<<8 | tail
	tail                                = '2'<<16 | '4'<<24
)

// formats are those of the Direct Rendering Manager that are understood.
var formats = map[uint32]*ui.Format{xr24: &ui.XRGB8888, ar24: &ui.XRGB8888, xb24: &ui.XBGR8888, ab24: &ui.XBGR8888, rg24: &ui.RGB888}

// Screen is the device type ramfb.
type Screen struct {
	qdev.Base
	item [itemSize]byte
	mem  *memory.AddressSpace
	con  *ui.Console
	mode mode
	line []uint32
	full bool
}

// mode is where the picture lies in guest memory, and how.
type mode struct {
	format        *ui.Format
	addr, stride  uint64
	width, height int
}

// size is how many bytes the picture takes.
func (m *mode) size() uint64 { return m.stride*uint64(m.height-1) + m.lineSize() }

func (m *mode) lineSize() uint64 { return uint64(m.width * m.format.Bytes) }

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{{Name: "ramfb", Category: qdev.Display, NoHotplug: true, New: func() qdev.Device { return new(Screen) }}}
}

// Realize implements qdev.Device.
func (s *Screen) Realize() error {
	s.con = ui.Main.Add(s, 0, s)
	return nil
}

// Unrealize implements qdev.Device.
func (s *Screen) Unrealize() { s.con.Close() }

// Connect gives the screens of a machine their items; readROM returns the contents of an expansion ROM, nil if it is not there.
func Connect(tree *qdev.Tree, fw *fwcfg.FWCfg, mem *memory.AddressSpace, readROM func(name string) []byte) error {
	for _, d := range tree.Devices() {
		s, ok := d.(*Screen)
		if !ok {
			continue
		}
		if !fw.DMA {
			return errors.New("ramfb device requires fw_cfg with DMA")
		}
		s.mem = mem
		if b := readROM(rom); b != nil {
			if err := fw.AddFile(romItem, b); err != nil {
				return err
			}
		}
		if err := fw.AddHooked(itemName, s.item[:], fwcfg.Hooks{Writable: true, Written: s.configure}); err != nil {
			return err
		}
	}
	return nil
}

// configure takes what firmware has written; what describes no picture in memory is ignored.
func (s *Screen) configure() {
	be := binary.BigEndian
	m := mode{format: formats[be.Uint32(s.item[itemFormat:])], addr: be.Uint64(s.item[:]), stride: uint64(be.Uint32(s.item[itemStride:]))}
	width, height := be.Uint32(s.item[itemWidth:]), be.Uint32(s.item[itemHeight:])
	if m.format == nil || width < minSide || width > maxWidth || height < minSide || height > maxHeight {
		return
	}
	m.width, m.height = int(width), int(height)
	if m.stride == 0 {
		m.stride = m.lineSize()
	}
	if _, ok := s.mem.Map(m.addr, m.size(), false); ok {
		s.mode, s.full, s.line = m, true, make([]uint32, m.width)
	}
}

// Invalidate implements ui.Hardware.
func (s *Screen) Invalidate() { s.full = true }

// Update implements ui.Hardware: it looks for the lines that have changed.
func (s *Screen) Update() {
	m := &s.mode
	if m.format == nil {
		return
	}
	out := s.con.Resize(m.width, m.height)
	raw := make([]byte, m.lineSize())
	first := -1
	for y := 0; y <= m.height; y++ {
		changed := false
		if y < m.height {
			s.mem.Read(m.addr+uint64(y)*m.stride, raw)
			m.format.Line(s.line, raw)
			if changed = s.full || !slices.Equal(s.line, out.Row(y)); changed {
				copy(out.Row(y), s.line)
			}
		}
		switch {
		case changed && first < 0:
			first = y
		case !changed && first >= 0:
			s.con.Changed(0, first, m.width, y-first)
			first = -1
		}
	}
	s.full = false
}
