package x86

import "encoding/binary"

// maxLength is the longest instruction; longer ones fault.
const maxLength = 15

// status is the outcome of decoding.
type status uint8

const (
	decOK    status = iota
	decShort        // more bytes are needed
	decBad          // no such instruction
	decLong         // longer than maxLength
)

// REX bits.
const (
	rexB = 1 << iota
	rexX
	rexR
	rexW
)

// none is an absent register.
const none = 0xff

// inst is a decoded instruction.
type inst struct {
	*entry
	pc, next uint64 // next is wrapped to the code size

	length   uint8
	mode     uint8 // 2, 4, 8: bytes of the code segment's default size (8: 64-bit code)
	opsize   uint8 // bytes
	addrsize uint8 // bytes
	seg      uint8 // overriding segment or none
	rep      uint8 // 0, 0xf2, 0xf3: the last one
	p66      bool
	lock     bool
	hasREX   bool
	rex      uint8
	vex      bool
	l        uint8
	vvvv     uint8

	m  mapID
	pp uint8
	op uint8

	mod, reg, rm uint8 // reg and rm extended by REX or VEX; reg3 and rm3 are the plain fields
	reg3, rm3    uint8
	base, index  uint8 // none if absent
	vindex       uint8 // SIB.index as a vector register
	scale        uint8
	ripRel       bool
	disp         int64
	imm, imm2    uint64
}

// decoder reads the bytes of one instruction.
type decoder struct {
	code []byte
	pos  int
	fail status
}

func (r *decoder) u8() uint8 {
	if !r.avail(1) {
		return 0
	}
	r.pos++
	return r.code[r.pos-1]
}

// avail checks that n more bytes may be read; the first failure counts.
func (r *decoder) avail(n int) bool {
	switch {
	case r.fail != decOK:
		return false
	case r.pos+n > maxLength:
		r.fail = decLong
	case r.pos+n > len(r.code):
		r.fail = decShort
	}
	return r.fail == decOK
}

// le reads n bytes, little endian.
func (r *decoder) le(n int) uint64 {
	if !r.avail(n) {
		return 0
	}
	b := r.code[r.pos:]
	r.pos += n
	switch n {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// features tells which rows a CPU has.
type features interface{ has(a attr) bool }

// decode decodes the instruction at the start of code. d.pc and d.mode are set.
func (d *inst) decode(code []byte, cpu features) status {
	pc, mode := d.pc, d.mode
	*d = inst{pc: pc, mode: mode, addrsize: mode, seg: none, base: none, index: none}
	r := decoder{code: code}
	d.prefixes(&r)
	s := d.lookup(&r, cpu)
	if r.fail != decOK {
		return r.fail
	}
	if s == nil {
		return decBad
	}
	d.entry = s
	d.sizes()
	if s.imm1 != imNone {
		d.imm = d.immediate(&r, s.imm1)
		if s.imm1 == imFar {
			d.imm2 = r.le(2)
		}
		if s.imm2 != imNone {
			d.imm2 = d.immediate(&r, s.imm2)
		}
	}
	if r.fail != decOK {
		return r.fail
	}
	d.length = uint8(r.pos)
	d.next = d.wrapPC(pc + uint64(r.pos))
	if d.ripRel {
		d.disp += int64(d.pc + uint64(d.length))
	}
	if d.illegal() {
		return decBad
	}
	return decOK
}

// wrapPC truncates a program counter to the code size.
func (d *inst) wrapPC(pc uint64) uint64 {
	if d.mode == 8 {
		return pc
	}
	return uint64(uint32(pc))
}

// prefixes reads the legacy and REX prefixes.
func (d *inst) prefixes(r *decoder) {
	for {
		c := r.u8()
		if r.fail != decOK {
			return
		}
		switch c {
		case 0x66:
			d.p66 = true
		case 0x67:
			d.addrsize = 4
			if d.mode == 4 {
				d.addrsize = 2
			}
		case 0xf0:
			d.lock = true
		case 0xf2, 0xf3:
			d.rep = c
		case 0x26, 0x2e, 0x36, 0x3e:
			if d.mode != 8 {
				d.seg = c >> 3 & 3
			}
		case 0x64, 0x65:
			d.seg = c - 0x60
		default:
			if d.mode == 8 && c&0xf0 == 0x40 {
				d.hasREX, d.rex = true, c&15
				if c = r.u8(); r.fail != decOK {
					return
				}
				if isPrefix(c) { // a REX prefix counts only right before the opcode
					d.hasREX, d.rex = false, 0
					r.pos--
					continue
				}
			}
			d.op = c
			return
		}
	}
}

func isPrefix(c uint8) bool {
	switch c {
	case 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65:
		return true
	}
	return c&0xf0 == 0x40
}

// lookup finds the row, reading the rest of the opcode and ModRM.
func (d *inst) lookup(r *decoder, cpu features) *entry {
	switch d.op {
	case 0x0f:
		d.m, d.op = map0F, r.u8()
		switch d.op {
		case 0x38:
			d.m, d.op = map0F38, r.u8()
		case 0x3a:
			d.m, d.op = map0F3A, r.u8()
		}
		d.pp = d.mandatory()
	case 0xc4, 0xc5:
		if !r.avail(1) || (d.mode == 8 || r.code[r.pos] >= 0xc0) && !d.vexPrefix(r) {
			return nil
		}
	default:
		if d.rep == 0xf3 {
			d.pp = ppF3 // PAUSE, and the string instructions fall back
		}
	}
	if r.fail != decOK {
		return nil
	}
	e := d.row(r, d.pp, cpu)
	if e == nil && d.pp != ppNone && !d.vex {
		e = d.row(r, ppNone, cpu)
		if e != nil && (e.attr&strict != 0 || e.attr&noRep != 0 && d.pp != pp66) {
			return nil
		}
	}
	return e
}

// mandatory is the prefix that takes part in the opcode, as VEX.pp.
func (d *inst) mandatory() uint8 {
	switch {
	case d.rep == 0xf3:
		return ppF3
	case d.rep == 0xf2:
		return ppF2
	case d.p66:
		return pp66
	}
	return ppNone
}

// vexPrefix reads the rest of a VEX prefix and the opcode.
func (d *inst) vexPrefix(r *decoder) bool {
	three := d.op == 0xc4
	b := r.u8()
	mmmmm, last := uint8(1), b
	inv := ^b
	d.rex = inv >> 7 << 2
	if three {
		last = r.u8()
		mmmmm = b & 31
		d.rex = inv>>7<<2 | inv>>6&1<<1 | inv>>5&1 | last>>7<<3
	}
	d.op = r.u8()
	if r.fail != decOK || d.lock || d.rep != 0 || d.p66 || d.hasREX || mmmmm == 0 || mmmmm > 3 {
		return false
	}
	if d.mode != 8 {
		d.rex &^= rexB | rexX | rexR
	}
	d.vex = true
	d.vvvv = ^last >> 3 & 15
	d.l = last >> 2 & 1
	d.pp = last & 3
	d.m = mapVEX0F + mapID(mmmmm) - 1
	return true
}

// row finds the entry for a mandatory prefix; ModRM is read if the row needs it.
func (d *inst) row(r *decoder, pp uint8, cpu features) *entry {
	s := &maps[d.m][pp][d.op]
	e := s.entry
	if s.group != nil {
		if !d.seenModRM(r) {
			return nil
		}
		if ge := s.group.at(d); ge != nil {
			e = ge
		}
	}
	if e == nil {
		return nil
	}
	if !cpu.has(e.attr) && (e.attr&fallback != 0 || pp == ppNone) {
		return nil
	}
	if !cpu.has(e.attr) {
		return &noInsn
	}
	if e.modrm && !d.seenModRM(r) {
		return nil
	}
	return e
}

// noInsn is found in place of an instruction that the CPU does not have.
var noInsn = entry{insn: insn{name: "(bad)", attr: invalid64 | only64}}

func (g *group) at(d *inst) *entry {
	if d.mod != 3 {
		return g.mem[d.reg3]
	}
	if s := g.rm[d.reg3]; s != nil && s[d.rm3] != nil {
		return s[d.rm3]
	}
	return g.reg[d.reg3]
}

const opMovCR = 0x20 // first of the four moves to and from control and debug registers

// modrmSeen in inst.scale marks that ModRM was read.
const modrmSeen = 0x80

// seenModRM reads ModRM, SIB and displacement once.
func (d *inst) seenModRM(r *decoder) bool {
	if d.scale&modrmSeen != 0 {
		return true
	}
	c := r.u8()
	if r.fail != decOK {
		return false
	}
	d.scale |= modrmSeen
	d.mod, d.reg3, d.rm3 = c>>6, c>>3&7, c&7
	d.reg, d.rm = d.reg3|d.rex&rexR<<1, d.rm3|d.rex&rexB<<3
	switch {
	case d.m == map0F && d.op&^3 == opMovCR:
		d.mod = 3 // the field is ignored
	case d.mod == 3:
	case d.addrsize == 2:
		d.address16(r)
	default:
		d.address(r)
	}
	return r.fail == decOK
}

// Base and index registers of 16-bit addresses.
var base16 = [8]uint8{3, 3, 5, 5, 6, 7, 5, 3}
var index16 = [8]uint8{6, 7, 6, 7, none, none, none, none}

func (d *inst) address16(r *decoder) {
	d.base, d.index = base16[d.rm3], index16[d.rm3]
	switch d.mod {
	case 0:
		if d.rm3 == 6 {
			d.base = none
			d.disp = int64(int16(r.le(2)))
		}
	case 1:
		d.disp = int64(int8(r.u8()))
	case 2:
		d.disp = int64(int16(r.le(2)))
	}
}

// address reads SIB and the displacement of 32- and 64-bit addresses.
func (d *inst) address(r *decoder) {
	d.base = d.rm
	if d.rm3 == 4 {
		sib := r.u8()
		d.scale |= sib >> 6
		d.vindex = sib>>3&7 | d.rex&rexX<<2
		if d.index = d.vindex; d.index == 4 {
			d.index = none
		}
		d.base = sib&7 | d.rex&rexB<<3
	}
	switch d.mod {
	case 0:
		if d.base&7 != 5 {
			return
		}
		d.ripRel = d.rm3 == 5 && d.mode == 8
		d.base = none
		d.disp = int64(int32(r.le(4)))
	case 1:
		d.disp = int64(int8(r.u8()))
	case 2:
		d.disp = int64(int32(r.le(4)))
	}
}

// sizes decides the operand size.
func (d *inst) sizes() {
	switch {
	case d.vex:
		d.opsize = 4
		if d.rex&rexW != 0 && d.mode == 8 {
			d.opsize = 8
		}
	case d.mode == 8:
		d.opsize = 4
		switch {
		case d.rex&rexW != 0 || d.attr&force64 != 0:
			d.opsize = 8
		case d.attr&default64 != 0:
			d.opsize = 8
			if d.p66 {
				d.opsize = 2
			}
		case d.p66:
			d.opsize = 2
		}
	case d.p66:
		d.opsize = 6 - d.mode
	default:
		d.opsize = d.mode
	}
}

// immediate reads an immediate.
func (d *inst) immediate(r *decoder, k immediate) uint64 {
	switch k {
	case im8:
		return uint64(r.u8())
	case im8s:
		return uint64(int8(r.u8()))
	case im16:
		return r.le(2)
	case imZ:
		if d.opsize == 2 {
			return uint64(int16(r.le(2)))
		}
		return uint64(int32(r.le(4)))
	case imV, imAddr:
		n := int(d.opsize)
		if k == imAddr {
			n = int(d.addrsize)
		}
		return r.le(n)
	case imFar:
		return r.le(int(min(d.opsize, 4)))
	}
	return 0
}

// illegal checks what ModRM, prefixes and the code size do not allow.
func (d *inst) illegal() bool {
	a := d.attr
	return a&invalid64 != 0 && d.mode == 8 || a&only64 != 0 && d.mode != 8 ||
		d.lock && !d.lockCR0() && (a&lockable == 0 || d.mod == 3 || !d.memDst()) ||
		a&memOnly != 0 && d.mod == 3 || a&regOnly != 0 && d.mod != 3 ||
		d.vex && (a&vexL0 != 0 && d.l != 0 || a&vexNoV != 0 && d.vvvv != 0)
}

// lockCR0 tells whether the instruction is a move to or from CR0 with LOCK, AMD's name of CR8 outside 64-bit mode.
func (d *inst) lockCR0() bool { return d.m == map0F && d.op&^2 == opMovCR && d.reg == 0 }

// memDst tells whether the destination is memory.
func (d *inst) memDst() bool {
	p := operands[d.ops[0]].place
	return d.scale&modrmSeen != 0 && d.mod != 3 && (p == plRM || p == plMem)
}
