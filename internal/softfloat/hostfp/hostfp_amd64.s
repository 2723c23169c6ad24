#include "textflag.h"

// Each function loads its operands and the control register, runs one instruction and restores the control register.

TEXT ·AddSD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	ADDSD X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·SubSD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	SUBSD X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·MulSD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	MULSD X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·DivSD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	DIVSD X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·MinSD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	MINSD X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·MaxSD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	MAXSD X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·SqrtSD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	SQRTSD X0, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·AddSS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	ADDSS X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·SubSS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	SUBSS X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·MulSS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	MULSS X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·DivSS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	DIVSS X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·MinSS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	MINSS X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·MaxSS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	MAXSS X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·SqrtSS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	SQRTSS X0, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtSD2SS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	CVTSD2SS X0, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtSS2SD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	CVTSS2SD X0, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtSD2SL(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	CVTSD2SL X0, CX
	MOVQ CX, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtSD2SQ(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	CVTSD2SQ X0, CX
	MOVQ CX, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtSS2SL(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	CVTSS2SL X0, CX
	MOVQ CX, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtSS2SQ(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	CVTSS2SQ X0, CX
	MOVQ CX, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtSQ2SD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	MOVQ X0, CX
	XORPS X0, X0
	CVTSQ2SD CX, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtSQ2SS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	MOVQ X0, CX
	XORPS X0, X0
	CVTSQ2SS CX, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·RoundSD(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	ROUNDSD $4, X0, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·RoundSS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	ROUNDSS $4, X0, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtPS2PH(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	VCVTPS2PH $4, X0, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·CvtPH2PS(SB), NOSPLIT, $8-32
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ csr+16(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	VCVTPH2PS X0, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+24(FP)
	RET

TEXT ·FMASD(SB), NOSPLIT, $8-40
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ c+16(FP), X2
	MOVQ csr+24(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	VFMADD213SD X2, X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+32(FP)
	RET

TEXT ·FMASS(SB), NOSPLIT, $8-40
	MOVQ a+0(FP), X0
	MOVQ b+8(FP), X1
	MOVQ c+16(FP), X2
	MOVQ csr+24(FP), AX
	STMXCSR 0(SP)
	LDMXCSR (AX)
	VFMADD213SS X2, X1, X0
	STMXCSR (AX)
	LDMXCSR 0(SP)
	MOVQ X0, ret+32(FP)
	RET

TEXT ·FAdd(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD8; BYTE $0xC1
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FSub(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD8; BYTE $0xE1
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FMul(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD8; BYTE $0xC9
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FDiv(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD8; BYTE $0xF1
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FSqrt(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD9; BYTE $0xFA
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FRndInt(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD9; BYTE $0xFC
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FScale(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD9; BYTE $0xFD
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FPrem(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD9; BYTE $0xF8
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FPrem1(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD9; BYTE $0xF5
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FCom(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD8; BYTE $0xD1
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FUCom(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xDD; BYTE $0xE1
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FTst(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD9; BYTE $0xE4
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·FXam(SB), NOSPLIT, $0-8
	MOVQ x+0(FP), DX
	BYTE $0xDB; BYTE $0xE3 // fninit
	BYTE $0xDB; BYTE $0x6A; BYTE $0x10 // fld tbyte [rdx+16]
	BYTE $0xDB; BYTE $0x2A // fld tbyte [rdx]
	BYTE $0xDB; BYTE $0xE2 // fnclex
	BYTE $0xD9; BYTE $0x6A; BYTE $0x40 // fldcw [rdx+64]
	BYTE $0xD9; BYTE $0xE5
	BYTE $0xDF; BYTE $0xE0 // fnstsw ax
	MOVW AX, 66(DX)
	BYTE $0xDB; BYTE $0x7A; BYTE $0x20 // fstp tbyte [rdx+32]
	BYTE $0xDB; BYTE $0x7A; BYTE $0x30 // fstp tbyte [rdx+48]
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET
