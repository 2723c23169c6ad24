package ir

import "fmt"

// Verify checks that a block keeps the rules of the representation: operands present and of the right kind, defined once and before
// their use, sizes, exits and globals in range, and an end at the end. nglobals is the number of globals.
func Verify(b *Block, nglobals int) error {
	v := verifier{b: b, defined: make([]bool, len(b.Vals)), nglobals: nglobals}
	if len(b.Vals) == 0 || b.Vals[None].Kind != KindNone {
		return fmt.Errorf("Vals[0] is not None")
	}
	for i := range b.Insts {
		if err := v.inst(&b.Insts[i]); err != nil {
			return fmt.Errorf("instruction %d (%s): %w", i, b.Insts[i].Op, err)
		}
		if ends := b.Insts[i].Op.Info().Attr&OpEnds != 0; ends != (i == len(b.Insts)-1) {
			return fmt.Errorf("instruction %d (%s): ends the block = %v", i, b.Insts[i].Op, ends)
		}
	}
	if len(b.Insts) == 0 {
		return fmt.Errorf("no instructions")
	}
	return nil
}

type verifier struct {
	b        *Block
	defined  []bool
	nglobals int
}

func (v *verifier) inst(in *Inst) error {
	info := in.Op.Info()
	if info.Name == "" {
		return fmt.Errorf("unknown operation %d", in.Op)
	}
	if err := checkSize(in, info); err != nil {
		return err
	}
	for _, u := range [...]struct {
		slot Slot
		val  Val
		kind Kind
	}{{SlotA, in.A, KindInt}, {SlotB, in.B, KindInt}, {SlotC, in.C, KindInt}, {SlotFIn, in.FIn, KindFlags}} {
		if err := v.use(info, u.slot, u.val, u.kind); err != nil {
			return err
		}
	}
	if err := v.fields(in, info); err != nil {
		return err
	}
	for _, d := range [...]struct {
		slot Slot
		val  Val
		kind Kind
	}{{SlotDst, in.Dst, KindInt}, {SlotDst2, in.Dst2, KindInt}, {SlotFOut, in.FOut, KindFlags}} {
		if err := v.define(in, info, d.slot, d.val, d.kind); err != nil {
			return err
		}
	}
	return nil
}

func checkSize(in *Inst, info *OpInfo) error {
	ok := in.Size == info.Sizes
	switch {
	case info.Sizes == 0xff: // any
		ok = true
	case info.Sizes != 0:
		ok = in.Size&(in.Size-1) == 0 && in.Size&info.Sizes != 0
	}
	if ok && info.Need&SlotMem != 0 && in.Mem.Size != in.Size {
		ok = in.Op == OpLdV && in.Mem.Size < in.Size
	}
	if !ok {
		return fmt.Errorf("size %d (memory %d)", in.Size, in.Mem.Size)
	}
	return nil
}

// fields checks what is not a Val.
func (v *verifier) fields(in *Inst, info *OpInfo) error {
	switch {
	case info.Need&SlotExit != 0 && in.Imm >= uint64(len(v.b.Exits)):
		return fmt.Errorf("exit %d of %d", in.Imm, len(v.b.Exits))
	case info.Need&SlotGlobal != 0 && int(in.Global) >= v.nglobals:
		return fmt.Errorf("global %d of %d", in.Global, v.nglobals)
	case info.Need&SlotCond != 0 && in.Cond > CondG:
		return fmt.Errorf("condition %d", in.Cond)
	case info.Need&SlotMem != 0 && in.Mem.MMU >= NumMMU:
		return fmt.Errorf("translation regime %d", in.Mem.MMU)
	case info.Need&SlotMem != 0 && in.Mem.Align&(in.Mem.Align-1) != 0:
		return fmt.Errorf("alignment %d", in.Mem.Align)
	case in.Op == OpAtomic && in.Imm2 > uint8(AtomicXor):
		return fmt.Errorf("atomic operation %d", in.Imm2)
	case info.Need&SlotVec != 0 && !v.b.UsesVec:
		return fmt.Errorf("UsesVec is not set")
	case in.Op == OpVec && VecOp(in.Vec).Info().Sizes&in.Size == 0, in.Op == OpX87 && X87Op(in.Vec).Info().Name == "":
		return fmt.Errorf("operation %d of size %d", in.Vec, in.Size)
	}
	for _, r := range [...]VReg{in.VD, in.VA, in.VB, in.VC} {
		if info.Need&SlotVec != 0 && r >= NumVRegs && r != VNone && (r < VF0 || r > VF7) {
			return fmt.Errorf("vector register %d", r)
		}
	}
	if in.Op == OpVec || in.Op == OpX87 {
		return vecFields(in)
	}
	if (in.Op == OpExtract || in.Op == OpDeposit) && (in.Imm&0xff+in.Imm>>8 > 64 || in.Imm>>8 == 0) {
		return fmt.Errorf("field %#x", in.Imm)
	}
	return nil
}

func (v *verifier) use(info *OpInfo, slot Slot, val Val, kind Kind) error {
	switch {
	case val == None && info.Need&slot != 0:
		return fmt.Errorf("operand %s is missing", slotName(slot))
	case val == None:
		return nil
	case (info.Need|info.May)&slot == 0:
		return fmt.Errorf("operand %s is not allowed", slotName(slot))
	case val < 0 || int(val) >= len(v.b.Vals):
		return fmt.Errorf("operand %s is value %d of %d", slotName(slot), val, len(v.b.Vals))
	case v.b.Vals[val].Kind != kind:
		return fmt.Errorf("operand %s (value %d) is of kind %d", slotName(slot), val, v.b.Vals[val].Kind)
	case !v.defined[val]:
		return fmt.Errorf("operand %s (value %d) is not defined", slotName(slot), val)
	}
	return nil
}

func (v *verifier) define(in *Inst, info *OpInfo, slot Slot, val Val, kind Kind) error {
	switch {
	case val == None && info.Need&slot != 0:
		return fmt.Errorf("result %s is missing", slotName(slot))
	case val == None:
		return nil
	case (info.Need|info.May)&slot == 0:
		return fmt.Errorf("result %s is not allowed", slotName(slot))
	case val < 0 || int(val) >= len(v.b.Vals):
		return fmt.Errorf("result %s is value %d of %d", slotName(slot), val, len(v.b.Vals))
	case v.b.Vals[val].Kind != kind:
		return fmt.Errorf("result %s (value %d) is of kind %d", slotName(slot), val, v.b.Vals[val].Kind)
	case v.defined[val]:
		return fmt.Errorf("value %d is defined twice", val)
	case v.b.Vals[val].IsConst != (in.Op == OpConst) || in.Op == OpConst && v.b.Vals[val].Const != in.Imm:
		return fmt.Errorf("value %d: constant = %v", val, v.b.Vals[val].IsConst)
	}
	v.defined[val] = true
	return nil
}

func slotName(s Slot) string {
	return map[Slot]string{SlotDst: "Dst", SlotDst2: "Dst2", SlotFOut: "FOut", SlotA: "A", SlotB: "B", SlotC: "C", SlotFIn: "FIn"}[s]
}

// softDst2 marks that Dst2 may be present although the row does not have it.
const softDst2 = UseDst2

// vecFields checks a vector or x87 instruction against its row.
func vecFields(in *Inst) error {
	row := VecOp(in.Vec).Info()
	if in.Op == OpX87 {
		row = X87Op(in.Vec).Info()
	} else if row.Sizes&in.Size == 0 || in.Size&(in.Size-1) != 0 {
		return fmt.Errorf("%s of size %d", row.Name, in.Size)
	}
	if row.Name == "" {
		return fmt.Errorf("unknown operation %d", in.Vec)
	}
	var soft VecUse // software execution may report exceptions in Dst2
	if in.Attr&AttrSoft != 0 {
		soft = softDst2
	}
	for _, c := range [...]struct {
		use, may VecUse
		has      bool
		name     string
	}{
		{UseVD, 0, in.VD != VNone, "VD"},
		{UseVA, UseVA, in.VA != VNone, "VA"}, // absent in packed operations with one operand
		{UseVB, 0, in.VB != VNone, "VB"},
		{UseVC | UseVC2, 0, in.VC != VNone, "VC"},
		{UseA, 0, in.A != None, "A"},
		{UseB, 0, in.B != None, "B"},
		{UseDst, 0, in.Dst != None, "Dst"},
		{UseDst2, soft, in.Dst2 != None, "Dst2"},
		{UseFOut, UseFOut, in.FOut != None, "FOut"},
		{UseFIn, 0, in.FIn != None, "FIn"},
	} {
		want := row.Use&c.use != 0
		if c.has && !want && c.may&softDst2 == 0 || !c.has && want && c.may == 0 {
			return fmt.Errorf("%s: operand %s present: %v", row.Name, c.name, c.has)
		}
	}
	return nil
}
