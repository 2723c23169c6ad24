package hostfp

// Scalar SSE and conversion instructions: a op b (or op a) under the MXCSR at csr, which receives the flags.

func AddSD(a, b uint64, csr *uint32) uint64
func SubSD(a, b uint64, csr *uint32) uint64
func MulSD(a, b uint64, csr *uint32) uint64
func DivSD(a, b uint64, csr *uint32) uint64
func MinSD(a, b uint64, csr *uint32) uint64
func MaxSD(a, b uint64, csr *uint32) uint64
func SqrtSD(a, b uint64, csr *uint32) uint64
func AddSS(a, b uint64, csr *uint32) uint64
func SubSS(a, b uint64, csr *uint32) uint64
func MulSS(a, b uint64, csr *uint32) uint64
func DivSS(a, b uint64, csr *uint32) uint64
func MinSS(a, b uint64, csr *uint32) uint64
func MaxSS(a, b uint64, csr *uint32) uint64
func SqrtSS(a, b uint64, csr *uint32) uint64
func CvtSD2SS(a, b uint64, csr *uint32) uint64
func CvtSS2SD(a, b uint64, csr *uint32) uint64
func CvtSD2SL(a, b uint64, csr *uint32) uint64
func CvtSD2SQ(a, b uint64, csr *uint32) uint64
func CvtSS2SL(a, b uint64, csr *uint32) uint64
func CvtSS2SQ(a, b uint64, csr *uint32) uint64
func CvtSQ2SD(a, b uint64, csr *uint32) uint64
func CvtSQ2SS(a, b uint64, csr *uint32) uint64
func RoundSD(a, b uint64, csr *uint32) uint64 // by MXCSR
func RoundSS(a, b uint64, csr *uint32) uint64
func CvtPS2PH(a, b uint64, csr *uint32) uint64
func CvtPH2PS(a, b uint64, csr *uint32) uint64

// FMASD and FMASS are a * b + c; of several NaNs, that in b comes first.
func FMASD(a, b, c uint64, csr *uint32) uint64
func FMASS(a, b, c uint64, csr *uint32) uint64

// X87 is what an x87 instruction works on: operands ST(0) and ST(1), control word, results.
type X87 struct {
	A, B   [16]byte // ST(0), ST(1) before
	R0, R1 [16]byte // ST(0), ST(1) after
	CW, SW uint16
}

func FAdd(x *X87)
func FSub(x *X87)
func FMul(x *X87)
func FDiv(x *X87)
func FSqrt(x *X87)
func FRndInt(x *X87)
func FScale(x *X87)
func FPrem(x *X87)
func FPrem1(x *X87)
func FCom(x *X87)
func FUCom(x *X87)
func FTst(x *X87)
func FXam(x *X87)
