// Package pci is the PCI bus: configuration space, base address registers, interrupt routing, capabilities, MSI and MSI-X.
package pci

import (
	"encoding/binary"
	"fmt"
	"sync"

	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// Info is what a function says about itself in its configuration header.
type Info struct {
	Vendor, Device       uint16
	Class                uint16
	Revision, ProgIf     uint8
	SubVendor, SubDevice uint16 // both zero: QEMU's default
	Express              bool   // has an extended configuration space
	Bridge               bool   // has the header of a bridge, without subsystem
	MultiFunction        bool   // says so even without the property
}

// Function is a PCI device model: a struct with Device embedded.
type Function interface {
	qdev.Device
	PCI() *Device
	PCIInfo() Info
}

// ConfigReader and ConfigWriter are implemented by functions that do something of their own at configuration accesses; they use
// DefaultReadConfig and DefaultWriteConfig for the rest. size is 1, 2 or 4.
type ConfigReader interface {
	ReadConfig(addr, size int) uint32
}

// ConfigWriter is described with ConfigReader.
type ConfigWriter interface {
	WriteConfig(addr, size int, value uint32)
}

// Props are the properties of every PCI device.
type Props struct {
	Addr          qdev.DevFn `prop:"addr,default=-1" help:"Slot and optional function number, example: 06.0 or 06"`
	Multifunction bool       `prop:"multifunction,default=false" help:"on/off"`
	ROMFile       string     `prop:"romfile"`
	ROMSize       uint32     `prop:"romsize,default=0xffffffff"`
	ROMBar        uint32     `prop:"rombar,default=1"`
	ACPIIndex     uint32     `prop:"acpi-index,default=0"`
	PairID        string     `prop:"failover_pair_id"`
	LinkActive    bool       `prop:"x-pcie-lnksta-dllla,default=true" help:"on/off"` // a port's link tells whether there is a device
	ExtendedInit  bool       `prop:"x-pcie-extcap-init,default=true" help:"on/off"`  // the head of no extended capability is constant
}

// Device is the part common to all PCI functions; embed it.
type Device struct {
	qdev.Base
	Props

	// Config is the configuration space, Writable the bits a guest may change, ClearOnes the bits it clears by writing ones.
	Config, Writable, ClearOnes []byte

	fn      Function
	bus     *Bus
	devfn   uint8
	bars    [numBARs]bar
	used    []bool // bytes taken by capabilities
	intx    [4]bool
	intxOff bool // the guest has disabled the interrupt pins
	express int  // place of the PCI Express capability, 0 if there is none
	power   int  // place of the power management capability whose state ResetEndpoint clears
	master  *memory.Region
	space   *memory.AddressSpace
	rom     *memory.Region
	ownROM  string // file of the expansion ROM unless the user names one
	version int32
	bridge  bool // has a bridge's header
	off     bool // the slot has no power
	msi     msiState
	msixMu  sync.Mutex
	msix    msixState
}

// PCI implements Function.
func (d *Device) PCI() *Device { return d }

// Bus returns the bus the device sits on.
func (d *Device) Bus() *Bus { return d.bus }

// DevFn returns slot and function.
func (d *Device) DevFn() uint8 { return d.devfn }

// DMA returns the memory as the device sees it as bus master: empty while the guest has not enabled bus mastering.
func (d *Device) DMA() *memory.AddressSpace { return d.space }

// Mastering tells whether the guest has enabled bus mastering.
func (d *Device) Mastering() bool { return d.Get16(RegCommand)&CommandMaster != 0 }

// Get16 reads a little endian number from the configuration space.
func (d *Device) Get16(at int) uint16 { return binary.LittleEndian.Uint16(d.Config[at:]) }

// Get32 reads a little endian number from the configuration space.
func (d *Device) Get32(at int) uint32 { return binary.LittleEndian.Uint32(d.Config[at:]) }

// Set16 writes a little endian number to the configuration space.
func (d *Device) Set16(at int, v uint16) { binary.LittleEndian.PutUint16(d.Config[at:], v) }

// Set32 writes a little endian number to the configuration space.
func (d *Device) Set32(at int, v uint32) { binary.LittleEndian.PutUint32(d.Config[at:], v) }

// SetWritable16 sets which bits of a register the guest may change.
func (d *Device) SetWritable16(at int, v uint16) { binary.LittleEndian.PutUint16(d.Writable[at:], v) }

// MakeWritable16 lets the guest change more bits of a register.
func (d *Device) MakeWritable16(at int, v uint16) {
	d.SetWritable16(at, binary.LittleEndian.Uint16(d.Writable[at:])|v)
}

// SetWritable32 sets which bits of a register the guest may change.
func (d *Device) SetWritable32(at int, v uint32) { binary.LittleEndian.PutUint32(d.Writable[at:], v) }

// SetInterruptPin says which of INTA..INTD (1..4) the function uses.
func (d *Device) SetInterruptPin(pin uint8) { d.Config[RegIntPin] = pin }

// init fills the configuration header.
func (d *Device) init(fn Function, bus *Bus, devfn uint8) {
	info := fn.PCIInfo()
	size := ConfigSize
	if info.Express {
		size = ExpressConfigSize
	}
	d.fn, d.bus, d.devfn, d.version = fn, bus, devfn, stateVersion
	d.Config, d.Writable, d.ClearOnes = make([]byte, size), make([]byte, size), make([]byte, size)
	d.used = make([]bool, size)
	for i := range headerSize {
		d.used[i] = true
	}
	d.Set16(RegVendorID, info.Vendor)
	d.Set16(RegDeviceID, info.Device)
	d.Set16(RegClass, info.Class)
	d.Config[RegRevision], d.Config[RegProgIf] = info.Revision, info.ProgIf
	if info.SubVendor == 0 && info.SubDevice == 0 {
		info.SubVendor, info.SubDevice = defaultSubVendor, defaultSubDevice
	}
	if info.Bridge {
		d.bridge = true
		d.initBridge()
	} else {
		d.Set16(RegSubVendorID, info.SubVendor)
		d.Set16(RegSubDeviceID, info.SubDevice)
	}
	if d.Multifunction || info.MultiFunction {
		d.Config[RegHeaderType] |= headerMultifunction
	}
	d.SetWritable16(RegCommand, CommandIO|CommandMemory|CommandMaster|CommandIntxDisable|commandSERR)
	binary.LittleEndian.PutUint16(d.ClearOnes[RegStatus:], statusW1C)
	d.Writable[RegCacheLine], d.Writable[RegIntLine] = 0xff, 0xff
	for i := headerSize; i < size; i++ {
		d.Writable[i] = 0xff
	}
	if bus.mem != nil {
		d.master = memory.NewContainer("bus master container", memory.Whole)
		alias := memory.NewAlias("bus master", bus.mem, 0, memory.Whole)
		alias.SetEnabled(false)
		d.master.Add(alias, 0, 0)
		d.space = memory.NewAddressSpace(d.Class().Name, d.master)
		d.master = alias
	}
}

func (d *Device) close() {
	for i := range d.bars {
		d.unmap(i)
		if r := d.bars[i].region; r != nil && r.RAM() != nil {
			r.RAM().Forget()
		}
	}
	if d.space != nil {
		d.space.Close()
	}
}

// AddCapability reserves size bytes for a capability (at a fixed place if at is not zero) and links it; it returns the place.
func (d *Device) AddCapability(id uint8, at, size int) (int, error) {
	if at == 0 {
		at = d.freeSpace(size)
		if at == 0 {
			return 0, fmt.Errorf("out of PCI config space")
		}
	}
	for i := at; i < at+size; i++ {
		if i >= ConfigSize || d.used[i] {
			return 0, fmt.Errorf("%s:%02x:%02x.%x Attempt to add PCI capability %x at offset %x overlaps existing capability", "0000",
				0, d.devfn>>3, d.devfn&7, id, at)
		}
	}
	d.Config[at], d.Config[at+1] = id, d.Config[RegCapabilities]
	d.Config[RegCapabilities] = uint8(at)
	d.Config[RegStatus] |= StatusCapList
	for i := at; i < at+(size+3)&^3 && i < ConfigSize; i++ {
		d.used[i] = true
	}
	clear(d.Writable[at : at+size])
	return at, nil
}

// freeSpace finds size unused bytes.
func (d *Device) freeSpace(size int) int {
	next := headerSize
	for i := headerSize; i < ConfigSize; i++ {
		if d.used[i] {
			next = i + 1
		} else if i-next+1 == size {
			return next
		}
	}
	return 0
}

// FindCapability returns the place of a capability, 0 if the function lacks it.
func (d *Device) FindCapability(id uint8) int {
	for at, n := int(d.Config[RegCapabilities]), 0; at >= headerSize && n < 48; n++ {
		if d.Config[at] == id {
			return at
		}
		at = int(d.Config[at+1])
	}
	return 0
}

// ReadConfig answers a guest's read as the function wants it.
func (d *Device) readConfig(addr, size int) uint32 {
	if r, ok := d.fn.(ConfigReader); ok {
		return r.ReadConfig(addr, size)
	}
	return d.DefaultReadConfig(addr, size)
}

func (d *Device) writeConfig(addr, size int, v uint32) {
	if w, ok := d.fn.(ConfigWriter); ok {
		w.WriteConfig(addr, size, v)
		return
	}
	d.DefaultWriteConfig(addr, size, v)
}

// DefaultReadConfig reads the configuration space.
func (d *Device) DefaultReadConfig(addr, size int) (v uint32) {
	for i := size - 1; i >= 0; i-- {
		v <<= 8
		if addr+i < len(d.Config) {
			v |= uint32(d.Config[addr+i])
		}
	}
	return v
}

// DefaultWriteConfig writes the configuration space under its masks and acts on what has changed.
func (d *Device) DefaultWriteConfig(addr, size int, v uint32) {
	for i := range size {
		at := addr + i
		if at >= len(d.Config) {
			break
		}
		b := uint8(v >> (8 * i))
		w := d.Writable[at]
		d.Config[at] = d.Config[at]&^w | b&w
		d.Config[at] &^= b & d.ClearOnes[at]
	}
	touches := func(from, n int) bool { return addr < from+n && addr+size > from }
	if touches(RegCommand, 2) || touches(RegBAR0, 24) || touches(d.barOffset(romBAR), 4) {
		d.updateMappings()
	}
	if touches(RegCommand, 2) {
		d.commandChanged()
	}
	d.msiConfigWritten(addr, size)
	d.msixConfigWritten(addr, size)
	d.functionReset()
}

// commandChanged acts on the bus master and interrupt disable bits.
func (d *Device) commandChanged() {
	if d.master != nil {
		d.master.SetEnabled(d.Mastering() && !d.off)
	}
	d.updateINTx()
}

// reset puts the header into its power-on state.
func (d *Device) reset() {
	for pin := range d.intx {
		d.setINTx(pin, false)
	}
	clearBits := func(at int) {
		d.Config[at] &^= d.Writable[at] | d.ClearOnes[at]
	}
	for _, at := range []int{RegCommand, RegCommand + 1, RegStatus, RegStatus + 1, RegCacheLine, RegIntLine} {
		clearBits(at)
	}
	for i := range d.bars {
		d.resetBAR(i)
	}
	d.updateMappings()
	d.commandChanged()
	d.msiReset()
	d.msixReset()
}
