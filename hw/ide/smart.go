package ide

// smart is the drive's self-monitoring.
type smart struct {
	enabled, autosave bool
	errors            uint16
	tests             int
	log               [SectorSize]byte // of self-tests
}

// Subcommands of SMART, in the feature register (ATA8-ACS, §7.53).
const (
	smartReadData       = 0xd0
	smartReadThresholds = 0xd1
	smartAutosave       = 0xd2
	smartExecute        = 0xd4
	smartReadLog        = 0xd5
	smartEnable         = 0xd8
	smartDisable        = 0xd9
	smartStatus         = 0xda

	smartKeyLow, smartKeyHigh   = 0x4f, 0xc2 // in the cylinder registers of every SMART command
	smartFailLow, smartFailHigh = 0xf4, 0x2c

	logSummary, logSelfTest   = 1, 6
	testEntries, testEntryLen = 21, 24
)

// smartAttributes are the attributes of QEMU's disk: identifier, flags (2), value, worst, raw (6), threshold.
var smartAttributes = [...][12]byte{
	{0x01, 0x03, 0x00, 0x64, 0x64, 0, 0, 0, 0, 0, 0, 0x06},         // read errors
	{0x03, 0x03, 0x00, 0x64, 0x64, 0x10, 0, 0, 0, 0, 0, 0},         // spin-up time
	{0x04, 0x02, 0x00, 0x64, 0x64, 0x64, 0, 0, 0, 0, 0, 0x14},      // starts
	{0x05, 0x03, 0x00, 0x64, 0x64, 0, 0, 0, 0, 0, 0, 0x24},         // sectors replaced
	{0x09, 0x03, 0x00, 0x64, 0x64, 0x01, 0, 0, 0, 0, 0, 0},         // hours
	{0x0c, 0x03, 0x00, 0x64, 0x64, 0, 0, 0, 0, 0, 0, 0},            // power cycles
	{190, 0x03, 0x00, 0x45, 0x45, 0x1f, 0, 0x1f, 0x1f, 0, 0, 0x32}, // temperature
}

func (d *Drive) smartCommand(uint8) bool {
	r, s := &d.regs, &d.smart
	if r.cylHigh != smartKeyHigh || r.cylLow != smartKeyLow || !s.enabled && r.feature != smartEnable {
		return d.refuse()
	}
	switch r.feature {
	case smartDisable:
		s.enabled = false
	case smartEnable:
		s.enabled = true
	case smartAutosave:
		switch r.sector {
		case 0:
			s.autosave = false
		case 0xf1:
			s.autosave = true
		default:
			return d.refuse()
		}
	case smartStatus:
		if s.errors != 0 {
			r.cylHigh, r.cylLow = smartFailHigh, smartFailLow
		}
	case smartReadThresholds:
		return d.smartReply(s.thresholds())
	case smartReadData:
		return d.smartReply(s.data())
	case smartReadLog:
		switch r.sector {
		case logSummary:
			return d.smartReply([]byte{0: 1, 452: uint8(s.errors), 453: uint8(s.errors >> 8)})
		case logSelfTest:
			return d.smartReply(s.selfTestLog())
		}
		return d.refuse()
	case smartExecute:
		if r.sector > 2 {
			return d.refuse()
		}
		s.test(r.sector)
	default:
		return d.refuse()
	}
	return true
}

// smartReply sends a structure with its check sum.
func (d *Drive) smartReply(p []byte) bool {
	clear(d.buf[:SectorSize])
	copy(d.buf, p)
	sum := uint8(0)
	for _, b := range d.buf[:SectorSize-1] {
		sum += b
	}
	d.buf[SectorSize-1] = -sum
	return d.reply(SectorSize)
}

func (s *smart) thresholds() []byte {
	p := make([]byte, SectorSize)
	p[0] = 1
	for i, a := range smartAttributes {
		p[2+12*i], p[3+12*i] = a[0], a[11]
	}
	return p
}

func (s *smart) data() []byte {
	p := make([]byte, SectorSize)
	p[0] = 1
	for i, a := range smartAttributes {
		copy(p[2+12*i:], a[:11])
	}
	p[362] = 0x02
	if s.autosave {
		p[362] |= 0x80
	}
	if s.tests > 0 {
		p[363] = s.log[3+(s.tests-1)*testEntryLen]
	}
	copy(p[364:], []byte{0x20, 0x01, 0, 1<<4 | 1<<3 | 1, 0x03, 0x00, 0x01, 0, 0x02, 0x36, 0x01})
	return p
}

func (s *smart) selfTestLog() []byte {
	p := make([]byte, SectorSize)
	p[0] = 1
	if s.tests > 0 {
		copy(p[2:506], s.log[2:506])
		p[508] = uint8(s.tests)
	}
	return p
}

// test notes a self-test that has passed at once.
func (s *smart) test(kind uint8) {
	if s.tests++; s.tests > testEntries {
		s.tests = 1
	}
	copy(s.log[2+(s.tests-1)*testEntryLen:], []byte{kind, 0, 0x34, 0x12})
}
