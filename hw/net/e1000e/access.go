package e1000e

// read and write are what happens when the guest accesses a register.
type (
	read  func(d *Device, i int) uint32
	write func(d *Device, i int, v uint32)
)

// block is a range of registers by the offset of the first.
type block struct{ at, n int }

// plainReads and plainWrites are registers that are memory.
var (
	plainReads = []block{
		{0x10, 5}, {0x28, 3}, {0x38, 1}, {0xdc, 3}, {0x100, 1}, {0x170, 1}, {0x400, 1}, {0x410, 1}, {0xe00, 1}, {0xf00, 1}, {0xf08, 1},
		{0xf10, 1}, {0x1000, 1}, {0x1010, 5}, {0x1028, 6}, {0x1050, 1}, {0x2160, 1}, {0x2168, 1}, {0x2170, 1}, {0x2800, 3}, {0x2810, 1},
		{0x2818, 1}, {0x2820, 1}, {0x2828, 2}, {0x2900, 3}, {0x2910, 1}, {0x2918, 1}, {0x2928, 1}, {0x2c00, 1}, {0x2c08, 1}, {0x3800, 3},
		{0x3810, 1}, {0x3818, 1}, {0x3828, 2}, {0x3900, 3}, {0x3910, 1}, {0x3918, 1}, {0x3928, 1}, {0x4000, 5}, {0x4014, 4}, {0x4028, 1},
		{0x4030, 5}, {0x4048, 5}, {0x4088, 1}, {0x4090, 1}, {0x40a0, 1}, {0x40a8, 1}, {0x40b0, 5}, {0x40c8, 1}, {0x40fc, 1}, {0x5000, 1},
		{0x5008, 1}, {0x5010, 4}, {0x5200, 128}, {0x5400, 32}, {0x5600, 128}, {0x5800, 1}, {0x5808, 1}, {0x5810, 1}, {0x5818, 1},
		{0x5820, 3}, {0x5830, 1}, {0x5838, 1}, {0x5840, 7}, {0x5860, 1}, {0x5880, 4}, {0x5890, 8}, {0x5a00, 32}, {0x5b00, 1}, {0x5b08, 1},
		{0x5b10, 9}, {0x5b64, 2}, {0x5c00, 32}, {0x5c80, 32}, {0x5f40, 1}, {0x9400, 255}, {0x9800, 255}, {0xb600, 15}, {0x10000, 10240},
	}
	plainWrites = []block{
		{0x1c, 1}, {0x28, 1}, {0xdc, 3}, {0x410, 1}, {0x458, 1}, {0xe00, 1}, {0xf00, 1}, {0xf08, 1}, {0xf10, 1}, {0x1000, 1}, {0x1008, 1},
		{0x1010, 1}, {0x1030, 4}, {0x1050, 1}, {0x2410, 1}, {0x2418, 1}, {0x2420, 1}, {0x2428, 1}, {0x2430, 1}, {0x2804, 1}, {0x2904, 1},
		{0x2928, 1}, {0x3410, 1}, {0x3418, 1}, {0x3420, 1}, {0x3428, 1}, {0x3430, 1}, {0x3804, 1}, {0x3828, 1}, {0x3840, 1}, {0x3904, 1},
		{0x3928, 1}, {0x3940, 1}, {0x4058, 1}, {0x5010, 4}, {0x5200, 128}, {0x5400, 32}, {0x5600, 128}, {0x5800, 1}, {0x5808, 1},
		{0x5810, 1}, {0x5818, 1}, {0x5820, 3}, {0x5830, 1}, {0x5838, 1}, {0x5840, 7}, {0x5860, 1}, {0x5880, 4}, {0x5890, 8}, {0x5a00, 32},
		{0x5b08, 1}, {0x5b10, 9}, {0x5b50, 1}, {0x5b64, 1}, {0x5c00, 32}, {0x5c80, 32}, {0x5f00, 11}, {0x9000, 255}, {0x9400, 255},
		{0x9800, 255}, {0xb600, 15}, {0x10000, 10240},
	}
	// clearing are statistics that are zero once they have been read, clearingPairs the upper halves of such ones.
	clearing      = []block{{0x405c, 9}, {0x4080, 1}, {0x40a4, 1}, {0x40ac, 1}, {0x40d0, 11}, {0x4100, 1}}
	clearingPairs = []block{{0x408c, 1}, {0x4094, 1}, {0x40c4, 1}, {0x40cc, 1}}
	// low are registers of which only the lowest bits are shown.
	low = []struct {
		block
		bits uint
	}{{block{0x2410, 1}, 13}, {block{0x2418, 1}, 13}, {block{0x2420, 1}, 13}, {block{0x2428, 1}, 13}, {block{0x2430, 1}, 13},
		{block{0x3410, 1}, 13}, {block{0x3418, 1}, 13}, {block{0x3420, 1}, 13}, {block{0x3428, 1}, 13}, {block{0x3430, 1}, 13},
		{block{0x458, 1}, 16}, {block{0x1008, 1}, 6}, {block{0x9000, 255}, 4}, {block{0x5f00, 11}, 11}}
	// aliases are registers with a second place, that of the 8254x (section 10.2.1).
	aliases = []struct {
		block
		of int
	}{{block{0x168, 1}, 0x2160}, {block{0x160, 1}, 0x2168}, {block{0x108, 1}, 0x2820}, {block{0x110, 3}, 0x2800}, {block{0x120, 1}, 0x2810},
		{block{0x128, 1}, 0x2818}, {block{0x420, 3}, 0x3800}, {block{0x430, 1}, 0x3810}, {block{0x438, 1}, 0x3818}, {block{0x440, 1}, 0x3820},
		{block{0x8000, 1}, 0x2410}, {block{0x8008, 1}, 0x2418}, {block{0x8010, 1}, 0x3410}, {block{0x8018, 1}, 0x3418},
		{block{0x40, 32}, 0x5400}, {block{0x600, 128}, 0x5600}}
)

// special are the registers that do more.
var specialReads = map[int]read{
	regCTRL:   func(d *Device, _ int) uint32 { return d.mac[regCTRL] },
	regSTATUS: func(d *Device, _ int) uint32 { return d.status() },
	regICR:    func(d *Device, _ int) uint32 { return d.readICR() },
	regICS:    plainRead, regIMS: plainRead,
	regITR:              func(d *Device, _ int) uint32 { return d.itrSet },
	regTARC:             readTARC,
	regTARC + queueStep: readTARC,
	regSWSM: func(d *Device, i int) uint32 {
		v := d.mac[i]
		d.mac[i] |= 1 // whoever reads it has the semaphore
		return v
	},
}

var specialWrites = map[int]write{
	regCTRL: setCTRL, regCTRLDup: setCTRL,
	regSTATUS: func(d *Device, i int, v uint32) {
		if v&statusPHYRA == 0 {
			d.mac[i] &^= statusPHYRA
		}
	},
	regCTRLEXT: func(d *Device, i int, v uint32) { d.mac[i] = v &^ extSelfClear },
	regEECD:    func(d *Device, i int, v uint32) { d.mac[i] = d.mac[i]&eecdReadOnly | v&^eecdReadOnly },
	regEERD:    func(d *Device, _ int, v uint32) { d.accessROM(v, false) },
	regEEWR:    func(d *Device, _ int, v uint32) { d.accessROM(v, true) },
	regMDIC:    func(d *Device, _ int, v uint32) { d.writeMDIC(v) },
	regICR:     func(d *Device, _ int, v uint32) { d.writeICR(v) },
	regICS:     func(d *Device, _ int, v uint32) { d.raise(v) },
	regIMS:     func(d *Device, _ int, v uint32) { d.writeIMS(v) },
	regIMC: func(d *Device, _ int, v uint32) {
		d.mac[regIMS] &^= v
		d.updateInterrupts()
	},
	regITR: func(d *Device, i int, v uint32) {
		d.itrSet = v & 0xffff
		d.mac[i] = max(d.itrSet, minThrottle)
	},
	regPBACLR: func(d *Device, i int, v uint32) { d.clearPending(v) },
	regRCTL:   func(d *Device, _ int, v uint32) { d.writeRCTL(v) },
	regTCTL: func(d *Device, i int, v uint32) {
		d.mac[i] = v
		for q := range numQueues {
			d.transmit(q)
		}
	},
	regPSRCTL: func(d *Device, i int, v uint32) {
		if d.mac[regRCTL]&rctlType == 0 || v&0x7f != 0 && v>>8&0x3f != 0 {
			d.mac[i] = v
		}
	},
	regRDTR:   setDelay(func(d *Device) *delay { return &d.rdtr }),
	regTIDV:   setDelay(func(d *Device) *delay { return &d.tidv }),
	regRSRPD:  func(d *Device, i int, v uint32) { d.mac[i] = v & 0xfff },
	regRXDCTL: func(d *Device, i int, v uint32) { d.mac[i], d.mac[i+queueStep] = v, v },
	regRXCSUM: plainWrite, regRFCTL: plainWrite,
	regFCRTH: func(d *Device, i int, v uint32) { d.mac[i] = v & 0xfff8 },
	regFCRTL: func(d *Device, i int, v uint32) { d.mac[i] = v & 0x8000fff8 },
	regGCR:   func(d *Device, i int, v uint32) { d.mac[i] = v&^gcrReadOnly | d.mac[i]&gcrReadOnly },
	regRADV:  low16, regTADV: low16, regRAID: low16, regVET: low16, regFCAH: low16, regFCT: low16, regFCTTV: low16, regFCRTV: low16, regFLASHT: low16,
	regRA + 1: func(d *Device, i int, v uint32) {
		d.mac[i] = v
		var b [8]byte
		le.PutUint32(b[:], d.mac[regRA])
		le.PutUint32(b[4:], d.mac[regRA+1])
		d.wire.ShowMAC([6]byte(b[:6]))
	},
}

func plainRead(d *Device, i int) uint32     { return d.mac[i] }
func plainWrite(d *Device, i int, v uint32) { d.mac[i] = v }
func low16(d *Device, i int, v uint32)      { d.mac[i] = v & 0xffff }
func readTARC(d *Device, i int) uint32      { return d.mac[i] & 0x780007ff }

// setDelay sets a delay; a flag ends the one that runs.
func setDelay(of func(*Device) *delay) write {
	return func(d *Device, i int, v uint32) {
		d.mac[i] = v & 0xffff
		if v&flushDelay != 0 && of(d).running {
			d.raise(0)
		}
	}
}

// access is what the tables above say, by register.
type access struct {
	reads  [numRegs]read
	writes [numRegs]write
	alias  [numRegs]uint16 // the register itself for most
}

var regs = makeAccess()

func makeAccess() *access {
	a := new(access)
	for i := range a.alias {
		a.alias[i] = uint16(i)
	}
	each := func(list []block, f func(i int)) {
		for _, b := range list {
			for i := range b.n {
				f(b.at>>2 + i)
			}
		}
	}
	each(plainReads, func(i int) { a.reads[i] = plainRead })
	each(plainWrites, func(i int) { a.writes[i] = plainWrite })
	each(clearing, func(i int) {
		a.reads[i] = func(d *Device, i int) uint32 { v := d.mac[i]; d.mac[i] = 0; return v }
	})
	each(clearingPairs, func(i int) {
		a.reads[i] = func(d *Device, i int) uint32 { v := d.mac[i]; d.mac[i], d.mac[i-1] = 0, 0; return v }
	})
	for _, l := range low {
		each([]block{l.block}, func(i int) {
			a.reads[i] = func(d *Device, i int) uint32 { return d.mac[i] & (1<<l.bits - 1) }
		})
	}
	for _, l := range aliases {
		for i := range l.n {
			a.alias[l.at>>2+i] = uint16(l.of>>2 + i)
		}
	}
	for i, f := range specialReads {
		a.reads[i] = f
	}
	for i, f := range specialWrites {
		a.writes[i] = f
	}
	for n := range numVectors {
		a.reads[regEITR+n] = func(d *Device, i int) uint32 { return d.eitrSet[i-regEITR] }
		a.writes[regEITR+n] = func(d *Device, i int, v uint32) {
			d.eitrSet[i-regEITR] = v & 0xffff
			d.mac[i] = max(v&0xffff, minThrottle)
		}
	}
	for q := range numQueues {
		a.addQueue(q)
	}
	return a
}

// addQueue adds what the registers of a queue do.
func (a *access) addQueue(q int) {
	at := q * queueStep
	for _, r := range []int{regRDBAL, regTDBAL} {
		a.writes[r+at] = func(d *Device, i int, v uint32) { d.mac[i] = v &^ 0xf }
	}
	for _, r := range []int{regRDLEN, regTDLEN} {
		a.writes[r+at] = func(d *Device, i int, v uint32) { d.mac[i] = v & 0xfff80 }
	}
	a.writes[regRDH+at], a.writes[regTDH+at] = low16, low16
	a.writes[regRDT+at] = func(d *Device, i int, v uint32) {
		d.mac[i] = v & 0xffff
		d.wire.Deliver()
	}
	a.writes[regTDT+at] = func(d *Device, i int, v uint32) {
		d.mac[i] = v & 0xffff
		d.transmit(q)
	}
}

// registers answers BAR 0.
type registers struct{ d *Device }

// Read implements memory.Ops.
func (r registers) Read(off uint64, _ int) uint64 {
	i := int(regs.alias[off>>2&(numRegs-1)])
	if f := regs.reads[i]; f != nil {
		return uint64(f(r.d, i))
	}
	return 0
}

// Write implements memory.Ops.
func (r registers) Write(off uint64, _ int, v uint64) {
	i := int(regs.alias[off>>2&(numRegs-1)])
	if f := regs.writes[i]; f != nil {
		f(r.d, i, uint32(v))
	}
}

// ports answers BAR 2: an address, and the register at it.
type ports struct{ d *Device }

const portAddr, portData = 0, 4

// Read implements memory.Ops.
func (p ports) Read(off uint64, size int) uint64 {
	switch {
	case off == portAddr:
		return uint64(p.d.ioAddr)
	case off == portData && p.d.ioAddr < mmioSize:
		return registers(p).Read(uint64(p.d.ioAddr), size)
	}
	return 0
}

// Write implements memory.Ops.
func (p ports) Write(off uint64, size int, v uint64) {
	switch {
	case off == portAddr:
		p.d.ioAddr = uint32(v)
	case off == portData && p.d.ioAddr < mmioSize:
		registers(p).Write(uint64(p.d.ioAddr), size, v)
	}
}
