package x86

import (
	"unsafe"

	"goemu/tcg/ir"
)

// VecLayout is where the vector and x87 state lies in Env.
var VecLayout = ir.VecLayout{
	V:     uint32(unsafe.Offsetof(Env{}.V)),
	FP:    uint32(unsafe.Offsetof(Env{}.FP)),
	MXCSR: uint32(unsafe.Offsetof(Env{}.MXCSR)),
	FPCW:  uint32(unsafe.Offsetof(Env{}.FPCW)),
	FPSW:  uint32(unsafe.Offsetof(Env{}.FPSW)),
}
