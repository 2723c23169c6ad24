//go:build linux && amd64

#include "textflag.h"
#include "funcdata.h"

// func enter(base unsafe.Pointer, code uintptr, stack uint64)
// The frame makes the assembler save BP and leaves room for what generated code pushes. Generated code returns 0 in AX to leave, else
// to have fastCall try it on the other stack, after which it goes on.
TEXT ·enter(SB), NOSPLIT, $128-24
	NO_LOCAL_POINTERS
again:
	MOVQ base+0(FP), BP
	MOVQ code+8(FP), AX
	CALL AX
	TESTL AX, AX
	JZ   done
	MOVQ base+0(FP), AX
	MOVQ stack+16(FP), BX
	TESTQ BX, BX
	JZ   done
	MOVQ SP, CX
	LEAQ -32(BX), BX
	MOVQ BX, SP
	MOVQ CX, 24(SP)
	MOVQ AX, 0(SP)
	CALL ·fastCall(SB)
	MOVBLZX 8(SP), AX
	MOVQ 24(SP), SP
	TESTL AX, AX
	JNZ  again
done:
	RET
