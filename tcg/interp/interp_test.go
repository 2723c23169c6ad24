package interp

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"goemu/tcg"
	"goemu/tcg/ir"
	"goemu/tcg/tcgtest"
)

const ramBase, ramSize = tcgtest.RAMBase, tcgtest.RAMSize

var globals = tcgtest.Globals

// machine is a test CPU with its engine.
type machine struct {
	*tcgtest.Machine
	t   testing.TB
	eng *Engine
}

func newMachine(t testing.TB) *machine { return &machine{tcgtest.New(), t, New(globals)} }

// compile makes the block of a text.
func (m *machine) compile(text string, id uint64) tcg.Code {
	m.t.Helper()
	b, err := ir.Parse(text, globals)
	if err != nil {
		m.t.Fatalf("%v in:\n%s", err, text)
	}
	if err := ir.Verify(b, len(globals)); err != nil {
		m.t.Fatalf("%v in:\n%s", err, text)
	}
	c, err := m.eng.Compile(b, id)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// run compiles and runs one block.
func (m *machine) run(text string) tcg.Leave {
	m.t.Helper()
	return m.eng.Run(m, m.compile(text, 1))
}

const tail = "\ngoto ->0\nexit 0 direct 0x2000\n"

// TestOperations runs single operations on rax and rcx (and the flags image in rdx) and checks rax and the flags.
func TestOperations(t *testing.T) {
	const C, P, A, Z, S, V = ir.FlagC, ir.FlagP, ir.FlagA, ir.FlagZ, ir.FlagS, ir.FlagV
	for _, c := range []struct {
		op         string // "name.size", operands v1 (rax), v2 (rcx), f3 (image in rdx)
		a, b, f    uint64
		want, flag uint64
	}{
		{"add.4 v1, v2", 0xffffffff, 1, 0, 0, C | P | A | Z},
		{"add.1 v1, v2", 0x7f, 1, 0, 0x80, A | S | V},
		{"sub.8 v1, v2", 0, 1, 0, ^uint64(0), C | P | A | S},
		{"sub.2 v1, v2", 0x8000, 1, 0, 0x7fff, P | A | V},
		{"neg.4 v1", 5, 0, 0, 0xfffffffb, C | A | S},
		{"adc.4 v1, v2, f3", 0xffffffff, 0, C, 0, C | P | A | Z},
		{"sbb.8 v1, v2, f3", 0, ^uint64(0), C, 0, C | P | A | Z},
		{"inc.1 v1, f3", 0x7f, 0, C, 0x80, C | A | S | V},
		{"dec.4 v1, f3", 0, 0, 0, 0xffffffff, P | A | S},
		{"adcx.8 v1, v2, f3", ^uint64(0), 0, C | V | Z, 0, C | V | Z},
		{"adox.4 v1, v2, f3", 1, 2, C | V, 4, C},
		{"shl.1 v1, v2, f3", 0x81, 1, 0, 2, C | V},
		{"shl.4 v1, v2, f3", 1, 32, C | Z, 1, C | Z},
		{"shr.8 v1, v2, f3", 1 << 63, 1, 0, 1 << 62, P | V},
		{"sar.2 v1, v2, f3", 0x8001, 1, 0, 0xc000, C | P | S},
		{"rol.1 v1, v2, f3", 0x81, 9, Z, 3, C | V | Z},
		{"ror.4 v1, v2, f3", 1, 1, 0, 0x80000000, C | V},
		{"rcl.1 v1, v2, f3", 0x80, 1, 0, 0, C | V},
		{"rcl.1 v1, v2, f3", 0x80, 9, C, 0x80, C},
		{"rcr.4 v1, v2, f3", 1, 1, C, 0x80000000, C | V},
		{"muls.1 v1, v2", 0x10, 0x10, 0, 0, C | V | P | Z},
		{"mulu.8 v1, v2", 1 << 32, 1 << 32, 0, 0, C | V | P | Z},
		{"mul.4 v1, v2", 0xffffffff, 3, 0, 0xfffffffd, S},
		{"bsf.4 v1, v2", 0x80, 5, 0, 7, 0},
		{"bsf.8 v1, v2", 0, 5, 0, 5, Z},
		{"bsr.2 v1, v2", 0x180, 5, 0, 8, 0},
		{"tzcnt.2 v1", 0x10000, 0, 0, 16, C},
		{"lzcnt.4 v1", 0xffffffff, 0, 0, 0, Z},
		{"popcnt.8 v1", 0xff00ff, 0, 0, 16, 0},
		{"bextr.8 v1, v2", 0x123456, 0x0804, 0, 0x45, 0},
		{"bzhi.4 v1, v2", 0xffffffff, 40, 0, 0xffffffff, C | S | P},
		{"blsi.8 v1", 0x18, 0, 0, 8, C},
		{"blsr.4 v1", 0, 0, 0, 0, C | Z | P},
		{"blsmsk.4 v1", 8, 0, 0, 15, P},
		{"bts.4 v1, v2, f3", 0, 33, Z, 2, Z},
		{"btr.8 v1, v2, f3", 3, 64, 0, 2, C},
		{"btc.2 v1, v2, f3", 0x8000, 15, S, 0, C | S},
	} {
		t.Run(c.op, func(t *testing.T) {
			m := newMachine(t)
			m.Env.Regs[0], m.Env.Regs[1], m.Env.Regs[2] = c.a, c.b, c.f
			res := "v5, f6"
			if c.op[:4] == "mulu" || c.op[:4] == "muls" {
				res = "v5, _, f6"
			}
			m.run("v1 = get.8 rax\nv2 = get.8 rcx\nv4 = get.8 rdx\nf3 = fromimg.8 v4\n" +
				res + " = " + c.op + "\nset.8 rax, v5\nsetflags f6" + tail)
			if m.Env.Regs[0] != c.want || m.Flags() != c.flag {
				t.Errorf("got %#x flags %#x, want %#x flags %#x", m.Env.Regs[0], m.Flags(), c.want, c.flag)
			}
		})
	}
}

// TestPlain runs operations without flags.
func TestPlain(t *testing.T) {
	for _, c := range []struct {
		op         string
		a, b, want uint64
	}{
		{"andn.4 v1, v2", 0xff, 0xfff, 0xf00},
		{"not.4 v1", 0, 0, 0xffffffff},
		{"shlx.4 v1, v2", 1, 33, 2},
		{"sarx.8 v1, v2", 1 << 63, 63, ^uint64(0)},
		{"rorx.8 v1, v2", 1, 1, 1 << 63},
		{"bswap.4 v1", 0x12345678, 0, 0x78563412},
		{"bswap.8 v1", 0x0102030405060708, 0, 0x0807060504030201},
		{"pdep.8 v1, v2", 0b1011, 0xf0f0, 0xb0},
		{"pext.4 v1, v2", 0xabcd, 0xf0f0, 0xac},
		{"crc32.1 v1, v2", 0xffffffff, 'a', 0x3e2fbccf},
		{"ext.2 v1", 0x12345678, 0, 0x5678},
		{"sext.1 v1", 0x80, 0, ^uint64(0x7f)},
		{"extract.8 #0x808, v1", 0x123456, 0, 0x34},
		{"deposit.8 #0x808, v1, v2", 0x111111, 0xabc, 0x11bc11},
		{"lea.4 #0xffffffffffffffff, %2, v1, v2", 1, 0x40000001, 4},
		{"lea.8 #0x10, %0, v1", 5, 0, 0x15},
		{"selectz.1 v1, v2, v1", 0x100, 7, 0x100},
		{"selectz.8 v1, v2, v1", 0x100, 7, 7},
	} {
		t.Run(c.op, func(t *testing.T) {
			m := newMachine(t)
			m.Env.Regs[0], m.Env.Regs[1] = c.a, c.b
			m.run("v1 = get.8 rax\nv2 = get.8 rcx\nv5 = " + c.op + "\nset.8 rax, v5" + tail)
			if m.Env.Regs[0] != c.want {
				t.Errorf("got %#x, want %#x", m.Env.Regs[0], c.want)
			}
		})
	}
}

// TestConditions checks every condition on every kind of lazy flags against the flags image, with random operands of all sizes.
func TestConditions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	val := func() uint64 {
		return []uint64{r.Uint64(), r.Uint64() & 0xff, ^uint64(0), 0, 1 << (8<<r.IntN(4) - 1), 1<<(8<<r.IntN(4)-1) - 1}[r.IntN(6)]
	}
	for range 20000 {
		f := flags{ir.PackCC(ir.CC(r.IntN(int(ir.NumCC))), 1<<r.IntN(4)), val(), val()}
		if k := ir.CC(f.op >> 2); k == ir.CCImage || k == ir.CCInc || k == ir.CCDec {
			f.s &= ir.FlagAll
		}
		img := ir.Image(f.op, f.d, f.s)
		if f.carry() != img&1 {
			t.Fatalf("carry of %+v is %d, image %#x", f, f.carry(), img)
		}
		for c := ir.CondO; c <= ir.CondG; c++ {
			if f.test(c) != c.Test(img) {
				t.Fatalf("condition %s of %+v is %v, image %#x", c, f, f.test(c), img)
			}
		}
	}
}

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		op          string
		lo, hi, d   uint64
		quo, rem    uint64
		divideError bool
	}{
		{"divu.1", 0x34, 0x02, 0x10, 0x23, 4, false},
		{"divu.1", 0, 0x10, 0x10, 0, 0, true},
		{"divu.8", 0, 1, 2, 1 << 63, 0, false},
		{"divu.8", 0, 2, 2, 0, 0, true},
		{"divu.4", 1, 0, 0, 0, 0, true},
		{"divs.4", 0xfffffff9, 0xffffffff, 2, 0xfffffffd, 0xffffffff, false},
		{"divs.8", ^uint64(6), ^uint64(0), 2, ^uint64(2), ^uint64(0), false},
		{"divs.8", 0, ^uint64(0), ^uint64(0), 0, 0, true},
		{"divs.8", 1 << 63, ^uint64(0), 1, 1 << 63, 0, false},
		{"divs.8", 1 << 63, ^uint64(0), ^uint64(0), 0, 0, true},
		{"divs.4", 0x80000000, 0xffffffff, 0xffffffff, 0, 0, true},
		{"divs.1", 0x80, 0xff, 1, 0x80, 0, false},
		{"divs.2", 7, 0, 0xfffe, 0xfffd, 1, false},
	} {
		t.Run(fmt.Sprintf("%s %x:%x %x", c.op, c.hi, c.lo, c.d), func(t *testing.T) {
			m := newMachine(t)
			m.Env.Regs[0], m.Env.Regs[1], m.Env.Regs[2] = c.lo, c.hi, c.d
			leave := m.run("insn.2 #0x1000\nv1 = get.8 rax\nv2 = get.8 rcx\nv3 = get.8 rdx\nv4, v5 = " + c.op + " v1, v2, v3\nset.8 rax, v4\nset.8 rdx, v5" + tail)
			if c.divideError {
				if leave != tcg.LeaveDivide || m.Env.PC != 0x1000 || m.Env.Regs[0] != c.lo {
					t.Errorf("left by %d at %#x with %#x, want a division error", leave, m.Env.PC, m.Env.Regs[0])
				}
			} else if leave != tcg.LeaveDirect || m.Env.Regs[0] != c.quo || m.Env.Regs[2] != c.rem {
				t.Errorf("left by %d with %#x, %#x, want %#x, %#x", leave, m.Env.Regs[0], m.Env.Regs[2], c.quo, c.rem)
			}
		})
	}
}

// TestMemory makes accesses on the fast path, the slow path, across pages, to a device and to nowhere.
func TestMemory(t *testing.T) {
	m := newMachine(t)
	for i := range m.RAM {
		m.RAM[i] = byte(i * 7)
	}
	const body = "insn.3 #0x1000\nv1 = get.8 rax\nv2 = ld.%[1]d #0x8, m0, v1\nv3 = get.8 rcx\nv4 = add.%[1]d v2, v3\nst.%[1]d #0x8, m0, v1, v4\nset.8 rdx, v2" + tail
	for _, c := range []struct {
		addr uint64
		size uint8
		slow int
	}{{ramBase, 1, 0}, {ramBase + 3, 8, 0}, {ramBase + 0xffc, 4, 0}, {ramBase + 0xffd, 4, 2}, {ramBase + 0x1800, 2, 2}} {
		m.Env.Regs[0], m.Env.Regs[1], m.Slow = c.addr-8, 0x0101010101010101, 0
		want := byte(m.RAM[c.addr-ramBase])
		if leave := m.run(fmt.Sprintf(body, c.size)); leave != tcg.LeaveDirect || byte(m.Env.Regs[2]) != want || m.RAM[c.addr-ramBase] != want+1 || m.Slow != c.slow {
			t.Errorf("%#x: left by %d, loaded %#x (want %#x), stored %#x, %d slow accesses (want %d)",
				c.addr, leave, m.Env.Regs[2], want, m.RAM[c.addr-ramBase], m.Slow, c.slow)
		}
	}
	m.Env.Regs[0], m.Env.Regs[2] = 0x500000, 77
	if leave := m.run(fmt.Sprintf(body, 4)); leave != tcg.LeaveFault || m.Env.PC != 0x1000 || m.Env.Regs[2] != 77 {
		t.Errorf("access to nowhere left by %d at %#x, rdx %d", leave, m.Env.PC, m.Env.Regs[2])
	}
	m.Env.Regs[0], m.DeviceReg = ramBase+ramSize-8, 5
	if leave := m.run(fmt.Sprintf(body, 4)); leave != tcg.LeaveReason || m.DeviceReg != 0x01010106 {
		t.Errorf("device access left by %d, device has %#x", leave, m.DeviceReg)
	}
	m.Env.Regs[0] = ramBase + 1
	if leave := m.run("v1 = get.8 rax\nv2 = ld.4 #0, m0a4, v1" + tail); leave != tcg.LeaveFault {
		t.Errorf("misaligned access left by %d", leave)
	}
	m.RAM[0] = 0x80
	m.Env.Regs[0] = ramBase
	m.run("v1 = get.8 rax\nv2 = ld.1 #0, m0s, v1\nset.8 rcx, v2" + tail)
	if m.Env.Regs[1] != ^uint64(0x7f) {
		t.Errorf("sign-extending load gives %#x", m.Env.Regs[1])
	}
}

// TestAtomics makes every atomic operation of every size at every offset near the end of the page, against the same sequence by bytes.
func TestAtomics(t *testing.T) {
	m := newMachine(t)
	for _, size := range []uint8{1, 2, 4, 8} {
		for off := uint64(0xff0); off < 0x1010; off++ {
			for k := ir.AtomicXchg; k <= ir.AtomicXor; k++ {
				for i := range m.RAM {
					m.RAM[i] = byte(i*5 + 1)
				}
				op := ir.MemOp{Size: size}
				before, _ := m.Load(ramBase+off, op)
				m.Env.Regs[0], m.Env.Regs[1] = ramBase+off, 0xfedcba9876543210
				m.run(fmt.Sprintf("v1 = get.8 rax\nv2 = get.8 rcx\nv3 = atomic.%d #0, %%%d, m0, v1, v2\nset.8 rdx, v3", size, k) + tail)
				after, _ := m.Load(ramBase+off, op)
				if want := tcgtest.Apply(k, before, 0xfedcba9876543210) & ir.SizeMask(size); m.Env.Regs[2] != before || after != want {
					t.Fatalf("size %d at %#x kind %d: old %#x (want %#x), new %#x (want %#x)", size, off, k, m.Env.Regs[2], before, after, want)
				}
			}
			old, _ := m.Load(ramBase+off, ir.MemOp{Size: size})
			for _, expect := range []uint64{old, old + 1} {
				m.Env.Regs[0], m.Env.Regs[1] = ramBase+off, expect
				m.run(fmt.Sprintf("v1 = get.8 rax\nv2 = get.8 rcx\nv4 = const.8 #0x1122334455667788\nv3 = cmpxchg.%d #0, m0, v1, v2, v4\nset.8 rdx, v3", size) + tail)
				want := old
				if expect == old {
					want = 0x1122334455667788 & ir.SizeMask(size)
				}
				if after, _ := m.Load(ramBase+off, ir.MemOp{Size: size}); after != want || m.Env.Regs[2] != old {
					t.Fatalf("cmpxchg size %d at %#x: old %#x (want %#x), new %#x (want %#x)", size, off, m.Env.Regs[2], old, after, want)
				}
				old, _ = m.Load(ramBase+off, ir.MemOp{Size: size})
			}
		}
	}
}

// TestAtomicsConcurrent adds from two CPUs to neighbouring halves of one word.
func TestAtomicsConcurrent(t *testing.T) {
	a := newMachine(t)
	var wg sync.WaitGroup
	code := [2]tcg.Code{}
	for i := range code {
		code[i] = a.compile(fmt.Sprintf("v1 = get.8 rax\nv2 = const.8 #1\nv3 = atomic.2 #%#x, %%1, m0, v1, v2", i*2)+tail, uint64(i))
	}
	b := newMachine(t)
	b.ShareMemory(a.Machine)
	a.Env.Regs[0], b.Env.Regs[0] = ramBase+0x10, ramBase+0x10
	const n = 20000
	for i, cpu := range []*machine{a, b} {
		wg.Go(func() {
			for range n {
				a.eng.Run(cpu, code[i])
			}
		})
	}
	wg.Wait()
	if v, _ := a.Load(ramBase+0x10, ir.MemOp{Size: 4}); v != n<<16|n {
		t.Errorf("got %#x, want %#x", v, n<<16|n)
	}
}

// TestHelper checks state at a helper and its three ways to go on.
func TestHelper(t *testing.T) {
	m := newMachine(t)
	var act tcg.Action
	m.OnHelper = func(id uint32, a, b, c uint64) (uint64, tcg.Action) {
		if id != 9 || a != 1 || b != 0 || c != 3 || m.Env.PC != 0x1003 || m.Env.Regs[0] != 3 {
			t.Errorf("helper %d(%d, %d, %d) at %#x, rax %d", id, a, b, c, m.Env.PC, m.Env.Regs[0])
		}
		m.Env.ExitInfo = 42
		return 100, act
	}
	const text = "insn.3 #0x1000\nv1 = const.8 #1\nv3 = const.8 #3\nset.8 rax, v3\ninsn.2 #0x1003\nv4 = call.8 #9, v1, _, v3\nset.8 rcx, v4" + tail
	for _, c := range []struct {
		act   tcg.Action
		leave tcg.Leave
		rcx   uint64
	}{{tcg.Continue, tcg.LeaveDirect, 100}, {tcg.Fault, tcg.LeaveFault, 5}, {tcg.Stop, tcg.LeaveReason, 5}} {
		act, m.Env.Regs[1] = c.act, 5
		if leave := m.run(text); leave != c.leave || m.Env.Regs[1] != c.rcx {
			t.Errorf("action %d: left by %d, rcx %d", c.act, leave, m.Env.Regs[1])
		}
	}
}

// TestChaining follows a counting loop of two linked blocks, then one that goes through the jump cache, and polls.
func TestChaining(t *testing.T) {
	m := newMachine(t)
	a := m.compile("v1 = get.8 rax\nv2 = const.8 #1\nv3 = add.8 v1, v2\nset.8 rax, v3\ngoto ->0\nexit 0 direct 0x2000", 7)
	b := m.compile("v1 = get.8 rax\nv2 = const.8 #1000\nf3 = getflags\n_, f4 = sub.8 v1, v2\nexitif e, ->0, f4\ngoto ->1\nexit 0 reason 3 0x3000\nexit 1 direct 0x1000", 8)
	if l := m.eng.Run(m, a); l != tcg.LeaveDirect || m.Env.ExitTB != 7 || m.Env.ExitSlot != 0 || m.Env.PC != 0x2000 {
		t.Fatalf("left by %d from block %d", l, m.Env.ExitTB)
	}
	m.eng.Link(a, 0, b, false)
	m.eng.Link(b, 1, a, false)
	if l := m.eng.Run(m, a); l != tcg.LeaveReason || m.Env.ExitInfo != 3 || m.Env.PC != 0x3000 || m.Env.Regs[0] != 1000 {
		t.Fatalf("left by %d at %#x with %d", l, m.Env.PC, m.Env.Regs[0])
	}
	m.Env.ExitReq = 1
	if l := m.eng.Run(m, a); l != tcg.LeavePoll || m.Env.PC != 0x2000 {
		t.Errorf("left by %d at %#x, want a poll", l, m.Env.PC)
	}
	m.Env.ExitReq, m.Env.Regs[0] = 0, 0
	m.eng.Unlink(b, 1)
	if l := m.eng.Run(m, a); l != tcg.LeaveDirect || m.Env.ExitTB != 8 || m.Env.ExitSlot != 1 {
		t.Errorf("after Unlink left by %d from %d", l, m.Env.ExitTB)
	}
	m.eng.Link(b, 1, a, true)
	if l := m.eng.Run(m, a); l != tcg.LeaveLookup || m.Env.PC != 0x1000 {
		t.Errorf("across pages left by %d at %#x", l, m.Env.PC)
	}
	m.Jumps[ir.JumpIndex(0x1000)] = ir.JumpEntry{PC: 0x1000, Code: m.eng.JumpTarget(a)}
	if l := m.eng.Run(m, a); l != tcg.LeaveReason || m.Env.Regs[0] != 1000 {
		t.Errorf("through the jump cache left by %d with %d", l, m.Env.Regs[0])
	}
	j := m.compile("v1 = get.8 rcx\njump.8 v1", 9)
	m.Env.Regs[0], m.Env.Regs[1] = 990, 0x1000
	if l := m.eng.Run(m, j); l != tcg.LeaveReason || m.Env.Regs[0] != 1000 {
		t.Errorf("indirect jump left by %d with %d", l, m.Env.Regs[0])
	}
}

// TestPoison checks that unspecified bits are scribbled over, and only they.
func TestPoison(t *testing.T) {
	m := newMachine(t)
	m.eng.PoisonUpperBits()
	m.run("v1 = const.8 #0x1ff\nv2, _ = add.1 v1, v1\nset.8 rax, v2\nv3, _ = add.4 v1, v1\nset.8 rcx, v3\nv4 = ext.1 v1\nset.8 rdx, v4" + tail)
	if m.Env.Regs[0] != 0xdeadbeefdeadbefe || m.Env.Regs[1] != 0x3fe || m.Env.Regs[2] != 0xff {
		t.Errorf("got %#x", m.Env.Regs[:3])
	}
}

// TestHandlersComplete checks that every operation of every size that the table of operations allows has a handler.
func TestHandlersComplete(t *testing.T) {
	for op := ir.OpInvalid + 1; op < ir.OpEnd; op++ {
		if op == ir.OpInsn || op == ir.OpConst || op == ir.OpVec || op == ir.OpX87 {
			continue
		}
		info := op.Info()
		for _, size := range []uint8{1, 2, 4, 8} {
			if info.Sizes != 0 && info.Sizes&size == 0 {
				continue
			}
			for _, in := range []ir.Inst{{Dst: 1}, {FOut: 2}, {Dst: 1, FOut: 2}} {
				in.Op, in.Size = op, size
				if pick(&in) == nil {
					t.Errorf("%s of size %d (Dst %d, FOut %d) has no handler", op, size, in.Dst, in.FOut)
				}
			}
		}
	}
}

// TestManyConstants uses more constants than there are slots.
func TestManyConstants(t *testing.T) {
	m := newMachine(t)
	for i := range maxConsts {
		if _, ok := m.eng.constSlot(uint64(i)); !ok {
			t.Fatalf("constant %d has no slot", i)
		}
	}
	m.run("v1 = const.8 #0xffffffffffff\nv2 = const.8 #7\nset.8 rax, v1\nset.8 rcx, v2" + tail)
	if m.Env.Regs[0] != 0xffffffffffff || m.Env.Regs[1] != 7 {
		t.Errorf("got %#x", m.Env.Regs[:2])
	}
}

// BenchmarkLoop is a counting loop with a load and a store; it reports IR instructions per second.
func BenchmarkLoop(b *testing.B) {
	m := newMachine(b)
	const text = "insn.3 #0x1000\nv1 = get.8 rax\nv2 = get.8 rdx\nv3 = ld.8 #0, m0, v2\nv4, f5 = add.8 v3, v1\nst.8 #8, m0, v2, v4\nsetflags f5\n" +
		"v6 = const.8 #1\nv7, f8 = sub.8 v1, v6\nset.8 rax, v7\nsetflags f8\nexitif ne, ->0, f8\ngoto ->1\nexit 0 direct 0x1000\nexit 1 reason 1 0x2000"
	c := m.compile(text, 1)
	m.eng.Link(c, 0, c, false)
	m.Env.Regs[2] = ramBase
	for b.Loop() {
		m.Env.Regs[0] = 100000
		m.eng.Run(m, c)
	}
	b.ReportMetric(100000*10/(float64(b.Elapsed().Nanoseconds())/float64(b.N))*1000, "MIR/s")
}
