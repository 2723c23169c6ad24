package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// groupRows are the rows selected by ModRM.reg (SDM volume 2, A.4).
var groupRows = joinRows(
	// Group 1.
	groupALU(0x80, ops{opEb, opIb}, 0), groupALU(0x81, ops{opEv, opIz}, 0), groupALU(0x82, ops{opEb, opIb}, invalid64),
	groupALU(0x83, ops{opEv, opIbs}, 0),
	// Group 2.
	groupShift(0xc0, opEb, opIb), groupShift(0xc1, opEv, opIb), groupShift(0xd0, opEb, opI1), groupShift(0xd1, opEv, opI1),
	groupShift(0xd2, opEb, opCL), groupShift(0xd3, opEv, opCL),
	otherGroups,
)

func joinRows(lists ...[]groupRow) (all []groupRow) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func groupALU(op uint8, o ops, a attr) []groupRow {
	return []groupRow{
		{map1B, 0, op, 0, 0, insn{"add", o, genALU(ir.OpAdd), lockable | a}},
		{map1B, 0, op, 1, 0, insn{"or", o, genALU(ir.OpOr), lockable | a | undefA}},
		{map1B, 0, op, 2, 0, insn{"adc", o, genALUCarry(ir.OpAdc), lockable | a}},
		{map1B, 0, op, 3, 0, insn{"sbb", o, genALUCarry(ir.OpSbb), lockable | a}},
		{map1B, 0, op, 4, 0, insn{"and", o, genALU(ir.OpAnd), lockable | a | undefA}},
		{map1B, 0, op, 5, 0, insn{"sub", o, genALU(ir.OpSub), lockable | a}},
		{map1B, 0, op, 6, 0, insn{"xor", o, genALU(ir.OpXor), lockable | a | undefA}},
		{map1B, 0, op, 7, 0, insn{"cmp", o, genCmp(ir.OpSub), a}},
	}
}

// groupShift: the overflow flag is defined for counts of 1 only, the carry of shifts not for counts beyond the width.
func groupShift(op uint8, dst, count operand) []groupRow {
	var rot, sh attr
	if count != opI1 {
		rot, sh = undefV, undefV|undefC
	}
	o := ops{dst, count}
	return []groupRow{
		{map1B, 0, op, 0, 0, insn{"rol", o, genShift(ir.OpRol), rot}},
		{map1B, 0, op, 1, 0, insn{"ror", o, genShift(ir.OpRor), rot}},
		{map1B, 0, op, 2, 0, insn{"rcl", o, genShift(ir.OpRcl), rot}},
		{map1B, 0, op, 3, 0, insn{"rcr", o, genShift(ir.OpRcr), rot}},
		{map1B, 0, op, 4, 0, insn{"shl", o, genShift(ir.OpShl), sh | undefA}},
		{map1B, 0, op, 5, 0, insn{"shr", o, genShift(ir.OpShr), sh | undefA}},
		{map1B, 0, op, 6, 0, insn{"shl", o, genShift(ir.OpShl), sh | undefA}},
		{map1B, 0, op, 7, 0, insn{"sar", o, genShift(ir.OpSar), rot | undefA}},
	}
}

var otherGroups = []groupRow{
	{map1B, 0, 0x8f, 0, 0, insn{"pop", ops{opEn}, genPop, default64}},

	{map1B, 0, 0xc6, 0, 0, insn{"mov", ops{opEb, opIb}, genMov, 0}},
	{map1B, 0, 0xc7, 0, 0, insn{"mov", ops{opEv, opIz}, genMov, 0}},

	// Group 3.
	{map1B, 0, 0xf6, 0, 0, insn{"test", ops{opEb, opIb}, genCmp(ir.OpAnd), undefA}},
	{map1B, 0, 0xf6, 1, 0, insn{"test", ops{opEb, opIb}, genCmp(ir.OpAnd), undefA}},
	{map1B, 0, 0xf6, 2, 0, insn{"not", ops{opEb}, genNot, lockable}},
	{map1B, 0, 0xf6, 3, 0, insn{"neg", ops{opEb}, genNeg, lockable}},
	{map1B, 0, 0xf6, 4, 0, insn{"mul", ops{opEb}, genMul(ir.OpMulU), undefSZAP}},
	{map1B, 0, 0xf6, 5, 0, insn{"imul", ops{opEb}, genMul(ir.OpMulS), undefSZAP}},
	{map1B, 0, 0xf6, 6, 0, insn{"div", ops{opEb}, genDiv(ir.OpDivU), undefAll}},
	{map1B, 0, 0xf6, 7, 0, insn{"idiv", ops{opEb}, genDiv(ir.OpDivS), undefAll}},
	{map1B, 0, 0xf7, 0, 0, insn{"test", ops{opEv, opIz}, genCmp(ir.OpAnd), undefA}},
	{map1B, 0, 0xf7, 1, 0, insn{"test", ops{opEv, opIz}, genCmp(ir.OpAnd), undefA}},
	{map1B, 0, 0xf7, 2, 0, insn{"not", ops{opEv}, genNot, lockable}},
	{map1B, 0, 0xf7, 3, 0, insn{"neg", ops{opEv}, genNeg, lockable}},
	{map1B, 0, 0xf7, 4, 0, insn{"mul", ops{opEv}, genMul(ir.OpMulU), undefSZAP}},
	{map1B, 0, 0xf7, 5, 0, insn{"imul", ops{opEv}, genMul(ir.OpMulS), undefSZAP}},
	{map1B, 0, 0xf7, 6, 0, insn{"div", ops{opEv}, genDiv(ir.OpDivU), undefAll}},
	{map1B, 0, 0xf7, 7, 0, insn{"idiv", ops{opEv}, genDiv(ir.OpDivS), undefAll}},

	// Groups 4 and 5.
	{map1B, 0, 0xfe, 0, 0, insn{"inc", ops{opEb}, genIncDec(ir.OpInc), lockable}},
	{map1B, 0, 0xfe, 1, 0, insn{"dec", ops{opEb}, genIncDec(ir.OpDec), lockable}},
	{map1B, 0, 0xff, 0, 0, insn{"inc", ops{opEv}, genIncDec(ir.OpInc), lockable}},
	{map1B, 0, 0xff, 1, 0, insn{"dec", ops{opEv}, genIncDec(ir.OpDec), lockable}},
	{map1B, 0, 0xff, 2, 0, insn{"call", ops{opEn}, genCallInd, force64}},
	{map1B, 0, 0xff, 3, formMem, insn{"callf", ops{opMp}, genFarIndirect(x86.HelperFarCall), system}},
	{map1B, 0, 0xff, 4, 0, insn{"jmp", ops{opEn}, genJmpInd, force64}},
	{map1B, 0, 0xff, 5, formMem, insn{"jmpf", ops{opMp}, genFarIndirect(x86.HelperFarJump), system}},
	{map1B, 0, 0xff, 6, 0, insn{"push", ops{opEn}, genPush, default64}},

	// Group 6.
	{map0F, 0, 0x00, 0, 0, insn{"sldt", ops{opEwv}, genStoreSel(x86.LDTR), noReal | system}},
	{map0F, 0, 0x00, 1, 0, insn{"str", ops{opEwv}, genStoreSel(x86.TR), noReal | system}},
	{map0F, 0, 0x00, 2, 0, insn{"lldt", ops{opEw}, genLoadTable(x86.HelperLLDT), noReal | cpl0 | system}},
	{map0F, 0, 0x00, 3, 0, insn{"ltr", ops{opEw}, genLoadTable(x86.HelperLTR), noReal | cpl0 | system}},
	{map0F, 0, 0x00, 4, 0, insn{"verr", ops{opEw}, genLoadTable(x86.HelperVERR), noReal | system}},
	{map0F, 0, 0x00, 5, 0, insn{"verw", ops{opEw}, genLoadTable(x86.HelperVERW), noReal | system}},

	// Group 7.
	{map0F, 0, 0x01, 0, formMem, insn{"sgdt", ops{opMs}, genStoreTable(offGDT), force64 | system}},
	{map0F, 0, 0x01, 1, formMem, insn{"sidt", ops{opMs}, genStoreTable(offIDT), force64 | system}},
	{map0F, 0, 0x01, 2, formMem, insn{"lgdt", ops{opMs}, genLGDT(x86.HelperLGDT), force64 | cpl0 | system}},
	{map0F, 0, 0x01, 3, formMem, insn{"lidt", ops{opMs}, genLGDT(x86.HelperLIDT), force64 | cpl0 | system}},
	{map0F, 0, 0x01, 4, 0, insn{"smsw", ops{opEwv}, genSMSW, system}},
	{map0F, 0, 0x01, 6, 0, insn{"lmsw", ops{opEw}, genLMSW, cpl0 | system}},
	{map0F, 0, 0x01, 7, formMem, insn{"invlpg", ops{opM}, genINVLPG, cpl0 | system}},

	// Group 8.
	{map0F, 0, 0xba, 4, 0, insn{"bt", ops{opEv, opIb}, genBT(ir.OpBt), undefV | undefS | undefA | undefP}},
	{map0F, 0, 0xba, 5, 0, insn{"bts", ops{opEv, opIb}, genBT(ir.OpBts), lockable | undefV | undefS | undefA | undefP}},
	{map0F, 0, 0xba, 6, 0, insn{"btr", ops{opEv, opIb}, genBT(ir.OpBtr), lockable | undefV | undefS | undefA | undefP}},
	{map0F, 0, 0xba, 7, 0, insn{"btc", ops{opEv, opIb}, genBT(ir.OpBtc), lockable | undefV | undefS | undefA | undefP}},

	// Group 9.
	{map0F, 0, 0xc7, 1, formMem, insn{"cmpxchg8b", ops{opMq}, genCmpXchg8B, lockable | need(x86.FeatCX8)}},
	{map0F, 0, 0xc7, 6, formReg, insn{"rdrand", ops{opEv}, genRandom(x86.HelperRDRAND), need(featRDRAND) | system}},
	{map0F, 0, 0xc7, 7, formReg, insn{"rdseed", ops{opEv}, genRandom(x86.HelperRDSEED), need(featRDSEED) | system}},
	{map0F, ppF3, 0xc7, 7, formReg, insn{"rdpid", ops{opRn}, genRDPID, need(x86.FeatRDPID) | force64 | system}},

	// Group 15; the FPU and vector state rows are elsewhere.
	{map0F, 0, 0xae, 5, formReg, insn{"lfence", ops{}, genFence, need(featSSE2) | strict}},
	{map0F, 0, 0xae, 6, formReg, insn{"mfence", ops{}, genFence, need(featSSE2) | strict}},
	{map0F, 0, 0xae, 7, formReg, insn{"sfence", ops{}, genFence, need(x86.FeatSSE) | strict}},
	{map0F, 0, 0xae, 7, formMem, insn{"clflush", ops{opMb}, genFlushLine, need(featCLFLUSH) | strict}},
	{map0F, pp66, 0xae, 6, formMem, insn{"clwb", ops{opMb}, genFlushLine, need(featCLWB)}},
	{map0F, pp66, 0xae, 7, formMem, insn{"clflushopt", ops{opMb}, genFlushLine, need(featFLUSHO)}},
	{map0F, ppF3, 0xae, 0, formReg, insn{"rdfsbase", ops{opEy}, genReadBase(x86.FS), only64 | need(x86.FeatFSGSBase) | system}},
	{map0F, ppF3, 0xae, 1, formReg, insn{"rdgsbase", ops{opEy}, genReadBase(x86.GS), only64 | need(x86.FeatFSGSBase) | system}},
	{map0F, ppF3, 0xae, 2, formReg, insn{"wrfsbase", ops{opEy}, genWriteBase(x86.FS), only64 | need(x86.FeatFSGSBase) | system}},
	{map0F, ppF3, 0xae, 3, formReg, insn{"wrgsbase", ops{opEy}, genWriteBase(x86.GS), only64 | need(x86.FeatFSGSBase) | system}},

	// Group 17.
	{mapVEX0F38, 0, 0xf3, 1, 0, insn{"blsr", ops{opBy, opEy}, genVexUnary(ir.OpBlsr), need(featBMI1) | vexL0 | undefA | undefP}},
	{mapVEX0F38, 0, 0xf3, 2, 0, insn{"blsmsk", ops{opBy, opEy}, genVexUnary(ir.OpBlsmsk), need(featBMI1) | vexL0 | undefA | undefP}},
	{mapVEX0F38, 0, 0xf3, 3, 0, insn{"blsi", ops{opBy, opEy}, genVexUnary(ir.OpBlsi), need(featBMI1) | vexL0 | undefA | undefP}},
}

// rmRow is a row of map 0F selected by the whole of ModRM.
type rmRow struct {
	pp, op, reg, rm uint8
	insn
}

var rmRows = []rmRow{
	{0, 0x01, 0, 1, insn{"vmcall", ops{}, genUD, system}},
	{0, 0x01, 1, 0, insn{"monitor", ops{}, genMonitor, need(featMONITOR) | cpl0 | system}},
	{0, 0x01, 1, 1, insn{"mwait", ops{}, genMwait, need(featMONITOR) | cpl0 | system}},
	{0, 0x01, 1, 2, insn{"clac", ops{}, genAC(false), need(x86.FeatSMAP) | cpl0 | system}},
	{0, 0x01, 1, 3, insn{"stac", ops{}, genAC(true), need(x86.FeatSMAP) | cpl0 | system}},
	{0, 0x01, 2, 0, insn{"xgetbv", ops{}, genXGETBV, need(x86.FeatXSAVE) | system}},
	{0, 0x01, 2, 1, insn{"xsetbv", ops{}, genXSETBV, need(x86.FeatXSAVE) | cpl0 | system}},
	{0, 0x01, 3, 0, insn{"vmrun", ops{}, genVMRUN, svm}},
	{0, 0x01, 3, 1, insn{"vmmcall", ops{}, genHelperOnly(x86.HelperVMMCALL), system}},
	{0, 0x01, 3, 2, insn{"vmload", ops{}, genVMState(x86.HelperVMLOAD), svm}},
	{0, 0x01, 3, 3, insn{"vmsave", ops{}, genVMState(x86.HelperVMSAVE), svm}},
	{0, 0x01, 3, 4, insn{"stgi", ops{}, genGIF(x86.HelperSTGI), svm}},
	{0, 0x01, 3, 5, insn{"clgi", ops{}, genGIF(x86.HelperCLGI), svm}},
	{0, 0x01, 3, 6, insn{"skinit", ops{}, genUD, system}},
	{0, 0x01, 3, 7, insn{"invlpga", ops{}, genINVLPGA, svm}},
	{0, 0x01, 5, 6, insn{"rdpkru", ops{}, genHelperOnly(x86.HelperRDPKRU), need(x86.FeatPKU) | system}},
	{0, 0x01, 5, 7, insn{"wrpkru", ops{}, genModeHelper(x86.HelperWRPKRU), need(x86.FeatPKU) | system}},
	{0, 0x01, 7, 0, insn{"swapgs", ops{}, genSWAPGS, only64 | cpl0 | system}},
	{0, 0x01, 7, 1, insn{"rdtscp", ops{}, genHelperOnly(x86.HelperRDTSCP), need(x86.FeatRDTSCP) | system}},
}
