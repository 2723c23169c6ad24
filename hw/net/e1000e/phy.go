package e1000e

import "goemu/internal/clock"

// phyReset are the PHY's registers after a reset, by page.
var phyReset = [phyPages][phyPageRegs]uint16{
	{phyCtrl: 0x1140, phyStatus: 0x794d &^ srComplete, phyID1: 0x141, phyID2: 0xcb1, phyAdv: 0xde1, phyPartner: 0x7e0, phyExp: 4, phyNext: 0x2001,
		phy1000Ctrl: 0xf00, phy1000Status: 0x3c00, phyExtStatus: 0x3000, 0x10: 0x3360, 0x11: 0xac08},
	2: {0x10: 0x88, 0x15: 0x1046},
	3: {0x12: 0x4005},
}

// phyRegs are what can be read and written on each page; the first sixteen and the page register are on all of them.
var phyRegs = [phyPages][phyPageRegs]struct{ r, w bool }{
	0: {0: rw, 1: ro, 2: ro, 3: ro, 4: rw, 5: ro, 6: ro, 7: rw, 8: ro, 9: rw, 10: ro, 15: ro, phyPage: rw,
		0x10: rw, 0x11: ro, 0x12: rw, 0x13: ro, 0x14: rw, 0x15: ro, phyOEM: rw, 0x1a: rw, 0x1d: rw, 0x1e: rw},
	2: {0x10: rw, 0x12: rw, 0x13: ro, 0x15: rw},
	3: {0x10: rw, 0x11: rw, 0x12: rw, 0x13: rw},
	5: {0x14: ro, 0x15: ro},
	6: {0x11: ro},
}

var (
	ro = struct{ r, w bool }{r: true}
	rw = struct{ r, w bool }{true, true}
)

// phyAt is the page on which a register is now, and what can be done with it.
func (d *Device) phyAt(reg uint32) (page uint16, can struct{ r, w bool }) {
	if reg > 15 && reg != phyPage {
		page = d.phy[0][phyPage]
	}
	if page >= phyPages {
		return 0, can
	}
	return page, phyRegs[page][reg]
}

// writeMDIC carries out a transaction with the PHY (section 10.2.2.7).
func (d *Device) writeMDIC(v uint32) {
	reg := v >> mdicReg & (phyPageRegs - 1)
	page, can := d.phyAt(reg)
	switch {
	case v>>mdicPHY&0x1f != mdicOnlyPHY:
		v = d.mac[regMDIC] | mdicError
	case v&mdicRead != 0 && can.r:
		v = v&^mdicData | uint32(d.phy[page][reg])
	case v&mdicRead == 0 && v&mdicWrite != 0 && can.w:
		d.writePHY(page, reg, uint16(v))
	case v&(mdicRead|mdicWrite) != 0:
		v |= mdicError
	}
	d.mac[regMDIC] = v | mdicReady
	if v&mdicInterrupt != 0 {
		d.raise(irqMDAC)
	}
}

func (d *Device) writePHY(page uint16, reg uint32, v uint16) {
	switch {
	case page == 0 && reg == phyCtrl:
		d.phy[0][phyCtrl] = v &^ (crReserved | crReset | crRestart)
		if v&crRestart != 0 && d.negotiates() {
			d.restartAutoneg()
		}
	case page == 0 && reg == phyPage:
		d.phy[0][phyPage] = v & phyPageMask
	case page == 0 && reg == phyOEM:
		d.phy[0][phyOEM] = v &^ oemRestart
		if v&oemRestart != 0 {
			d.restartAutoneg()
		}
	default:
		d.phy[page][reg] = v
	}
}

func (d *Device) negotiates() bool { return d.phy[0][phyCtrl]&crAutoneg != 0 }

func (d *Device) linkDown() {
	d.mac[regSTATUS] &^= statusLU
	d.phy[0][phyStatus] &^= srLink | srComplete
	d.phy[0][phyPartner] &^= partnerAck
}

func (d *Device) linkUp() {
	d.mac[regSTATUS] |= statusLU
	d.phy[0][phyStatus] |= srLink
	d.wire.Room()
}

// LinkChanged implements nic.Receiver.
func (d *Device) LinkChanged(down bool) {
	old := d.mac[regSTATUS]
	switch {
	case down:
		d.linkDown()
	case d.negotiates() && d.phy[0][phyStatus]&srComplete == 0:
		d.restartAutoneg()
	default:
		d.linkUp()
	}
	if d.mac[regSTATUS] != old {
		d.raise(irqLSC)
	}
}

func (d *Device) restartAutoneg() {
	d.linkDown()
	d.autoneg.Mod(clock.Virtual.Now() + autonegNS)
}

// negotiated ends the negotiation.
func (d *Device) negotiated() {
	if d.wire.LinkDown() {
		return
	}
	d.linkUp()
	d.phy[0][phyPartner] |= partnerAck
	d.phy[0][phyStatus] |= srComplete
	d.flowControl()
	d.raise(irqLSC)
}

// flowControl tells that both ends can be asked to pause.
func (d *Device) flowControl() {
	if d.negotiates() && d.phy[0][phyStatus]&srComplete != 0 {
		d.mac[regCTRL] |= ctrlTFCE | ctrlRFCE
	}
}
