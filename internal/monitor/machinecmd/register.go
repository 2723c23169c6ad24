package machinecmd

import (
	"slices"
	"strconv"
	"strings"

	"goemu/internal/mainloop"
	"goemu/target/x86"
)

// Names of registers in expressions, without the letter of their width.
var (
	wordRegisters    = []string{"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"} // in the order of their numbers
	segmentRegisters = map[string]int{"es": x86.ES, "cs": x86.CS, "ss": x86.SS, "ds": x86.DS, "fs": x86.FS, "gs": x86.GS}
)

// Register reads a register of a CPU for an expression ("x/10i $eip"): QEMU's names, which are those of 32 bits for the whole register, and
// those of 64 bits. "pc" is the linear address of the next instruction.
func (s *Service) Register(cpu int, name string) (uint64, bool) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	if t == nil {
		return 0, false
	}
	st := t.CPUState(cpu)
	if st == nil {
		return 0, false
	}
	return register(st, name)
}

func register(st *x86.State, name string) (uint64, bool) {
	if seg, part, _ := strings.Cut(name, "."); segmentRegisters[seg] != 0 || seg == "es" {
		r := &st.Seg[segmentRegisters[seg]]
		switch part {
		case "":
			return uint64(r.Selector), seg == name
		case "base":
			return r.Base, true
		case "limit":
			return uint64(r.Limit), true
		}
		return 0, false
	}
	switch name {
	case "pc":
		return st.RIP + st.Seg[x86.CS].Base, true
	case "sp", "fp":
		name = "e" + strings.Replace(name, "f", "b", 1)
	}
	if name == "" || name[0] != 'e' && name[0] != 'r' {
		return 0, false
	}
	switch rest := name[1:]; {
	case rest == "ip":
		return st.RIP, true
	case rest == "flags":
		return st.RFLAGS, true
	case slices.Contains(wordRegisters, rest):
		return st.Regs[slices.Index(wordRegisters, rest)], true
	default:
		n, err := strconv.ParseUint(rest, 10, 8)
		if err != nil || n < 8 || n >= uint64(len(st.Regs)) || name[0] != 'r' {
			return 0, false
		}
		return st.Regs[n], true
	}
}
