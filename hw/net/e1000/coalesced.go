package e1000

import "goemu/internal/memory"

// loud are the numbers of the registers whose writes do something at once: interrupts, the PHY, transmission.
var loud = []uint64{regMDIC, regICR, regICS, regIMS, regIMC, regTCTL, regTDT}

const wordSize = 4

// quiet are the parts of the registers between them.
func quiet() (list []memory.Span) {
	from := uint64(0)
	for _, r := range append(loud, mmioSize/wordSize) {
		at := r * wordSize
		list = append(list, memory.Span{Offset: from, Size: at - from})
		from = at + wordSize
	}
	return list
}
