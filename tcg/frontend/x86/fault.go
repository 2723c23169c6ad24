package x86

import "goemu/target/x86"

// What an instruction was about to do, found out only when it faults: rare cases need not burden the translated code.

// stackNames are the instructions that access the stack beside what ModRM names.
var stackNames = map[string]bool{
	"push": true, "pop": true, "pusha": true, "popa": true, "pushf": true, "popf": true, "call": true, "callf": true, "ret": true, "retf": true,
	"iret": true, "enter": true, "leave": true,
}

// stackReach is how far from RSP or RBP such an access may be.
const stackReach = 1 << 10

// ThroughStack tells whether the access to a linear address by the 64-bit instruction at the start of code goes through SS, so that a
// non-canonical address raises #SS instead of #GP (SDM volume 1, 3.3.7.1). The registers are those before the instruction.
func ThroughStack(code []byte, e *x86.Env, addr uint64) bool {
	d := inst{pc: e.PC, mode: 8}
	if d.decode(code, everything{}) != decOK {
		return false
	}
	if d.scale&modrmSeen != 0 && d.mod != 3 {
		if d.seg != none {
			return false
		}
		if stack := d.base == x86.RSP || d.base == x86.RBP; stack || !near(addr, e.Regs[x86.RSP]) {
			return stack
		}
	}
	return stackNames[d.name] && (near(addr, e.Regs[x86.RSP]) || near(addr, e.Regs[x86.RBP]))
}

func near(a, b uint64) bool { return a-b+stackReach < 2*stackReach }

// UndoBranch is what to add to RSP to undo the near indirect branch at the start of code; ok is false if there is none.
func UndoBranch(code []byte, pc uint64, mode uint8) (delta int64, ok bool) {
	d := inst{pc: pc, mode: mode}
	if d.decode(code, everything{}) != decOK {
		return 0, false
	}
	switch d.name {
	case "jmp":
		return 0, true
	case "call":
		return int64(d.opsize), true
	case "ret":
		return -int64(d.opsize) - int64(d.imm), true
	}
	return 0, false
}
