#include "textflag.h"

// func hostTSC() uint64
TEXT ·hostTSC(SB), NOSPLIT, $0-8
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

// func cas16(addr uintptr, oldLo, oldHi, newLo, newHi uint64) (lo, hi uint64)
TEXT ·cas16(SB), NOSPLIT, $0-56
	MOVQ addr+0(FP), DI
	MOVQ oldLo+8(FP), AX
	MOVQ oldHi+16(FP), DX
	MOVQ newLo+24(FP), BX
	MOVQ newHi+32(FP), CX
	LOCK
	CMPXCHG16B (DI)
	MOVQ AX, lo+40(FP)
	MOVQ DX, hi+48(FP)
	RET
