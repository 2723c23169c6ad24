package firmware

// Memory type range registers (Intel SDM volume 3, 12.11).
const (
	msrPhysBase0 = 0x200
	msrPhysMask0 = 0x201
	msrFix64K    = 0x250
	msrFix16K    = 0x258
	msrFix4K     = 0x268
	fix4KCount   = 8
	msrDefType   = 0x2ff

	typeUC, typeWP, typeWB = 0, 5, 6
	defEnable, defFixed    = 1 << 11, 1 << 10
	maskValid              = 1 << 11
)

// eightOf repeats a memory type for the eight ranges of a fixed register.
func eightOf(t uint64) uint64 { return t * 0x0101010101010101 }

// memoryTypes sets what firmware does: RAM is write-back, the video window and the PCI hole are uncached, ROM is write-protected.
// A machine without PCI keeps the registers blank, as its firmware does.
func memoryTypes(m *Machine) []MSR {
	if m.LowTables || m.PhysBits == 0 {
		return nil
	}
	hole := uint64(0x80000000)
	if m.Below4G > hole {
		hole = 0xc0000000
	}
	out := []MSR{
		{msrFix64K, eightOf(typeWB)},
		{msrFix16K, eightOf(typeWB)},
		{msrFix16K + 1, eightOf(typeUC)},
	}
	for i := range uint32(fix4KCount) {
		out = append(out, MSR{msrFix4K + i, eightOf(typeWP)})
	}
	mask := (uint64(1)<<m.PhysBits - 1) &^ (fourGiB - hole - 1)
	return append(out, MSR{msrPhysBase0, hole | typeUC}, MSR{msrPhysMask0, mask | maskValid}, MSR{msrDefType, defEnable | defFixed | typeWB})
}

// Configuration registers of the i440FX board.
const (
	fnHost, fnISA, fnIDE, fnPM = 0x00, 0x08, 0x09, 0x0b

	hostPAM0    = 0x59 // PAM0..PAM6: where accesses to 0xc0000..0xfffff go
	hostSMRAM   = 0x72
	pamRW       = 3 // reads and writes go to RAM
	smramClosed = 0x0a

	isaPIRQA = 0x60

	pmBase, pmRegMisc, pmSMBBase, pmSMBHost = 0x40, 0x80, 0x90, 0xd2
	pmEnable, smbEnable                     = 0x01, 0x09
	pmIRQ                                   = 0x3c

	ideTiming0, ideTiming1, ideDecode = 0x40, 0x42, 0x8000
)

// Interrupts of the four PCI links, and the ports of the edge/level control registers that make them level triggered.
var linkIRQ = [4]uint8{10, 10, 11, 11}

const (
	elcr1      = 0x4d0
	elcr2      = 0x4d1
	elcr2Value = 1<<(10-8) | 1<<(11-8)
	sciIRQ     = 9
)

// Setting is one write of the chipset's set-up.
type Setting struct {
	Port  uint16 // an I/O port, if Fn is negative
	Fn    int    // else a function of bus 0
	Reg   int
	Size  int
	Value uint32
}

// PCSettings are the writes that bring an i440FX board into the state in which firmware hands it over: the BIOS area is RAM, the
// power management ports are at base, PCI links are routed.
func PCSettings(base, smbus uint32) []Setting {
	s := []Setting{{Fn: fnHost, Reg: hostPAM0, Size: 1, Value: pamRW << 4}}
	for i := 1; i < 7; i++ {
		s = append(s, Setting{Fn: fnHost, Reg: hostPAM0 + i, Size: 1, Value: pamRW<<4 | pamRW})
	}
	s = append(s, Setting{Fn: fnHost, Reg: hostSMRAM, Size: 1, Value: smramClosed})
	for i, irq := range linkIRQ {
		s = append(s, Setting{Fn: fnISA, Reg: isaPIRQA + i, Size: 1, Value: uint32(irq)})
	}
	return append(s,
		Setting{Fn: -1, Port: elcr1, Size: 1, Value: 0},
		Setting{Fn: -1, Port: elcr2, Size: 1, Value: elcr2Value},
		Setting{Fn: fnPM, Reg: pmIRQ, Size: 1, Value: sciIRQ},
		Setting{Fn: fnPM, Reg: pmBase, Size: 4, Value: base | 1},
		Setting{Fn: fnPM, Reg: pmRegMisc, Size: 1, Value: pmEnable},
		Setting{Fn: fnPM, Reg: pmSMBBase, Size: 4, Value: smbus | 1},
		Setting{Fn: fnPM, Reg: pmSMBHost, Size: 1, Value: smbEnable},
	)
}

// IDESettings enable the ports of PIIX3's IDE function.
func IDESettings() []Setting {
	return []Setting{{Fn: fnIDE, Reg: ideTiming0, Size: 2, Value: ideDecode}, {Fn: fnIDE, Reg: ideTiming1, Size: 2, Value: ideDecode}}
}
