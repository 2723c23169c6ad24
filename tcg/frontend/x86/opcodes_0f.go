package x86

import (
	"goemu/target/x86"
	"goemu/tcg/ir"
)

// Features named by rows only.
const (
	featCMOV    = x86.Feature(x86.F1EDX)<<5 | 15
	featTSC     = x86.FeatTSC
	featMSR     = x86.Feature(x86.F1EDX)<<5 | 5
	featCLFLUSH = x86.Feature(x86.F1EDX)<<5 | 19
	featSSE2    = x86.Feature(x86.F1EDX)<<5 | 26
	featMONITOR = x86.Feature(x86.F1ECX)<<5 | 3
	featCX16    = x86.Feature(x86.F1ECX)<<5 | 13
	featSSE42   = x86.Feature(x86.F1ECX)<<5 | 20
	featMOVBE   = x86.Feature(x86.F1ECX)<<5 | 22
	featPOPCNT  = x86.Feature(x86.F1ECX)<<5 | 23
	featRDRAND  = x86.Feature(x86.F1ECX)<<5 | 30
	featBMI1    = x86.Feature(x86.F7EBX)<<5 | 3
	featBMI2    = x86.Feature(x86.F7EBX)<<5 | 8
	featRDSEED  = x86.Feature(x86.F7EBX)<<5 | 18
	featADX     = x86.Feature(x86.F7EBX)<<5 | 19
	featFLUSHO  = x86.Feature(x86.F7EBX)<<5 | 23
	featCLWB    = x86.Feature(x86.F7EBX)<<5 | 24
	featABM     = x86.Feature(x86.F80000001ECX)<<5 | 5
)

// twoByte is opcode map 0F without mandatory prefix. SIMD rows are elsewhere.
var twoByte = [256]insn{
	0x02: {"lar", ops{opGv, opEw}, genLarLsl(x86.HelperLAR), noReal | system},
	0x03: {"lsl", ops{opGv, opEw}, genLarLsl(x86.HelperLSL), noReal | system},
	0x05: {"syscall", ops{}, genSyscall, need(x86.FeatSYSCALL) | system},
	0x06: {"clts", ops{}, genCLTS, cpl0 | system},
	0x07: {"sysret", ops{}, genSysret, need(x86.FeatSYSCALL) | noReal | cpl0 | system},
	0x08: {"invd", ops{}, genHelperOnly(x86.HelperWBINVD), cpl0 | system},
	0x09: {"wbinvd", ops{}, genHelperOnly(x86.HelperWBINVD), cpl0 | system},
	0x0b: {"ud2", ops{}, genUD, system},
	0x0d: {"prefetchw", ops{opMb}, genNop, memOnly},
	0x18: {"prefetch", ops{opEb}, genNop, 0},
	0x19: {"nop", ops{opEv}, genNop, 0}, 0x1a: {"nop", ops{opEv}, genNop, 0}, 0x1b: {"nop", ops{opEv}, genNop, 0},
	0x1c: {"nop", ops{opEv}, genNop, 0}, 0x1d: {"nop", ops{opEv}, genNop, 0}, 0x1e: {"nop", ops{opEv}, genNop, 0},
	0x1f: {"nop", ops{opEv}, genNop, 0},
	0x20: {"mov", ops{opRn, opCn}, genMovFromCR, cpl0 | system},
	0x21: {"mov", ops{opRn, opDn}, genMovFromDR, cpl0 | system},
	0x22: {"mov", ops{opCn, opRn}, genMovToCR, cpl0 | system},
	0x23: {"mov", ops{opDn, opRn}, genMovToDR, cpl0 | system},
	0x30: {"wrmsr", ops{}, genWRMSR, need(featMSR) | cpl0 | system},
	0x31: {"rdtsc", ops{}, genHelperOnly(x86.HelperRDTSC), need(featTSC) | system},
	0x32: {"rdmsr", ops{}, genRDMSR, need(featMSR) | cpl0 | system},
	0x33: {"rdpmc", ops{}, genHelperOnly(x86.HelperRDPMC), system},
	0x34: {"sysenter", ops{}, genSysenter, need(x86.FeatSEP) | noReal | system},
	0x35: {"sysexit", ops{}, genSysexit, need(x86.FeatSEP) | noReal | cpl0 | system},

	0x40: {"cmovo", ops{opGv, opEv}, genCMov, need(featCMOV)}, 0x41: {"cmovno", ops{opGv, opEv}, genCMov, need(featCMOV)},
	0x42: {"cmovb", ops{opGv, opEv}, genCMov, need(featCMOV)}, 0x43: {"cmovae", ops{opGv, opEv}, genCMov, need(featCMOV)},
	0x44: {"cmove", ops{opGv, opEv}, genCMov, need(featCMOV)}, 0x45: {"cmovne", ops{opGv, opEv}, genCMov, need(featCMOV)},
	0x46: {"cmovbe", ops{opGv, opEv}, genCMov, need(featCMOV)}, 0x47: {"cmova", ops{opGv, opEv}, genCMov, need(featCMOV)},
	0x48: {"cmovs", ops{opGv, opEv}, genCMov, need(featCMOV)}, 0x49: {"cmovns", ops{opGv, opEv}, genCMov, need(featCMOV)},
	0x4a: {"cmovp", ops{opGv, opEv}, genCMov, need(featCMOV)}, 0x4b: {"cmovnp", ops{opGv, opEv}, genCMov, need(featCMOV)},
	0x4c: {"cmovl", ops{opGv, opEv}, genCMov, need(featCMOV)}, 0x4d: {"cmovge", ops{opGv, opEv}, genCMov, need(featCMOV)},
	0x4e: {"cmovle", ops{opGv, opEv}, genCMov, need(featCMOV)}, 0x4f: {"cmovg", ops{opGv, opEv}, genCMov, need(featCMOV)},

	0x80: {"jo", ops{opJz}, genJcc, force64}, 0x81: {"jno", ops{opJz}, genJcc, force64},
	0x82: {"jb", ops{opJz}, genJcc, force64}, 0x83: {"jae", ops{opJz}, genJcc, force64},
	0x84: {"je", ops{opJz}, genJcc, force64}, 0x85: {"jne", ops{opJz}, genJcc, force64},
	0x86: {"jbe", ops{opJz}, genJcc, force64}, 0x87: {"ja", ops{opJz}, genJcc, force64},
	0x88: {"js", ops{opJz}, genJcc, force64}, 0x89: {"jns", ops{opJz}, genJcc, force64},
	0x8a: {"jp", ops{opJz}, genJcc, force64}, 0x8b: {"jnp", ops{opJz}, genJcc, force64},
	0x8c: {"jl", ops{opJz}, genJcc, force64}, 0x8d: {"jge", ops{opJz}, genJcc, force64},
	0x8e: {"jle", ops{opJz}, genJcc, force64}, 0x8f: {"jg", ops{opJz}, genJcc, force64},

	0x90: {"seto", ops{opEb}, genSetcc, 0}, 0x91: {"setno", ops{opEb}, genSetcc, 0},
	0x92: {"setb", ops{opEb}, genSetcc, 0}, 0x93: {"setae", ops{opEb}, genSetcc, 0},
	0x94: {"sete", ops{opEb}, genSetcc, 0}, 0x95: {"setne", ops{opEb}, genSetcc, 0},
	0x96: {"setbe", ops{opEb}, genSetcc, 0}, 0x97: {"seta", ops{opEb}, genSetcc, 0},
	0x98: {"sets", ops{opEb}, genSetcc, 0}, 0x99: {"setns", ops{opEb}, genSetcc, 0},
	0x9a: {"setp", ops{opEb}, genSetcc, 0}, 0x9b: {"setnp", ops{opEb}, genSetcc, 0},
	0x9c: {"setl", ops{opEb}, genSetcc, 0}, 0x9d: {"setge", ops{opEb}, genSetcc, 0},
	0x9e: {"setle", ops{opEb}, genSetcc, 0}, 0x9f: {"setg", ops{opEb}, genSetcc, 0},

	0xa0: {"push", ops{opFS}, genPushSeg, default64},
	0xa1: {"pop", ops{opFS}, genPopSeg, default64 | system},
	0xa2: {"cpuid", ops{}, genHelperOnly(x86.HelperCPUID), system},
	0xa3: {"bt", ops{opEv, opGv}, genBT(ir.OpBt), undefV | undefS | undefA | undefP},
	0xa4: {"shld", ops{opEv, opGv, opIb}, genDoubleShift(ir.OpShld), undefA | undefV},
	0xa5: {"shld", ops{opEv, opGv, opCL}, genDoubleShift(ir.OpShld), undefA | undefV},
	0xa8: {"push", ops{opGS}, genPushSeg, default64},
	0xa9: {"pop", ops{opGS}, genPopSeg, default64 | system},
	0xaa: {"rsm", ops{}, genRSM, system},
	0xab: {"bts", ops{opEv, opGv}, genBT(ir.OpBts), lockable | undefV | undefS | undefA | undefP},
	0xac: {"shrd", ops{opEv, opGv, opIb}, genDoubleShift(ir.OpShrd), undefA | undefV},
	0xad: {"shrd", ops{opEv, opGv, opCL}, genDoubleShift(ir.OpShrd), undefA | undefV},
	0xaf: {"imul", ops{opGv, opEv}, genIMul2, undefSZAP},

	0xb0: {"cmpxchg", ops{opEb, opGb}, genCmpXchg, lockable},
	0xb1: {"cmpxchg", ops{opEv, opGv}, genCmpXchg, lockable},
	0xb2: {"lss", ops{opGv, opMp}, genLoadFar(x86.SS), memOnly | system},
	0xb3: {"btr", ops{opEv, opGv}, genBT(ir.OpBtr), lockable | undefV | undefS | undefA | undefP},
	0xb4: {"lfs", ops{opGv, opMp}, genLoadFar(x86.FS), memOnly | system},
	0xb5: {"lgs", ops{opGv, opMp}, genLoadFar(x86.GS), memOnly | system},
	0xb6: {"movzx", ops{opGv, opEb}, genMovzx, 0},
	0xb7: {"movzx", ops{opGv, opEw}, genMovzx, 0},
	0xb9: {"ud1", ops{opGv, opEv}, genUD, system},
	0xbb: {"btc", ops{opEv, opGv}, genBT(ir.OpBtc), lockable | undefV | undefS | undefA | undefP},
	0xbc: {"bsf", ops{opGv, opEv}, genBitScan(ir.OpBsf), undefC | undefV | undefS | undefA | undefP},
	0xbd: {"bsr", ops{opGv, opEv}, genBitScan(ir.OpBsr), undefC | undefV | undefS | undefA | undefP},
	0xbe: {"movsx", ops{opGv, opEb}, genMovsx, 0},
	0xbf: {"movsx", ops{opGv, opEw}, genMovsx, 0},
	0xc0: {"xadd", ops{opEb, opGb}, genXadd, lockable},
	0xc1: {"xadd", ops{opEv, opGv}, genXadd, lockable},
	0xc3: {"movnti", ops{opMy, opGy}, genMov, memOnly | need(featSSE2) | strict},
	0xc8: {"bswap", ops{opZv}, genBswap, 0}, 0xc9: {"bswap", ops{opZv}, genBswap, 0},
	0xca: {"bswap", ops{opZv}, genBswap, 0}, 0xcb: {"bswap", ops{opZv}, genBswap, 0},
	0xcc: {"bswap", ops{opZv}, genBswap, 0}, 0xcd: {"bswap", ops{opZv}, genBswap, 0},
	0xce: {"bswap", ops{opZv}, genBswap, 0}, 0xcf: {"bswap", ops{opZv}, genBswap, 0},
	0xff: {"ud0", ops{opGv, opEv}, genUD, system},
}

// prefixedRow is a row of a map other than the two big ones, or with a mandatory prefix.
type prefixedRow struct {
	m      mapID
	pp, op uint8
	insn
}

// prefixed are integer rows with mandatory prefixes, of the three-byte maps and with VEX encoding.
var prefixed = []prefixedRow{
	{map1B, ppF3, 0x90, insn{"pause", ops{}, genPause, system}},
	{map0F, ppF3, 0x09, insn{"wbnoinvd", ops{}, genHelperOnly(x86.HelperWBINVD), cpl0 | system}},
	{map0F, ppF3, 0xb8, insn{"popcnt", ops{opGv, opEv}, genPopcnt, need(featPOPCNT)}},
	{map0F, ppF3, 0xbc, insn{"tzcnt", ops{opGv, opEv}, genCount(ir.OpTzcnt), need(featBMI1) | fallback | undefV | undefS | undefA | undefP}},
	{map0F, ppF3, 0xbd, insn{"lzcnt", ops{opGv, opEv}, genCount(ir.OpLzcnt), need(featABM) | fallback | undefV | undefS | undefA | undefP}},

	{map0F38, ppNone, 0xf0, insn{"movbe", ops{opGv, opMv}, genMovbe, need(featMOVBE) | memOnly | noRep}},
	{map0F38, ppNone, 0xf1, insn{"movbe", ops{opMv, opGv}, genMovbe, need(featMOVBE) | memOnly | noRep}},
	{map0F38, ppF2, 0xf0, insn{"crc32", ops{opGd, opEb}, genCRC32, need(featSSE42)}},
	{map0F38, ppF2, 0xf1, insn{"crc32", ops{opGd, opEv}, genCRC32, need(featSSE42)}},
	{map0F38, pp66, 0xf6, insn{"adcx", ops{opGy, opEy}, genADX(ir.OpAdcx), need(featADX)}},
	{map0F38, ppF3, 0xf6, insn{"adox", ops{opGy, opEy}, genADX(ir.OpAdox), need(featADX)}},
	{map0F38, pp66, 0x82, insn{"invpcid", ops{opGv, opM}, genINVPCID, need(x86.FeatINVPCID) | memOnly | force64 | cpl0 | noReal | system}},

	{mapVEX0F38, ppNone, 0xf2, insn{"andn", ops{opGy, opBy, opEy}, genAndn, need(featBMI1) | vexL0 | undefA | undefP}},
	{mapVEX0F38, ppNone, 0xf5, insn{"bzhi", ops{opGy, opEy, opBy}, genVexBits(ir.OpBzhi), need(featBMI2) | vexL0 | undefA | undefP}},
	{mapVEX0F38, ppF3, 0xf5, insn{"pext", ops{opGy, opBy, opEy}, genVex3(ir.OpPext), need(featBMI2) | vexL0}},
	{mapVEX0F38, ppF2, 0xf5, insn{"pdep", ops{opGy, opBy, opEy}, genVex3(ir.OpPdep), need(featBMI2) | vexL0}},
	{mapVEX0F38, ppF2, 0xf6, insn{"mulx", ops{opGy, opBy, opEy}, genMulx, need(featBMI2) | vexL0}},
	{mapVEX0F38, ppNone, 0xf7, insn{"bextr", ops{opGy, opEy, opBy}, genVexBits(ir.OpBextr), need(featBMI1) | vexL0 | undefS | undefA | undefP}},
	{mapVEX0F38, pp66, 0xf7, insn{"shlx", ops{opGy, opEy, opBy}, genVex3(ir.OpShlx), need(featBMI2) | vexL0}},
	{mapVEX0F38, ppF3, 0xf7, insn{"sarx", ops{opGy, opEy, opBy}, genVex3(ir.OpSarx), need(featBMI2) | vexL0}},
	{mapVEX0F38, ppF2, 0xf7, insn{"shrx", ops{opGy, opEy, opBy}, genVex3(ir.OpShrx), need(featBMI2) | vexL0}},
	{mapVEX0F3A, ppF2, 0xf0, insn{"rorx", ops{opGy, opEy, opIb}, genVex3(ir.OpRorx), need(featBMI2) | vexL0 | vexNoV}},
}
