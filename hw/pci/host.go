package pci

import "goemu/internal/memory"

// Ports of configuration mechanism #1 (PCI Local Bus Specification 3.0, §3.2.2.3.2).
const (
	PortConfigAddress = 0xcf8
	PortConfigData    = 0xcfc
	configPorts       = 4

	configEnable = 1 << 31
)

// ConfigPorts is configuration mechanism #1 for one bus.
type ConfigPorts struct {
	// Address is the configuration address register.
	Address uint32

	bus *Bus
}

// NewConfigPorts maps the two registers into the port space io.
func NewConfigPorts(bus *Bus, io *memory.Region) *ConfigPorts {
	c := &ConfigPorts{bus: bus}
	io.Add(memory.NewIO("pci-conf-idx", configPorts, (*addressPort)(c)), PortConfigAddress, 0)
	io.Add(memory.NewIO("pci-conf-data", configPorts, (*dataPort)(c)), PortConfigData, 0)
	return c
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
	if addr>>16&0xff != 0 {
		return nil, 0
	}
	return b.funcs[addr>>8&0xff], int(addr & 0xff)
}

// ReadConfig reads from bus, device, function and register as encoded in mechanism #1.
func (b *Bus) ReadConfig(addr uint32, size int) uint32 {
	fn, at := b.target(addr)
	if fn == nil {
		return 0xffffffff >> (32 - 8*size)
	}
	return fn.PCI().readConfig(at, size)
}

// WriteConfig writes to bus, device, function and register as encoded in mechanism #1.
func (b *Bus) WriteConfig(addr uint32, size int, value uint32) {
	if fn, at := b.target(addr); fn != nil {
		fn.PCI().writeConfig(at, size, value)
	}
}
