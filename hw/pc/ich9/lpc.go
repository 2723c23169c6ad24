// Package ich9 is the parts of the Intel ICH9 that the q35 machine has of its own: the LPC bridge with interrupt routing, power
// management and watchdog, and the SMBus controller.
package ich9

import (
	"encoding/binary"

	"goemu/hw/hotplug"
	"goemu/hw/isa"
	"goemu/hw/pci"
	"goemu/hw/pm"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Identity of the bridge, and where it sits.
const (
	lpcDevice, lpcRevision = 0x2918, 2
	DevFnLPC               = 31 << 3
)

// Registers of the bridge (ICH9 data sheet, §13.1).
const (
	regPMBase             = 0x40
	pmBaseMask            = 0xff80
	regACPIControl        = 0x44
	acpiOn, sciSelect     = 0x80, 0x07
	regPIRQA, regPIRQE    = 0x60, 0x68
	pirqOff, pirqLine     = 0x80, 0x0f
	regISADecode          = 0x82 // shows which devices there are
	regPMControl          = 0xa0
	smiLock               = 1 << 4
	regRCBA               = 0xf0
	rcbaMask, rcbaOn      = 0xffffc000, 0x01
	numPIRQ               = 8
	numGSI                = 24
	portSerial1           = 0x3f8
	portSerial2           = 0x2f8
	portParallel          = 0x378
	portFloppy            = 0x3f2
	portReset             = 0xcf9
	resetCPU, resetKept   = 0x04, 0x0a
	portPriority          = 1
	chipConfigSize        = 16 << 10
	ccRoute31             = 0x3140 // interrupt routes of slots 31 to 25
	ccRouteReset          = 0x3210
	ccStatus, ccNoReboot  = 0x3410, 1 << 5
	firstSlot, bridgeSlot = 25, 30
)

// routeRegs are the interrupt route registers of the slots from 25 on; slot 30 has none.
var routeRegs = [...]int{0x3150, 0x314c, 0x3148, 0x3146, 0x3144, 0x3142, ccRoute31}

// sciLines are the interrupts that the system control interrupt can be; -1 is reserved.
var sciLines = [8]int{9, 10, 11, -1, 20, 21, -1, -1}

// LPC is the device type ICH9-LPC.
type LPC struct {
	pci.Device
	ISA   *isa.Bus
	props struct {
		NoReboot  bool `prop:"noreboot,default=true"`
		SMMCompat bool `prop:"smm-compat,default=false"`
		Broadcast bool `prop:"x-smi-broadcast,default=on"`
		Plug      bool `prop:"x-smi-cpu-hotplug,default=on"`
		Unplug    bool `prop:"x-smi-cpu-hotunplug,default=on"`
	}
	options struct { // of power management
		ACPIHotplug bool  `prop:"acpi-pci-hotplug-with-bridge-support"`
		DisableS3   uint8 `prop:"disable_s3"`
		DisableS4   uint8 `prop:"disable_s4"`
		EnableTCO   bool  `prop:"enable_tco"`
		S4          uint8 `prop:"s4_val"`
		KeepHPC     bool  `prop:"x-keep-pci-slot-hpc"`
	}
	c Config

	routes     [32][4]uint8 // PIRQ of each slot's pins
	chipConfig [chipConfigSize]byte
	rcrb       *memory.Region
	rcr        uint8
	sciLevel   uint32
	sciGSI     int
	apmc, apms uint8
	shown      bool

	power power
	smi   negotiation
}

// power is the power management registers.
type power struct {
	acpi        pm.Regs
	tco         pm.TCO
	io          *memory.Region
	smiEnable   uint32
	smiStatus   uint32
	smiWritable uint32
	memory      hotplug.DIMMs
	cpus        hotplug.CPUs
	hotplug     pm.PCIHotplug
}

// Class is the device type.
var Class = qdev.Class{Name: "ICH9-LPC", Bus: pci.BusType, Desc: "ICH9 LPC bridge", Internal: true, Category: qdev.Bridge,
	New: newLPC, State: qdev.State(&lpcState)}

// newLPC sets the options that have no default of their own.
func newLPC() qdev.Device {
	l := new(LPC)
	o := &l.options
	o.ACPIHotplug, o.EnableTCO, o.S4, o.KeepHPC = true, true, 2, true
	return l
}

// Config says how the bridge is connected.
type Config struct {
	Memory, IO *memory.Region
	GSI        []*qdev.IRQ // inputs of the interrupt controllers, which may come later
	SMI        func(all bool)
	VM         *mainloop.VM
	SMM        bool
	CPUs       []uint32 // APIC identifiers of those that are possible
	OST        func(hotplug.OST)
	DIMMs      int // slots for memory modules
}

// New puts the bridge on the bus.
func New(tree *qdev.Tree, bus *pci.Bus, c Config) (*LPC, error) {
	d, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	l := d.(*LPC)
	l.c, l.Addr = c, DevFnLPC
	if err := qdev.Realize(l, bus); err != nil {
		return nil, err
	}
	bus.SetIRQs(qdev.NewIRQs(l.setPIRQ, numPIRQ), l.Route)
	return l, nil
}

// PCIInfo implements pci.Function.
func (l *LPC) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: lpcDevice, Revision: lpcRevision, Class: pci.ClassBridgeISA, MultiFunction: true}
}

// Realize implements qdev.Device.
func (l *LPC) Realize() error {
	l.ISA = isa.NewBus(l, "isa.0", l.c.Memory, l.c.IO)
	l.ISA.SetIRQs(l.c.GSI[:isa.Lines])
	l.SetWritable32(regPMBase, pmBaseMask&^0xff|acpiOn|sciSelect)
	l.rcrb = memory.NewIO("lpc-rcrb-mmio", chipConfigSize, (*chipConfig)(l))
	for slot := range l.routes {
		for pin := range l.routes[slot] {
			l.routes[slot][pin] = uint8((slot+pin)%4 + 4)
		}
	}
	l.updateRoutes()
	apm := memory.NewIO("apm-io", apmPorts, (*apmOps)(l))
	apm.Valid = memory.Access{Min: 1, Max: 1}
	l.c.IO.Add(apm, portAPM, 0)
	reset := memory.NewIO("lpc-reset-control", 1, (*resetPort)(l))
	l.c.IO.Add(reset, portReset, portPriority)
	l.sciGSI = sciLines[0]
	l.initPower()
	return nil
}

// Reset implements qdev.Device.
func (l *LPC) Reset() {
	l.showDevices()
	for i := range 4 {
		l.Config[regPIRQA+i], l.Config[regPIRQE+i] = pirqOff, pirqOff
	}
	l.Config[regACPIControl] = 0
	l.Set32(regPMBase, 1)
	l.Set32(regRCBA, 0)
	clear(l.chipConfig[:])
	for i, at := range routeRegs {
		if firstSlot+i != bridgeSlot {
			binary.LittleEndian.PutUint16(l.chipConfig[at:], ccRouteReset)
		}
	}
	binary.LittleEndian.PutUint32(l.chipConfig[ccStatus:], ccNoReboot)
	l.updateRoutes()
	l.updatePM()
	l.updateRCBA()
	l.sciLevel, l.rcr = 0, 0
	l.smi.reset()
	l.resetPower()
}

// showDevices sets the register that says which ISA devices exist; once, when the machine is complete.
func (l *LPC) showDevices() {
	if l.shown {
		return
	}
	l.shown = true
	for i, port := range []uint64{portSerial1, portSerial2, portParallel, portFloppy} {
		if l.c.IO.Present(port) {
			l.Config[regISADecode] |= 1 << i
		}
	}
}

// updateRoutes takes the routes of the slots that have registers for it.
func (l *LPC) updateRoutes() {
	for i, at := range routeRegs {
		v := binary.LittleEndian.Uint16(l.chipConfig[at:])
		for pin := range 4 {
			if firstSlot+i == bridgeSlot { // wired
				l.routes[bridgeSlot][pin] = uint8(pin + 4)
			} else {
				l.routes[firstSlot+i][pin] = uint8(v>>(4*pin)) & (numPIRQ - 1)
			}
		}
	}
}

// Route tells which PIRQ a function's interrupt pin (0..3) is wired to.
func (l *LPC) Route(devfn uint8, pin int) int { return int(l.routes[devfn>>3][pin]) }

// line is the ISA interrupt of a PIRQ; on is false if it goes to the I/O APIC alone.
func (l *LPC) line(pirq int) (irq int, on bool) {
	v := l.Config[regPIRQA+pirq]
	if pirq >= 4 {
		v = l.Config[regPIRQE+pirq-4]
	}
	return int(v & pirqLine), v&pirqOff == 0
}

func (l *LPC) setPIRQ(pirq int, _ bool) {
	l.drive(isa.Lines + pirq)
	irq, _ := l.line(pirq)
	l.drive(irq)
}

// drive drives a global interrupt: those of the first 16 that PIRQs are routed to, and one of the others for each PIRQ.
func (l *LPC) drive(gsi int) {
	level := gsi == l.sciGSI && l.sciLevel != 0
	if gsi >= isa.Lines {
		level = level || l.PCI().Bus().IRQLevel(gsi-isa.Lines)
	} else {
		for pirq := range numPIRQ {
			if irq, on := l.line(pirq); on && irq == gsi {
				level = level || l.PCI().Bus().IRQLevel(pirq)
			}
		}
	}
	l.c.GSI[gsi].Set(level)
}

// setSCI drives the system control interrupt.
func (l *LPC) setSCI(_ int, level bool) {
	v := uint32(0)
	if level {
		v = 1
	}
	if v != l.sciLevel {
		l.sciLevel = v
		l.drive(l.sciGSI)
	}
}

// updatePM places the power management registers and chooses the system control interrupt.
func (l *LPC) updatePM() {
	base := uint32(0)
	if l.Config[regACPIControl]&acpiOn != 0 {
		base = l.Get32(regPMBase) & pmBaseMask
	}
	l.placePower(base)
	gsi := sciLines[l.Config[regACPIControl]&sciSelect]
	if gsi < 0 {
		return
	}
	if l.sciLevel != 0 && gsi != l.sciGSI {
		l.setSCI(0, false)
		l.sciGSI = gsi
		l.setSCI(0, true)
	}
	l.sciGSI = gsi
}

// updateRCBA places the chip's configuration registers.
func (l *LPC) updateRCBA() {
	memory.Begin()
	defer memory.Commit()
	if l.rcrb.Mapped() {
		l.c.Memory.Remove(l.rcrb)
	}
	if v := l.Get32(regRCBA); v&rcbaOn != 0 {
		l.c.Memory.Add(l.rcrb, uint64(v&rcbaMask), 1)
	}
}

// updateLock makes the lock of the SMI controls hold.
func (l *LPC) updateLock() {
	if l.Get16(regPMControl)&smiLock != 0 {
		l.Writable[regPMControl] &^= smiLock
		l.power.smiWritable &^= 1
	}
}

// WriteConfig implements pci.ConfigWriter.
func (l *LPC) WriteConfig(addr, size int, v uint32) {
	l.DefaultWriteConfig(addr, size, v)
	touches := func(at, n int) bool { return addr < at+n && addr+size > at }
	if touches(regPMBase, 4) || touches(regACPIControl, 1) {
		l.updatePM()
	}
	if touches(regRCBA, 4) {
		l.updateRCBA()
	}
	if touches(regPMControl, 8) {
		l.updateLock()
	}
}

// chipConfig answers the chip's configuration registers.
type chipConfig LPC

// Read implements memory.Ops.
func (o *chipConfig) Read(off uint64, size int) (v uint64) {
	for i := size - 1; i >= 0; i-- {
		v <<= 8
		if at := off + uint64(i); at < chipConfigSize {
			v |= uint64(o.chipConfig[at])
		}
	}
	return v
}

// Write implements memory.Ops.
func (o *chipConfig) Write(off uint64, size int, v uint64) {
	for i := range size {
		if at := off + uint64(i); at < chipConfigSize {
			o.chipConfig[at] = uint8(v >> (8 * i))
		}
	}
	(*LPC)(o).updateRoutes()
}

type resetPort LPC

// Read implements memory.Ops.
func (o *resetPort) Read(uint64, int) uint64 { return uint64(o.rcr) }

// Write implements memory.Ops.
func (o *resetPort) Write(_ uint64, _ int, v uint64) {
	if v&resetCPU != 0 {
		o.c.VM.RequestReset(mainloop.CauseGuestReset)
		return
	}
	o.rcr = uint8(v) & resetKept
}

// SetRoute connects a PIRQ to an ISA interrupt, SetupPM places the power management registers: as firmware does.
func (l *LPC) SetRoute(pirq int, irq uint8) {
	at := regPIRQA + pirq
	if pirq >= 4 {
		at = regPIRQE + pirq - 4
	}
	l.WriteConfig(at, 1, uint32(irq))
}

// PMBase is where the power management registers are.
func (l *LPC) PMBase() uint16 {
	if l.Config[regACPIControl]&acpiOn == 0 {
		return 0
	}
	return uint16(l.Get32(regPMBase) & pmBaseMask)
}

// S3 tells whether the machine can be suspended to memory, S4 is the sleep type for suspending to disk, 0 for none.
func (l *LPC) S3() bool { return l.options.DisableS3 == 0 }

// S4 is described with S3.
func (l *LPC) S4() uint8 {
	if l.options.DisableS4 != 0 {
		return 0
	}
	return l.options.S4
}

// SetupRCBA places the chip's configuration registers.
func (l *LPC) SetupRCBA(addr uint32) { l.WriteConfig(regRCBA, 4, addr|rcbaOn) }

// SetupPM is described with SetRoute.
func (l *LPC) SetupPM(base uint32) {
	l.WriteConfig(regPMBase, 4, base|1)
	l.WriteConfig(regACPIControl, 1, acpiOn)
}
