package ich9

import (
	"encoding/binary"

	"goemu/hw/firmware/fwcfg"
	"goemu/hw/hotplug"
	"goemu/hw/pm"
	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// Power management registers (ICH9 data sheet, §13.8.3) and the SMI command port.
const (
	pmPorts           = 128
	offGPE, gpeBytes  = 0x20, 16
	offSMI, smiPorts  = 0x30, 8
	offTCO            = 0x60
	smiAPMC, smiTCO   = 1 << 5, 1 << 13
	portAPM, apmPorts = 0xb2, 2
	pciHotplug        = 0x0cc0
	acpiEnable        = 0x02
	acpiDisable       = 0x03
)

// CPUHotplugPorts is where the registers for CPUs that come and go are.
const CPUHotplugPorts = 0x0cd8

// Slots are the registers for CPUs and memory that come and go.
func (l *LPC) Slots() (*hotplug.CPUs, *hotplug.DIMMs) { return &l.power.cpus, &l.power.memory }

// ACPIOnly tells whether ACPI mode cannot be left: without system management mode nobody would hear of the command.
func (l *LPC) ACPIOnly() bool { return !l.props.SMMCompat && !l.c.SMM }

// initPower makes the registers.
func (l *LPC) initPower() {
	p := &l.power
	p.cpus.Map(l.c.IO, CPUHotplugPorts, l.c.CPUs, hotplug.Config{Notify: func() { p.acpi.RaiseGPE(pm.EventCPUHotplug) }, Report: l.c.OST})
	p.memory.Map(l.c.IO, hotplug.DIMMBase, l.c.DIMMs, hotplug.Config{Notify: func() { p.acpi.RaiseGPE(pm.EventMemoryHotplug) }, Report: l.c.OST})
	c := pm.Config{SCI: qdev.NewIRQ(l.setSCI, 0), VM: l.c.VM, DisableS3: l.options.DisableS3 != 0, S4: l.options.S4,
		ACPIOnly: l.ACPIOnly(), GPE: gpeBytes}
	if l.options.DisableS4 != 0 {
		c.S4 = pm.NoS4
	}
	p.acpi.Init(c)
	p.io = memory.NewContainer("ich9-pm", pmPorts)
	p.io.SetEnabled(false)
	p.acpi.Map(p.io)
	p.io.Add(p.acpi.GPERegion(), offGPE, 0)
	smi := memory.NewIO("acpi-smi", smiPorts, (*smiOps)(l))
	smi.Valid = memory.Access{Min: 4, Max: 4}
	p.io.Add(smi, offSMI, 0)
	p.tco.Init()
	p.tco.SMI = qdev.NewIRQ(func(_ int, on bool) {
		if on {
			l.c.SMI(false)
		}
	}, 0)
	p.tco.Expired = l.watchdogExpired
	p.io.Add(p.tco.Region(), offTCO, 0)
	l.c.IO.Add(p.io, 0, 0)
	if l.HotplugPorts() != 0 {
		p.hotplug = pm.PCIHotplug{Root: l.Bus(), Bridges: true, RootOff: true, Notify: func() { p.acpi.RaiseGPE(pm.EventPCIHotplug) }}
		l.c.IO.Add(p.hotplug.Region(), pciHotplug, 0)
		l.Bus().SetHandler(&p.hotplug)
	}
}

// NumberBuses tells the interface for hot-plugging that all devices are there that are there from the start.
func (l *LPC) NumberBuses() {
	if l.options.ACPIHotplug {
		l.power.hotplug.Number()
	}
}

// NativeHotplug tells whether PCI Express slots can be shown to take devices by themselves, too.
func (l *LPC) NativeHotplug() bool { return l.options.KeepHPC || !l.options.ACPIHotplug }

// HotplugPorts is where the interface for hot-plugging with ACPI is, 0 for nowhere.
func (l *LPC) HotplugPorts() uint16 {
	if !l.options.ACPIHotplug {
		return 0
	}
	return pciHotplug
}

// watchdogExpired implements pm.TCO's call.
func (l *LPC) watchdogExpired(second bool) bool {
	noReboot := l.props.NoReboot || binary.LittleEndian.Uint32(l.chipConfig[ccStatus:])&ccNoReboot != 0
	if second && !noReboot {
		l.c.VM.Watchdog()
		return true
	}
	if l.power.smiEnable&smiTCO != 0 {
		l.c.SMI(false)
	}
	return false
}

func (l *LPC) resetPower() {
	p := &l.power
	l.placePower(0)
	p.smiEnable, p.smiWritable = 0, ^uint32(0)
	if !l.c.SMM { // as if system management mode had been set up already
		p.smiEnable = smiAPMC
	}
	p.acpi.Reset()
	if l.options.ACPIHotplug {
		p.hotplug.Reset()
	}
}

// placePower puts the registers at a base, zero for nowhere.
func (l *LPC) placePower(base uint32) {
	memory.Begin()
	defer memory.Commit()
	l.power.io.SetEnabled(base != 0)
	l.power.io.SetOffset(uint64(base))
}

// smiOps answers the controls of system management interrupts.
type smiOps LPC

// Read implements memory.Ops.
func (o *smiOps) Read(off uint64, _ int) uint64 {
	switch off {
	case 0:
		return uint64(o.power.smiEnable)
	case 4:
		return uint64(o.power.smiStatus)
	}
	return 0
}

// Write implements memory.Ops.
func (o *smiOps) Write(off uint64, _ int, v uint64) {
	if off != 0 {
		return
	}
	p := &o.power
	value := uint32(v)
	if p.tco.Locked() {
		value = value&^smiTCO | p.smiEnable&smiTCO
	}
	p.smiEnable = p.smiEnable&^p.smiWritable | value&p.smiWritable
}

type apmOps LPC

// Read implements memory.Ops.
func (o *apmOps) Read(off uint64, _ int) uint64 {
	if off == 0 {
		return uint64(o.apmc)
	}
	return uint64(o.apms)
}

// Write implements memory.Ops: a command switches ACPI mode or causes a system management interrupt if those are enabled.
func (o *apmOps) Write(off uint64, _ int, v uint64) {
	if off != 0 {
		o.apms = uint8(v)
		return
	}
	o.apmc = uint8(v)
	switch {
	case o.apmc == acpiEnable:
		o.power.acpi.SetACPI(true)
	case o.apmc == acpiDisable:
		o.power.acpi.SetACPI(false)
	case o.power.smiEnable&smiAPMC != 0:
		o.c.SMI(o.smi.negotiated&smiBroadcast != 0)
	}
}

// RaiseGPE reports general purpose events of the first byte.
func (l *LPC) RaiseGPE(events uint8) { l.power.acpi.RaiseGPE(events) }

// RTCAlarm reports an alarm of the real-time clock.
func (l *LPC) RTCAlarm() { l.power.acpi.RTCAlarm() }

// Features of system management interrupts that firmware may ask for.
const (
	smiBroadcast = 1 << iota // an interrupt goes to all CPUs
	smiPlug                  // the firmware takes CPUs in that come
	smiUnplug                // and lets them go
)

// negotiation is how firmware and chipset agree on them, by files of the firmware configuration device.
type negotiation struct {
	host       uint64
	guest      [8]byte
	ok         [1]byte
	negotiated uint64
}

func (n *negotiation) reset() {
	clear(n.guest[:])
	n.ok[0], n.negotiated = 0, 0
}

// lock takes what the guest has asked for, if it can be had.
func (n *negotiation) lock() {
	want := binary.LittleEndian.Uint64(n.guest[:])
	plug := want & (smiPlug | smiUnplug)
	if n.ok[0] != 0 || want&^n.host != 0 || want&smiBroadcast == 0 && plug != 0 || plug == smiUnplug {
		return
	}
	n.negotiated, n.ok[0] = want, 1
}

// OfferSMI gives firmware the files to negotiate with.
func (l *LPC) OfferSMI(fw *fwcfg.FWCfg) error {
	n := &l.smi
	for bit, on := range map[uint64]bool{smiBroadcast: l.props.Broadcast, smiPlug: l.props.Plug, smiUnplug: l.props.Unplug} {
		if on {
			n.host |= bit
		}
	}
	if n.host == 0 {
		return nil
	}
	if err := fw.AddFile("etc/smi/supported-features", binary.LittleEndian.AppendUint64(nil, n.host)); err != nil {
		return err
	}
	if err := fw.AddHooked("etc/smi/requested-features", n.guest[:], fwcfg.Hooks{Writable: true}); err != nil {
		return err
	}
	return fw.AddHooked("etc/smi/features-ok", n.ok[:], fwcfg.Hooks{Selected: n.lock})
}

// SMIFeatures are those that firmware has agreed to.
func (l *LPC) SMIFeatures() (broadcast, plug, unplug bool) {
	f := l.smi.negotiated
	return f&smiBroadcast != 0, f&smiPlug != 0, f&smiUnplug != 0
}
