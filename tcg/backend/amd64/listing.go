package amd64

import (
	"encoding/binary"
	"fmt"
	"strings"

	"goemu/tcg/ir"
)

// leaveNames are the kinds of descriptors in listings.
var leaveNames = [numLeaves]string{
	leaveDirect: "exit", leaveLookup: "lookup", leaveLookupReg: "lookup", leavePoll: "poll", leavePollReg: "poll", leaveReason: "reason",
	leaveDivide: "divide", leaveCall: "helper", leaveLoad: "load", leaveStore: "store", leaveRMW: "load for update", leaveProbe: "probe",
	leaveAtomic: "atomic", leaveCmpXchg: "compare and exchange", leaveDivS: "signed division", leaveSoft: "software", leaveLoadV: "vector load",
	leaveStoreV: "vector store", leaveSite: "site",
}

// Listing is the text of a block's code as -d out_asm shows it. disassemble gives the text and length of the instruction at the start
// of some bytes; the descriptors behind calls of the leave stubs are shown as data.
func (e *Engine) Listing(b *ir.Block, entry uintptr, code []byte, disassemble func(code []byte, pc uint64) (text string, length int)) string {
	var s strings.Builder
	fmt.Fprintf(&s, "OUT: [size=%d]\n  -- guest addr 0x%016x\n", len(code), b.PC)
	for off := 0; off < len(code); {
		text, n := disassemble(code[off:], uint64(entry)+uint64(off))
		n = min(max(n, 1), len(code)-off)
		fmt.Fprintf(&s, "0x%012x:  %-30s %s\n", uint64(entry)+uint64(off), fmt.Sprintf("% x", code[off:off+n]), text)
		leaves := e.callsLeave(code[off:off+n], entry+uintptr(off))
		if off += n; leaves && off+descSize <= len(code) {
			d := decodeDesc(code[off:])
			fmt.Fprintf(&s, "                 .leave %s %d, pc 0x%x\n", leaveNames[d.kind%numLeaves], d.n, d.pc)
			off += descSize
		}
	}
	return s.String()
}

// callsLeave tells whether an instruction at pc is a call of a leave stub.
func (e *Engine) callsLeave(insn []byte, pc uintptr) bool {
	const opCall, size = 0xe8, 5
	if len(insn) != size || insn[0] != opCall {
		return false
	}
	to := pc + size + uintptr(int32(binary.LittleEndian.Uint32(insn[1:])))
	for _, pair := range e.leaveStubs {
		if to == pair[0] || to == pair[1] {
			return true
		}
	}
	return false
}
