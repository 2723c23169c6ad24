//go:build amd64

package native

import (
	"flag"
	"fmt"

	frontend "goemu/tcg/frontend/x86"
)

var (
	long = flag.Bool("diff.long", false, "run many more cases")
	seed = flag.Uint64("diff.seed", 1, "seed of the random cases")
)

// undefinedResult tells whether the architecture leaves the result open: double shifts of 16 bits by more than 16.
func undefinedResult(c *Case) bool {
	i := &c.Info
	if i.Name != "shld" && i.Name != "shrd" || i.OpSize != 2 {
		return false
	}
	n := i.Imm
	if i.Opcode&1 != 0 {
		n = c.In.GPR[1]
	}
	return n&31 > 16
}

// undefined is the mask of flags not to be compared, which for shifts depends on the count.
func undefined(c *Case) uint64 {
	i := &c.Info
	switch i.Name {
	case "rol", "ror", "rcl", "rcr", "shl", "shr", "sar", "shld", "shrd":
	default:
		return i.Undefined
	}
	size := i.OpSize
	if i.Opcode&1 == 0 && i.Opcode != 0xa4 && i.Opcode != 0xac {
		size = 1
	}
	return shiftUndefined(c, size)
}

func shiftUndefined(c *Case, size int) uint64 {
	i := &c.Info
	n := i.Imm
	switch i.Opcode {
	case 0xd0, 0xd1:
		n = 1
	case 0xd2, 0xd3, 0xa5, 0xad:
		n = c.In.GPR[1]
	}
	if size == 8 {
		n &= 63
	} else {
		n &= 31
	}
	u := i.Undefined
	switch {
	case n == 0:
		return 0
	case n == 1:
		u &^= 1 << 11
	}
	if int(n) <= size*8 {
		u &^= 1
	}
	return u
}

func (c *Case) describe() string {
	s := fmt.Sprintf("%+v flags %#x", c.Info, c.In.Flags)
	for i, v := range c.In.GPR {
		s += fmt.Sprintf(" %s=%#x", frontend.Globals[i].Name, v)
	}
	return s
}
