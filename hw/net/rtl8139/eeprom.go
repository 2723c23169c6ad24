package rtl8139

// eeprom is the serial memory 93C46: 64 words of 16 bits, commands of a one and eight bits. The chip does not write it.
type eeprom struct {
	words         [64]uint16
	mode          int32
	tick          uint32
	address       uint8
	input, output uint16
	cs, sk        uint8 // chip select and clock
	di, do        uint8
}

// What the memory expects next, as QEMU numbers it.
const (
	romIdle    = 0
	romStart   = 1 // the one before a command
	romCommand = 2
	romRead    = 3

	romOp, romOpRead = 0xc0, 0x80
	romAddress       = 0x3f
)

// fill writes what the manufacturer does.
func (e *eeprom) fill(mac [6]byte) {
	e.words = [64]uint16{0: 0x8129, 1: vendorRealtek, 2: device8139}
	for i := range 3 {
		e.words[7+i] = le.Uint16(mac[2*i:])
	}
}

// set changes the lines, each 0 or 1.
func (e *eeprom) set(cs, sk, di uint8) {
	selected, rises := e.cs == 0 && cs != 0, e.sk == 0 && sk != 0
	e.cs, e.sk, e.di = cs, sk, di
	if selected {
		e.mode, e.tick, e.input, e.output = romStart, 0, 0, 0
	}
	if cs != 0 && rises {
		e.clock()
	}
}

// clock takes or gives one bit.
func (e *eeprom) clock() {
	e.tick++
	switch e.mode {
	case romStart:
		if e.di != 0 {
			e.mode, e.tick, e.input = romCommand, 0, 0
		}
	case romCommand:
		e.input = e.input<<1 | uint16(e.di)
		if e.tick == 8 {
			e.command(uint8(e.input))
		}
	case romRead:
		e.do = uint8(e.output >> 15)
		e.output <<= 1
		if e.tick == 16 { // drivers do not always take the chip select away between reads
			e.mode, e.tick, e.input = romStart, 0, 0
		}
	}
}

func (e *eeprom) command(c uint8) {
	e.mode = romIdle
	if c&romOp == romOpRead {
		e.address = c & romAddress
		e.mode, e.tick, e.output, e.do = romRead, 0, e.words[e.address], 0
	}
}

// out is the data line.
func (e *eeprom) out() uint8 {
	if e.cs == 0 {
		return 0
	}
	return e.do & 1
}
