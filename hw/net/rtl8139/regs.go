package rtl8139

import "goemu/internal/clock"

// registers answers both BARs.
type registers struct{ d *Device }

// reg is what an access of one width does. Without a function for its width an access is made of ones of bytes, and bytes without
// function read as zero.
type reg struct {
	read  func(d *Device) uint32
	write func(d *Device, v uint32)
}

// Read implements memory.Ops.
func (r registers) Read(off uint64, size int) uint64 {
	if r.d.busy {
		return 0
	}
	if f := table[size][off].read; f != nil {
		return uint64(f(r.d)) & (1<<(8*size) - 1)
	}
	v := uint64(0)
	for i := range uint64(size) {
		if f := table[1][(off+i)%regsSize].read; f != nil {
			v |= uint64(uint8(f(r.d))) << (8 * i)
		}
	}
	return v
}

// Write implements memory.Ops.
func (r registers) Write(off uint64, size int, value uint64) {
	if r.d.busy {
		return
	}
	if f := table[size][off].write; f != nil {
		f(r.d, uint32(value))
		return
	}
	for i := range uint64(size) {
		if f := table[1][(off+i)%regsSize].write; f != nil {
			f(r.d, uint32(uint8(value>>(8*i))))
		}
	}
}

// table holds the registers by the width of the access and by offset.
var table = func() (t [5][regsSize]reg) {
	for width, regs := range map[int]map[uint64]reg{1: byteRegs(), 2: wordRegs(), 4: longRegs()} {
		for at, r := range regs {
			t[width][at] = r
		}
	}
	return t
}()

// merge is v with the bits of keep as they are in old.
func merge[T uint8 | uint16 | uint32](v uint32, keep, old T) T { return T(v)&^keep | old&keep }

func byteRegs() map[uint64]reg {
	m := map[uint64]reg{
		regCmd:          {(*Device).readCmd, (*Device).writeCmd},
		regTxConfig:     {nil, func(d *Device, v uint32) { d.writeTxConfig(d.txConfig&^0xff | v) }},
		regTxConfig + 3: {func(d *Device) uint32 { return d.txConfig >> 24 }, nil},
		reg9346:         {(*Device).read9346, (*Device).write9346},
		regMedia:        {func(d *Device) uint32 { return mediaReset | uint32(^d.bmsr&bmsrLink) }, nil},
		regHalt:         {func(d *Device) uint32 { return uint32(d.clockOn) }, (*Device).writeHalt},
		regRevision:     {func(*Device) uint32 { return revision8139C }, nil},
		regTxThresh:     {func(d *Device) uint32 { return uint32(d.txThresh) }, func(d *Device, v uint32) { d.txThresh = uint8(v) }},
		regTxPoll: {nil, func(d *Device, v uint32) {
			if v&pollNormal != 0 {
				d.transmitRing()
			}
		}},
	}
	for i := range uint64(6) {
		m[regMAC+i] = reg{func(d *Device) uint32 { return uint32(d.mac[i]) }, func(d *Device, v uint32) {
			if d.mac[i] = uint8(v); i == 5 {
				d.wire.ShowMAC(d.mac)
			}
		}}
	}
	for i := range uint64(8) {
		m[regMAR+i] = reg{func(d *Device) uint32 { return uint32(d.multi[i]) }, func(d *Device, v uint32) { d.multi[i] = uint8(v) }}
	}
	for i := range uint64(16) {
		m[regTxStatus+i] = reg{read: func(d *Device) uint32 { return d.txStatus[i/4] >> (i % 4 * 8) & 0xff }}
	}
	for _, c := range []struct {
		at   uint64
		n    int
		keep uint8 // cannot be written
		open bool  // without unlocking
	}{{regConfig0, 0, 0xf8, false}, {regConfig1, 1, 0x0c, false}, {regConfig3, 3, 0x8f, false}, {regConfig4, 4, 0x0a, false}, {regConfig5, 5, 0x80, true}} {
		m[c.at] = reg{func(d *Device) uint32 { return uint32(d.config[c.n]) }, func(d *Device, v uint32) {
			if c.open || d.cfg9346&eepromMode == eepromUnlock {
				d.config[c.n] = merge(v, c.keep, d.config[c.n])
			}
		}}
	}
	return m
}

func wordRegs() map[uint64]reg {
	m := map[uint64]reg{
		regIntrMask: {func(d *Device) uint32 { return uint32(d.mask) }, func(d *Device, v uint32) {
			d.mask = merge(v, 0x1e00, d.mask)
			d.updateIRQ()
		}},
		regIntr: {func(d *Device) uint32 { return uint32(d.intr) }, func(d *Device, v uint32) {
			d.intr = merge(uint32(d.intr)&^v, 0x1e00, d.intr)
			d.setTimer()
			d.updateIRQ()
		}},
		regMultiIntr: {func(d *Device) uint32 { return uint32(d.multiIntr) }, func(d *Device, v uint32) { d.multiIntr = merge(v, 0xf000, d.multiIntr) }},
		regRxRead: {func(d *Device) uint32 { return d.rxRead - readBias }, func(d *Device, v uint32) {
			d.rxRead = (v + readBias) & (d.rxSize - 1)
			d.wire.Room()
		}},
		regRxWritten: {read: func(d *Device) uint32 { return d.rxWrite }},
		regTxSummary: {read: (*Device).txSummary},
		regBMCR:      {func(d *Device) uint32 { return uint32(d.bmcr) }, (*Device).writeBMCR},
		regBMSR:      {func(d *Device) uint32 { return uint32(d.bmsr) }, func(d *Device, v uint32) { d.bmsr = merge(v, 0xff3f, d.bmsr) }},
		regAdvert:    {func(d *Device) uint32 { return uint32(d.advert) }, func(d *Device, v uint32) { d.advert = uint16(v) }},
		regPartner:   {read: func(d *Device) uint32 { return uint32(d.partner) }},
		regExpansion: {func(d *Device) uint32 { return uint32(d.expansion) }, func(d *Device, v uint32) { d.expansion = uint16(v) }},
		regCSCR:      {read: func(d *Device) uint32 { return uint32(d.cscr) }},
		regCpCmd: {func(d *Device) uint32 { return uint32(d.cpCmd) }, func(d *Device, v uint32) {
			d.cpEnabled = 1
			d.cpCmd = merge(v, 0xff84, d.cpCmd)
		}},
	}
	for i := uint64(0); i < 16; i += 2 {
		m[regTxAddr+i] = reg{read: func(d *Device) uint32 { return d.txAddr[i/4] >> (i % 4 * 8) & 0xffff }}
	}
	return m
}

func longRegs() map[uint64]reg {
	plain := func(at func(*Device) *uint32) reg {
		return reg{func(d *Device) uint32 { return *at(d) }, func(d *Device, v uint32) { *at(d) = v }}
	}
	m := map[uint64]reg{
		regRxMissed: {func(d *Device) uint32 { return d.rxMissed }, func(d *Device, _ uint32) { d.rxMissed = 0 }},
		regTxConfig: {func(d *Device) uint32 { return d.txConfig }, (*Device).writeTxConfig},
		regRxConfig: {func(d *Device) uint32 { return d.rxConfig }, func(d *Device, v uint32) {
			d.rxConfig = merge(v, 0xf0fc0040, d.rxConfig)
			d.resetRing(ringMin << (d.rxConfig >> rxSizeShift & 3))
			d.wire.Room()
		}},
		regRxBuf:     plain(func(d *Device) *uint32 { return &d.rxBuf }),
		regRxRingLow: plain(func(d *Device) *uint32 { return &d.rxRingLow }),
		regRxRingHi:  plain(func(d *Device) *uint32 { return &d.rxRingHi }),
		regTimer: {(*Device).ticks, func(d *Device, _ uint32) {
			d.timerBase = clock.Virtual.Now()
			d.setTimer()
		}},
		regTimerInt: {func(d *Device) uint32 { return d.timerInt }, func(d *Device, v uint32) {
			if d.timerInt != v {
				d.timerInt = v
				d.setTimer()
			}
		}},
	}
	for i := range uint64(4) {
		m[regTxStatus+4*i] = reg{func(d *Device) uint32 { return d.txStatus[i] }, func(d *Device, v uint32) { d.writeTxStatus(int(i), v) }}
		m[regTxAddr+4*i] = plain(func(d *Device) *uint32 { return &d.txAddr[i] })
	}
	return m
}

func (d *Device) readCmd() uint32 {
	v := uint32(d.cmd)
	if (d.rxWrite-d.rxRead)&(d.rxSize-1) == 0 {
		v |= cmdEmpty
	}
	return v
}

func (d *Device) writeCmd(v uint32) {
	if v&cmdReset != 0 {
		d.Reset()
	}
	if v&cmdRx != 0 {
		d.cpRxNext = 0
	}
	if v&cmdTx != 0 {
		d.cpTxNext = 0
	}
	d.cmd = merge(v, 0xe3, d.cmd) &^ cmdReset
}

func (d *Device) read9346() uint32 {
	v := d.cfg9346
	if v&eepromMode == eepromProgram {
		v = v&^1 | d.eeprom.out()
	}
	return uint32(v)
}

func (d *Device) write9346(v uint32) {
	n := merge(v, 0x31, d.cfg9346)
	switch n & eepromMode {
	case eepromProgram:
		d.eeprom.set(n>>3&1, n>>2&1, n>>1&1)
	case eepromAutoload:
		n = 0
		d.Reset()
	}
	d.cfg9346 = n
}

func (d *Device) writeHalt(v uint32) {
	switch v {
	case 'R':
		d.clockOn = 1
	case 'H':
		d.clockOn = 0
	}
}

// writeTxConfig changes what is not about the chip's version or fixed.
func (d *Device) writeTxConfig(v uint32) {
	if d.cmd&cmdTx != 0 {
		d.txConfig = merge(v, 0xfcf0f80f, d.txConfig)
	}
}

func (d *Device) writeBMCR(v uint32) {
	if v&bmcrReset != 0 {
		d.resetPHY()
	}
	d.bmcr = merge(v, 0xfdff, d.bmcr)
}

// txSummary is the state of all transmit buffers.
func (d *Device) txSummary() (v uint32) {
	for i, s := range d.txStatus {
		for j, bit := range []uint32{txOwn, txAborted, txUnderrun, txOK} {
			if s&bit != 0 {
				v |= 1 << (4*j + i)
			}
		}
	}
	return v
}
