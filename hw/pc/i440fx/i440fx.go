// Package i440fx is the Intel 82441FX PCI and memory controller: host bridge, the windows through which RAM is seen between 640 KiB
// and 1 MiB, and the memory for system management mode.
package i440fx

import (
	"goemu/hw/pci"
	"goemu/hw/pci/pam"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Identity.
const (
	deviceID = 0x1237
	revision = 2
)

// Registers (82441FX data sheet, §3.2).
const (
	regPAM   = 0x59
	regSMRAM = 0x72

	regRAMSize = 0x57 // in units of 8 MiB, for firmware

	smramOpen, smramEnable = 0x40, 0x08
	smramInit              = 0x02 // the segment
	ramUnit, ramUnitMax    = 8 << 20, 0xff
)

// Addresses of the legacy area.
const (
	smramBase, smramSize = 0xa0000, 0x20000
	windowPriority       = 1
	pciPriority          = -1
)

// Bridge is the device type i440FX, function 00.0.
type Bridge struct {
	pci.Device
	host    *Host
	windows pam.Map
	smram   *memory.Region // hides RAM behind PCI at the video addresses
	smmRAM  *memory.Region // shows RAM there to system management mode
}

// Class is the device type of the bridge, HostClass that of what sits above it.
var (
	Class = qdev.Class{Name: "i440FX", Bus: pci.BusType, Desc: "Host bridge", Internal: true, NoHotplug: true, Category: qdev.Bridge,
		New: func() qdev.Device { return new(Bridge) }, State: qdev.State(&bridgeState)}
	HostClass = qdev.Class{Name: "i440FX-pcihost", Parents: []string{"pci-host-bridge"}, Internal: true, Category: qdev.Bridge,
		New: func() qdev.Device { return new(Host) }, State: pci.HostState}
)

var bridgeState = vmstate.Description[Bridge]{Name: "I440FX", Version: 3, MinVersion: 3,
	Fields: []vmstate.Field[Bridge]{
		vmstate.Struct("parent_obj", &pci.State, func(b *Bridge) *pci.Device { return &b.Device }),
		vmstate.Unused[Bridge](1),
	},
	PostLoad: func(b *Bridge, _ int) error { b.updateWindows(); return nil }}

// Host is the host bridge as a whole: it provides the PCI bus.
type Host struct {
	pci.Host
	Bus    *pci.Bus
	PCI    *memory.Region // PCI's memory space, below system memory
	SMRAM  *memory.Region // what system management mode sees in addition
	Bridge *Bridge

	mem, ram, io *memory.Region
	ramSize      uint64
}

// New builds the bridge: mem is system memory, ram all RAM (its first bytes are at address zero of mem), io the port space.
func New(tree *qdev.Tree, mem, ram, io *memory.Region) (*Host, error) {
	d, err := tree.New(&HostClass)
	if err != nil {
		return nil, err
	}
	h := d.(*Host)
	h.mem, h.ram, h.io, h.ramSize = mem, ram, io, ram.Size()
	h.PCI = memory.NewContainer("pci", memory.Whole)
	h.SMRAM = memory.NewContainer("smram", 1<<32)
	mem.Add(h.PCI, 0, pciPriority)
	h.Bus = pci.NewBus(h, "pci.0", mem, h.PCI, io, 0)
	h.Connect(h.Bus, io)
	tree.Machine.MustAdd("i440fx", h.QOM())
	if err := qdev.Realize(h, tree.Root()); err != nil {
		return nil, err
	}
	b, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	h.Bridge = b.(*Bridge)
	h.Bridge.host, h.Bridge.Addr = h, 0
	return h, qdev.Realize(h.Bridge, h.Bus)
}

// PCIInfo implements pci.Function.
func (b *Bridge) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: deviceID, Revision: revision, Class: pci.ClassBridgeHost}
}

// Realize implements qdev.Device.
func (b *Bridge) Realize() error {
	h := b.host
	memory.Begin()
	defer memory.Commit()
	b.smram = memory.NewAlias("smram-region", h.PCI, smramBase, smramSize)
	h.mem.Add(b.smram, smramBase, windowPriority)
	b.smmRAM = memory.NewAlias("smram-low", h.ram, smramBase, smramSize)
	h.SMRAM.Add(b.smmRAM, smramBase, 0)
	b.windows.Init(h.mem, h.ram, h.PCI, b.Config[regPAM:regPAM+pam.Bytes])
	b.Config[regSMRAM] = smramInit
	b.Config[regRAMSize] = uint8(min(h.ramSize/ramUnit, ramUnitMax))
	b.updateWindows()
	return nil
}

// updateWindows connects the windows as the registers say.
func (b *Bridge) updateWindows() {
	memory.Begin()
	defer memory.Commit()
	b.windows.Update()
	smram := b.Config[regSMRAM]
	b.smram.SetEnabled(smram&smramOpen == 0)
	b.smmRAM.SetEnabled(smram&smramEnable != 0)
}

// WriteConfig implements pci.ConfigWriter.
func (b *Bridge) WriteConfig(addr, size int, v uint32) {
	b.DefaultWriteConfig(addr, size, v)
	if addr <= regSMRAM && addr+size > regPAM {
		b.updateWindows()
	}
}

// ShadowRAM makes a range between 0xc0000 and 0xfffff RAM, as firmware does: writable or read-only.
func (b *Bridge) ShadowRAM(from, to uint64, writable bool) { b.windows.Shadow(from, to, writable) }
