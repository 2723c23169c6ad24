package amd64

import (
	"encoding/binary"

	"goemu/tcg/ir"
)

// leaveKind tells why generated code called the leave stub. A descriptor of descSize bytes follows the call:
//
//	0 kind, 1 reg, 2 reg2, 3 -, 4 int32 n, 8 uint64 pc, 16 uint64 x
//
// reg and reg2 are host registers, NoReg for none. x is an identity or, for memory accesses, a packed access (packMem).
type leaveKind uint8

const (
	leaveDirect    leaveKind = iota + 1 // n = exit slot, pc = target, x = Code.ID
	leaveLookup                         // pc = target
	leaveLookupReg                      // target in reg
	leavePoll                           // pc = target
	leavePollReg                        // target in reg
	leaveReason                         // n = reason, pc
	leaveDivide                         // pc
	leaveCall                           // n = helper, pc; result to reg; resumes behind the descriptor
	leaveLoad                           // address = reg2 + n; result to reg
	leaveStore                          // address = reg2 + n; value in Args[0]
	leaveRMW                            // like leaveLoad with write permission; Args[0]'s register gets the host address or 0
	leaveProbe                          // address = reg2 + n
	leaveAtomic                         // operand in Args[0]; result to reg
	leaveCmpXchg                        // expected in Args[0], new in Args[1]; result to reg
	leaveDivS                           // 128 by 64 bits signed: Args[0] low, [1] high, [2] divisor → Args[0] quotient, [1] remainder
	leaveSoft                           // n = index of the instruction kept for software execution; Args = A, B, C
	leaveLoadV                          // address = reg2 + n; n2 bytes to Header.Vec
	leaveStoreV                         // address = reg2 + n; bytes in Header.Vec
	leaveSite                           // n = number of a site that misses, pc = of its access, x = Code.ID
	numLeaves
)

const descSize = 24

// desc is a descriptor as it lies behind the call.
type desc struct {
	kind      leaveKind
	reg, reg2 Reg
	aux       uint8
	n         int32
	pc, x     uint64
}

// leave emits the call of the leave stub and its descriptor.
func (c *compiler) leave(d desc) {
	if d.kind == leaveSoft {
		c.flush()
	}
	fast, vec := 0, 0
	if c.e.isFast(&d) {
		fast = 1
		if d.kind == leaveCall && d.reg != NoReg {
			d.x = uint64(c.e.savedReg(d.reg))
		}
	}
	if c.vecNeed != 0 {
		vec = 1
	}
	c.callAbs(c.e.leaveStubs[fast][vec])
	c.buf = append(c.buf, byte(d.kind), byte(d.reg), byte(d.reg2), d.aux)
	c.u32(uint32(d.n))
	c.u64(d.pc)
	c.note(relocPC, 0)
	c.u64(d.x)
	if d.kind == leaveDirect || d.kind == leaveSite {
		c.note(relocID, 0)
	}
}

func decodeDesc(b []byte) desc {
	_ = b[descSize-1]
	return desc{
		kind: leaveKind(b[0]), reg: Reg(b[1]), reg2: Reg(b[2]), aux: b[3],
		n:  int32(binary.LittleEndian.Uint32(b[4:])),
		pc: binary.LittleEndian.Uint64(b[8:]), x: binary.LittleEndian.Uint64(b[16:]),
	}
}

// packMem packs a memory operation, an atomic kind and where to resume (relative to the descriptor) into desc.x.
func packMem(m ir.MemOp, k uint8, resume int32) uint64 {
	x := uint64(m.Size) | uint64(m.Align)<<16 | uint64(m.MMU)<<24 | uint64(k&0x7f)<<8 | uint64(uint32(resume))<<32
	if m.Signed {
		x |= 1 << 15
	}
	return x
}

func unpackMem(x uint64) (m ir.MemOp, k uint8, resume int32) {
	m = ir.MemOp{Size: uint8(x), Align: uint8(x >> 16), MMU: uint8(x >> 24), Signed: x>>15&1 != 0}
	return m, uint8(x>>8) & 0x7f, int32(x >> 32)
}
