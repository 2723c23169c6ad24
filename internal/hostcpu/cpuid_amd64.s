#include "textflag.h"

// func cpuid(leaf, sub uint32) (r [4]uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, r_0+8(FP)
	MOVL BX, r_1+12(FP)
	MOVL CX, r_2+16(FP)
	MOVL DX, r_3+20(FP)
	RET
