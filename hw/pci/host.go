package pci

import (
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Ports of configuration mechanism #1 (PCI Local Bus Specification 3.0, §3.2.2.3.2).
const (
	PortConfigAddress = 0xcf8
	PortConfigData    = 0xcfc
	configPorts       = 4

	configEnable = 1 << 31
)

// ConfigPorts is configuration mechanism #1.
type ConfigPorts struct {
	// Address is the configuration address register.
	Address uint32

	bus *Bus
}

// Connect maps the two registers into the port space io; they reach the bus and those behind it.
func (c *ConfigPorts) Connect(bus *Bus, io *memory.Region) {
	c.bus = bus
	address := memory.NewIO("pci-conf-idx", configPorts, (*addressPort)(c))
	address.Coalesced = []memory.Span{{Size: configPorts}}
	io.Add(address, PortConfigAddress, 0)
	io.Add(memory.NewIO("pci-conf-data", configPorts, (*dataPort)(c)), PortConfigData, 0)
}

// Host is the part that all host bridges share; embed it.
type Host struct {
	qdev.Base
	ConfigPorts
	Migrated bool `prop:"x-config-reg-migration-enabled,default=true" owner:"pci-host-bridge"`
}

// Reset implements qdev.Device.
func (h *Host) Reset() { h.Address = 0 }

func (h *Host) host() *Host { return h }

var hostState = vmstate.Description[Host]{Name: "PCIHost", Version: 1, MinVersion: 1, Fields: []vmstate.Field[Host]{
	vmstate.Of("config_reg", func(h *Host) *uint32 { return &h.Address }),
}}

// HostState is the state of a host bridge.
func HostState(d qdev.Device) vmstate.State {
	h := d.(interface{ host() *Host }).host()
	if !h.Migrated {
		return nil
	}
	return hostState.Bind(h)
}

type addressPort ConfigPorts

// Read implements memory.Ops.
func (c *addressPort) Read(uint64, int) uint64 { return uint64(c.Address) }

// Write implements memory.Ops: only a double word is taken.
func (c *addressPort) Write(offset uint64, size int, value uint64) {
	if offset == 0 && size == configPorts {
		c.Address = uint32(value)
	}
}

type dataPort ConfigPorts

// Read implements memory.Ops.
func (c *dataPort) Read(offset uint64, size int) uint64 {
	if c.Address&configEnable == 0 {
		return ^uint64(0)
	}
	return uint64(c.bus.ReadConfig(c.Address&^3|c.Address&3|uint32(offset)&3, size))
}

// Write implements memory.Ops.
func (c *dataPort) Write(offset uint64, size int, value uint64) {
	if c.Address&configEnable != 0 {
		c.bus.WriteConfig(c.Address|uint32(offset)&3, size, uint32(value))
	}
}

// target splits a configuration address.
func (b *Bus) target(addr uint32) (Function, int) {
	return b.at(uint8(addr>>16), uint8(addr>>8)), int(addr & 0xff)
}

// at finds a function on the bus with a number, b itself or one behind it.
func (b *Bus) at(number, devfn uint8) Function {
	if b = b.Numbered(number); b == nil {
		return nil
	}
	return b.funcs[devfn]
}

// ReadConfig reads from bus, device, function and register as encoded in mechanism #1.
func (b *Bus) ReadConfig(addr uint32, size int) uint32 {
	fn, at := b.target(addr)
	return read(fn, at, size)
}

// WriteConfig writes to bus, device, function and register as encoded in mechanism #1.
func (b *Bus) WriteConfig(addr uint32, size int, value uint32) {
	fn, at := b.target(addr)
	write(fn, at, size, value)
}

// reachable tells whether a function answers at a register.
func reachable(fn Function, at int) bool {
	if fn == nil {
		return false
	}
	d := fn.PCI()
	limit := len(d.Config)
	if !d.bus.extended() {
		limit = ConfigSize
	}
	// A function that came late is hidden until function 0 of its slot is there: until then it may go again.
	return at < limit && !d.off && !d.Withdrawn() && (!d.Hotplugged() || d.bus.funcs[d.devfn&^7] != nil)
}

func read(fn Function, at, size int) uint32 {
	if !reachable(fn, at) {
		return 0xffffffff >> (32 - 8*size)
	}
	return fn.PCI().readConfig(at, size)
}

func write(fn Function, at, size int, value uint32) {
	if reachable(fn, at) {
		fn.PCI().writeConfig(at, size, value)
	}
}

// ECAM is the memory window that shows the configuration spaces of all functions (PCI Express Base Specification 3.0, §7.2.2).
type ECAM struct {
	bus    *Bus
	mem    *memory.Region
	window *memory.Region
}

// ecamMax is the size of the window for 256 buses.
const ecamMax = 256 << 20

// NewECAM returns the window for a root bus and those behind it, to be placed in mem.
func NewECAM(bus *Bus, mem *memory.Region) *ECAM {
	e := &ECAM{bus: bus, mem: mem}
	e.window = memory.NewIO("pcie-mmcfg-mmio", ecamMax, e)
	return e
}

// Place puts the window at addr, or takes it away.
func (e *ECAM) Place(on bool, addr, size uint64) {
	memory.Begin()
	defer memory.Commit()
	if e.window.Mapped() {
		e.mem.Remove(e.window)
	}
	if on {
		e.window.SetSize(size)
		e.mem.Add(e.window, addr, 0)
	}
}

// Where is the window's place; ok is false if it has none.
func (e *ECAM) Where() (addr, size uint64, ok bool) {
	return e.window.Offset(), e.window.Size(), e.window.Mapped()
}

// Read implements memory.Ops.
func (e *ECAM) Read(off uint64, size int) uint64 {
	return uint64(read(e.bus.at(uint8(off>>20), uint8(off>>12)), int(off&0xfff), size))
}

// Write implements memory.Ops.
func (e *ECAM) Write(off uint64, size int, v uint64) {
	write(e.bus.at(uint8(off>>20), uint8(off>>12)), int(off&0xfff), size, uint32(v))
}
