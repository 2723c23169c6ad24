package irgen

import "goemu/tcg/ir"

// Sets of flags that operations define.
const (
	fAll  = ir.FlagAll
	fNone = 0
	fNoA  = ir.FlagAll &^ ir.FlagA
	fCV   = ir.FlagC | ir.FlagV
	fZ    = ir.FlagZ
	fZC   = ir.FlagZ | ir.FlagC
	fZCSV = ir.FlagZ | ir.FlagC | ir.FlagS | ir.FlagV
)

// shape is how an operation takes its operands.
type shape uint8

const (
	binary     shape = iota // x, y → v, f
	unary                   // x → v, f
	binaryFin               // x, y, fin → v, f
	unaryFin                // x, fin → v, f
	plain                   // x, y → v
	plainOne                // x → v
	compare                 // x, y → f
	compareFin              // x, y, fin → f
	shift                   // x, count, fin → v, f; with a count of 1 all flags but A are defined, otherwise not V
	rotate                  // likewise; only C and V change
	double                  // x, y, count, fin → v, f
	multiply                // x, y → v, high, f
)

// operations are what a random instruction does: sizes that it takes and flags that it defines.
var operations = [...]struct {
	op    ir.Op
	shape shape
	sizes uint8
	flags uint64
}{
	{ir.OpAdd, binary, 15, fAll}, {ir.OpSub, binary, 15, fAll}, {ir.OpSub, compare, 15, fAll},
	{ir.OpAnd, binary, 15, fNoA}, {ir.OpAnd, compare, 15, fNoA}, {ir.OpOr, binary, 15, fNoA}, {ir.OpXor, binary, 15, fNoA},
	{ir.OpAdd, plain, 15, 0}, {ir.OpSub, plain, 15, 0}, {ir.OpAnd, plain, 15, 0}, {ir.OpOr, plain, 15, 0}, {ir.OpXor, plain, 15, 0},
	{ir.OpMul, plain, 14, 0}, {ir.OpNot, plainOne, 15, 0}, {ir.OpNeg, plainOne, 15, 0},
	{ir.OpAndN, binary, 12, fZCSV}, {ir.OpNeg, unary, 15, fAll}, {ir.OpAdc, binaryFin, 15, fAll}, {ir.OpSbb, binaryFin, 15, fAll},
	{ir.OpInc, unaryFin, 15, fAll}, {ir.OpDec, unaryFin, 15, fAll}, {ir.OpAdcx, binaryFin, 12, fAll}, {ir.OpAdox, binaryFin, 12, fAll},
	{ir.OpShl, shift, 15, fNoA}, {ir.OpShr, shift, 15, fNoA}, {ir.OpSar, shift, 15, fNoA},
	{ir.OpRol, rotate, 15, fAll}, {ir.OpRor, rotate, 15, fAll}, {ir.OpRcl, rotate, 15, fAll}, {ir.OpRcr, rotate, 15, fAll},
	{ir.OpShld, double, 12, fNoA}, {ir.OpShrd, double, 12, fNoA},
	{ir.OpShlx, plain, 15, 0}, {ir.OpShrx, plain, 15, 0}, {ir.OpSarx, plain, 15, 0}, {ir.OpRorx, plain, 12, 0},
	{ir.OpMul, binary, 14, fCV}, {ir.OpMulU, multiply, 15, fCV}, {ir.OpMulS, multiply, 15, fCV},
	{ir.OpBsf, binary, 14, fZ}, {ir.OpBsr, binary, 14, fZ}, {ir.OpTzcnt, unary, 14, fZC}, {ir.OpLzcnt, unary, 14, fZC},
	{ir.OpPopcnt, unary, 14, fAll}, {ir.OpBswap, plainOne, 12, 0}, {ir.OpPdep, plain, 12, 0}, {ir.OpPext, plain, 12, 0},
	{ir.OpBextr, binary, 12, fZ | fCV}, {ir.OpBzhi, binary, 12, fZCSV}, {ir.OpBlsi, unary, 12, fZCSV}, {ir.OpBlsr, unary, 12, fZCSV},
	{ir.OpBlsmsk, unary, 12, fZCSV}, {ir.OpBt, compareFin, 14, ir.FlagC | fZ}, {ir.OpBts, binaryFin, 14, ir.FlagC | fZ},
	{ir.OpBtr, binaryFin, 14, ir.FlagC | fZ}, {ir.OpBtc, binaryFin, 14, ir.FlagC | fZ}, {ir.OpCrc32, plain, 15, 0},
}

// operation applies a random operation: its result, its flags and which of them are defined.
func (g *gen) operation(size uint8, x, y ir.Val) (v, f ir.Val, mask uint64) {
	b := g.b
	for {
		o := &operations[g.IntN(len(operations))]
		if o.sizes&size == 0 {
			continue
		}
		switch o.shape {
		case binary:
			v, f = b.Op2F(o.op, size, x, y, ir.None)
		case unary:
			v, f = b.Op2F(o.op, size, x, ir.None, ir.None)
		case binaryFin:
			v, f = b.Op2F(o.op, size, x, y, b.Flags())
		case unaryFin:
			v, f = b.Op2F(o.op, size, x, ir.None, b.Flags())
		case plain:
			v = b.Op2(o.op, size, x, y)
		case plainOne:
			v = b.Op2(o.op, size, x, ir.None)
		case compare:
			f = b.FlagsOf(o.op, size, x, y, ir.None)
		case compareFin:
			f = b.FlagsOf(o.op, size, x, y, b.Flags())
		case multiply:
			var hi ir.Val
			v, hi, f = b.Mul(o.op, size, x, y)
			if g.IntN(2) == 0 {
				v = hi
			}
		default:
			return g.shifted(o.op, o.shape, size, x, y, o.flags)
		}
		return v, f, o.flags
	}
}

// shifted applies a shift or rotation by a constant or by a variable count.
func (g *gen) shifted(op ir.Op, s shape, size uint8, x, y ir.Val, defined uint64) (v, f ir.Val, mask uint64) {
	b := g.b
	count := b.Get(g.global())
	mask = defined &^ ir.FlagV
	switch g.IntN(3) {
	case 0:
		count, mask = b.Const(1), defined
	case 1:
		count = b.Const(uint64(g.IntN(32)))
	}
	if size < 4 { // the carry of a count beyond the width is undefined, and so is the result of a rotation through carry to some readers
		mask &^= ir.FlagC
	}
	fin := b.Flags()
	switch s {
	case double:
		v, f = b.Op3F(op, size, x, y, count, fin)
	default:
		v, f = b.ShiftF(op, size, x, count, fin)
	}
	return v, f, mask
}
