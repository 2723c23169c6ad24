//go:build amd64

package native

import (
	"encoding/binary"
	"math/rand/v2"

	frontend "goemu/tcg/frontend/x86"
)

// Case is one instruction with its surroundings.
type Case struct {
	Code []byte
	Info frontend.Insn
	In   State
	Mem  []byte
}

// Layout is where a generator's instructions are executed.
type Layout interface {
	Mode() uint8        // 2, 4, 8: 16-, 32-, 64-bit code
	PC() uint64         // of the instruction, in its code segment
	Target() uint64     // where branches should go to, targetDist behind
	WindowBase() uint64 // linear address of the memory that instructions may access
	SegBase() uint64    // base of all segments
}

// targetDist is the distance from the instruction to the target of branches.
const targetDist = 64

// WindowSize is the size of the memory that instructions may access.
const WindowSize = 0x3000

// Gen makes random cases for one place.
type Gen struct {
	Rnd     *rand.Rand
	KeepMem bool // Fill leaves Case.Mem alone
	h       Layout
}

// NewGen returns a generator.
func NewGen(h Layout, seed uint64) *Gen { return &Gen{Rnd: rand.New(rand.NewPCG(seed, 7)), h: h} }

// Encode makes random bytes of the row's instruction in the host's mode; ok is false if this try gave something else.
func (g *Gen) Encode(r *frontend.Row) (c []byte, i frontend.Insn, ok bool) {
	rnd := g.Rnd
	mod := byte(rnd.UintN(4))
	switch {
	case r.NoMem, r.RM >= 0:
		mod = 3
	case r.Mem:
		mod = byte(rnd.UintN(3))
	}
	reg, rm := byte(rnd.UintN(8)), byte(rnd.UintN(8))
	if r.Reg >= 0 {
		reg = byte(r.Reg)
	}
	if r.RM >= 0 {
		rm = byte(r.RM)
	}
	modrm := mod<<6 | reg<<3 | rm
	if r.VEX {
		w := byte(rnd.UintN(2)) << 7
		regs := byte(rnd.UintN(8)) << 5
		if g.h.Mode() != 8 {
			regs = 0xe0
		}
		c = append(c, 0xc4, regs|byte(r.Map), w|byte(rnd.UintN(16))<<3|byte(rnd.UintN(2))<<2|byte(r.PP), r.Opcode)
		if rnd.UintN(3) == 0 {
			c[2] |= 0x78
		}
		if g.h.Mode() != 8 {
			c[2] |= 0x40
		}
	} else {
		c = g.prefixes(r, mod != 3)
		c = append(c, r.Opcode)
	}
	c = append(c, modrm)
	for range 12 {
		c = append(c, byte(rnd.Uint32()))
	}
	i, ok = frontend.Inspect(c, g.h.PC(), g.h.Mode())
	if !ok || i.Name != r.Name || i.Opcode != r.Opcode || i.VEX != r.VEX {
		return nil, i, false
	}
	return c[:i.Length], i, true
}

// branches are near branches.
var branches = map[string]bool{"call": true, "jmp": true, "ret": true, "loop": true, "loope": true, "loopne": true, "jcxz": true,
	"jo": true, "jno": true, "jb": true, "jae": true, "je": true, "jne": true, "jbe": true, "ja": true,
	"js": true, "jns": true, "jp": true, "jnp": true, "jl": true, "jge": true, "jle": true, "jg": true}

func (g *Gen) prefixes(r *frontend.Row, mem bool) (c []byte) {
	rnd := g.Rnd
	if rnd.UintN(4) == 0 && (!branches[r.Name] || g.h.Mode() == 2) { // vendors differ on branches with 66; 32-bit code would be left
		c = append(c, 0x66)
	}
	if (mem || g.h.Mode() == 2) && rnd.UintN(8) == 0 {
		c = append(c, 0x67)
	}
	if mem && rnd.UintN(4) == 0 {
		c = append(c, 0xf0)
	}
	if rnd.UintN(12) == 0 {
		c = append(c, []byte{0x26, 0x2e, 0x36, 0x3e}[rnd.UintN(4)])
	}
	if r.PP == 0 && !r.Vector && !branches[r.Name] && rnd.UintN(8) == 0 {
		c = append(c, 0xf2+byte(rnd.UintN(2)))
	}
	esc := r.Prefix
	if r.PP != 0 {
		c = append(c, esc[0])
		esc = esc[1:]
	}
	if rnd.UintN(2) == 0 && g.h.Mode() == 8 {
		c = append(c, 0x40|byte(rnd.UintN(16)))
	}
	return append(c, esc...)
}

var corners = [...]uint64{0, 1, 2, ^uint64(0), 1 << 63, 1<<63 - 1, 1 << 31, 1<<31 - 1, 1<<32 - 1, 0x80, 0x7f, 0x8000, 0x7fff, 0xff, 0xffff, 0xffffffffffffff80}

// Value is a random number, often an interesting one.
func (g *Gen) Value() uint64 {
	switch g.Rnd.UintN(4) {
	case 0:
		return corners[g.Rnd.UintN(uint(len(corners)))]
	case 1:
		return g.Rnd.Uint64() >> g.Rnd.UintN(64)
	}
	return g.Rnd.Uint64()
}

const allFlags = 0x8d5

// Fill makes the state for an encoded instruction such that memory operands lie in the window; ok is false if that failed.
func (g *Gen) Fill(c *Case) bool {
	for i := range c.In.GPR {
		c.In.GPR[i] = g.Value()
	}
	c.In.Flags = g.Rnd.Uint64()&allFlags | 0x202
	if g.Rnd.UintN(4) == 0 {
		c.In.Flags |= 1 << 10
	}
	for i := range c.Mem {
		if g.KeepMem {
			break
		}
		c.Mem[i] = byte(g.Rnd.Uint32())
	}
	for n := g.Rnd.UintN(4); n > 0 && !g.KeepMem; n-- { // some zero and corner words
		binary.LittleEndian.PutUint64(c.Mem[g.Rnd.UintN(WindowSize-8):], g.Value())
	}
	g.special(c)
	ok := !c.Info.Mem || g.address(c)
	if g.h.Mode() != 8 {
		for i := range c.In.GPR {
			c.In.GPR[i] &= 0xffffffff
		}
	}
	return ok
}

// special prepares registers that instructions use in a fixed way.
func (g *Gen) special(c *Case) {
	r := &c.In.GPR
	const rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi = 0, 1, 2, 3, 4, 5, 6, 7
	i := &c.Info
	if !g.usesRSP(i) && (i.Base == rsp || i.Reg == rsp || i.RM == rsp) && g.Rnd.UintN(2) == 0 {
		return
	}
	r[rsp] = g.place()
	r[rbp] = g.place()
	switch i.Name {
	case "movs", "stos", "lods", "scas", "cmps":
		r[rsi], r[rdi] = g.place(), g.place()
		r[rcx] = uint64(g.Rnd.UintN(40))
	case "mov":
		if i.Opcode >= 0xa0 && i.Opcode <= 0xa3 { // address in the instruction
			n := i.AddrSize
			for k, a := 0, g.place(); k < n; k++ {
				c.Code[len(c.Code)-n+k] = byte(a >> (8 * k))
			}
		}
	case "enter": // the frame must fit in the window
		n := len(c.Code)
		c.Code[n-2] &= 3
		c.Code[n-1] &= byte(g.Rnd.UintN(2)) * 3
		c.Info, _ = frontend.Inspect(c.Code, g.h.PC(), g.h.Mode())
	case "xlat":
		r[rbx] = g.place()
	case "div":
		if g.Rnd.UintN(4) != 0 {
			r[rdx] = 0
			r[rax] &= 0xffffffffffff00ff
		}
	case "idiv":
		if g.Rnd.UintN(4) != 0 {
			r[rax] = uint64(int64(int8(r[rax])))
			r[rdx] = uint64(int64(r[rax]) >> 63)
		}
	case "bt", "bts", "btr", "btc":
		r[i.Reg] = uint64(int64(g.Rnd.UintN(8192)) - 4096)
	case "loop", "loope", "loopne", "jcxz":
		r[rcx] = uint64(g.Rnd.UintN(3))
	case "cmpxchg":
		if g.Rnd.UintN(2) == 0 && !i.Mem {
			r[rax] = r[i.RM]
		}
	case "cmpxchg8b":
	}
}

// usesRSP tells whether the instruction uses the stack.
func (g *Gen) usesRSP(i *frontend.Insn) bool {
	switch i.Name {
	case "pusha", "popa", "push", "pop", "call", "ret", "enter", "leave", "pushf", "popf":
		return true
	}
	return false
}

// place is a random address in the middle of the window.
func (g *Gen) place() uint64 {
	return g.h.WindowBase() - g.h.SegBase() + WindowSize/2 - 0x800 + uint64(g.Rnd.UintN(0x1000))
}

// address chooses base and index such that the memory operand is in the window.
func (g *Gen) address(c *Case) bool {
	i, r := &c.Info, &c.In.GPR
	want := g.place()
	if g.Rnd.UintN(2) == 0 {
		want &^= 31
	}
	switch {
	case i.Base < 0 && i.Index < 0:
		return g.patchDisp(c, want)
	case i.Index < 0:
		r[i.Base] = want - uint64(i.Disp)
	case i.Base < 0:
		r[i.Index] = (want - uint64(i.Disp)) >> i.Scale
	case i.Base == i.Index:
		r[i.Base] = (want - uint64(i.Disp)) / (1 + 1<<i.Scale)
	default:
		r[i.Index] = uint64(int64(g.Rnd.UintN(256)) - 128)
		r[i.Base] = want - uint64(i.Disp) - r[i.Index]<<i.Scale
	}
	return true
}

// patchDisp replaces an absolute or RIP-relative displacement.
func (g *Gen) patchDisp(c *Case, want uint64) bool {
	if c.Info.AddrSize == 2 {
		old, value := uint16(c.Info.Disp), uint16(want)
		for p := 0; p+2 <= len(c.Code); p++ {
			if binary.LittleEndian.Uint16(c.Code[p:]) == old {
				binary.LittleEndian.PutUint16(c.Code[p:], value)
				c.Info, _ = frontend.Inspect(c.Code, g.h.PC(), g.h.Mode())
				return c.Info.Length == len(c.Code)
			}
		}
		return false
	}
	old := uint32(c.Info.Disp)
	value := uint32(want)
	if c.Info.RIP {
		next := g.h.PC() + uint64(len(c.Code))
		old, value = uint32(uint64(c.Info.Disp)-next), uint32(want-next)
	}
	for p := 0; p+4 <= len(c.Code); p++ {
		if binary.LittleEndian.Uint32(c.Code[p:]) == old {
			binary.LittleEndian.PutUint32(c.Code[p:], value)
			c.Info, _ = frontend.Inspect(c.Code, g.h.PC(), g.h.Mode())
			return c.Info.Length == len(c.Code)
		}
	}
	return false
}

// Branch makes a control transfer go to the stub's Target (or fall through).
func (g *Gen) Branch(c *Case) bool {
	i := &c.Info
	if i.Branch {
		dist := uint32(targetDist - len(c.Code))
		n := 1
		if i.Opcode&0xf0 == 0x80 || i.Opcode == 0xe8 || i.Opcode == 0xe9 {
			n = min(i.OpSize, 4)
		}
		p := len(c.Code) - n
		for k := range n {
			c.Code[p+k] = byte(dist >> (8 * k))
		}
		return true
	}
	size := i.OpSize
	switch i.Name {
	case "ret":
		sp := c.In.GPR[4]
		if g.h.Mode() == 2 {
			sp &= 0xffff
		}
		return g.poke(c, sp, size)
	case "call", "jmp":
		if !i.Mem {
			c.In.GPR[i.RM] = g.h.Target()
			return i.RM != 4
		}
		addr := uint64(i.Disp)
		if i.Base >= 0 {
			addr += c.In.GPR[i.Base]
		}
		if i.Index >= 0 {
			addr += c.In.GPR[i.Index] << i.Scale
		}
		if i.AddrSize < 8 {
			addr &= 1<<(8*i.AddrSize) - 1
		}
		return g.poke(c, addr, size)
	}
	return true
}

// poke writes Target to memory at an address.
func (g *Gen) poke(c *Case, addr uint64, size int) bool {
	off := addr + g.h.SegBase() - g.h.WindowBase()
	if off > WindowSize-8 {
		return false
	}
	for k := range size {
		c.Mem[off+uint64(k)] = byte(g.h.Target() >> (8 * k))
	}
	return true
}
