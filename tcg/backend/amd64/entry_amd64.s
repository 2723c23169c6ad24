//go:build linux && amd64

#include "textflag.h"
#include "funcdata.h"

// func enter(base unsafe.Pointer, code uintptr)
// The frame makes the assembler save BP and leaves room for what generated code pushes. Generated code returns 0 in AX to leave, else
// to have a helper tried by fastCall, after which it goes on.
TEXT ·enter(SB), NOSPLIT, $128-16
	NO_LOCAL_POINTERS
again:
	MOVQ base+0(FP), BP
	MOVQ code+8(FP), AX
	CALL AX
	TESTL AX, AX
	JZ   done
	MOVQ base+0(FP), AX
	MOVQ AX, 0(SP)
	CALL ·fastCall(SB)
	MOVBLZX 8(SP), AX
	TESTL AX, AX
	JNZ  again
done:
	RET
