package pc

import (
	"strings"

	"goemu/hw/fdc"
	"goemu/hw/firmware"
	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/mptable"
	"goemu/hw/hotplug"
	"goemu/hw/intc/apic"
	"goemu/hw/intc/ioapic"
	"goemu/hw/isa"
	"goemu/hw/pc/i440fx"
	"goemu/hw/pc/piix"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/target/x86"
)

// i440fxProps are the properties that the PC has.
var i440fxProps = strings.Fields("acpi append dump-guest-core firmware graphics hmat hpet i8042 initrd kernel max-ram-below-4g mem-merge memory-backend pcspk-audiodev pflash0 pflash1 pic pit smbios-entry-point-type smm usb vmport x-oem-id x-oem-table-id x-relaxed-resume x-user-offloads")

func i440fxType(version string) *Type {
	return &Type{
		Name: "pc-i440fx-" + version, Desc: "Standard PC (i440FX + PIIX, 1996)", MaxCPUs: 255,
		DefaultRAM: 128 << 20, DefaultCPU: "qemu64", RAMID: "pc.ram", NUMAMem: version < "5.1", BlockBus: "virtio-blk-pci", DriveIF: "ide", NIC: "e1000", DefaultCD: 2, HasVGA: true, HasSlots: true, Floppies: fdc.MaxDrives, HasFloppy: true, HasParallel: true, HasSD: true, props: i440fxProps, build: buildI440FX, version: version, Compat: compatFor(version),
	}
}

// Places of the on-board functions on the PCI bus, and of the registers that firmware places.
const (
	devfnPIIX3 = 1 << 3
	devfnPM    = 1<<3 | 3
	pmBase     = 0x600
	smbBase    = 0x700
	sciIRQ     = 9
	pciMemTop  = 0xfec00000
)

// pirqIRQ is the ISA interrupt of each PIRQ, as firmware routes them.
var pirqIRQ = [4]uint8{10, 10, 11, 11}

// chipsetPC is the chipset of the PC.
type chipsetPC struct {
	host  *i440fx.Host
	south *piix.PIIX3
	pm    *piix.PM
}

func buildI440FX(m *Machine) (err error) {
	c := new(chipsetPC)
	m.chips = c
	if c.host, err = i440fx.New(m.Tree, m.mem, m.map_.ram, m.io); err != nil {
		return err
	}
	m.pci = c.host.Bus
	if m.smmRoot != nil {
		m.smmRoot.Add(c.host.SMRAM, 0, 1)
	}
	m.gsi = make([]*qdev.IRQ, gsiCount)
	if c.south, err = piix.NewPIIX3(m.Tree, m.pci, devfnPIIX3, m.mem, m.io, qdev.NewIRQs(func(n int, level bool) { m.gsi[n].Set(level) }, isa.Lines), m.VM); err != nil {
		return err
	}
	m.isa = c.south.ISA
	for _, step := range []func() error{m.dma, m.interrupts, m.displayAdapter, m.legacyTimers, m.serialPorts, m.parallelPorts, m.floppyController, m.keyboard, m.port92, m.fwcfg, m.ideFunction, m.usbFunction} {
		if err := step(); err != nil {
			return err
		}
	}
	if m.cfg.Props.ACPI == qdev.Off {
		return nil
	}
	smi := qdev.NewIRQ(m.raiseSMI, 0)
	c.pm, err = piix.NewPM(m.Tree, m.pci, devfnPM, piix.PMConfig{SCI: m.isa.Line(sciIRQ), SMI: smi, VM: m.VM, IO: m.io,
		SMM: m.cfg.Props.SMM != qdev.Off, SMBBase: 0xb100, CPUs: m.apicIDs(), OST: m.reportOST, DIMMs: m.cfg.MemorySlots})
	return err
}

// afterReset does what firmware does before it starts a kernel.
func (c *chipsetPC) afterReset(m *Machine) {
	if m.image == nil {
		return
	}
	level := uint32(0)
	for i, irq := range pirqIRQ {
		c.south.SetRoute(i, irq)
		level |= 1 << irq
	}
	m.setupInterrupts(level)
	m.setupKeyboard()
	m.setupIDE()
	if c.pm != nil {
		c.pm.SetupPM(pmBase, smbBase)
	}
	c.host.Bridge.ShadowRAM(vgaTop, romTop, true)
	setup := pci.Setup{MemStart: max(m.map_.below, splitLower), MemEnd: pciMemTop, Line: pciLine}
	if err := setup.Run(m.pci); err != nil {
		internalError(err.Error())
	}
	m.startTextMode()
}

// pciLine is the interrupt line that firmware writes into a function's header.
func pciLine(devfn uint8, pin int) uint8 {
	if devfn>>3 == devfnPM>>3 && pin == 0 { // the power management function's, hard-wired
		return sciIRQ
	}
	return pirqIRQ[piix.Route(devfn, pin)]
}

// describe implements chipset.
func (c *chipsetPC) describe(m *Machine, f *firmware.Machine) {
	f.AMDHole = m.cfg.CPU.Model.Vendor == x86.VendorAMD
	f.MP = &mptable.Machine{Signature: m.cfg.CPU.Signature(), Features: m.cfg.CPU.Features[x86.F1EDX], IOAPICAddr: ioapic.Address, LocalAPIC: apic.DefaultAddress,
		PCI: true, LevelISA: []uint8{5, sciIRQ, 10, 11}, Route: pciLine}
	for _, c := range m.cpus {
		f.MP.APICIDs = append(f.MP.APICIDs, uint8(c.APICID()))
	}
	if f.ACPI != nil {
		base := c.pm.PMBase()
		if base == 0 { // they are placed there without firmware
			base = pmBase
		}
		f.ACPI.PM = &acpi.PM{Base: base, GPE: 0xafe0, GPEBytes: 4, SCI: sciIRQ, SMICmd: smiCommand(c.pm.ACPIOnly()), S3: c.pm.S3(), S4: c.pm.S4() != 0,
			S4Value: c.pm.S4(), CMOSCent: 0x32}
		c.pm.NumberBuses()
		first, last := m.hole64(hole64Size)
		f.ACPI.PCI = &acpi.PCI{Hole32Start: m.map_.below, Hole32End: pciMemTop - 1, Hole64Start: first, Hole64End: last,
			UID: m.cfg.Type.rootUID(), Root: pciBus(m.pci), Hotplug: c.pm.HotplugPorts(), HotplugBridges: c.pm.HotplugBridges()}
		f.ACPI.HPET = m.cfg.Props.HPET
		f.ACPI.CPUHotplug = piix.CPUHotplugPorts
		m.describeGeneration(f)
		m.describeDIMMs(f)
	}
}

// commandLine implements chipset.
func (c *chipsetPC) commandLine(*Machine) string { return "" }

// slots implements chipset.
func (c *chipsetPC) slots() (*hotplug.CPUs, *hotplug.DIMMs) {
	if c.pm == nil {
		return nil, nil
	}
	return c.pm.Slots()
}

func (*chipsetPC) mayPlugCPU() error   { return nil }
func (*chipsetPC) mayUnplugCPU() error { return nil }

// raise implements chipset.
func (c *chipsetPC) raise(events uint8) {
	if c.pm != nil {
		c.pm.RaiseGPE(events)
	}
}

// pciMemory implements chipset.
func (c *chipsetPC) pciMemory() *memory.Region { return c.host.PCI }
