package e1000

import "goemu/internal/clock"

// registers answers BAR 0.
type registers struct{ d *Device }

// allowed tells whether the options of the device let the guest see a register.
func (d *Device) allowed(i uint64) bool {
	switch access[i].need {
	case needMitigation:
		return d.Mitigation
	case needExtra:
		return d.ExtraRegs
	}
	return true
}

// Read implements memory.Ops.
func (r registers) Read(off uint64, _ int) uint64 {
	d, i := r.d, off>>2&(numRegs-1)
	if !d.allowed(i) {
		return 0
	}
	p := &d.mac[i]
	v := *p
	switch access[i].read {
	case rdNone:
		return 0
	case rdLow4:
		v &= 0xf
	case rdLow11:
		v &= 0x7ff
	case rdLow13:
		v &= 0x1fff
	case rdLow16:
		v &= 0xffff
	case rdClear:
		*p = 0
	case rdClearPair:
		*p, d.mac[i-1] = 0, 0
	case rdICR:
		d.setCauses(0)
	case rdEECD:
		v = d.readEECD()
	case rdEERD:
		v = d.readEERD()
	}
	return uint64(v)
}

// Write implements memory.Ops.
func (r registers) Write(off uint64, _ int, value uint64) {
	d, i := r.d, off>>2&(numRegs-1)
	if !d.allowed(i) {
		return
	}
	p, v := &d.mac[i], uint32(value)
	switch access[i].write {
	case wrPlain:
		*p = v
		if i == regRA+1 {
			var m [8]byte
			le.PutUint32(m[:], d.mac[regRA])
			le.PutUint32(m[4:], d.mac[regRA+1])
			d.wire.ShowMAC([6]byte(m[:6]))
		}
	case wrLow16:
		*p = v & 0xffff
	case wrLength:
		*p = v & 0xfff80
	case wrRDT:
		*p = v & 0xffff
		if d.hasBuffers(1) {
			d.wire.Room()
		}
	case wrTransmit:
		*p = v
		d.mac[regTDT] &= 0xffff
		d.transmit()
	case wrMDIC:
		d.writeMDIC(v)
	case wrICS:
		d.raise(v)
	case wrIMC:
		d.mac[regIMS] &^= v
		d.raise(0)
	case wrIMS:
		d.mac[regIMS] |= v
		d.raise(0)
	case wrICR:
		d.setCauses(d.mac[regICR] &^ v)
	case wrEECD:
		d.writeEECD(v)
	case wrRCTL:
		*p = v
		d.rxSize = bufferSize(v)
		d.rxShift = v>>rctlRDMTS&3 + 1
		d.settle.Mod(clock.Virtual.Now() + settleNS)
	case wrCTRL:
		*p = v &^ ctrlReset
	}
}

// bufferSize is the size of receive buffers that RCTL asks for.
func bufferSize(rctl uint32) uint32 {
	code := rctl >> rctlSZ & 3
	switch {
	case code == 0:
		return 2048
	case rctl&rctlBSEX != 0:
		return 32768 >> code
	}
	return 2048 >> code
}

// writeMDIC carries out a transaction with the PHY (section 13.4.7).
func (d *Device) writeMDIC(v uint32) {
	data, reg := uint16(v&mdicData), v>>mdicReg&(numPHY-1)
	switch {
	case v>>mdicPHY&0x1f != mdicOnlyPHY:
		v = d.mac[regMDIC] | mdicError
	case v&mdicRead != 0:
		if !phyAccess[reg].r {
			v |= mdicError
		} else {
			v = v&^mdicData | uint32(d.phy[reg])
		}
	case v&mdicWrite != 0:
		switch {
		case !phyAccess[reg].w:
			v |= mdicError
		case reg == phyCtrl:
			d.phy[phyCtrl] = data &^ (crReserved | crReset | crRestart)
			if d.negotiates() && data&crRestart != 0 {
				d.restartAutoneg()
			}
		default:
			d.phy[reg] = data
		}
	}
	d.mac[regMDIC] = v | mdicReady
	if v&mdicInterrupt != 0 {
		d.raise(irqMDAC)
	}
}

// readEECD answers with the EEPROM's lines (section 13.4.4).
func (d *Device) readEECD() uint32 {
	v := eecdIn | eecdGNT | d.lines
	if d.reading == 0 || d.rom[d.bitsOut>>4&(romWords-1)]>>(d.bitsOut&15^15)&1 != 0 {
		v |= eecdDO
	}
	return v
}

// writeEECD moves the EEPROM's lines: a command is a start bit, three bits of operation and six of address, each taken with the clock.
func (d *Device) writeEECD(v uint32) {
	changed := v ^ d.lines
	d.lines = v & (eecdSK | eecdCS | eecdDI | eecdFWE | eecdREQ)
	if v&eecdCS == 0 {
		return
	}
	if changed&eecdCS != 0 {
		d.in, d.bitsIn, d.bitsOut, d.reading = 0, 0, 0, 0
	}
	if changed&eecdSK == 0 {
		return
	}
	if v&eecdSK == 0 {
		d.bitsOut++
		return
	}
	d.in <<= 1
	if v&eecdDI != 0 {
		d.in |= 1
	}
	if d.bitsIn++; d.bitsIn == 9 && d.reading == 0 {
		d.bitsOut = uint16(d.in&(romWords-1))<<4 - 1
		if d.in>>6&7 == romRead {
			d.reading = 1
		}
	}
}

// readEERD reads a word of the EEPROM by its register (section 13.4.5).
func (d *Device) readEERD() uint32 {
	v := d.mac[regEERD]
	if v&eerdStart == 0 {
		return v
	}
	v &^= eerdStart
	i := v >> eerdAddr
	if i > romChecksum {
		return v | eerdDone
	}
	return uint32(d.rom[i])<<eerdData | v | eerdDone
}
