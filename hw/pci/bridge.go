package pci

import (
	"encoding/binary"
	"fmt"

	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// Registers of a bridge's header (PCI-to-PCI Bridge Architecture Specification 1.2, §3.2).
const (
	RegPrimaryBus     = 0x18
	RegSecondaryBus   = 0x19
	RegSubordinateBus = 0x1a
	// RegSecondaryStatus and RegBridgeControl belong to the bus behind the bridge.
	RegSecondaryStatus = 0x1e
	RegBridgeControl   = 0x3e
	regIOBase          = 0x1c
	regIOLimit         = 0x1d
	regMemBase         = 0x20
	regMemLimit        = 0x22
	regPrefBase        = 0x24
	regPrefLimit       = 0x26
	regPrefBaseHi      = 0x28
	regPrefLimitHi     = 0x2c
	regIOBaseHi        = 0x30
	regIOLimitHi       = 0x32
	regBridgeROM       = 0x38

	headerBridge              = 1
	ioMask, memMask           = 0xf0, 0xfff0
	io32, pref64              = 0x01, 0x01
	statusFast66              = 0x00a0
	ctlVGA, ctlReset          = 0x0008, 0x0040
	ctlWritable, ctlClearOnes = 0x0bff &^ 0x0400, 0x0400
	ioGranule, memGranule     = 0x1000, 0x100000
	vgaMem, vgaMemSize        = 0xa0000, 0x20000
	vgaIOLow, vgaIOLowSize    = 0x3b0, 0xc
	vgaIOHigh, vgaIOHighSize  = 0x3c0, 0x20
	bridgePriority            = 1
	vgaWindows                = 3
)

// Windows of a bridge.
const (
	WindowMemory = iota
	WindowPrefetchable
	WindowIO
	windowCount
)

// Bridge is the part common to all PCI-to-PCI bridges; embed it.
type Bridge struct {
	Device
	sec     *Bus
	wire    func(devfn uint8, pin int) int // nil: Swizzle
	mem, io *memory.Region
	windows [windowCount]*memory.Region
	vga     [vgaWindows]*memory.Region
}

// BridgeDevice is a bridge of any kind.
type BridgeDevice interface {
	Function
	AsBridge() *Bridge
}

// AsBridge implements BridgeDevice.
func (b *Bridge) AsBridge() *Bridge { return b }

// Secondary is the bus behind the bridge.
func (b *Bridge) Secondary() *Bus { return b.sec }

// initBridge fills the header that is a bridge's own.
func (d *Device) initBridge() {
	copy(d.Writable[RegPrimaryBus:], []byte{0xff, 0xff, 0xff, 0xff})
	d.Writable[regIOBase], d.Writable[regIOLimit] = ioMask, ioMask
	for _, at := range []int{regMemBase, regMemLimit, regPrefBase, regPrefLimit} {
		d.SetWritable16(at, memMask)
	}
	d.SetWritable32(regPrefBaseHi, 0xffffffff)
	d.SetWritable32(regPrefLimitHi, 0xffffffff)
	d.Set16(regPrefBase, pref64)
	d.Set16(regPrefLimit, pref64)
	d.SetWritable16(RegBridgeControl, ctlWritable)
	binary.LittleEndian.PutUint16(d.ClearOnes[RegBridgeControl:], ctlClearOnes)
	d.Config[RegHeaderType] |= headerBridge
}

// InitBridge makes the bus behind the bridge. Its name is the device's identifier if there is one; express says of which kind it is.
func (b *Bridge) InitBridge(express bool, fallback string) {
	typ := BusType
	if express {
		typ = ExpressBusType
	}
	b.Set16(RegStatus, b.Get16(RegStatus)|statusFast66)
	b.Set16(RegSecondaryStatus, statusFast66)
	b.mem, b.io = memory.NewContainer("pci_bridge_pci", memory.Whole), memory.NewContainer("pci_bridge_io", 1<<32)
	b.sec = &Bus{mem: b.bus.mem, pciMem: b.mem, io: b.io, bridge: b, selector: -1}
	name := b.ID()
	if name == "" {
		name = fallback
	}
	qdev.InitBus(b.sec, b.fn, typ, name, 0)
	memory.Begin()
	defer memory.Commit()
	for i, name := range [windowCount]string{"pci_bridge_mem", "pci_bridge_pref_mem", "pci_bridge_io"} {
		from, to := b.mem, b.bus.pciMem
		if i == WindowIO {
			from, to = b.io, b.bus.io
		}
		b.windows[i] = memory.NewAlias(name, from, 0, 0)
		b.windows[i].SetEnabled(false)
		to.Add(b.windows[i], 0, bridgePriority)
	}
	for i, w := range [vgaWindows]struct {
		name     string
		io       bool
		at, size uint64
	}{{"pci_bridge_vga_mem", false, vgaMem, vgaMemSize}, {"pci_bridge_vga_io_lo", true, vgaIOLow, vgaIOLowSize}, {"pci_bridge_vga_io_hi", true, vgaIOHigh, vgaIOHighSize}} {
		from, to := b.mem, b.bus.pciMem
		if w.io {
			from, to = b.io, b.bus.io
		}
		b.vga[i] = memory.NewAlias(w.name, from, w.at, w.size)
		b.vga[i].SetEnabled(false)
		to.Add(b.vga[i], w.at, bridgePriority)
	}
	b.updateWindows()
}

// Unrealize implements qdev.Device.
func (b *Bridge) Unrealize() {
	memory.Begin()
	defer memory.Commit()
	for i, w := range b.windows {
		if i == WindowIO {
			b.bus.io.Remove(w)
		} else {
			b.bus.pciMem.Remove(w)
		}
	}
	for i, w := range b.vga {
		if i > 0 {
			b.bus.io.Remove(w)
		} else {
			b.bus.pciMem.Remove(w)
		}
	}
}

// Window returns a window's bounds, the limit inclusive: empty if the limit is below the base.
func (b *Bridge) Window(i int) (base, limit uint64) {
	switch i {
	case WindowIO:
		base, limit = uint64(b.Config[regIOBase]&ioMask)<<8, uint64(b.Config[regIOLimit]&ioMask)<<8
		if b.Config[regIOBase]&io32 != 0 {
			base, limit = base|uint64(b.Get16(regIOBaseHi))<<16, limit|uint64(b.Get16(regIOLimitHi))<<16
		}
		return base, limit | ioGranule - 1
	case WindowPrefetchable:
		base, limit = uint64(b.Get16(regPrefBase)&memMask)<<16, uint64(b.Get16(regPrefLimit)&memMask)<<16
		if b.Config[regPrefBase]&pref64 != 0 {
			base, limit = base|uint64(b.Get32(regPrefBaseHi))<<32, limit|uint64(b.Get32(regPrefLimitHi))<<32
		}
	default:
		base, limit = uint64(b.Get16(regMemBase)&memMask)<<16, uint64(b.Get16(regMemLimit)&memMask)<<16
	}
	return base, limit | memGranule - 1
}

// updateWindows shows what is behind the bridge in the ranges that its registers name.
func (b *Bridge) updateWindows() {
	memory.Begin()
	defer memory.Commit()
	cmd := b.Get16(RegCommand)
	for i, w := range b.windows {
		base, limit := b.Window(i)
		on := cmd&CommandMemory != 0
		if i == WindowIO {
			on = cmd&CommandIO != 0
		}
		on = on && limit >= base && base < memory.Whole
		w.SetEnabled(on)
		if on {
			w.SetSize(limit - base + 1)
			w.SetAliasOffset(base)
			w.SetOffset(base)
		}
	}
	vga := b.Get16(RegBridgeControl)&ctlVGA != 0
	for i, w := range b.vga {
		if i == 0 {
			w.SetEnabled(vga && cmd&CommandMemory != 0)
		} else {
			w.SetEnabled(vga && cmd&CommandIO != 0)
		}
	}
}

// WriteConfig implements ConfigWriter.
func (b *Bridge) WriteConfig(addr, size int, v uint32) {
	old := b.Get16(RegBridgeControl)
	b.DefaultWriteConfig(addr, size, v)
	touches := func(at, n int) bool { return addr < at+n && addr+size > at }
	if touches(RegCommand, 2) || touches(regIOBase, 2) || touches(regMemBase, 20) || touches(RegBridgeControl, 2) {
		b.updateWindows()
	}
	if b.Get16(RegBridgeControl)&^old&ctlReset != 0 {
		b.sec.Reset()
	}
}

// ResetBridge puts the bridge's registers into their power-on state.
func (b *Bridge) ResetBridge() {
	clear(b.Config[RegPrimaryBus : RegPrimaryBus+4])
	b.Config[regIOBase] &^= ioMask
	b.Config[regIOLimit] &^= ioMask
	for _, at := range []int{regMemBase, regMemLimit, regPrefBase, regPrefLimit} {
		b.Set16(at, b.Get16(at)&^memMask)
	}
	b.Set32(regPrefBaseHi, 0)
	b.Set32(regPrefLimitHi, 0)
	b.Set16(RegBridgeControl, 0)
	b.updateWindows()
}

// DropIO makes a bridge that forwards no I/O ports.
func (b *Bridge) DropIO() {
	b.Writable[RegCommand] &^= CommandIO
	b.Writable[regIOBase], b.Writable[regIOLimit] = 0, 0
}

// CloseWindows makes the windows empty, which all-zero registers do not.
func (b *Bridge) CloseWindows() {
	b.Config[regIOBase] |= ioMask
	b.Config[regIOLimit] &^= ioMask
	for _, at := range []int{regMemBase, regPrefBase} {
		b.Set16(at, b.Get16(at)|memMask)
	}
	for _, at := range []int{regMemLimit, regPrefLimit} {
		b.Set16(at, b.Get16(at)&^memMask)
	}
	b.Set32(regPrefBaseHi, 0)
	b.Set32(regPrefLimitHi, 0)
	b.updateWindows()
}

// Number is the bus's number: that of a bus behind a bridge is in the bridge's registers.
func (b *Bus) Number() uint8 {
	if b.bridge == nil {
		return 0
	}
	return b.bridge.Config[RegSecondaryBus]
}

// children lists the bridges on the bus.
func (b *Bus) children() (out []*Bridge) {
	for _, fn := range b.funcs {
		if br, ok := fn.(BridgeDevice); ok && br.AsBridge().sec != nil {
			out = append(out, br.AsBridge())
		}
	}
	return out
}

// Numbered finds the bus with a number: b itself or one behind it; nil if there is none.
func (b *Bus) Numbered(n uint8) *Bus {
	if b.Number() == n {
		return b
	}
next:
	for depth := 0; depth < functions; depth++ {
		for _, br := range b.children() {
			c := br.Config
			if c[RegSecondaryBus] == n {
				return br.sec
			}
			if br.Get16(RegBridgeControl)&ctlReset == 0 && c[RegSecondaryBus] <= n && n <= c[RegSubordinateBus] {
				b = br.sec
				continue next
			}
		}
		return nil
	}
	return nil
}

// path is the bus's place for the names of states: the slots of the bridges on the way to it.
func (b *Bus) path() string {
	if b.bridge == nil {
		return "0000:00"
	}
	d := &b.bridge.Device
	return fmt.Sprintf("%s:%02x.%x", b.bridge.bus.path(), d.devfn>>3, d.devfn&7)
}
