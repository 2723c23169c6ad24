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
	switch {
	case m.PCIHole != 0:
		hole = m.PCIHole
	case m.Below4G > hole:
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
