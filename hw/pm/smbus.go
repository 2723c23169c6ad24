package pm

import "goemu/internal/memory"

// Registers of the SMBus host controller (82371AB data sheet, §7.3) with the bits of QEMU's.
const (
	smbStatus, smbControl, smbCommand, smbAddress = 0, 2, 3, 4
	smbData0, smbData1, smbBlock, smbAux          = 5, 6, 7, 13

	smbStsBusy, smbStsIntr, smbStsDevErr = 0x01, 0x02, 0x04
	smbStsFailed, smbStsClear            = 0x10, 0xfe
	smbCtlStart, smbCtlKill, smbCtlIntr  = 0x40, 0x02, 0x01
	smbCtlSeen                           = 0x1f
	smbAuxBlock, smbAuxMask              = 0x02, 0x03
)

// SMBus is the host controller of a bus without devices: every transaction ends with a device error.
type SMBus struct {
	regs
	// SetIRQ, if set, hears of the interrupt.
	SetIRQ func(on bool)
}

// regs is the migrated state.
type regs struct {
	stat, ctl, cmd, addr, data0, data1 uint8
	index                              uint32
	data                               [32]uint8
	auxctl, blkdata                    uint8
	i2cEnable, opDone                  bool
	inBlockRead, startOnStatusRead     bool
}

// Init puts the registers into the state at power-on.
func (s *SMBus) Init() { s.auxctl = smbAuxBlock }

// Region returns the registers; ICH9 has fewer ports than PIIX4.
func (s *SMBus) Region(ports uint64) *memory.Region {
	r := memory.NewIO("pm-smbus", ports, s)
	r.Valid = memory.Access{Min: 1, Max: 1}
	return r
}

// SetI2C chooses the I2C protocol for block transfers.
func (s *SMBus) SetI2C(on bool) { s.i2cEnable = on }

// Reset aborts what goes on.
func (s *SMBus) Reset() { s.stat, s.index, s.opDone = 0, 0, true }

// Read implements memory.Ops.
func (s *SMBus) Read(off uint64, _ int) uint64 {
	v := s.load(off)
	s.update()
	return uint64(v)
}

// update drives the interrupt.
func (s *SMBus) update() {
	if s.SetIRQ != nil {
		s.SetIRQ(s.stat&^smbStsBusy != 0 && s.ctl&smbCtlIntr != 0)
	}
}

func (s *SMBus) load(off uint64) uint8 {
	switch off {
	case smbStatus:
		v := s.stat
		if s.startOnStatusRead {
			s.startOnStatusRead = false
			s.stat &^= smbStsBusy
			s.run()
		}
		return v
	case smbControl:
		return s.ctl & smbCtlSeen
	case smbCommand:
		return s.cmd
	case smbAddress:
		return s.addr
	case smbData0:
		return s.data0
	case smbData1:
		return s.data1
	case smbBlock:
		return s.loadBlock()
	case smbAux:
		return s.auxctl
	}
	return 0
}

// loadBlock reads the block data register: of the buffer one byte after the other.
func (s *SMBus) loadBlock() uint8 {
	if s.auxctl&smbAuxBlock == 0 {
		return s.blkdata
	}
	v := s.data[s.place()]
	s.index++
	if !s.opDone && s.index == uint32(s.data0) {
		s.Reset()
	}
	return v
}

// place is the place in the buffer of the next byte.
func (s *SMBus) place() uint32 {
	if s.index >= uint32(len(s.data)) {
		s.index = 0
	}
	return s.index
}

// Write implements memory.Ops.
func (s *SMBus) Write(off uint64, _ int, value uint64) {
	v := uint8(value)
	switch off {
	case smbStatus:
		s.stat &^= v & smbStsClear
	case smbControl:
		s.control(v)
	case smbCommand:
		s.cmd = v
	case smbAddress:
		s.addr = v
	case smbData0:
		s.data0 = v
	case smbData1:
		s.data1 = v
	case smbBlock:
		if s.auxctl&smbAuxBlock == 0 {
			s.blkdata = v
			break
		}
		s.data[s.place()] = v
		s.index++
	case smbAux:
		s.auxctl = v & smbAuxMask
	}
	s.update()
}

// control starts and kills transactions.
func (s *SMBus) control(v uint8) {
	s.ctl = v &^ smbCtlStart
	switch {
	case v&smbCtlStart == 0:
	case v&smbCtlIntr != 0:
		s.run()
		s.startOnStatusRead = false
	default: // the result is seen one read of the status later
		s.stat |= smbStsBusy
		s.startOnStatusRead = true
	}
	if v&smbCtlKill != 0 {
		s.opDone, s.index = true, 0
		s.stat = s.stat&^smbStsBusy | smbStsFailed
	}
}

// run makes the transaction: nobody acknowledges the address.
func (s *SMBus) run() { s.stat, s.opDone = s.stat|smbStsDevErr, true }
