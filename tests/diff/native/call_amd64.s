#include "textflag.h"

// func call(code uintptr)
// The code may clobber every register but must return with RSP as it was.
TEXT ·call(SB), NOSPLIT, $8-8
	MOVQ code+0(FP), AX
	CALL AX
	RET
