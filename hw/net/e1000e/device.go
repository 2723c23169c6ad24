package e1000e

import (
	"encoding/binary"

	"goemu/hw/nic"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// Places of capabilities, and identifiers.
const (
	msixAt, powerAt, msiAt, expressAt = 0xa0, 0xc8, 0xd0, 0xe0
	errorsAt, serialAt                = 0x100, 0x140

	deviceID  = 0x10d3
	autonegNS = 500_000_000
	etherVLAN = 0x8100
)

// Device is the device type e1000e.
type Device struct {
	pci.Device
	nic.Props
	DisableVNet uint8  `prop:"disable_vnet_hdr,default=0" help:"Do not use virtio headers, perform SW offloads emulation instead"`
	SubVendor   uint16 `prop:"subsys_ven,default=32902" help:"PCI device Subsystem Vendor ID"`
	SubDevice   uint16 `prop:"subsys,default=0" help:"PCI device Subsystem ID"`
	InitVET     bool   `prop:"init-vet,default=true"`

	wire   nic.Wire
	mac    [numRegs]uint32
	phy    [phyPages][phyPageRegs]uint16
	rom    [romWords]uint16
	perm   [6]uint8 // the address that a reset restores
	ioAddr uint32

	rxShift uint32
	rxDesc  uint8 // bytes of a descriptor of the receiver
	rxSizes [psBuffers]uint32
	rxSize  uint32 // of a descriptor's buffers
	frame   [minFrame]byte
	queues  [numQueues]transmitter
	looping bool // a frame is on its way from the transmitter to the receiver
	sending bool
	autoneg *clock.Timer

	delayed, told                     uint32 // causes that are put off, and those of which messages were sent
	rdtr, radv, raid, tadv, tidv, itr delay
	itrPending                        bool
	eitr                              [numVectors]delay
	eitrPending                       [numVectors]bool
	itrSet                            uint32
	eitrSet                           [numVectors]uint32
	vet                               uint16                         // of the stream
	hasSub                            [2]uint16                      // so, too
	saved                             [phyPages * phyPageRegs]uint16 // so, too: phy
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{{Name: "e1000e", Bus: pci.BusType, Category: qdev.Network, Desc: "Intel 82574L GbE Controller",
		Parents: []string{"pci-device", "device"},
		New: func() qdev.Device {
			d := new(Device)
			d.DefaultROM("efi-e1000e.rom")
			return d
		},
		State: qdev.State(&state)}}
}

// PCIInfo implements pci.Function.
func (d *Device) PCIInfo() pci.Info {
	return pci.Info{Vendor: pci.VendorIntel, Device: deviceID, Class: pci.ClassNetworkEthernet, Express: true,
		SubVendor: d.SubVendor, SubDevice: d.SubDevice}
}

// Realize implements qdev.Device.
func (d *Device) Realize() error {
	d.Config[pci.RegCacheLine] = 0x10
	d.SetInterruptPin(1)
	regs := memory.NewIO("e1000e-mmio", mmioSize, registers{d})
	io := memory.NewIO("e1000e-io", portsSize, ports{d})
	regs.Impl, io.Impl = memory.Access{Min: 4, Max: 4}, memory.Access{Min: 4, Max: 4}
	msix := memory.NewContainer("e1000e-msix", msixSize)
	d.SetBAR(0, pci.BARMem32, regs)
	d.SetBAR(1, pci.BARMem32, memory.NewContainer("e1000e-flash", flashSize))
	d.SetBAR(2, pci.BARIO, io)
	d.SetBAR(3, pci.BARMem32, msix)
	if err := d.capabilities(msix); err != nil {
		return err
	}
	d.initTimers()
	d.autoneg = mainloop.NewTimer(clock.Virtual, d.negotiated)
	if err := d.wire.Open(&d.Props, d, "e1000e", d); err != nil {
		return err
	}
	d.perm = d.MAC
	d.AddSerialNumber(serialAt, d.serial())
	d.fillROM()
	return nil
}

// capabilities adds those that do not depend on the address.
func (d *Device) capabilities(msix *memory.Region) error {
	if err := d.AddMSIX(pci.MSIXLayout{Entries: numVectors, TableBAR: 3, PBABAR: 3, PBAOffset: msixPBA, CapAt: msixAt}, msix, msix); err != nil {
		return err
	}
	for n := range numVectors {
		d.UseVector(n)
	}
	if err := d.AddOldEndpoint(expressAt); err != nil {
		return err
	}
	if err := d.AddMSI(msiAt, 1, false); err != nil {
		return err
	}
	if err := d.AddWakePower(powerAt); err != nil {
		return err
	}
	d.AddErrorReporting(errorsAt, false)
	return nil
}

// serial is the serial number, which is made from the address (section 7.2.3.3 of the specification of PCI Express).
func (d *Device) serial() uint64 {
	m := d.perm
	return be.Uint64([]byte{m[0], m[1], m[2], 0xff, 0xff, m[3], m[4], m[5]})
}

// romTemplate is the EEPROM (section 6.1) without the address, the device's identifier and the checksum.
var romTemplate = [romWords]uint16{
	3: 0x0420, 4: 0xf746, 5: 0x2010, 6: 0xffff, 7: 0xffff,
	10: 0x026b, 12: 0x8086, 15: 0x8058,
	17: 0x2001, 18: 0x7e7c, 19: 0xffff, 20: 0x1000, 21: 0x00c8, 23: 0x2704,
	24: 0x6cc9, 25: 0x3150, 26: 0x070e, 27: 0x460b, 28: 0x2d84, 29: 0x0100, 30: 0xf000, 31: 0x0706,
	32: 0x6000, 33: 0x0080, 34: 0x0f04, 35: 0x7fff, 36: 0x4f01, 37: 0xc600, 39: 0x20ff,
	40: 0x0028, 41: 0x0003, 45: 0x0003, 47: 0xffff,
	48: 0x0100, 49: 0xc000, 50: 0x121c, 51: 0xc007, 52: 0xffff, 53: 0xffff, 54: 0xffff, 55: 0xffff,
	56: 0xffff, 57: 0xffff, 58: 0xffff, 59: 0xffff, 61: 0x0120, 62: 0xffff,
}

const romDevice1, romDevice2, romChecksum, romSum = 11, 13, 63, 0xbaba

// fillROM writes the EEPROM.
func (d *Device) fillROM() {
	d.rom = romTemplate
	for i := range 3 {
		d.rom[i] = le.Uint16(d.perm[2*i:])
	}
	d.rom[romDevice1], d.rom[romDevice2] = deviceID, deviceID
	sum := uint16(0)
	for _, w := range d.rom[:romChecksum] {
		sum += w
	}
	d.rom[romChecksum] = romSum - sum
}

// Unrealize implements qdev.Device.
func (d *Device) Unrealize() {
	d.autoneg.Del()
	for _, t := range d.timers() {
		t.stop()
	}
	d.wire.Shut(&d.Props)
}

// Reset implements qdev.Device.
func (d *Device) Reset() {
	d.autoneg.Del()
	d.delayed, d.told = 0, 0
	for _, t := range d.timers() {
		t.stop()
	}
	d.phy = phyReset
	d.mac = [numRegs]uint32{}
	for i, v := range macReset {
		d.mac[i] = v
	}
	d.rxShift = 1 + 4
	if d.wire.LinkDown() {
		d.linkDown()
		d.flowControl()
	}
	d.resetAddress()
	d.queues = [numQueues]transmitter{}
	if d.InitVET {
		d.mac[regVET] = etherVLAN
	}
	d.SetINTx(false)
}

// macReset are the registers that are not zero after a reset.
var macReset = map[int]uint32{
	regPBA: 0x00140014, regLEDCTL: 0x00068302, regEXTCNF: 8, regEEMNGCTL: 1 << 31, regFLASHT: 2, regFLSWCTL: 3 << 30, regFLOL: 1,
	regRXDCTL: 1 << 16, regRXDCTL + queueStep: 1 << 16, regTIPG: 8 | 8<<10 | 6<<20, regRXCFGL: 0x88f7, regRXUDP: 0x319,
	regCTRL:   ctrlFD | ctrlPin2 | ctrlPin0 | ctrlSpeed1000 | ctrlSLU,
	regSTATUS: statusASDV1000 | statusLU,
	regPSRCTL: 2 | 4<<8 | 4<<16,
	regTARC:   3 | tarcEnable, regTARC + queueStep: 3 | tarcEnable,
	regEECD: eecdAutoRead | eecdPresent, regEERD: nvmDone, regEEWR: nvmDone,
	regGCR:  1<<9 | gcrReadOnly,
	regTDFH: 0x600, regTDFH + 2: 0x600, regTDFH + 4: 0x600, regTDFH + 6: 0x600,
	regPOEMB: 0x30d, regPBS: 0x28, regMANC: 1 << 28, regFACTPS: 0x20000004, regSWSM: 1, regRXCSUM: rxcsumIP | rxcsumL4,
	regITR: minThrottle, regEITR: minThrottle, regEITR + 1: minThrottle, regEITR + 2: minThrottle, regEITR + 3: minThrottle, regEITR + 4: minThrottle,
}

// resetAddress makes the card answer to the address it was made with.
func (d *Device) resetAddress() {
	d.mac[regRA] = le.Uint32(d.perm[:])
	d.mac[regRA+1] = uint32(le.Uint16(d.perm[4:])) | addrValid
	d.wire.ShowMAC(d.perm)
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

// status is register STATUS: what the hardware says, and what the driver has forced.
func (d *Device) status() uint32 {
	ctrl := d.mac[regCTRL]
	v := d.mac[regSTATUS]
	if ctrl&ctrlNoMaster == 0 {
		v |= statusMaster
	}
	if ctrl&ctrlForceDpx == 0 || ctrl&ctrlFD != 0 {
		v |= statusFD
	}
	if ctrl&ctrlForceSpd == 0 && d.mac[regCTRLEXT]&extSpeedBypass == 0 {
		return v | statusSpeed1000
	}
	switch speed := ctrl & ctrlSpeed >> 8; speed {
	case 0, 1:
		v |= speed << 6
	default:
		v |= statusSpeed1000
	}
	return v
}

// setCTRL takes register CTRL.
func setCTRL(d *Device, _ int, v uint32) {
	d.mac[regCTRL] = v &^ ctrlReset
	d.mac[regCTRLDup] = d.mac[regCTRL]
	if v&ctrlReset != 0 {
		d.resetAddress()
	}
	if v&ctrlPHYReset != 0 {
		d.mac[regSTATUS] |= statusPHYRA
	}
}

// accessROM reads or writes a word of the EEPROM (sections 10.2.2.4 and 10.2.2.5).
func (d *Device) accessROM(v uint32, write bool) {
	at := v >> nvmAddr & 0x3fff
	data, done := uint32(0), uint32(0)
	if write {
		data = v >> nvmData
	}
	if at < romWords && v&nvmStart != 0 {
		done = nvmDone
		if write {
			d.rom[at] = uint16(data)
		} else {
			data = uint32(d.rom[at])
		}
	}
	d.mac[regEERD] = done | at<<nvmAddr | data<<nvmData
}

// count adds one to a statistic, which stays at its largest value.
func (d *Device) count(reg int) { nic.Count(&d.mac[reg]) }

// countBytes adds to a statistic of 64 bits.
func (d *Device) countBytes(reg, n int) { nic.CountBytes(&d.mac[reg], &d.mac[reg+1], n) }
