package piix

import (
	"goemu/hw/hotplug"
	"goemu/hw/pci"
	"goemu/hw/pm"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Registers of the power management function (82371AB data sheet, §7).
const (
	pmDevice, pmRevision = 0x7113, 3

	regPMBase   = 0x40
	regDevActB  = 0x58 // byte 3 holds the SMI enable
	regSMI      = regDevActB + 3
	smiEnable   = 0x02
	regPMMisc   = 0x80
	pmEnable    = 0x01
	regSMBBase  = 0x90
	regSMBConf  = 0xd2
	smbConfInit = 0x09 // enabled, interrupt 9
	pmBaseMask  = 0xffc0

	// Decoding of ISA devices behind the function, shown to firmware.
	regParallel, parallelAlways, parallelPort = 0x5f, 0x10, 0x80
	regMisc, miscAlways                       = 0x63, 0x60
	regSerial, serialPort1, serialPort2       = 0x67, 0x08, 0x90
	portParallel, portSerial1, portSerial2    = 0x378, 0x3f8, 0x2f8

	pciHotplug              = 0xae00
	pmPorts, smbPorts       = 64, 64
	gpeBase, gpeBytes       = 0xafe0, 4 // two bytes of status, two of enable
	portAPM, apmPorts       = 0xb2, 2   // SMI command and status
	acpiEnable, acpiDisable = 0xf1, 0xf0
)

// CPUHotplugPorts is where the registers for CPUs that come and go are.
const CPUHotplugPorts = 0xaf00

// PM is the power management function, the device type PIIX4_PM.
type PM struct {
	pci.Device
	acpi  pm.Regs
	smb   pm.SMBus
	props struct {
		DisableS3 uint8  `prop:"disable_s3,default=0"`
		DisableS4 uint8  `prop:"disable_s4,default=0"`
		S4        uint8  `prop:"s4_val,default=2"`
		SMBBase   uint32 `prop:"smb_io_base,default=0"`
		SMM       bool   `prop:"smm-enabled,default=false"`
		SMMCompat bool   `prop:"smm-compat,default=false"`
		Bridges   bool   `prop:"acpi-pci-hotplug-with-bridge-support,default=true"`
		RootBus   bool   `prop:"acpi-root-pci-hotplug,default=true"`
		NoIndex   bool   `prop:"x-not-migrate-acpi-index,default=false"`
	}
	apmc, apms uint8
	hotplug    pm.PCIHotplug
	cpus       hotplug.CPUs
	memory     hotplug.DIMMs
	io         *memory.Region
	smi        *qdev.IRQ
	sci        *qdev.IRQ
	vm         *mainloop.VM
	possible   []uint32 // see PMConfig
	report     func(hotplug.OST)
	dimms      int
	shown      bool // which ISA devices there are is in the registers
	pm         *memory.Region
	smbIO      *memory.Region
}

// PMClass is the device type.
var PMClass = qdev.Class{Name: "PIIX4_PM", Bus: pci.BusType, Desc: "PM", Internal: true, NoHotplug: true, Category: qdev.Bridge,
	New: func() qdev.Device { return new(PM) }, State: qdev.State(&pmState)}

// PMConfig says how the function is connected.
type PMConfig struct {
	SCI, SMI             *qdev.IRQ
	VM                   *mainloop.VM
	IO                   *memory.Region
	SMM                  bool
	DisableS3, DisableS4 bool
	SMBBase              uint32
	CPUs                 []uint32 // APIC identifiers of those that are possible
	OST                  func(hotplug.OST)
	DIMMs                int // slots for memory modules
}

// NewPM puts the function on the bus at devfn.
func NewPM(tree *qdev.Tree, bus *pci.Bus, devfn uint8, c PMConfig) (*PM, error) {
	d, err := tree.New(&PMClass)
	if err != nil {
		return nil, err
	}
	p := d.(*PM)
	p.Addr, p.sci, p.smi, p.vm, p.io = qdev.DevFn(devfn), c.SCI, c.SMI, c.VM, c.IO
	p.props.SMBBase, p.props.SMM = c.SMBBase, c.SMM
	p.possible, p.report, p.dimms = c.CPUs, c.OST, c.DIMMs
	if c.DisableS3 {
		p.props.DisableS3 = 1
	}
	if c.DisableS4 {
		p.props.DisableS4 = 1
	}
	return p, qdev.Realize(p, bus)
}

// PCIInfo implements pci.Function.
func (p *PM) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: pmDevice, Revision: pmRevision, Class: pci.ClassBridgeOther}
}

// ACPIOnly tells whether ACPI mode cannot be left: without system management mode nobody would hear of the command.
func (p *PM) ACPIOnly() bool { return !p.props.SMMCompat && !p.props.SMM }

// Realize implements qdev.Device.
func (p *PM) Realize() error {
	c := pm.Config{SCI: p.sci, VM: p.vm, DisableS3: p.props.DisableS3 != 0, S4: p.props.S4, ACPIOnly: p.ACPIOnly(), GPE: gpeBytes}
	if p.props.DisableS4 != 0 {
		c.S4 = pm.NoS4
	}
	p.acpi.Init(c)
	p.Set16(pci.RegStatus, pci.StatusFastBack|pci.StatusDevselMed)
	p.SetInterruptPin(1)
	p.Set32(regSMBBase, p.props.SMBBase|1)
	p.Config[regSMBConf] = smbConfInit
	p.pm = memory.NewContainer("piix4-pm", pmPorts)
	p.acpi.Map(p.pm)
	p.pm.SetEnabled(false)
	p.io.Add(p.pm, 0, 0)
	p.smb.Init()
	p.smbIO = p.smb.Region(smbPorts)
	p.io.Add(p.smbIO, 0, 0)
	apm := memory.NewIO("apm-io", apmPorts, (*apmOps)(p))
	apm.Valid = memory.Access{Min: 1, Max: 1}
	p.io.Add(apm, portAPM, 0)
	p.io.Add(p.acpi.GPERegion(), gpeBase, 0)
	p.updateSMBus()
	p.hotplug = pm.PCIHotplug{Root: p.Bus(), Bridges: p.props.Bridges, RootOff: !p.props.RootBus, Notify: func() { p.acpi.RaiseGPE(pm.EventPCIHotplug) }}
	if p.HotplugPorts() != 0 {
		p.io.Add(p.hotplug.Region(), pciHotplug, 0)
	}
	p.Bus().SetHandler(&p.hotplug)
	p.cpus.Map(p.io, CPUHotplugPorts, p.possible, hotplug.Config{Notify: func() { p.acpi.RaiseGPE(pm.EventCPUHotplug) }, Report: p.report})
	p.memory.Map(p.io, hotplug.DIMMBase, p.dimms, hotplug.Config{Notify: func() { p.acpi.RaiseGPE(pm.EventMemoryHotplug) }, Report: p.report})
	return nil
}

// HotplugPorts is where the interface for hot-plugging is, 0 for nowhere.
func (p *PM) HotplugPorts() uint16 {
	if !p.props.Bridges && !p.props.RootBus {
		return 0
	}
	return pciHotplug
}

// Slots are the registers for CPUs and memory that come and go.
func (p *PM) Slots() (*hotplug.CPUs, *hotplug.DIMMs) { return &p.cpus, &p.memory }

// NumberBuses tells the interface that all devices are there that are there from the start.
func (p *PM) NumberBuses() { p.hotplug.Number() }

// HotplugBridges tells whether the buses behind bridges are served, too.
func (p *PM) HotplugBridges() bool { return p.props.Bridges }

// S3 tells whether the machine can be suspended to memory, S4 is the sleep type for suspending to disk, 0 for none.
func (p *PM) S3() bool { return p.props.DisableS3 == 0 }

// S4 is described with S3.
func (p *PM) S4() uint8 {
	if p.props.DisableS4 != 0 {
		return 0
	}
	return p.props.S4
}

// showDevices sets the registers that say which ISA devices exist; once, when the machine is complete.
func (p *PM) showDevices() {
	if p.shown {
		return
	}
	p.shown = true
	bit := func(port uint64, v uint8) uint8 {
		if p.io.Present(port) {
			return v
		}
		return 0
	}
	p.Config[regParallel] = parallelAlways | bit(portParallel, parallelPort)
	p.Config[regMisc] = miscAlways
	p.Config[regSerial] = bit(portSerial1, serialPort1) | bit(portSerial2, serialPort2)
}

// Reset implements qdev.Device.
func (p *PM) Reset() {
	p.showDevices()
	p.Set32(regDevActB, 0)
	p.Set32(regPMBase, 1)
	p.Config[regPMMisc] = 0
	if !p.props.SMM {
		p.Config[regSMI] = smiEnable
	}
	p.acpi.Reset()
	p.smb.Reset()
	p.updatePM()
	p.hotplug.Reset()
}

// SetupPM places and enables the registers, as firmware does.
func (p *PM) SetupPM(base, smbBase uint32) {
	p.WriteConfig(regPMBase, 4, base|1)
	p.WriteConfig(regPMMisc, 1, pmEnable)
	p.WriteConfig(regSMBBase, 4, smbBase|1)
	p.WriteConfig(regSMBConf, 1, smbConfInit)
}

// PMBase is where the registers are, 0 until firmware has placed them.
func (p *PM) PMBase() uint16 {
	if p.Config[regPMMisc]&pmEnable == 0 {
		return 0
	}
	return uint16(p.Get32(regPMBase) & pmBaseMask)
}

// RaiseGPE reports general purpose events of the first byte.
func (p *PM) RaiseGPE(events uint8) { p.acpi.RaiseGPE(events) }

// RTCAlarm reports an alarm of the real-time clock.
func (p *PM) RTCAlarm() { p.acpi.RTCAlarm() }

func (p *PM) updatePM() {
	memory.Begin()
	defer memory.Commit()
	p.pm.SetEnabled(p.Config[regPMMisc]&pmEnable != 0)
	p.pm.SetOffset(uint64(p.Get32(regPMBase) & pmBaseMask))
}

func (p *PM) updateSMBus() {
	memory.Begin()
	defer memory.Commit()
	p.smbIO.SetEnabled(p.Config[regSMBConf]&1 != 0)
	p.smbIO.SetOffset(uint64(p.Get32(regSMBBase) & pmBaseMask))
}

// WriteConfig implements pci.ConfigWriter.
func (p *PM) WriteConfig(addr, size int, v uint32) {
	p.DefaultWriteConfig(addr, size, v)
	touches := func(at, n int) bool { return addr < at+n && addr+size > at }
	if touches(regPMMisc, 1) {
		p.updatePM()
	}
	if touches(regSMBConf, 1) {
		p.updateSMBus()
	}
}

type apmOps PM

// Read implements memory.Ops.
func (o *apmOps) Read(off uint64, _ int) uint64 {
	if off == 0 {
		return uint64(o.apmc)
	}
	return uint64(o.apms)
}

// Write implements memory.Ops: a command switches ACPI mode and causes a system management interrupt if those are enabled.
func (o *apmOps) Write(off uint64, _ int, v uint64) {
	if off != 0 {
		o.apms = uint8(v)
		return
	}
	o.apmc = uint8(v)
	switch o.apmc {
	case acpiEnable:
		o.acpi.SetACPI(true)
	case acpiDisable:
		o.acpi.SetACPI(false)
	}
	if o.Config[regSMI]&smiEnable != 0 {
		o.smi.Raise()
	}
}
