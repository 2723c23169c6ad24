package x86

// AMDMem in the first argument of Helper3DNow tells that the source is the second argument; else it is an MMX register.
const AMDMem = 1 << 24

// Kinds of HelperSSE4A.
const (
	ExtrqImm uint64 = iota
	ExtrqReg
	InsertqImm
	InsertqReg
)

// The operations of 3DNow! by the last byte of the instruction.
const (
	PI2FW, PI2FD, PF2IW, PF2ID         = 0x0c, 0x0d, 0x1c, 0x1d
	PFNACC, PFPNACC                    = 0x8a, 0x8e
	PFCMPGE, PFMIN, PFRCP, PFRSQRT     = 0x90, 0x94, 0x96, 0x97
	PFSUB, PFADD                       = 0x9a, 0x9e
	PFCMPGT, PFMAX, PFRCPIT1, PFRSQIT1 = 0xa0, 0xa4, 0xa6, 0xa7
	PFSUBR, PFACC                      = 0xaa, 0xae
	PFCMPEQ, PFMUL, PFRCPIT2, PMULHRW  = 0xb0, 0xb4, 0xb6, 0xb7
	PSWAPD, PAVGUSB                    = 0xbb, 0xbf
)

// Is3DNow tells whether there is such an operation, and whether it is one of the extensions.
func Is3DNow(op uint8) (ext, ok bool) {
	switch op {
	case PI2FW, PF2IW, PFNACC, PFPNACC, PSWAPD:
		return true, true
	case PI2FD, PF2ID, PFCMPGE, PFMIN, PFRCP, PFRSQRT, PFSUB, PFADD, PFCMPGT, PFMAX, PFRCPIT1, PFRSQIT1, PFSUBR, PFACC, PFCMPEQ, PFMUL, PFRCPIT2,
		PMULHRW, PAVGUSB:
		return false, true
	}
	return false, false
}
