package rtl8139

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

// regs are the registers that a reset does not leave alone all, and all of which migrate.
type regs struct {
	mac        [6]byte
	multi      [8]byte
	txStatus   [4]uint32
	txAddr     [4]uint32
	rxBuf      uint32
	rxSize     uint32 // of the receive ring, a power of two
	rxRead     uint32 // where the driver reads next
	rxWrite    uint32 // where the next frame goes
	intr, mask uint16
	txConfig   uint32
	rxConfig   uint32
	rxMissed   uint32
	cscr       uint16
	cfg9346    uint8
	config     [6]uint8 // by number; there is no second one
	clockOn    uint8
	cmd        uint8
	multiIntr  uint16

	bmcr, bmsr, advert, partner, expansion uint16

	cpCmd    uint16
	txThresh uint8

	txNext              uint32 // transmit buffer
	cpRxNext, cpTxNext  uint32 // descriptors
	rxRingLow, rxRingHi uint32
	timerInt            uint32 // ticks at which the timer interrupts, 0 for never
	timerBase           int64  // when the timer was zero
	tally               tally
	cpEnabled           uint32 // C+ mode was used since the reset
	timerValue          uint32 // as it migrates
	zero                int32  // that migrates
}

// Device is the device type rtl8139.
type Device struct {
	pci.Device
	nic.Props

	wire   nic.Wire
	eeprom eeprom
	regs
	timer *clock.Timer
	tx    []byte // the packet of the C+ mode that is being put together
	frame [minFrame + vlanLen]byte
	busy  bool // accesses memory: its own accesses of its registers are lost
}

// Class is the device type.
var Class = qdev.Class{Name: "rtl8139", Bus: pci.BusType, Category: qdev.Network, Parents: []string{"pci-device", "device"},
	New: func() qdev.Device {
		d := new(Device)
		d.DefaultROM("efi-rtl8139.rom")
		return d
	},
	State: func(d qdev.Device) vmstate.State { return state.Bind(d.(*Device)) }}

// PCIInfo implements pci.Function.
func (d *Device) PCIInfo() pci.Info {
	return pci.Info{Vendor: vendorRealtek, Device: device8139, Class: pci.ClassNetworkEthernet, Revision: revision8139C}
}

// Realize implements qdev.Device.
func (d *Device) Realize() error {
	d.SetInterruptPin(1)
	d.Config[pci.RegCapabilities] = capabilitiesAt
	ports := memory.NewIO("rtl8139", regsSize, registers{d})
	ports.Impl = memory.Access{Min: 1, Max: 4}
	d.SetBAR(0, pci.BARIO, ports)
	d.SetBAR(1, pci.BARMem32, memory.NewAlias("rtl8139-mem", ports, 0, regsSize))
	d.timer = mainloop.NewTimer(clock.Virtual, d.timeout)
	if err := d.wire.Open(&d.Props, d, "rtl8139", d); err != nil {
		return err
	}
	d.eeprom.fill(d.MAC)
	return nil
}

// Unrealize implements qdev.Device.
func (d *Device) Unrealize() {
	d.timer.Del()
	d.wire.Shut(&d.Props)
}

// Reset implements qdev.Device. What is not named keeps its value.
func (d *Device) Reset() {
	d.mac = d.MAC
	d.wire.ShowMAC(d.mac)
	d.intr, d.mask = 0, 0
	d.updateIRQ()
	for i := range d.txStatus {
		d.txStatus[i] = txOwn
	}
	d.txNext, d.cpRxNext, d.cpTxNext = 0, 0, 0
	d.rxRingLow, d.rxRingHi, d.rxBuf = 0, 0, 0
	d.resetRing(ringMin)
	d.txConfig, d.clockOn, d.cmd = chipCPlus, 1, cmdReset
	d.config[0], d.config[1], d.config[3], d.config[5] = 0, config1Reset, config3Reset, 0
	d.cpCmd, d.cpEnabled = 0, 0
	d.bmcr = bmcrAutoneg
	d.resetPHY()
	d.timerInt, d.timerBase = 0, 0
	d.setTimer()
	d.tally = tally{}
	d.tx = d.tx[:0]
}

func (d *Device) resetRing(size uint32) { d.rxSize, d.rxRead, d.rxWrite = size, 0, 0 }

func (d *Device) resetPHY() {
	d.bmsr = bmsrReset
	if !d.wire.LinkDown() {
		d.bmsr |= bmsrLink
	}
	d.advert, d.partner, d.expansion, d.cscr = advertAll, advertAll, expansionAuto, cscrReset
}

// BootPlace implements qdev.Bootable.
func (d *Device) BootPlace() (index int32, suffix string, ok bool) { return d.Props.BootPlace() }

// LinkChanged implements nic.Receiver.
func (d *Device) LinkChanged(down bool) {
	d.bmsr &^= bmsrLink
	if !down {
		d.bmsr |= bmsrLink
	}
	d.raise(irqLink)
}

// raise adds causes of interrupts.
func (d *Device) raise(causes uint16) {
	d.intr |= causes
	d.updateIRQ()
}

func (d *Device) updateIRQ() { d.SetINTx(d.intr&d.mask != 0) }

// The timer counts ticks since timerBase, with 32 bits.
const timerPeriod = tickNS << 32

// setTimer makes the timer's interrupt come when it is due. The base moves by whole rounds of the counter.
func (d *Device) setTimer() {
	now := clock.Virtual.Now()
	if since := uint64(now - d.timerBase); d.timerBase <= now {
		d.timerBase += int64(since / timerPeriod * timerPeriod)
	}
	if d.timerInt == 0 {
		d.timer.Del()
		return
	}
	at := d.timerBase + int64(d.timerInt)*tickNS
	if at <= now {
		at += timerPeriod
	}
	d.timer.Mod(at)
}

func (d *Device) ticks() uint32 { return uint32((clock.Virtual.Now() - d.timerBase) / tickNS) }

func (d *Device) timeout() {
	if d.clockOn != 0 {
		d.raise(irqTimer)
		d.setTimer()
	}
}

// tally are the statistics that the driver can have written to memory (data sheet of the C+, section 6.2): the order of the fields is
// that in memory.
type tally struct {
	TxOK, RxOK, TxErrors     uint64
	RxErrors                 uint32
	Missed, Misaligned       uint16
	OneCollision, Collisions uint32
	RxMine, RxBroad          uint64
	RxMulti                  uint32
	TxAborted, TxUnderruns   uint16
}

// dump writes the statistics to memory.
func (d *Device) dump(at uint64) {
	b, err := binary.Append(nil, le, &d.tally)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	d.DMA().Write(at, b)
}
