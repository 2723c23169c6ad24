package ir

// Slot is a set of operand places of an instruction.
type Slot uint16

// The operand places, in the order of the text form.
const (
	SlotDst Slot = 1 << iota
	SlotDst2
	SlotFOut
	SlotCond
	SlotGlobal
	SlotA
	SlotB
	SlotC
	SlotFIn
	SlotImm
	SlotImm2
	SlotMem
	SlotExit // Imm is an index of Block.Exits
	SlotVec  // Vec and the vector registers
)

// OpAttr are attributes of an operation.
type OpAttr uint8

// The attributes.
const (
	OpFaults OpAttr = 1 << iota // may leave the block by a fault or a division error; guest state must be exact
	OpEffect                    // does more than define its results
	OpLeaves                    // may leave the block by an exit or always leaves
	OpEnds                      // nothing may follow
	OpHelper                    // runs a helper: reads and changes all guest state
)

// OpInfo describes an operation: operands that it must have, that it may have, sizes that it takes (a sum of byte counts).
type OpInfo struct {
	Name      string
	Need, May Slot
	Sizes     uint8
	Attr      OpAttr
}

// Sets of operands and sizes that recur in the table.
const (
	dA   = SlotDst | SlotA
	dAB  = dA | SlotB
	all  = 1 | 2 | 4 | 8
	wide = 2 | 4 | 8
	word = 4 | 8
	memD = SlotDst | SlotA | SlotMem | SlotImm
)

// Ops describes every operation.
var Ops = [OpEnd]OpInfo{
	OpInsn: {"insn", SlotImm, 0, 0xff, OpEffect},

	OpConst:    {"const", SlotDst | SlotImm, 0, all, 0},
	OpGet:      {"get", SlotDst | SlotGlobal, 0, 8, 0},
	OpSet:      {"set", SlotGlobal | SlotA, 0, 8, OpEffect},
	OpLdEnv:    {"ldenv", SlotDst | SlotImm, SlotMem, all, 0},
	OpStEnv:    {"stenv", SlotImm | SlotA, 0, all, OpEffect},
	OpGetFlags: {"getflags", SlotFOut, 0, 0, 0},
	OpSetFlags: {"setflags", SlotFIn, 0, 0, OpEffect},
	OpImage:    {"image", SlotDst | SlotFIn, 0, 8, 0},
	OpFromImg:  {"fromimg", SlotFOut | SlotA, 0, 8, 0},

	OpAdd:  {"add", SlotA | SlotB, SlotDst | SlotFOut, all, 0},
	OpSub:  {"sub", SlotA | SlotB, SlotDst | SlotFOut, all, 0},
	OpAnd:  {"and", SlotA | SlotB, SlotDst | SlotFOut, all, 0},
	OpOr:   {"or", SlotA | SlotB, SlotDst | SlotFOut, all, 0},
	OpXor:  {"xor", SlotA | SlotB, SlotDst | SlotFOut, all, 0},
	OpAndN: {"andn", SlotA | SlotB, SlotDst | SlotFOut, all, 0},
	OpNot:  {"not", dA, 0, all, 0},
	OpNeg:  {"neg", SlotA, SlotDst | SlotFOut, all, 0},
	OpAdc:  {"adc", SlotA | SlotB | SlotFIn, SlotDst | SlotFOut, all, 0},
	OpSbb:  {"sbb", SlotA | SlotB | SlotFIn, SlotDst | SlotFOut, all, 0},
	OpInc:  {"inc", SlotA, SlotDst | SlotFOut | SlotFIn, all, 0},
	OpDec:  {"dec", SlotA, SlotDst | SlotFOut | SlotFIn, all, 0},
	OpAdcx: {"adcx", SlotA | SlotB | SlotFIn, SlotDst | SlotFOut, word, 0},
	OpAdox: {"adox", SlotA | SlotB | SlotFIn, SlotDst | SlotFOut, word, 0},

	OpShl:  {"shl", SlotA | SlotB, SlotDst | SlotFOut | SlotFIn, all, 0},
	OpShr:  {"shr", SlotA | SlotB, SlotDst | SlotFOut | SlotFIn, all, 0},
	OpSar:  {"sar", SlotA | SlotB, SlotDst | SlotFOut | SlotFIn, all, 0},
	OpRol:  {"rol", SlotA | SlotB, SlotDst | SlotFOut | SlotFIn, all, 0},
	OpRor:  {"ror", SlotA | SlotB, SlotDst | SlotFOut | SlotFIn, all, 0},
	OpRcl:  {"rcl", SlotA | SlotB | SlotFIn, SlotDst | SlotFOut, all, 0},
	OpRcr:  {"rcr", SlotA | SlotB | SlotFIn, SlotDst | SlotFOut, all, 0},
	OpShld: {"shld", SlotA | SlotB | SlotC, SlotDst | SlotFOut | SlotFIn, wide, 0},
	OpShrd: {"shrd", SlotA | SlotB | SlotC, SlotDst | SlotFOut | SlotFIn, wide, 0},
	OpShlx: {"shlx", dAB, 0, all, 0},
	OpShrx: {"shrx", dAB, 0, all, 0},
	OpSarx: {"sarx", dAB, 0, all, 0},
	OpRorx: {"rorx", dAB, 0, word, 0},

	OpMul:  {"mul", SlotA | SlotB, SlotDst | SlotFOut, wide, 0},
	OpMulU: {"mulu", SlotA | SlotB, SlotDst | SlotDst2 | SlotFOut, all, 0},
	OpMulS: {"muls", SlotA | SlotB, SlotDst | SlotDst2 | SlotFOut, all, 0},
	OpDivU: {"divu", SlotA | SlotB | SlotC, SlotDst | SlotDst2, all, OpFaults},
	OpDivS: {"divs", SlotA | SlotB | SlotC, SlotDst | SlotDst2, all, OpFaults},

	OpBsf:    {"bsf", SlotA | SlotB, SlotDst | SlotFOut, wide, 0},
	OpBsr:    {"bsr", SlotA | SlotB, SlotDst | SlotFOut, wide, 0},
	OpTzcnt:  {"tzcnt", SlotA, SlotDst | SlotFOut, wide, 0},
	OpLzcnt:  {"lzcnt", SlotA, SlotDst | SlotFOut, wide, 0},
	OpPopcnt: {"popcnt", SlotA, SlotDst | SlotFOut, wide, 0},
	OpBswap:  {"bswap", dA, 0, wide, 0},
	OpPdep:   {"pdep", dAB, 0, word, 0},
	OpPext:   {"pext", dAB, 0, word, 0},
	OpBextr:  {"bextr", SlotA | SlotB, SlotDst | SlotFOut, word, 0},
	OpBzhi:   {"bzhi", SlotA | SlotB, SlotDst | SlotFOut, word, 0},
	OpBlsi:   {"blsi", SlotA, SlotDst | SlotFOut, word, 0},
	OpBlsr:   {"blsr", SlotA, SlotDst | SlotFOut, word, 0},
	OpBlsmsk: {"blsmsk", SlotA, SlotDst | SlotFOut, word, 0},
	OpBt:     {"bt", SlotA | SlotB, SlotFOut | SlotFIn, wide, 0},
	OpBts:    {"bts", SlotA | SlotB, SlotDst | SlotFOut | SlotFIn, wide, 0},
	OpBtr:    {"btr", SlotA | SlotB, SlotDst | SlotFOut | SlotFIn, wide, 0},
	OpBtc:    {"btc", SlotA | SlotB, SlotDst | SlotFOut | SlotFIn, wide, 0},
	OpCrc32:  {"crc32", dAB, 0, all, 0},

	OpExt:     {"ext", dA, 0, 1 | 2 | 4, 0},
	OpSext:    {"sext", dA, 0, 1 | 2 | 4, 0},
	OpExtract: {"extract", dA | SlotImm, 0, 8, 0},
	OpDeposit: {"deposit", dAB | SlotImm, 0, 8, 0},
	OpLea:     {"lea", dA | SlotImm | SlotImm2, SlotB, all, 0},

	OpSetCond: {"setcond", SlotDst | SlotCond | SlotFIn, 0, 8, 0},
	OpSelect:  {"select", dAB | SlotCond | SlotFIn, 0, all, 0},
	OpSelectZ: {"selectz", dAB | SlotC, 0, all, 0},

	OpLd:      {"ld", memD, 0, all, OpFaults | OpEffect},
	OpSt:      {"st", SlotA | SlotB | SlotMem | SlotImm, 0, all, OpFaults | OpEffect},
	OpLdRMW:   {"ldrmw", memD, 0, all, OpFaults | OpEffect},
	OpAtomic:  {"atomic", memD | SlotB | SlotImm2, 0, all, OpFaults | OpEffect},
	OpCmpXchg: {"cmpxchg", memD | SlotB | SlotC, 0, all, OpFaults | OpEffect},
	OpFence:   {"fence", 0, 0, 0, OpEffect},
	OpProbe:   {"probe", SlotA | SlotMem | SlotImm | SlotImm2, 0, 0xff, OpFaults | OpEffect},

	OpLdV: {"ldv", SlotA | SlotMem | SlotImm | SlotVec, 0, 0xff, OpFaults | OpEffect},
	OpStV: {"stv", SlotA | SlotMem | SlotImm | SlotVec, 0, 0xff, OpFaults | OpEffect},
	OpVec: {"vec", SlotVec | SlotImm, SlotDst | SlotDst2 | SlotFOut | SlotA | SlotB | SlotC | SlotFIn | SlotImm2 | SlotCond, 0xff, OpEffect},
	OpX87: {"x87", SlotVec | SlotImm, SlotDst | SlotDst2 | SlotFOut | SlotA | SlotB | SlotC | SlotFIn | SlotImm2 | SlotCond, 0xff, OpEffect},

	OpCall:   {"call", SlotImm, SlotDst | SlotA | SlotB | SlotC, 8, OpFaults | OpEffect | OpHelper},
	OpExitIf: {"exitif", SlotCond | SlotFIn | SlotExit, 0, 0, OpEffect | OpLeaves},
	OpExitNZ: {"exitnz", SlotA | SlotExit, 0, all, OpEffect | OpLeaves},
	OpExitZ:  {"exitz", SlotA | SlotExit, 0, all, OpEffect | OpLeaves},
	OpGoto:   {"goto", SlotExit, 0, 0, OpEffect | OpLeaves | OpEnds},
	OpJump:   {"jump", SlotA, 0, 8, OpEffect | OpLeaves | OpEnds},
}

// Info is the description of an operation.
func (o Op) Info() *OpInfo {
	if o >= OpEnd {
		o = OpInvalid
	}
	return &Ops[o]
}

// String is the operation's name in the text form.
func (o Op) String() string { return o.Info().Name }

// condNames are the conditions' names in the text form.
var condNames = [16]string{"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"}

// String is the condition's name in the text form.
func (c Cond) String() string { return condNames[c&15] }
