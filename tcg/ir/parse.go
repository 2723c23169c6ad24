package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads the text form of a block. Blank lines and what follows a ';' are ignored.
func Parse(text string, globals []GlobalInfo) (*Block, error) {
	p := parser{b: &Block{Vals: make([]ValInfo, 1)}, globals: globals}
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, ";")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return p.b, nil
}

type parser struct {
	b       *Block
	globals []GlobalInfo
}

func (p *parser) line(line string) error {
	f := strings.Fields(line)
	switch {
	case f[0] == "block" && len(f) == 2:
		pc, err := strconv.ParseUint(f[1], 0, 64)
		p.b.PC = pc
		return err
	case f[0] == "exit":
		return p.exit(f)
	}
	return p.inst(line)
}

func (p *parser) exit(f []string) error {
	if len(f) < 4 || f[1] != strconv.Itoa(len(p.b.Exits)) {
		return fmt.Errorf("bad exit")
	}
	e := Exit{Kind: ExitDirect}
	if f[2] == "reason" {
		r, err := strconv.ParseUint(f[3], 0, 32)
		if err != nil {
			return err
		}
		e.Kind, e.Reason = ExitTo, uint32(r)
	}
	pc, err := strconv.ParseUint(f[len(f)-1], 0, 64)
	e.PC = pc
	p.b.Exits = append(p.b.Exits, e)
	return err
}

func (p *parser) inst(line string) error {
	in := Inst{VD: VNone, VA: VNone, VB: VNone, VC: VNone}
	var results []string
	if l, r, ok := strings.Cut(line, " = "); ok {
		results, line = splitList(l), strings.TrimSpace(r)
	}
	name, rest, _ := strings.Cut(line, " ")
	if err := parseName(&in, name); err != nil {
		return err
	}
	slots := in.Op.Info().Need | in.Op.Info().May
	if err := p.slots(&in, slots&(SlotDst|SlotDst2|SlotFOut), results); err != nil {
		return err
	}
	if err := p.slots(&in, slots&^(SlotDst|SlotDst2|SlotFOut), splitList(rest)); err != nil {
		return err
	}
	if slots&SlotMem != 0 {
		in.Mem.Size = in.Size
		if in.Op == OpLdEnv {
			in.Mem.Size, in.Mem.MMU = 0, 0
		}
	}
	p.note(&in)
	p.b.Insts = append(p.b.Insts, in)
	return nil
}

// note keeps what the Block says about the whole.
func (p *parser) note(in *Inst) {
	switch in.Op {
	case OpConst:
		p.b.Vals[in.Dst].IsConst, p.b.Vals[in.Dst].Const = true, in.Imm
	case OpInsn:
		p.b.Insns++
		p.b.Bytes += int(in.Size)
	}
	if in.Op.Info().Need&SlotVec != 0 {
		p.b.UsesVec = true
	}
}

func splitList(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	l := strings.Split(s, ",")
	for i := range l {
		l[i] = strings.TrimSpace(l[i])
	}
	return l
}

// parseName reads name[.size][!attr].
func parseName(in *Inst, s string) error {
	s, attr, _ := strings.Cut(s, "!")
	name, size, _ := strings.Cut(s, ".")
	for o := range OpEnd {
		if Ops[o].Name == name {
			in.Op = o
		}
	}
	if in.Op == OpInvalid || name == "" {
		return fmt.Errorf("unknown operation %q", name)
	}
	for _, x := range [...]struct {
		text string
		to   *uint8
	}{{size, &in.Size}, {attr, (*uint8)(&in.Attr)}} {
		if x.text != "" {
			n, err := strconv.ParseUint(x.text, 10, 8)
			if err != nil {
				return err
			}
			*x.to = uint8(n)
		}
	}
	return nil
}

// slotOrder is the order of operands in the text form.
var slotOrder = [...]Slot{SlotDst, SlotDst2, SlotFOut, SlotCond, SlotGlobal, SlotVec, SlotImm, SlotImm2, SlotMem, SlotExit, SlotA, SlotB, SlotC, SlotFIn}

func (p *parser) slots(in *Inst, slots Slot, texts []string) error {
	for _, s := range slotOrder {
		if slots&s == 0 || len(texts) == 0 {
			continue
		}
		if err := p.slot(in, s, texts[0]); err != nil {
			return fmt.Errorf("%q: %w", texts[0], err)
		}
		texts = texts[1:]
	}
	if len(texts) > 0 {
		return fmt.Errorf("%q: too many operands", texts[0])
	}
	return nil
}

func (p *parser) slot(in *Inst, s Slot, t string) (err error) {
	switch s {
	case SlotDst:
		in.Dst, err = p.val(t, KindInt)
	case SlotDst2:
		in.Dst2, err = p.val(t, KindInt)
	case SlotFOut:
		in.FOut, err = p.val(t, KindFlags)
	case SlotA:
		in.A, err = p.val(t, KindInt)
	case SlotB:
		in.B, err = p.val(t, KindInt)
	case SlotC:
		in.C, err = p.val(t, KindInt)
	case SlotFIn:
		in.FIn, err = p.val(t, KindFlags)
	case SlotImm:
		in.Imm, err = number(t, "#", 64)
	case SlotExit:
		in.Imm, err = number(t, "->", 32)
	case SlotImm2:
		var n uint64
		n, err = number(t, "%", 8)
		in.Imm2 = uint8(n)
	case SlotCond:
		return parseCond(in, t)
	case SlotGlobal:
		return p.global(in, t)
	case SlotMem:
		return parseMem(in, t)
	case SlotVec:
		return parseVec(in, t)
	}
	return err
}

func number(t, prefix string, bits int) (uint64, error) {
	t, ok := strings.CutPrefix(t, prefix)
	if !ok {
		return 0, fmt.Errorf("%s expected", prefix)
	}
	return strconv.ParseUint(t, 0, bits)
}

func (p *parser) val(t string, k Kind) (Val, error) {
	if t == "_" {
		return None, nil
	}
	n, err := number(t, map[Kind]string{KindInt: "v", KindFlags: "f"}[k], 16)
	if err != nil {
		return None, err
	}
	if n == 0 {
		return None, fmt.Errorf("value 0")
	}
	for int(n) >= len(p.b.Vals) {
		p.b.Vals = append(p.b.Vals, ValInfo{})
	}
	if p.b.Vals[n].Kind == KindNone {
		p.b.Vals[n].Kind = k
	}
	return Val(n), nil
}

func parseCond(in *Inst, t string) error {
	for i, n := range condNames {
		if n == t {
			in.Cond = Cond(i)
			return nil
		}
	}
	return fmt.Errorf("unknown condition")
}

func (p *parser) global(in *Inst, t string) error {
	for i := range p.globals {
		if p.globals[i].Name == t {
			in.Global = Global(i)
			return nil
		}
	}
	return fmt.Errorf("unknown global")
}

func parseMem(in *Inst, t string) error {
	t, ok := strings.CutPrefix(t, "m")
	if !ok {
		return fmt.Errorf("memory access expected")
	}
	t, align, _ := strings.Cut(t, "a")
	t, in.Mem.Signed = strings.CutSuffix(t, "s")
	mmu, err := strconv.ParseUint(t, 10, 8)
	in.Mem.MMU = uint8(mmu)
	if err == nil && align != "" {
		mmu, err = strconv.ParseUint(align, 10, 8)
		in.Mem.Align = uint8(mmu)
	}
	return err
}

func parseVec(in *Inst, t string) error {
	op, regs, ok := strings.Cut(strings.TrimSuffix(t, ")"), "(")
	f := strings.Fields(regs)
	if !ok || len(f) != 4 {
		return fmt.Errorf("op(VD VA VB VC) expected")
	}
	for vecName(in.Op, in.Vec) != op {
		if in.Vec++; in.Vec >= uint16(max(NumVecOps, VecOp(NumX87Ops))) {
			return fmt.Errorf("unknown operation")
		}
	}
	for i, to := range [...]*VReg{&in.VD, &in.VA, &in.VB, &in.VC} {
		if f[i] == "_" {
			continue
		}
		r, err := strconv.ParseUint(f[i], 10, 8)
		if err != nil {
			return err
		}
		*to = VReg(r)
	}
	return nil
}
