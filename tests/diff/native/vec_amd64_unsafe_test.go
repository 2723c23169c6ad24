//go:build amd64

package native

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/cpu"

	"goemu/target/x86"
	"goemu/tcg"
	"goemu/tcg/backend/amd64"
	frontend "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
	"goemu/tcg/ir"
	"goemu/tcg/opt"
)

// FXSAVE image.
const (
	fxCW    = 0
	fxSW    = 2
	fxTags  = 4
	fxMXCSR = 24
	fxST    = 32
	fxXMM   = 160

	swTopShift = 11
	swTopMask  = 7 << swTopShift
	swC1       = 1 << 9
	maskAll    = 0x1f80
)

const vecMode = x86.HFPE | x86.HFCS32 | x86.HFSS32 | x86.HFCS64 | x86.HFLMA | 3 | x86.HFOSFXSR | x86.HFAVX | x86.HFOSXSAVE

// vecFixture runs SIMD and x87 instructions on the host and on an engine.
type vecFixture struct {
	*testing.T
	h      *Host
	m      *Machine
	rnd    *rand.Rand
	mem    []byte
	passes *opt.Optimizer
	soft   bool // the engine computes in software: approximations are not compared
}

func newVecFixture(t *testing.T, engine tcg.Engine) *vecFixture {
	t.Helper()
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		t.Skip("SKIPPED: the host CPU has no AVX2 or FMA, so it cannot be the oracle")
	}
	h, err := NewHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	m, err := NewMachine(engine, h.Window, h.WindowBase())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	m.Env.HFlags = vecMode
	m.OnHelper = func(uint32, uint64, uint64, uint64) (uint64, tcg.Action) { return 0, tcg.Fault }
	return &vecFixture{T: t, h: h, m: m, rnd: rand.New(rand.NewPCG(11, 12)), mem: make([]byte, WindowSize), passes: opt.New(frontend.Globals)}
}

// Interesting values of each format.
var (
	f32s = []uint32{0, 1 << 31, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345, 1, 0x007fffff, 0x00800000,
		0x7f7fffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0x3f000000, 0x3fc00000, 0x40490fdb, 0x80000001, 0x33800000}
	f64s = []uint64{0, 1 << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001,
		0xfff8000012345678, 1, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000, 0x43e0000000000000,
		0x3fe0000000000000, 0x3ff8000000000000, 0x36a0000000000000, 0x47efffffe0000000, 0x3810000000000000, 0x8000000000000001}
	ints = []uint64{0, 1, ^uint64(0), 0x8000000080000000, 0x7fff7fff7fff7fff, 0x8000800080008000, 0x0080ff7f01fe00ff, 0x00000000ffffffff, 5, 17, 33, 64}
)

// fill makes one 8-byte value.
func (f *vecFixture) value() uint64 {
	r := f.rnd
	switch r.IntN(6) {
	case 0:
		return uint64(f32s[r.IntN(len(f32s))]) | uint64(f32s[r.IntN(len(f32s))])<<32
	case 1:
		return f64s[r.IntN(len(f64s))]
	case 2:
		return ints[r.IntN(len(ints))]
	case 3: // numbers of ordinary size
		a, b := float32(r.NormFloat64()*100), float32(r.NormFloat64())
		return uint64(math.Float32bits(a)) | uint64(math.Float32bits(b))<<32
	case 4:
		return math.Float64bits(r.NormFloat64() * 1000)
	}
	return r.Uint64()
}

// value80 is an x87 register.
func (f *vecFixture) value80() (b [10]byte) {
	r := f.rnd
	man, se := r.Uint64()|1<<63, uint16(0x3fff-20+r.IntN(60))
	switch r.IntN(10) {
	case 0:
		man, se = 0, 0
	case 1:
		man, se = 1<<63, 0x7fff // infinity
	case 2:
		man, se = 3<<62|r.Uint64()>>uint(2+r.IntN(60)), 0x7fff // quiet NaN
	case 3:
		man, se = 1<<63|r.Uint64()>>uint(2+r.IntN(60)), 0x7fff
	case 4:
		man, se = r.Uint64()>>uint(1+r.IntN(60)), 0 // denormal
	case 5:
		man, se = 1<<63, 0x3fff+uint16(r.IntN(3))
	case 6:
		man, se = r.Uint64()|1<<63, uint16(1+r.IntN(0x7ffe))
	case 7:
		man &^= 1<<(1+r.IntN(40)) - 1
		man |= 1 << 63
	}
	if r.IntN(2) == 0 {
		se |= 0x8000
	}
	binary.LittleEndian.PutUint64(b[:], man)
	binary.LittleEndian.PutUint16(b[8:], se)
	return b
}

// state makes a random state with RBX at the memory operand.
func (f *vecFixture) state() (s State) {
	r := f.rnd
	s = *f.h.In
	for i := range s.GPR {
		s.GPR[i] = f.value()
	}
	s.GPR[3] = f.h.WindowBase() + 0x400
	s.GPR[4] = f.h.WindowBase() + 0x2000 // the kernel wants a valid stack pointer
	if r.IntN(4) == 0 {
		s.GPR[0], s.GPR[2] = uint64(r.IntN(40)-20), uint64(r.IntN(40)-20)
	}
	s.Flags = r.Uint64()&0x8d5 | 0x202
	for i := range s.YMM {
		for k := 0; k < 32; k += 8 {
			binary.LittleEndian.PutUint64(s.YMM[i][k:], f.value())
		}
	}
	for k := 0; k < len(f.mem); k += 8 {
		binary.LittleEndian.PutUint64(f.mem[k:], f.value())
	}
	fx := s.fx()
	clear(fx)
	s.SetMXCSR(maskAll | uint32(r.IntN(4))<<13 | uint32(r.IntN(2))<<15 | uint32(r.IntN(2))<<6 | uint32(r.Uint64())&csrFlags)
	cw := uint16(0x7f | r.IntN(4)<<10)
	cw |= []uint16{0, 0x200, 0x300, 0x300}[r.IntN(4)]
	binary.LittleEndian.PutUint16(fx[fxCW:], cw)
	binary.LittleEndian.PutUint16(fx[fxSW:], uint16(r.IntN(8))<<swTopShift|uint16(r.IntN(64))|uint16(r.Uint32())&0x4700)
	fx[fxTags] = 0xff
	for i := range 8 {
		v := f.value80()
		copy(fx[fxST+16*i:], v[:])
	}
	return s
}

// setFPU loads the x87 state from the FXSAVE image.
func (f *vecFixture) setFPU(s *State) {
	e, fx := f.m.Env, s.fx()
	sw := binary.LittleEndian.Uint16(fx[fxSW:])
	e.FPCW = binary.LittleEndian.Uint16(fx[fxCW:])
	e.FPSW, e.FPTop = sw&^swTopMask, uint32(sw&swTopMask)>>swTopShift
	for i := range 8 {
		p := (int(e.FPTop) + i) & 7
		e.FP[p] = [16]byte{}
		copy(e.FP[p][:10], fx[fxST+16*i:])
		e.FPTag[p] = ^fx[fxTags] >> p & 1
	}
}

// getFPU is the reverse.
func (f *vecFixture) getFPU(s *State) {
	e, fx := f.m.Env, s.fx()
	binary.LittleEndian.PutUint16(fx[fxCW:], e.FPCW)
	binary.LittleEndian.PutUint16(fx[fxSW:], e.FPSW|uint16(e.FPTop)<<swTopShift)
	fx[fxTags] = 0
	for i := range 8 {
		p := (int(e.FPTop) + i) & 7
		copy(fx[fxST+16*i:fxST+16*i+10], e.FP[p][:10])
		if e.FPTag[p] == 0 {
			fx[fxTags] |= 1 << p
		}
	}
}

// noTLB is a soft TLB in which nothing is found.
var noTLB = [1]ir.TLBEntry{{Read: ir.TLBInvalid, Write: ir.TLBInvalid, Code: ir.TLBInvalid}}

// hideTLB makes every access take the slow path until the function that it returns is called.
func (f *vecFixture) hideTLB() func() {
	tlb := f.m.Env.TLB
	for i := range tlb {
		f.m.Env.TLB[i] = ir.TLBTable{Base: uint64(uintptr(unsafe.Pointer(&noTLB[0])))}
	}
	return func() { f.m.Env.TLB = tlb }
}

// try runs one case on both, with memory accesses by the soft TLB or the slow path; "" means equal.
func (f *vecFixture) try(c *frontend.VectorCase, s *State) string {
	if c.Mem && f.rnd.IntN(3) == 0 {
		defer f.hideTLB()()
	}
	copy(f.h.Window, f.mem)
	f.m.SetState(s)
	f.setFPU(s)
	trace(c)
	if f.m.Limit == 0 {
		f.m.Passes = nil
		if f.rnd.IntN(2) == 0 {
			f.m.Passes = f.passes.Run
		}
	}
	leave, err := f.m.Run(f.h.PC(), c.Code)
	if err != nil {
		return err.Error()
	}
	if leave != tcg.LeaveDirect {
		return fmt.Sprintf("left with %d (reason %d, arguments %#x)", leave, f.m.Env.ExitInfo, f.m.Env.Args)
	}
	got := *s
	f.m.State(&got)
	f.getFPU(&got)
	mem := bytes.Clone(f.h.Window)
	copy(f.h.Window, f.mem)
	saved := *f.h.In
	*f.h.In = *s
	f.h.Run(c.Code)
	f.h.In.Saved = saved.Saved
	if f.soft {
		f.tolerate(c, &got)
	}
	return compareVec(c, &got, f.h.Out, mem, f.h.Window)
}

func compareVec(c *frontend.VectorCase, got, want *State, gotMem, wantMem []byte) string {
	var b strings.Builder
	for i := range got.GPR {
		if got.GPR[i] != want.GPR[i] {
			fmt.Fprintf(&b, "  register %d = %#x, host %#x\n", i, got.GPR[i], want.GPR[i])
		}
	}
	if (got.Flags^want.Flags)&0x8d5 != 0 {
		fmt.Fprintf(&b, "  flags = %#x, host %#x\n", got.Flags&0x8d5, want.Flags&0x8d5)
	}
	for i := range got.YMM {
		if got.YMM[i] != want.YMM[i] {
			fmt.Fprintf(&b, "  ymm%d = %x, host %x\n", i, got.YMM[i], want.YMM[i])
		}
	}
	if got.MXCSR() != want.MXCSR() {
		fmt.Fprintf(&b, "  MXCSR = %#x, host %#x\n", got.MXCSR(), want.MXCSR())
	}
	g, w := got.fx(), want.fx()
	swMask := ^uint16(swC1)
	if x87SetsC1[c.Name] {
		swMask = ^uint16(0)
	}
	if strings.HasPrefix(c.Name, "fprem") && w[fxST+8] == 0xff && w[fxST+9]&0x7f == 0x7f { // no quotient
		swMask &^= 0x4100 | swC1
	}
	if x87Inexact[c.Name] { // C0 and C3 are undefined
		swMask &^= 0x4100
	}
	gs, ws := binary.LittleEndian.Uint16(g[fxSW:])&swMask, binary.LittleEndian.Uint16(w[fxSW:])&swMask
	if gs != ws || g[0] != w[0] || g[1] != w[1] || g[fxTags] != w[fxTags] {
		fmt.Fprintf(&b, "  x87 CW SW tags = %x %x %x, host %x %x %x\n", g[:2], gs, g[fxTags], w[:2], ws, w[fxTags])
	}
	for i := range 8 {
		if at := fxST + 16*i; !bytes.Equal(g[at:at+10], w[at:at+10]) {
			fmt.Fprintf(&b, "  ST(%d) = %x, host %x\n", i, g[at:at+10], w[at:at+10])
		}
	}
	for i := range gotMem {
		if gotMem[i] != wantMem[i] {
			fmt.Fprintf(&b, "  memory at %#x = %#x, host %#x\n", i, gotMem[i], wantMem[i])
			break
		}
	}
	return b.String()
}

// report describes a failed case.
func (f *vecFixture) report(c *frontend.VectorCase, s *State, diff string) {
	f.Errorf("%s, % x: MXCSR %#x, x87 CW SW % x, rax %#x rdx %#x\n%s", c.Name, c.Code, s.MXCSR(), s.fx()[:4], s.GPR[0], s.GPR[2], diff)
	if testing.Verbose() {
		for i, v := range s.YMM {
			f.Logf("ymm%d %x", i, v)
		}
		for i := range 8 {
			f.Logf("st%d %x", i, s.fx()[fxST+16*i:fxST+16*i+10])
		}
		f.Logf("memory %x", f.mem[0x400:0x480])
	}
}

// newJIT is the code generator, or nil where it cannot run. Software execution must not be needed on this host.
func newJIT(t *testing.T) tcg.Engine { return newJITSoft(t, nil) }

func newJITSoft(t *testing.T, soft func(tcg.CPU, *ir.Inst, *[4]uint64) (uint64, uint64, uint64)) tcg.Engine {
	t.Helper()
	e, err := amd64.New(frontend.Globals, amd64.Options{CacheSize: 1 << 20, Vec: x86.VecLayout, Soft: soft})
	if err != nil {
		t.Skip("SKIPPED: ", err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func tries(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// TestVectorInterp and TestX87Interp compare the interpreter, which is also the software path of the code generator, with the host.
func TestVectorInterp(t *testing.T) {
	f := newVecFixture(t, interp.New(frontend.Globals))
	f.soft = true
	f.vectors(tries(100))
}

func TestX87Interp(t *testing.T) {
	f := newVecFixture(t, interp.New(frontend.Globals))
	f.soft = true
	f.x87(tries(100))
}

// TestVectorJIT compares generated code for every SIMD row with the host.
func TestVectorJIT(t *testing.T) {
	f := newVecFixture(t, newJIT(t))
	f.vectors(tries(200))
}

func (f *vecFixture) vectors(n int) {
	for i := range frontend.NumVectorRows() {
		bad := 0
		for range n {
			c := frontend.RandomVector(f.rnd, i)
			if c.Helper || c.Approx && f.soft {
				break
			}
			if !c.On(&hostFeatures) {
				continue
			}
			s := f.state()
			if c.X87 { // MMX starts from an empty stack: its registers are physical
				fx := s.fx()
				binary.LittleEndian.PutUint16(fx[fxSW:], binary.LittleEndian.Uint16(fx[fxSW:])&^swTopMask)
			}
			if diff := f.try(&c, &s); diff != "" {
				f.report(&c, &s, diff)
				if bad++; bad == 2 {
					break
				}
			}
		}
	}
}

// TestX87JIT compares generated code for every x87 encoding with the host.
func TestX87JIT(t *testing.T) {
	f := newVecFixture(t, newJIT(t))
	f.x87(tries(200))
}

func (f *vecFixture) x87(n int) {
	cases := frontend.X87Cases()
	for i := range cases {
		bad := 0
		for range n {
			s := f.state()
			if diff := f.tryX87(&cases[i], &s); diff != "" {
				f.report(&cases[i], &s, diff)
				if bad++; bad == 2 {
					break
				}
			}
		}
	}
}

// x87SetsC1 are the instructions that give C1 a meaning of its own; after all others it tells how the result was rounded, which is not kept.
var x87SetsC1 = map[string]bool{"fxam": true, "fprem": true, "fprem1": true, "ftst": true}

// x87Inexact are the instructions whose results differ between hosts by a unit in the last place, and in the rounding flags.
var x87Inexact = map[string]bool{"f2xm1": true, "fyl2x": true, "fyl2xp1": true, "fpatan": true, "fptan": true, "fsin": true, "fcos": true, "fsincos": true}

// tolerate takes over from the host what software need not match: the last bits of transcendental functions, and the denormal flag of a
// memory operand (which is converted by itself) beside a NaN.
func (f *vecFixture) tolerate(c *frontend.VectorCase, got *State) {
	g, w := got.fx(), f.h.Out.fx()
	if c.X87 && c.Mem {
		g[fxSW] = g[fxSW]&^2 | w[fxSW]&2
		if isNaN80(g[fxST:]) && isNaN80(w[fxST:]) { // which one survives depends on the memory operand's signalling bit
			copy(g[fxST:fxST+10], w[fxST:])
		}
	}
	if !x87Inexact[c.Name] {
		return
	}
	g[fxSW] = g[fxSW]&^0x33 | w[fxSW]&0x33
	for i := range 2 {
		a, b := g[fxST+16*i:][:10], w[fxST+16*i:][:10]
		x, y := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
		ex, ey := int64(binary.LittleEndian.Uint16(a[8:])), int64(binary.LittleEndian.Uint16(b[8:]))
		if d := int64(x-y) + (ex-ey)<<63; d >= -2 && d <= 2 || c.Name == "fyl2xp1" || c.Name == "f2xm1" { // outside their defined ranges anything goes
			copy(a, b)
		}
	}
}

func isNaN80(b []byte) bool {
	return b[9]&0x7f == 0x7f && b[8] == 0xff && binary.LittleEndian.Uint64(b)<<1 != 0
}

// x87Pushes are the instructions that want an empty register.
var x87Pushes = map[string]bool{"fld": true, "fild": true, "fbld": true, "fld1": true, "fldl2t": true, "fldl2e": true, "fldpi": true, "fldlg2": true,
	"fldln2": true, "fldz": true, "fptan": true, "fxtract": true, "fsincos": true}

// tryX87 gives the instruction the registers that it wants to be empty, so that there is no stack fault, and keeps exceptions masked.
func (f *vecFixture) tryX87(c *frontend.VectorCase, s *State) string {
	fx := s.fx()
	top := binary.LittleEndian.Uint16(fx[fxSW:]) >> swTopShift & 7
	switch {
	case c.Name == "fld" && c.Code[1] == 0xc7: // of the register that must be empty
		return ""
	case c.Name == "fldcw":
		f.mem[0x400] |= 0x3f
	case x87Pushes[c.Name]:
		fx[fxTags] &^= 1 << ((top + 7) & 7)
	}
	return f.try(c, s)
}

func trace(c *frontend.VectorCase) {
	if os.Getenv("NATIVE_TRACE") != "" {
		fmt.Fprintf(os.Stderr, "%s % x\n", c.Name, c.Code)
	}
}

// TestUnmaskedInterp and TestUnmaskedJIT run SIMD floating point with unmasked exceptions.
func TestUnmaskedInterp(t *testing.T) {
	newVecFixture(t, interp.New(frontend.Globals)).unmasked(tries(60))
}
func TestUnmaskedJIT(t *testing.T) { newVecFixture(t, newJITSoft(t, softVector)).unmasked(tries(60)) }

func softVector(cpu tcg.CPU, in *ir.Inst, args *[4]uint64) (ret, ret2, image uint64) {
	io := interp.VecIO{A: args[0], B: args[1], FIn: args[3]}
	interp.ExecVec(cpu.Header(), in, &io)
	return io.Dst, io.Dst2, io.FOut
}

const (
	csrFlags   = 0x3f
	csrMaskPos = 7
	csrUM      = 1 << 11 // underflow: unmasked it is detected otherwise, so it stays masked here
	cr4XMM     = 1 << 10
)

func (f *vecFixture) unmasked(n int) {
	f.m.Env.HFlags = vecMode | x86.HFSSESoft
	f.m.Env.CR[4] = cr4XMM
	raised := 0
	for i := range frontend.NumVectorRows() {
		for range n {
			c := frontend.RandomVector(f.rnd, i)
			if !c.FP || c.Helper || c.X87 || c.Approx {
				break
			}
			if !c.On(&hostFeatures) {
				continue
			}
			s := f.state()
			masks := uint32(f.rnd.Uint32())&maskAll | csrUM
			r, diff := f.tryUnmasked(&c, &s, masks)
			if diff != "" {
				f.report(&c, &s, fmt.Sprintf("masks %#x\n%s", masks, diff))
				break
			}
			if r {
				raised++
			}
		}
	}
	if raised == 0 {
		f.Error("no exception was raised")
	}
}

// tryUnmasked compares with the host, which has all exceptions masked: where it reports one that should not be, the machine must leave.
func (f *vecFixture) tryUnmasked(c *frontend.VectorCase, s *State, masks uint32) (raised bool, diff string) {
	csr := s.MXCSR() &^ csrFlags
	s.SetMXCSR(csr)
	copy(f.h.Window, f.mem)
	saved := *f.h.In
	*f.h.In = *s
	f.h.Run(c.Code)
	f.h.In.Saved = saved.Saved
	hostMem := bytes.Clone(f.h.Window)
	copy(f.h.Window, f.mem)
	flags := f.h.Out.MXCSR() & csrFlags
	f.m.SetState(s)
	f.setFPU(s)
	f.m.Env.MXCSR = csr&^maskAll | masks
	leave, err := f.m.Run(f.h.PC(), c.Code)
	if err != nil {
		return false, err.Error()
	}
	got := *s
	f.m.State(&got)
	f.getFPU(&got)
	want := *f.h.Out
	if flags&^(masks>>csrMaskPos) != 0 {
		if leave != tcg.LeaveReason || f.m.Env.ExitInfo != x86.ExitException || f.m.Env.Args[0] != x86.ExcXM {
			return true, fmt.Sprintf("left with %d, reason %d, vector %d; host flags %#x", leave, f.m.Env.ExitInfo, f.m.Env.Args[0], flags)
		}
		want = *s
		hostMem = f.mem
		got.SetMXCSR(0)
		want.SetMXCSR(0)
	} else {
		if leave != tcg.LeaveDirect {
			return false, fmt.Sprintf("left with %d; host flags %#x", leave, flags)
		}
		want.SetMXCSR(csr&^maskAll | masks | flags)
	}
	return flags&^(masks>>csrMaskPos) != 0, compareVec(c, &got, &want, f.h.Window, hostMem)
}

// x87Effects are how many values an x87 instruction pushes (negative: pops).
func x87Effect(c *frontend.VectorCase) int {
	n := c.Name
	switch {
	case n == "fcompp" || n == "fucompp":
		return -2
	case x87Pushes[n]:
		return 1
	case n == "fprem", n == "fprem1", // their condition bits depend on the host when there is no quotient
		n == "fnstsw", // shows C1, which is not kept exactly
		n == "fdecstp", n == "fincstp", n == "ffree", n == "ffreep", n == "fldcw", strings.HasPrefix(n, "fstp8"), strings.HasPrefix(n, "fstp9"):
		return -8 // not in sequences
	case c.Mem && (strings.HasSuffix(n, "p") || n == "fbstp") && n != "fcmp":
		return -1
	case !c.Mem && (strings.HasSuffix(n, "p") || n == "fyl2x" || n == "fyl2xp1" || n == "fpatan" || n == "fcomp3" || n == "fcomp5" || n == "fucomip" || n == "fcomip") && n != "fnop":
		return -1
	}
	return 0
}

// TestX87Sequences runs blocks of several x87 instructions, so that what generated code keeps between them is tested.
func TestX87Sequences(t *testing.T) {
	f := newVecFixture(t, newJIT(t))
	cases := frontend.X87Cases()
	f.m.Limit, f.m.Passes = 12, opt.New(frontend.Globals).Run
	for range tries(20000) {
		s := f.state()
		fx := s.fx()
		top := int(binary.LittleEndian.Uint16(fx[fxSW:]) >> swTopShift & 7)
		depth := 4
		fx[fxTags] = 0
		for i := range depth {
			fx[fxTags] |= 1 << ((top + i) & 7)
		}
		seq := frontend.VectorCase{Mem: true, X87: true}
		for range 2 + f.rnd.IntN(10) {
			c := &cases[f.rnd.IntN(len(cases))]
			e := x87Effect(c)
			st := int(c.Code[1] & 7)
			if e == -8 || depth+e < 2 || depth+e > 7 || !c.Mem && st >= min(depth, depth+e) || x87Inexact[c.Name] {
				continue
			}
			depth += e
			seq.Code = append(seq.Code, c.Code...)
			if c.Mem && f.rnd.IntN(2) == 0 { // another place in memory
				k := len(seq.Code) - 1
				seq.Code[k] |= 0x40
				seq.Code = append(seq.Code, byte(f.rnd.IntN(4)*16))
			}
			seq.Name += c.Name + " "
		}
		if len(seq.Code) == 0 {
			continue
		}
		if diff := f.try(&seq, &s); diff != "" {
			f.report(&seq, &s, diff)
			if f.Failed() {
				return
			}
		}
	}
}

// TestVectorSequences runs blocks of several SIMD, MMX and x87 instructions.
func TestVectorSequences(t *testing.T) {
	f := newVecFixture(t, newJIT(t))
	f.m.Limit, f.m.Passes = 12, opt.New(frontend.Globals).Run
	rows, x87 := frontend.NumVectorRows(), frontend.X87Cases()
	for range tries(20000) {
		s := f.state()
		fx := s.fx() // for MMX: its registers are physical
		binary.LittleEndian.PutUint16(fx[fxSW:], binary.LittleEndian.Uint16(fx[fxSW:])&^swTopMask)
		seq := frontend.VectorCase{Mem: true}
		for range 2 + f.rnd.IntN(8) {
			c := frontend.RandomVector(f.rnd, f.rnd.IntN(rows))
			if f.rnd.IntN(4) == 0 {
				if c = x87[f.rnd.IntN(len(x87))]; x87Effect(&c) != 0 || x87Inexact[c.Name] {
					continue
				}
			}
			if c.Helper || !c.On(&hostFeatures) || len(seq.Code)+len(c.Code) > 60 {
				continue
			}
			seq.Code = append(seq.Code, c.Code...)
			seq.Name += c.Name + " "
		}
		if len(seq.Code) == 0 {
			continue
		}
		if diff := f.try(&seq, &s); diff != "" {
			f.report(&seq, &s, diff)
			return
		}
	}
}
