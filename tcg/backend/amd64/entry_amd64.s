//go:build linux && amd64

#include "textflag.h"
#include "funcdata.h"

// func enter(base unsafe.Pointer, code uintptr)
// The frame makes the assembler save BP and leaves room for what generated code pushes.
TEXT ·enter(SB), NOSPLIT, $128-16
	NO_LOCAL_POINTERS
	MOVQ base+0(FP), BP
	MOVQ code+8(FP), AX
	CALL AX
	RET
