package pc

import (
	"errors"
	"strings"

	"goemu/accel"
	"goemu/hw/fdc"
	"goemu/hw/firmware"
	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/loader"
	"goemu/hw/firmware/mptable"
	"goemu/hw/hotplug"
	"goemu/hw/ide/ahci"
	"goemu/hw/intc/apic"
	"goemu/hw/intc/ioapic"
	"goemu/hw/pc/ich9"
	"goemu/hw/pc/q35"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/target/x86"
)

// q35Props are the properties that the q35 has.
var q35Props = strings.Fields("acpi append dump-guest-core firmware graphics hmat hpet i8042 initrd kernel max-ram-below-4g mem-merge memory-backend pcspk-audiodev pflash0 pflash1 pic pit sata smbios-entry-point-type smbus smm usb vmport x-oem-id x-oem-table-id x-relaxed-resume x-user-offloads")

// Where the q35's RAM is cut: what does not fit below the first address continues above 4 GiB after the second.
const (
	q35Limit = 0xb0000000
	q35Split = 0x80000000
)

func q35Type(version string) *Type {
	return &Type{
		Name: "pc-q35-" + version, Desc: "Standard PC (Q35 + ICH9, 2009)", MaxCPUs: 288, DefaultRAM: 128 << 20, DefaultCPU: "qemu64", RAMID: "pc.ram",
		NUMAMem: version < "5.1", BlockBus: "virtio-blk-pci", DriveIF: "ide", HasVGA: true, HasSlots: true, Floppies: fdc.MaxDrives, HasParallel: true, HasSD: true, NIC: "e1000e", DefaultCD: 2, props: q35Props, limit: q35Limit, split: q35Split,
		build: buildQ35, version: version, Compat: compatFor(version),
	}
}

// Places of the on-board functions and of the registers that firmware places.
const (
	devfnAHCI    = 31<<3 | 2
	rcbaAddr     = 0xfed1c000
	rcbaSize     = 0x4000
	ecamSize     = 256 << 20
	q35PCIStart  = q35.ECAM + ecamSize
	ich9GPE      = 0x20
	ich9GPEBytes = 0x10
	ahciLegacy   = 24 // the first slot whose pins are not rotated
)

// chipsetQ35 is the chipset of the q35.
type chipsetQ35 struct {
	host  *q35.Host
	lpc   *ich9.LPC
	smbus *ich9.SMBus
	acpi  bool
}

func buildQ35(m *Machine) (err error) {
	c := &chipsetQ35{acpi: m.cfg.Props.ACPI != qdev.Off}
	m.chips = c
	if c.host, err = q35.New(m.Tree, q35.Config{Memory: m.mem, RAM: m.map_.ram, IO: m.io, Below4G: m.map_.below, Above4G: m.map_.above}); err != nil {
		return err
	}
	m.pci = c.host.Bus
	if m.smmRoot != nil {
		m.smmRoot.Add(c.host.SMRAM, 0, 1)
	}
	m.gsi = make([]*qdev.IRQ, gsiCount)
	if c.lpc, err = ich9.New(m.Tree, m.pci, ich9.Config{Memory: m.mem, IO: m.io, VM: m.VM, SMI: m.raiseSMIs, SMM: m.cfg.Props.SMM != qdev.Off, CPUs: m.apicIDs(), OST: m.reportOST, DIMMs: m.cfg.MemorySlots,
		GSI: qdev.NewIRQs(func(n int, level bool) { m.gsi[n].Set(level) }, gsiCount)}); err != nil {
		return err
	}
	m.isa = c.lpc.ISA
	if !c.lpc.NativeHotplug() {
		m.Tree.Globals = append([]qdev.Global{{Driver: "pcie-slot", Property: "x-native-hotplug", Value: "false", Optional: true}}, m.Tree.Globals...)
	}
	for _, step := range []func() error{m.dma, m.interrupts, m.legacyTimers, m.serialPorts, m.parallelPorts, m.floppyController, m.keyboard, m.port92, m.fwcfg} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := c.lpc.OfferSMI(m.fw); err != nil {
		return err
	}
	if m.cfg.Props.SATA {
		d, err := m.Tree.Create(m.cfg.Registry.Lookup("ich9-ahci"), m.pci, qdev.Setting{Name: "addr", Value: "1f.2"}, qdev.Setting{Name: "multifunction", Value: "on"})
		if err != nil {
			return err
		}
		m.ide = d.(*ahci.AHCI).Buses()
	}
	if err := m.usbController(); err != nil {
		return err
	}
	if m.cfg.Props.SMBus {
		if c.smbus, err = ich9.NewSMBus(m.Tree, m.pci); err != nil {
			return err
		}
	}
	return m.displayAdapter()
}

// raiseSMIs is the chipset's system management interrupt: it goes to the first CPU or to all.
func (m *Machine) raiseSMIs(all bool) {
	for _, c := range m.cpus {
		c.Raise(accel.IRQSMI)
		if !all {
			return
		}
	}
}

// afterReset does what firmware does before it starts a kernel.
func (c *chipsetQ35) afterReset(m *Machine) {
	if m.image == nil {
		return
	}
	level := uint32(0)
	for i := range 8 {
		irq := pirqIRQ[i%len(pirqIRQ)]
		c.lpc.SetRoute(i, irq)
		level |= 1 << irq
	}
	m.setupInterrupts(level)
	m.setupKeyboard()
	c.lpc.SetupPM(pmBase)
	c.lpc.SetupRCBA(rcbaAddr)
	c.host.MCH.ShadowRAM(vgaTop, romTop, true)
	c.host.MCH.PlaceECAM()
	if c.smbus != nil {
		c.smbus.Setup(smbBase)
	}
	setup := pci.Setup{MemStart: q35PCIStart, MemEnd: pciMemTop, Line: q35Line}
	if err := setup.Run(m.pci); err != nil {
		internalError(err.Error())
	}
	m.startTextMode()
}

// q35Line is the interrupt line that firmware writes into a function's header.
func q35Line(devfn uint8, pin int) uint8 {
	if slot := int(devfn >> 3); slot <= ahciLegacy {
		pin += slot
	}
	return pirqIRQ[pin%len(pirqIRQ)]
}

// describe implements chipset.
func (c *chipsetQ35) describe(m *Machine, f *firmware.Machine) {
	f.AMDHole = m.cfg.CPU.Model.Vendor == x86.VendorAMD
	f.PCIHole = q35PCIStart
	f.Reserved = append(f.Reserved, loader.E820{Addr: q35.ECAM, Size: ecamSize, Type: loader.RAMReserved},
		loader.E820{Addr: rcbaAddr, Size: rcbaSize, Type: loader.RAMReserved})
	f.MP = &mptable.Machine{Signature: m.cfg.CPU.Signature(), Features: m.cfg.CPU.Features[x86.F1EDX], IOAPICAddr: ioapic.Address, LocalAPIC: apic.DefaultAddress,
		PCI: true, LevelISA: []uint8{5, sciIRQ, 10, 11}, Route: q35Line}
	for _, c := range m.cpus {
		f.MP.APICIDs = append(f.MP.APICIDs, uint8(c.APICID()))
	}
	if f.ACPI == nil {
		return
	}
	base := c.lpc.PMBase()
	if m.startsKernel() {
		base = pmBase
	}
	f.ACPI.PM = &acpi.PM{ICH9: true, Base: base, GPE: base + ich9GPE, GPEBytes: ich9GPEBytes, SCI: sciIRQ, SMICmd: smiCommand(c.lpc.ACPIOnly()), S3: c.lpc.S3(), S4: c.lpc.S4() != 0,
		S4Value: c.lpc.S4(), CMOSCent: 0x32}
	c.lpc.NumberBuses()
	first, last := m.hole64(c.host.Hole64Size())
	f.ACPI.PCI = &acpi.PCI{Express: true, Hole32Start: m.map_.below, Hole32End: pciMemTop - 1, Hole64Start: first, Hole64End: last,
		UID: m.cfg.Type.rootUID(), Root: pciBus(m.pci), Hotplug: c.lpc.HotplugPorts(), HotplugBridges: c.lpc.HotplugPorts() != 0}
	if at, size, ok := c.host.ECAM(); ok || m.startsKernel() {
		if !ok {
			at, size = q35.ECAM, ecamSize
		}
		f.ACPI.MCFG = &acpi.Range{Addr: at, Size: size}
	}
	f.ACPI.HPET = m.cfg.Props.HPET
	_, f.ACPI.CPUHotplugSMI, f.ACPI.CPUUnplugSMI = c.lpc.SMIFeatures()
	f.ACPI.CPUHotplug = ich9.CPUHotplugPorts
	m.describeGeneration(f)
	m.describeDIMMs(f)
}

// commandLine implements chipset.
func (c *chipsetQ35) commandLine(*Machine) string { return "" }

// slots implements chipset.
func (c *chipsetQ35) slots() (*hotplug.CPUs, *hotplug.DIMMs) {
	if !c.acpi {
		return nil, nil
	}
	return c.lpc.Slots()
}

// mayPlugCPU implements chipset.
func (c *chipsetQ35) mayPlugCPU() error {
	if broadcast, plug, _ := c.lpc.SMIFeatures(); broadcast && !plug {
		return errors.New("cpu hotplug with SMI wasn't enabled by firmware")
	}
	return nil
}

// mayUnplugCPU implements chipset.
func (c *chipsetQ35) mayUnplugCPU() error {
	if broadcast, _, unplug := c.lpc.SMIFeatures(); broadcast && !unplug {
		return errors.New("cpu hot-unplug with SMI wasn't enabled by firmware")
	}
	return nil
}

// raise implements chipset.
func (c *chipsetQ35) raise(events uint8) {
	c.lpc.RaiseGPE(events)
}

// pciMemory implements chipset.
func (c *chipsetQ35) pciMemory() *memory.Region { return c.host.PCI }
