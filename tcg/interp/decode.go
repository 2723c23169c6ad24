package interp

import (
	"fmt"
	"math/bits"

	"goemu/tcg/ir"
)

// decoder turns a block into handlers with slots.
type decoder struct {
	e     *Engine
	b     *ir.Block
	code  []inst
	slots []uint16 // by Val
	pc    uint64
	next  uint16 // last slot given out - slotVals + 1
}

func (d *decoder) inst(in *ir.Inst) error {
	switch in.Op {
	case ir.OpInsn:
		d.pc = in.Imm
		return nil
	case ir.OpConst:
		return d.constant(in)
	}
	o := inst{imm: in.Imm, pc: d.pc, cond: in.Cond, imm2: in.Imm2, mem: in.Mem}
	if o.fn = pick(in); o.fn == nil {
		return fmt.Errorf("no handler for %s of size %d", in.Op, in.Size)
	}
	o.a, o.b, o.c, o.fin = d.slots[in.A], d.slots[in.B], d.slots[in.C], d.slots[in.FIn]
	o.dst, o.dst2, o.fout = d.define(in.Dst), d.define(in.Dst2), d.define(in.FOut)
	o.cc = lazyFlags(in)
	switch in.Op {
	case ir.OpGet, ir.OpSet:
		o.imm = uint64(d.e.globals[in.Global].Offset)
	case ir.OpLdV, ir.OpStV, ir.OpVec, ir.OpX87:
		if in.Op == ir.OpVec && (in.Vec >= uint16(ir.NumVecOps) || vecFuncs[in.Vec] == nil) ||
			in.Op == ir.OpX87 && (in.Vec >= uint16(ir.NumX87Ops) || x87Funcs[in.Vec] == nil) {
			return fmt.Errorf("no %s operation %d", in.Op, in.Vec)
		}
		c := *in
		o.src = &c
	}
	d.code = append(d.code, o)
	if d.e.poison && in.Dst != ir.None && unspecifiedUpper(in) {
		d.code = append(d.code, inst{fn: poison, dst: o.dst, imm: 0xdeadbeefdeadbeef &^ ir.SizeMask(in.Size)})
		if in.Dst2 != ir.None {
			d.code = append(d.code, inst{fn: poison, dst: o.dst2, imm: 0xdeadbeefdeadbeef &^ ir.SizeMask(in.Size)})
		}
	}
	return nil
}

// define gives a result its slot.
func (d *decoder) define(v ir.Val) uint16 {
	if v == ir.None {
		return slotDrop
	}
	d.slots[v] = slotVals + d.next
	d.next++
	return d.slots[v]
}

func (d *decoder) constant(in *ir.Inst) error {
	s, ok := d.e.constSlot(in.Imm)
	if ok {
		d.slots[in.Dst] = s
		return nil
	}
	d.code = append(d.code, inst{fn: constant, imm: in.Imm, dst: d.define(in.Dst)})
	return nil
}

// unspecifiedUpper tells whether the bits of Dst above Size are left open.
func unspecifiedUpper(in *ir.Inst) bool {
	if in.Size >= 4 || in.Op.Info().Sizes == 0 {
		return false
	}
	switch in.Op {
	case ir.OpLdEnv, ir.OpExt, ir.OpSext, ir.OpSelectZ, ir.OpCrc32, ir.OpLd, ir.OpLdRMW, ir.OpAtomic, ir.OpCmpXchg, ir.OpVec, ir.OpX87:
		return false
	}
	return true
}

func poison(x *exec, in *inst) bool {
	x.v[in.dst] |= in.imm
	return false
}

func constant(x *exec, in *inst) bool {
	x.v[in.dst] = in.imm
	return false
}

// lazyFlags is the kind of flags that an operation leaves lazily.
func lazyFlags(in *ir.Inst) uint32 {
	k := ir.CCImage
	switch in.Op {
	case ir.OpAdd:
		k = ir.CCAdd
	case ir.OpSub:
		k = ir.CCSub
		if in.Dst == ir.None {
			k = ir.CCCmp
		}
	case ir.OpNeg:
		k = ir.CCSub
	case ir.OpAnd, ir.OpOr, ir.OpXor, ir.OpAndN:
		k = ir.CCLogic
	case ir.OpInc:
		k = ir.CCInc
	case ir.OpDec:
		k = ir.CCDec
	default:
		return 0
	}
	return ir.PackCC(k, in.Size)
}

// pick chooses the handler of an instruction.
func pick(in *ir.Inst) handler {
	row := &handlers[in.Op]
	if row.any != nil {
		return row.any
	}
	if in.Size == 0 || in.Size > 8 || in.Size&(in.Size-1) != 0 {
		return nil
	}
	lg := bits.TrailingZeros8(in.Size)
	switch {
	case in.Mem.Signed:
		return row.signed[lg]
	case in.FOut != ir.None && in.Dst == ir.None && row.only[lg] != nil:
		return row.only[lg]
	case row.flags[lg] != nil && (in.FOut != ir.None || row.plain[lg] == nil):
		return row.flags[lg]
	}
	return row.plain[lg]
}

// row has the handlers of an operation by log2 of the size.
type row struct {
	plain  [4]handler // no flags wanted
	flags  [4]handler // flags wanted
	only   [4]handler // only flags wanted
	signed [4]handler // Mem.Signed
	any    handler    // for every size
}

type sizes = [4]handler

// handlers has every operation but OpInsn and OpConst.
var handlers = [ir.OpEnd]row{
	ir.OpGet:      {any: get},
	ir.OpSet:      {any: set},
	ir.OpLdEnv:    {plain: sizes{ldEnv[uint8], ldEnv[uint16], ldEnv[uint32], ldEnv[uint64]}, signed: sizes{ldEnvS[int8], ldEnvS[int16], ldEnvS[int32], ldEnvS[int64]}},
	ir.OpStEnv:    {plain: sizes{stEnv[uint8], stEnv[uint16], stEnv[uint32], stEnv[uint64]}},
	ir.OpGetFlags: {any: getFlags},
	ir.OpSetFlags: {any: setFlags},
	ir.OpImage:    {any: image},
	ir.OpFromImg:  {any: fromImage},

	ir.OpAdd: {plain: sizes{add[uint8], add[uint16], add[uint32], add[uint64]}, flags: sizes{addF[uint8], addF[uint16], addF[uint32], addF[uint64]}},
	ir.OpSub: {plain: sizes{sub[uint8], sub[uint16], sub[uint32], sub[uint64]}, flags: sizes{subF[uint8], subF[uint16], subF[uint32], subF[uint64]},
		only: sizes{cmp[uint8], cmp[uint16], cmp[uint32], cmp[uint64]}},
	ir.OpAnd:  {plain: sizes{and[uint8], and[uint16], and[uint32], and[uint64]}, flags: sizes{andF[uint8], andF[uint16], andF[uint32], andF[uint64]}},
	ir.OpOr:   {plain: sizes{or[uint8], or[uint16], or[uint32], or[uint64]}, flags: sizes{orF[uint8], orF[uint16], orF[uint32], orF[uint64]}},
	ir.OpXor:  {plain: sizes{xor[uint8], xor[uint16], xor[uint32], xor[uint64]}, flags: sizes{xorF[uint8], xorF[uint16], xorF[uint32], xorF[uint64]}},
	ir.OpAndN: {flags: sizes{andN[uint8], andN[uint16], andN[uint32], andN[uint64]}},
	ir.OpNot:  {plain: sizes{not[uint8], not[uint16], not[uint32], not[uint64]}},
	ir.OpNeg:  {flags: sizes{neg[uint8], neg[uint16], neg[uint32], neg[uint64]}},
	ir.OpAdc:  {flags: sizes{adc[uint8], adc[uint16], adc[uint32], adc[uint64]}},
	ir.OpSbb:  {flags: sizes{sbb[uint8], sbb[uint16], sbb[uint32], sbb[uint64]}},
	ir.OpInc:  {flags: sizes{inc[uint8], inc[uint16], inc[uint32], inc[uint64]}},
	ir.OpDec:  {flags: sizes{dec[uint8], dec[uint16], dec[uint32], dec[uint64]}},
	ir.OpAdcx: {flags: sizes{2: adcx[uint32], 3: adcx[uint64]}},
	ir.OpAdox: {flags: sizes{2: adox[uint32], 3: adox[uint64]}},

	ir.OpShl:  {plain: sizes{shl[uint8], shl[uint16], shl[uint32], shl[uint64]}, flags: sizes{shlF[uint8], shlF[uint16], shlF[uint32], shlF[uint64]}},
	ir.OpShr:  {plain: sizes{shr[uint8], shr[uint16], shr[uint32], shr[uint64]}, flags: sizes{shrF[uint8], shrF[uint16], shrF[uint32], shrF[uint64]}},
	ir.OpSar:  {plain: sizes{sar[uint8], sar[uint16], sar[uint32], sar[uint64]}, flags: sizes{sarF[uint8], sarF[uint16], sarF[uint32], sarF[uint64]}},
	ir.OpRol:  {flags: sizes{rol[uint8], rol[uint16], rol[uint32], rol[uint64]}},
	ir.OpRor:  {flags: sizes{ror[uint8], ror[uint16], ror[uint32], ror[uint64]}},
	ir.OpRcl:  {flags: sizes{rcl[uint8], rcl[uint16], rcl[uint32], rcl[uint64]}},
	ir.OpRcr:  {flags: sizes{rcr[uint8], rcr[uint16], rcr[uint32], rcr[uint64]}},
	ir.OpShld: {flags: sizes{1: shld[uint16], 2: shld[uint32], 3: shld[uint64]}},
	ir.OpShrd: {flags: sizes{1: shrd[uint16], 2: shrd[uint32], 3: shrd[uint64]}},
	ir.OpShlx: {plain: sizes{shl[uint8], shl[uint16], shl[uint32], shl[uint64]}},
	ir.OpShrx: {plain: sizes{shr[uint8], shr[uint16], shr[uint32], shr[uint64]}},
	ir.OpSarx: {plain: sizes{sar[uint8], sar[uint16], sar[uint32], sar[uint64]}},
	ir.OpRorx: {plain: sizes{2: rorx[uint32], 3: rorx[uint64]}},

	ir.OpMul:  {flags: sizes{1: mul[uint16], 2: mul[uint32], 3: mul64}},
	ir.OpMulU: {flags: sizes{mulU[uint8], mulU[uint16], mulU[uint32], mulU64}},
	ir.OpMulS: {flags: sizes{mul[uint8], mul[uint16], mul[uint32], mul64}},
	ir.OpDivU: {plain: sizes{divU[uint8], divU[uint16], divU[uint32], divU64}},
	ir.OpDivS: {plain: sizes{divS[uint8], divS[uint16], divS[uint32], divS64}},

	ir.OpBsf:    {flags: sizes{1: bsf[uint16], 2: bsf[uint32], 3: bsf[uint64]}},
	ir.OpBsr:    {flags: sizes{1: bsr[uint16], 2: bsr[uint32], 3: bsr[uint64]}},
	ir.OpTzcnt:  {flags: sizes{1: tzcnt[uint16], 2: tzcnt[uint32], 3: tzcnt[uint64]}},
	ir.OpLzcnt:  {flags: sizes{1: lzcnt[uint16], 2: lzcnt[uint32], 3: lzcnt[uint64]}},
	ir.OpPopcnt: {flags: sizes{1: popcnt[uint16], 2: popcnt[uint32], 3: popcnt[uint64]}},
	ir.OpBswap:  {plain: sizes{1: bswap[uint16], 2: bswap[uint32], 3: bswap[uint64]}},
	ir.OpPdep:   {plain: sizes{2: pdep[uint32], 3: pdep[uint64]}},
	ir.OpPext:   {plain: sizes{2: pext[uint32], 3: pext[uint64]}},
	ir.OpBextr:  {flags: sizes{2: bextr[uint32], 3: bextr[uint64]}},
	ir.OpBzhi:   {flags: sizes{2: bzhi[uint32], 3: bzhi[uint64]}},
	ir.OpBlsi:   {flags: sizes{2: blsi[uint32], 3: blsi[uint64]}},
	ir.OpBlsr:   {flags: sizes{2: blsr[uint32], 3: blsr[uint64]}},
	ir.OpBlsmsk: {flags: sizes{2: blsmsk[uint32], 3: blsmsk[uint64]}},
	ir.OpBt:     {flags: sizes{1: bt[uint16], 2: bt[uint32], 3: bt[uint64]}},
	ir.OpBts:    {flags: sizes{1: bts[uint16], 2: bts[uint32], 3: bts[uint64]}},
	ir.OpBtr:    {flags: sizes{1: btr[uint16], 2: btr[uint32], 3: btr[uint64]}},
	ir.OpBtc:    {flags: sizes{1: btc[uint16], 2: btc[uint32], 3: btc[uint64]}},
	ir.OpCrc32:  {plain: sizes{crc32c[uint8], crc32c[uint16], crc32c[uint32], crc32c[uint64]}},

	ir.OpExt:     {plain: sizes{ext[uint8], ext[uint16], ext[uint32]}},
	ir.OpSext:    {plain: sizes{sext[int8], sext[int16], sext[int32]}},
	ir.OpExtract: {any: extract},
	ir.OpDeposit: {any: deposit},
	ir.OpLea:     {plain: sizes{lea[uint8], lea[uint16], lea[uint32], lea[uint64]}},

	ir.OpSetCond: {any: setCond},
	ir.OpSelect:  {plain: sizes{sel[uint8], sel[uint16], sel[uint32], sel[uint64]}},
	ir.OpSelectZ: {plain: sizes{selZ[uint8], selZ[uint16], selZ[uint32], selZ[uint64]}},

	ir.OpLd:      {plain: sizes{ld[uint8], ld[uint16], ld[uint32], ld[uint64]}, signed: sizes{lds[int8], lds[int16], lds[int32], lds[int64]}},
	ir.OpSt:      {plain: sizes{st[uint8], st[uint16], st[uint32], st[uint64]}},
	ir.OpLdRMW:   {plain: sizes{ldRMW[uint8], ldRMW[uint16], ldRMW[uint32], ldRMW[uint64]}},
	ir.OpAtomic:  {any: atomicOp},
	ir.OpCmpXchg: {any: cmpXchg},
	ir.OpFence:   {any: fence},
	ir.OpProbe:   {any: probe},
	ir.OpLdV:     {any: ldV},
	ir.OpStV:     {any: stV},
	ir.OpVec:     {any: vector},
	ir.OpX87:     {any: vector},

	ir.OpCall:   {any: call},
	ir.OpExitIf: {any: exitCond},
	ir.OpExitNZ: {plain: sizes{exitNZ[uint8], exitNZ[uint16], exitNZ[uint32], exitNZ[uint64]}},
	ir.OpExitZ:  {plain: sizes{exitZ[uint8], exitZ[uint16], exitZ[uint32], exitZ[uint64]}},
	ir.OpGoto:   {any: gotoExit},
	ir.OpJump:   {any: jump},
}
