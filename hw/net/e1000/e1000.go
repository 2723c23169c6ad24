package e1000

import (
	"encoding/binary"

	"goemu/hw/nic"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// Device is one of the device types e1000, e1000-82544gc and e1000-82545em.
type Device struct {
	pci.Device
	nic.Props
	Autoneg    bool `prop:"autonegotiation,default=on" help:"on/off"`
	Mitigation bool `prop:"mitigation,default=on" help:"on/off"`
	ExtraRegs  bool `prop:"extra_mac_registers,default=on" help:"on/off"`
	MigrateTSO bool `prop:"migrate_tso_props,default=on" help:"on/off"`
	InitVET    bool `prop:"init-vet,default=on" help:"on/off"`

	model *model
	wire  nic.Wire
	mac   [numRegs]uint32
	phy   [numPHY]uint16
	rom   [romWords]uint16
	serialROM
	rxSize  uint32 // of a receive buffer
	rxShift uint32 // of the length of the receive ring: fewer descriptors left than that interrupt
	tx      transmitter

	autonegTimer *clock.Timer
	throttle     *clock.Timer // holds interrupts back
	settle       *clock.Timer // holds frames back after the receiver was set up
	quietUntil   int64        // virtual time before which the line does not rise again
	irqLevel     bool
	delayTX      uint32 // a descriptor has asked for a delayed interrupt
	migrated     offload
	hasTSO       bool // was loaded
	lastWasTSO   bool // the last context was one for segmentation
	frame        [minFrame]byte
	transmitting bool
}

// serialROM is the state of the EEPROM's serial interface.
type serialROM struct {
	in              uint32 // shifted in
	bitsIn, bitsOut uint16
	reading         uint16
	lines           uint32
}

// model is what distinguishes the device types.
type model struct {
	name, alias string
	device      uint16
	phyID2      uint16
}

var models = []*model{
	{"e1000", "e1000-82540em", 0x100e, 0xc20},
	{"e1000-82544gc", "", 0x100c, 0xc30},
	{"e1000-82545em", "", 0x100f, 0xc20},
}

// Classes are the device types of this package.
func Classes() (list []*qdev.Class) {
	for _, m := range models {
		list = append(list, &qdev.Class{Name: m.name, Alias: m.alias, Bus: pci.BusType, Category: qdev.Network, Desc: "Intel Gigabit Ethernet",
			Parents: []string{"e1000-base", "pci-device", "device"},
			New: func() qdev.Device {
				d := &Device{model: m}
				d.DefaultROM("efi-e1000.rom")
				return d
			},
			State: func(d qdev.Device) vmstate.State { return state.Bind(d.(*Device)) }})
	}
	return list
}

// PCIInfo implements pci.Function.
func (d *Device) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: d.model.device, Class: pci.ClassNetworkEthernet, Revision: 3}
}

// Times of the virtual clock.
const (
	ms         = 1000000
	autonegNS  = 500 * ms
	settleNS   = 10 * ms
	unitNS     = 256 // of ITR
	delayUnits = 4   // units in one of RADV and TADV
	minDelay   = 500 // units
)

// Realize implements qdev.Device.
func (d *Device) Realize() error {
	d.Config[pci.RegCacheLine] = 0x10
	d.SetInterruptPin(1)
	regs := memory.NewIO("e1000-mmio", mmioSize, registers{d})
	regs.Impl = memory.Access{Min: 4, Max: 4}
	regs.Coalesced = quiet()
	d.SetBAR(0, pci.BARMem32, regs)
	d.SetBAR(1, pci.BARIO, memory.NewIO("e1000-io", portsSize, ports{}))
	d.autonegTimer = mainloop.NewTimer(clock.Virtual, d.autonegDone)
	d.throttle = mainloop.NewTimer(clock.Virtual, d.throttleOver)
	d.settle = mainloop.NewTimer(clock.Virtual, d.wire.Room)
	if err := d.wire.Open(&d.Props, d, d.model.name, d); err != nil {
		return err
	}
	d.fillROM()
	return nil
}

// fillROM writes the EEPROM.
func (d *Device) fillROM() {
	d.rom = romTemplate
	for i := range 3 {
		d.rom[i] = le.Uint16(d.MAC[2*i:])
	}
	d.rom[romDevice1], d.rom[romDevice2] = d.model.device, d.model.device
	sum := uint16(0)
	for _, w := range d.rom[:romChecksum] {
		sum += w
	}
	d.rom[romChecksum] = romSum - sum
}

// Unrealize implements qdev.Device.
func (d *Device) Unrealize() {
	d.autonegTimer.Del()
	d.throttle.Del()
	d.settle.Del()
	d.wire.Shut(&d.Props)
}

// Reset implements qdev.Device.
func (d *Device) Reset() {
	d.autonegTimer.Del()
	d.throttle.Del()
	d.settle.Del()
	d.quietUntil, d.irqLevel, d.delayTX = 0, false, 0
	d.phy = phyReset
	d.phy[phyID2] = d.model.phyID2
	d.mac = [numRegs]uint32{
		regPBA: 0x00100030, regLEDCTL: 0x602,
		regCTRL:   ctrlPin2 | ctrlPin0 | ctrlSpeed1000 | ctrlSLU,
		regSTATUS: statusReset | statusMaster | statusASDV | statusTXCKOK | statusSpeed1000 | statusFD | statusLU,
		regMANC:   mancHost | mancTCO | mancARP | manc0298 | mancRMCP,
	}
	d.rxShift = 1
	d.tx = transmitter{}
	if d.wire.LinkDown() {
		d.linkDown()
	}
	d.mac[regRA] = le.Uint32(d.MAC[:])
	d.mac[regRA+1] = uint32(le.Uint16(d.MAC[4:])) | addrValid
	d.wire.ShowMAC(d.MAC)
	if d.InitVET {
		d.mac[regVET] = etherVLAN
	}
	d.SetINTx(false)
}

// BootPlace implements qdev.Bootable.
func (d *Device) BootPlace() (index int32, suffix string, ok bool) { return d.Props.BootPlace() }

// WriteConfig implements pci.ConfigWriter: frames may wait for bus mastering.
func (d *Device) WriteConfig(addr, size int, v uint32) {
	d.DefaultWriteConfig(addr, size, v)
	if addr <= pci.RegCommand && addr+size > pci.RegCommand && d.Mastering() {
		d.wire.Room()
	}
}

// linkDown and linkUp change the registers with the link.
func (d *Device) linkDown() {
	d.mac[regSTATUS] &^= statusLU
	d.phy[phyStatus] &^= srLink | srComplete
	d.phy[phyPartner] &^= partnerAck
}

func (d *Device) linkUp() {
	d.mac[regSTATUS] |= statusLU
	d.phy[phyStatus] |= srLink
	d.wire.Room()
}

// LinkChanged implements nic.Receiver.
func (d *Device) LinkChanged(down bool) {
	old := d.mac[regSTATUS]
	switch {
	case down:
		d.linkDown()
	case d.negotiates() && d.phy[phyStatus]&srComplete == 0:
		d.restartAutoneg()
	default:
		d.linkUp()
	}
	if d.mac[regSTATUS] != old {
		d.raise(irqLSC)
	}
}

func (d *Device) negotiates() bool { return d.Autoneg && d.phy[phyCtrl]&crAutoneg != 0 }

func (d *Device) restartAutoneg() {
	d.linkDown()
	d.autonegTimer.Mod(clock.Virtual.Now() + autonegNS)
}

func (d *Device) autonegDone() {
	if d.wire.LinkDown() {
		return
	}
	d.linkUp()
	d.phy[phyPartner] |= partnerAck
	d.phy[phyStatus] |= srComplete
	d.raise(irqLSC)
}

// raise adds causes of interrupts.
func (d *Device) raise(causes uint32) { d.setCauses(causes | d.mac[regICR]) }

// setCauses changes the causes of interrupts and the line, which does not rise more often than the guest wants (section 13.4.18).
func (d *Device) setCauses(v uint32) {
	d.mac[regICR], d.mac[regICS] = v, v
	pending := d.mac[regIMS] & v
	if d.Mitigation && !d.irqLevel && pending != 0 {
		now := clock.Virtual.Now()
		if now < d.quietUntil {
			if !d.throttle.Pending() {
				d.throttle.Mod(d.quietUntil)
			}
			return
		}
		d.quietUntil = now + int64(d.delay(pending))*unitNS
		d.delayTX = 0
	}
	d.irqLevel = pending != 0
	d.SetINTx(d.irqLevel)
}

// delay is how long the next interrupt has to wait, in units.
func (d *Device) delay(pending uint32) uint32 {
	delay := uint32(0)
	least := func(v uint32) {
		if v != 0 && (delay == 0 || v < delay) {
			delay = v
		}
	}
	if d.delayTX != 0 && pending&(irqTXQE|irqTXDW) != 0 {
		least(d.mac[regTADV] * delayUnits)
	}
	if d.mac[regRDTR] != 0 && pending&irqRXT0 != 0 {
		least(d.mac[regRADV] * delayUnits)
	}
	least(d.mac[regITR])
	return max(delay, minDelay)
}

func (d *Device) throttleOver() { d.setCauses(d.mac[regICR]) }

// ports answers the I/O ports, which do nothing.
type ports struct{}

// Read implements memory.Ops.
func (ports) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops.
func (ports) Write(uint64, int, uint64) {}
