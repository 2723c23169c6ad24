package piix

// Registers of the SMBus host controller (82371AB data sheet, §7.3) with the bits of QEMU's.
const (
	smbPorts = 64

	smbStatus, smbControl, smbCommand, smbAddress = 0, 2, 3, 4
	smbData0, smbData1, smbBlock, smbAux          = 5, 6, 7, 13

	smbStsBusy, smbStsIntr, smbStsDevErr = 0x01, 0x02, 0x04
	smbStsClear                          = 0xfe
	smbCtlStart, smbCtlKill              = 0x40, 0x02
	smbAuxBlock, smbAuxMask              = 0x02, 0x03
)

// smbus is the host controller of a bus without devices: every transaction ends with a device error.
type smbus struct {
	stat, ctl, cmd, addr, data0, data1 uint8
	index                              uint32
	data                               [32]uint8
	auxctl, blkdata                    uint8
	i2cEnable, opDone                  bool
	inBlockRead, startOnStatusRead     bool
}

func (s *smbus) reset() { s.stat, s.index, s.opDone = 0, 0, true }

// Read implements memory.Ops.
func (s *smbus) Read(off uint64, _ int) uint64 {
	switch off {
	case smbStatus:
		v := s.stat
		if s.startOnStatusRead {
			s.startOnStatusRead = false
			s.run()
		}
		return uint64(v)
	case smbControl:
		return uint64(s.ctl)
	case smbCommand:
		return uint64(s.cmd)
	case smbAddress:
		return uint64(s.addr)
	case smbData0:
		return uint64(s.data0)
	case smbData1:
		return uint64(s.data1)
	case smbBlock:
		v := s.data[s.index%uint32(len(s.data))]
		s.index++
		return uint64(v)
	case smbAux:
		return uint64(s.auxctl)
	}
	return 0
}

// Write implements memory.Ops.
func (s *smbus) Write(off uint64, _ int, value uint64) {
	v := uint8(value)
	switch off {
	case smbStatus:
		s.stat &^= v & smbStsClear
	case smbControl:
		s.ctl = v &^ smbCtlStart
		if v&smbCtlKill != 0 {
			s.stat &^= smbStsBusy
		} else if v&smbCtlStart != 0 { // the result is seen one read of the status later
			s.stat = smbStsBusy
			s.startOnStatusRead = true
		}
	case smbCommand:
		s.cmd = v
	case smbAddress:
		s.addr = v
	case smbData0:
		s.data0 = v
	case smbData1:
		s.data1 = v
	case smbBlock:
		s.data[s.index%uint32(len(s.data))] = v
		s.index++
	case smbAux:
		s.auxctl = v & smbAuxMask
	}
}

// run makes the transaction: nobody acknowledges the address.
func (s *smbus) run() { s.stat, s.opDone = smbStsDevErr, true }
