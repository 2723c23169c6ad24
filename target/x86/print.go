package x86

import "fmt"

// Bits of RFLAGS and the letters that stand for them, the highest first.
var flagLetters = []struct {
	bit    uint64
	letter byte
}{{1 << 10, 'D'}, {1 << 11, 'O'}, {1 << 7, 'S'}, {1 << 6, 'Z'}, {1 << 4, 'A'}, {1 << 2, 'P'}, {1 << 0, 'C'}}

// Letter is a letter for a bit that is set, else a dash.
func Letter(v, bit uint64, letter byte) byte {
	if v&bit == 0 {
		return '-'
	}
	return letter
}

// Printer takes formatted text.
type Printer interface {
	Printf(format string, args ...any)
}

// Print shows the registers in the way of QEMU's "info registers", with those of the vector units if wanted.
func (st *State) Print(m Printer, vectors bool) {
	wide := st.Mode&ModeCS64 != 0
	r := &st.Regs
	var letters []byte
	for _, f := range flagLetters {
		letters = append(letters, Letter(st.RFLAGS, f.bit, f.letter))
	}
	bit := func(set bool) int {
		if set {
			return 1
		}
		return 0
	}
	status := fmt.Sprintf("%08x [%s] CPL=%d II=%d A20=%d SMM=%d HLT=%d\n", uint32(st.RFLAGS), letters, st.Mode&ModeCPL, bit(st.Mode&ModeInhibit != 0),
		uint32(st.A20Mask)>>20&1, bit(st.Mode&ModeSMM != 0), bit(st.Halted || st.WaitSIPI))
	if wide {
		m.Printf("RAX=%016x RBX=%016x RCX=%016x RDX=%016x\nRSI=%016x RDI=%016x RBP=%016x RSP=%016x\n", r[RAX], r[RBX], r[RCX], r[RDX], r[RSI], r[RDI], r[RBP], r[RSP])
		m.Printf("R8 =%016x R9 =%016x R10=%016x R11=%016x\nR12=%016x R13=%016x R14=%016x R15=%016x\n", r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15])
		m.Printf("RIP=%016x RFL=%s", st.RIP, status)
	} else {
		m.Printf("EAX=%08x EBX=%08x ECX=%08x EDX=%08x\nESI=%08x EDI=%08x EBP=%08x ESP=%08x\n", uint32(r[RAX]), uint32(r[RBX]), uint32(r[RCX]), uint32(r[RDX]),
			uint32(r[RSI]), uint32(r[RDI]), uint32(r[RBP]), uint32(r[RSP]))
		m.Printf("EIP=%08x EFL=%s", uint32(st.RIP), status)
	}
	printSegments(m, st, wide)
	printSystem(m, st)
	if vectors {
		printVectors(m, st, wide)
	}
}

// segmentRows are the segment registers in the order in which they are shown.
var segmentRows = []struct {
	name string
	n    int
}{{"ES", ES}, {"CS", CS}, {"SS", SS}, {"DS", DS}, {"FS", FS}, {"GS", GS}, {"LDT", LDTR}, {"TR", TR}}

// Fields of a descriptor's upper half.
const (
	descTypeShift = 8
	descAccessed  = 1 << 8
	descWrite     = 1 << 9  // of data; of code: may be read
	descExpand    = 1 << 10 // of data; of code: conforming
	descCode      = 1 << 11
	descPlain     = 1 << 12 // code or data
	descDPLShift  = 13
	descPresent   = 1 << 15
	descLong      = 1 << 21
	descBig       = 1 << 22
	descShown     = 0x00ffff00
)

// systemTypes are the types of system descriptors without and with long mode.
var systemTypes = [2][16]string{
	{"Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16", "TrapGate16", "Reserved", "TSS32-avl", "Reserved", "TSS32-busy",
		"CallGate32", "Reserved", "IntGate32", "TrapGate32"},
	{"<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved", "TSS64-avl", "Reserved", "TSS64-busy",
		"CallGate64", "Reserved", "IntGate64", "TrapGate64"},
}

func printSegments(m Printer, st *State, wide bool) {
	for _, row := range segmentRows {
		g := &st.Seg[row.n]
		if wide {
			m.Printf("%-3s=%04x %016x %08x %08x", row.name, g.Selector, g.Base, g.Limit, g.Flags&descShown)
		} else {
			m.Printf("%-3s=%04x %08x %08x %08x", row.name, g.Selector, uint32(g.Base), g.Limit, g.Flags&descShown)
		}
		if st.Mode&ModePE != 0 && g.Flags&descPresent != 0 {
			m.Printf(" DPL=%d %s", g.Flags>>descDPLShift&3, descriptorText(g.Flags, st.Mode&ModeLMA != 0))
		}
		m.Printf("\n")
	}
}

// descriptorText tells what a descriptor is.
func descriptorText(f uint32, long bool) string {
	on := func(bit uint32, letter byte) byte { return Letter(uint64(f), uint64(bit), letter) }
	switch {
	case f&descPlain == 0 && long:
		return systemTypes[1][f>>descTypeShift&15]
	case f&descPlain == 0:
		return systemTypes[0][f>>descTypeShift&15]
	case f&descCode != 0:
		kind := "CS16"
		if f&descLong != 0 {
			kind = "CS64"
		} else if f&descBig != 0 {
			kind = "CS32"
		}
		return fmt.Sprintf("%s [%c%c%c]", kind, on(descExpand, 'C'), on(descWrite, 'R'), on(descAccessed, 'A'))
	}
	kind := "DS16"
	if f&descBig != 0 || long {
		kind = "DS  "
	}
	return fmt.Sprintf("%s [%c%c%c]", kind, on(descExpand, 'E'), on(descWrite, 'W'), on(descAccessed, 'A'))
}

// printSystem shows table, control and debug registers.
func printSystem(m Printer, st *State) {
	if st.Mode&ModeLMA != 0 {
		m.Printf("GDT=     %016x %08x\nIDT=     %016x %08x\n", st.GDT.Base, st.GDT.Limit, st.IDT.Base, st.IDT.Limit)
		m.Printf("CR0=%08x CR2=%016x CR3=%016x CR4=%08x\n", uint32(st.CR0), st.CR2, st.CR3, uint32(st.CR4))
	} else {
		m.Printf("GDT=     %08x %08x\nIDT=     %08x %08x\n", uint32(st.GDT.Base), st.GDT.Limit, uint32(st.IDT.Base), st.IDT.Limit)
		m.Printf("CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n", uint32(st.CR0), uint32(st.CR2), uint32(st.CR3), uint32(st.CR4))
	}
	for i := range 4 {
		m.Printf("DR%d=%016x ", i, st.DR[i])
	}
	m.Printf("\nDR6=%016x DR7=%016x\nEFER=%016x\n", st.DR[6], st.DR[7], st.EFER)
}

// printVectors shows the floating-point and vector registers.
func printVectors(m Printer, st *State, wide bool) {
	m.Printf("FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08x\n", st.FCW, st.FSW, st.FSW>>11&7, st.FTags, st.MXCSR)
	end := func(i int) string {
		if i&1 != 0 {
			return "\n"
		}
		return " "
	}
	for i, f := range st.FP {
		m.Printf("FPR%d=%016x %04x%s", i, f.Mantissa, f.Exponent, end(i))
	}
	n := 8
	if wide {
		n = len(st.Vec)
	}
	for i := range n {
		v := &st.Vec[i]
		if st.XCR0&(XFeatSSE|XFeatAVX) == XFeatSSE|XFeatAVX {
			m.Printf("YMM%02d=%016x %016x %016x %016x\n", i, v[3], v[2], v[1], v[0])
		} else {
			m.Printf("XMM%02d=%016x %016x%s", i, v[1], v[0], end(i))
		}
	}
}
