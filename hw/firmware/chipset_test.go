package firmware

// Configuration registers of the i440FX board.
const (
	fnHost, fnISA, fnPM = 0x00, 0x08, 0x0b

	hostPAM0    = 0x59 // PAM0..PAM6: where accesses to 0xc0000..0xfffff go
	hostSMRAM   = 0x72
	pamRW       = 3 // reads and writes go to RAM
	smramClosed = 0x0a

	isaPIRQA = 0x60

	pmBase, pmRegMisc, pmSMBBase, pmSMBHost = 0x40, 0x80, 0x90, 0xd2
	pmEnable, smbEnable                     = 0x01, 0x09
	pmIRQ                                   = 0x3c
)

// Interrupts of the four PCI links, and the ports of the edge/level control registers that make them level triggered.
var linkIRQ = [4]uint8{10, 10, 11, 11}

const (
	elcr1      = 0x4d0
	elcr2      = 0x4d1
	elcr2Value = 1<<(10-8) | 1<<(11-8)
	sciIRQ     = 9
)

// setting is one write of the chipset's set-up.
type setting struct {
	Port  uint16 // an I/O port, if Fn is negative
	Fn    int    // else a function of bus 0
	Reg   int
	Size  int
	Value uint32
}

// pcSettings are the writes that bring an i440FX board into the state in which firmware hands it over: the BIOS area is RAM, the
// power management ports are at base, PCI links are routed.
func pcSettings(base, smbus uint32) []setting {
	s := []setting{{Fn: fnHost, Reg: hostPAM0, Size: 1, Value: pamRW << 4}}
	for i := 1; i < 7; i++ {
		s = append(s, setting{Fn: fnHost, Reg: hostPAM0 + i, Size: 1, Value: pamRW<<4 | pamRW})
	}
	s = append(s, setting{Fn: fnHost, Reg: hostSMRAM, Size: 1, Value: smramClosed})
	for i, irq := range linkIRQ {
		s = append(s, setting{Fn: fnISA, Reg: isaPIRQA + i, Size: 1, Value: uint32(irq)})
	}
	return append(s,
		setting{Fn: -1, Port: elcr1, Size: 1, Value: 0},
		setting{Fn: -1, Port: elcr2, Size: 1, Value: elcr2Value},
		setting{Fn: fnPM, Reg: pmIRQ, Size: 1, Value: sciIRQ},
		setting{Fn: fnPM, Reg: pmBase, Size: 4, Value: base | 1},
		setting{Fn: fnPM, Reg: pmRegMisc, Size: 1, Value: pmEnable},
		setting{Fn: fnPM, Reg: pmSMBBase, Size: 4, Value: smbus | 1},
		setting{Fn: fnPM, Reg: pmSMBHost, Size: 1, Value: smbEnable},
	)
}
