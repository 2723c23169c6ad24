package amd64

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"goemu/tcg"
	"goemu/tcg/ir"
	"goemu/tcg/tcgtest"
)

func parse(t testing.TB, text string) *ir.Block {
	t.Helper()
	b, err := ir.Parse("block 0x1000\n"+text, tcgtest.Globals)
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.Verify(b, len(tcgtest.Globals)); err != nil {
		t.Fatal(err)
	}
	return b
}

func compile(t testing.TB, e *Engine, b *ir.Block, id uint64) tcg.Code {
	t.Helper()
	c, err := e.Compile(b, id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// divideInts divides (hi:lo) by d as the representation says, on size bytes.
func divideInts(size uint8, signed bool, lo, hi, d uint64) (q, r uint64, ok bool) {
	n := uint(size) * 8
	num := new(big.Int).Lsh(new(big.Int).SetUint64(hi&ir.SizeMask(size)), n)
	num.Or(num, new(big.Int).SetUint64(lo&ir.SizeMask(size)))
	den := new(big.Int).SetUint64(d & ir.SizeMask(size))
	if den.Sign() == 0 {
		return 0, 0, false
	}
	low, high := new(big.Int), new(big.Int).Lsh(big.NewInt(1), n)
	if signed {
		wrap := func(x *big.Int, bits uint) {
			if x.Bit(int(bits-1)) != 0 {
				x.Sub(x, new(big.Int).Lsh(big.NewInt(1), bits))
			}
		}
		wrap(num, 2*n)
		wrap(den, n)
		high.Rsh(high, 1)
		low.Neg(high)
	}
	qb, rb := new(big.Int).QuoRem(num, den, new(big.Int))
	if qb.Cmp(low) < 0 || qb.Cmp(high) >= 0 {
		return 0, 0, false
	}
	trunc := func(x *big.Int) uint64 {
		return new(big.Int).And(x, new(big.Int).SetUint64(ir.SizeMask(size))).Uint64()
	}
	return trunc(qb), trunc(rb), true
}

// TestDivide checks divisions of all sizes against big integers, with operands in every kind of place.
func TestDivide(t *testing.T) {
	e := newEngine(t)
	m := tcgtest.New()
	r := rand.New(rand.NewPCG(1, 2))
	special := []uint64{0, 1, 2, ^uint64(0), 1 << 63, 1 << 31, 1 << 15, 1 << 7, 0x7f, 0x80, 0xffff, 0x7fffffff, 0xffffffff80000000}
	pick := func() uint64 {
		if r.IntN(2) == 0 {
			return special[r.IntN(len(special))]
		}
		return r.Uint64() >> r.IntN(64)
	}
	regs := [][5]int{{0, 2, 1, 0, 2}, {0, 2, 3, 0, 2}, {2, 0, 1, 2, 0}, {3, 1, 0, 1, 3}, {14, 15, 11, 14, 15}, {8, 9, 2, 0, 2}, {0, 0, 0, 10, 11}, {6, 6, 7, 2, 9}}
	for round := range 4000 {
		size := uint8(1) << r.IntN(4)
		signed := r.IntN(2) == 0
		g := regs[r.IntN(len(regs))]
		b := ir.NewBuilder(tcgtest.Globals)
		b.Reset(0x1000)
		b.Insn(0x1000, 2)
		op := ir.OpDivU
		if signed {
			op = ir.OpDivS
		}
		x, y, z := b.Get(ir.Global(g[0])), b.Get(ir.Global(g[1])), b.Get(ir.Global(g[2]))
		if r.IntN(3) == 0 { // operands in scratch registers
			x, y, z = b.Lea(8, x, ir.None, 0, 1), b.Lea(8, y, ir.None, 0, 0), b.Lea(8, z, ir.None, 0, 3)
			y = b.Op2(ir.OpXor, 8, y, b.Const(0x1234))
		}
		shifted := x != b.Get(ir.Global(g[0]))
		q, rem := b.Div(op, size, x, y, z)
		if size < 8 {
			q, rem = b.Ext(size, q), b.Ext(size, rem)
		}
		b.Set(ir.Global(g[3]), q)
		b.Set(ir.Global(g[4]), rem)
		b.GotoPC(0x1002)
		e.Flush()
		c := compile(t, e, b.Block(), 1)
		for i := range m.Env.Regs {
			m.Env.Regs[i] = pick()
		}
		if r.IntN(2) == 0 { // a quotient that fits
			m.Env.Regs[g[1]] = 0
			if signed && m.Env.Regs[g[0]]<<(64-size*8)>>63 != 0 {
				m.Env.Regs[g[1]] = ^uint64(0)
			}
		}
		before := m.Env.Regs
		vx, vy, vz := before[g[0]], before[g[1]], before[g[2]]
		if shifted {
			vx, vy, vz = vx+1, vy^0x1234, vz+3
		}
		want := before
		wq, wr, ok := divideInts(size, signed, vx, vy, vz)
		leave := tcg.LeaveDirect
		if !ok {
			leave = tcg.LeaveDivide
		} else {
			want[g[3]] = wq
			want[g[4]] = wr
		}
		if got := e.Run(m, c); got != leave || m.Env.Regs != want {
			t.Fatalf("round %d size %d signed %v %#x:%#x / %#x: leave %d, want %d\ngot  %#x\nwant %#x\n%s", round, size, signed, vy, vx, vz, got, leave, m.Env.Regs, want, ir.Text(b.Block(), tcgtest.Globals))
		}
		if !ok && m.Env.PC != 0x1000 {
			t.Fatalf("division error at %#x", m.Env.PC)
		}
	}
}

const loopText = "insn.3 #0x1000\nv1 = get.8 rax\nv2 = const.8 #1\nv3, f4 = add.8 v1, v2\nset.8 rax, v3\nsetflags f4\ngoto ->0\nexit 0 direct 0x1000"

// TestEndlessLoop runs chained endless loops on more CPUs than the host has while the garbage collector works, and kicks them out.
func TestEndlessLoop(t *testing.T) {
	e := newEngine(t)
	c := compile(t, e, parse(t, loopText), 1)
	e.Link(c, 0, c, false)
	n := runtime.NumCPU() + 1
	old := runtime.GOMAXPROCS(n + 2)
	defer runtime.GOMAXPROCS(old)
	done := make(chan tcg.Leave, n)
	var ms []*tcgtest.Machine
	for range n {
		m := tcgtest.New()
		ms = append(ms, m)
		go func() {
			runtime.LockOSThread()
			done <- e.Run(m, c)
		}()
	}
	for range 20 {
		runtime.GC()
		_ = make([]byte, 1<<16)
	}
	time.Sleep(20 * time.Millisecond)
	for _, m := range ms {
		atomic.StoreUint32(&m.Env.ExitReq, 1)
	}
	for range ms {
		select {
		case l := <-done:
			if l != tcg.LeavePoll {
				t.Errorf("left with %d", l)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a CPU does not leave")
		}
	}
	for i, m := range ms {
		if m.Env.PC != 0x1000 || m.Env.Regs[0] == 0 {
			t.Errorf("CPU %d: pc %#x, rax %d", i, m.Env.PC, m.Env.Regs[0])
		}
	}
}

// TestKick checks that no request to leave is lost, whenever it comes.
func TestKick(t *testing.T) {
	e := newEngine(t)
	c := compile(t, e, parse(t, loopText), 1)
	e.Link(c, 0, c, false)
	m := tcgtest.New()
	var stop atomic.Bool
	left := make(chan bool)
	go func() {
		runtime.LockOSThread()
		for !stop.Load() {
			e.Run(m, c)
			atomic.StoreUint32(&m.Env.ExitReq, 0)
			left <- true
		}
		close(left)
	}()
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		for range r.IntN(200) {
			runtime.Gosched()
		}
		atomic.StoreUint32(&m.Env.ExitReq, 1)
		select {
		case <-left:
		case <-time.After(10 * time.Second):
			t.Fatal("a kick was lost")
		}
	}
	stop.Store(true)
	atomic.StoreUint32(&m.Env.ExitReq, 1)
	for range left {
		atomic.StoreUint32(&m.Env.ExitReq, 1)
	}
}

// TestPatching links and unlinks an exit while another CPU jumps through it.
func TestPatching(t *testing.T) {
	e := newEngine(t)
	// Two blocks: a → b → a; b counts.
	a := compile(t, e, parse(t, "insn.3 #0x1000\ngoto ->0\nexit 0 direct 0x1100"), 1)
	bb, err := ir.Parse("block 0x1100\ninsn.3 #0x1100\nv1 = get.8 rax\nv2 = const.8 #1\nv3, _ = add.8 v1, v2\nset.8 rax, v3\ngoto ->0\nexit 0 direct 0x1000", tcgtest.Globals)
	if err != nil {
		t.Fatal(err)
	}
	b := compile(t, e, bb, 2)
	e.Link(b, 0, a, false)
	m := tcgtest.New()
	var stop atomic.Bool
	finished := make(chan bool)
	go func() {
		runtime.LockOSThread()
		code := a
		for !stop.Load() {
			switch l := e.Run(m, code); {
			case l == tcg.LeaveDirect && m.Env.ExitTB == 1 && m.Env.ExitSlot == 0 && m.Env.PC == 0x1100:
				code = b
			case l == tcg.LeavePoll && stop.Load():
			default:
				t.Errorf("leave %d of block %d slot %d to %#x", l, m.Env.ExitTB, m.Env.ExitSlot, m.Env.PC)
				stop.Store(true)
			}
		}
		finished <- true
	}()
	end := time.Now().Add(300 * time.Millisecond)
	for n := 0; time.Now().Before(end); n++ {
		e.Link(a, 0, b, false)
		e.Unlink(a, 0)
	}
	stop.Store(true)
	atomic.StoreUint32(&m.Env.ExitReq, 1)
	<-finished
	if m.Env.Regs[0] == 0 {
		t.Error("nothing was executed")
	}
}

// TestCacheFull checks that a full cache is reported and that Flush makes room.
func TestCacheFull(t *testing.T) {
	e := newEngine(t)
	b := parse(t, loopText)
	var err error
	for i := 0; err == nil && i < 1<<20; i++ {
		_, err = e.Compile(b, uint64(i)+1)
	}
	if _, ok := err.(tcg.ErrFull); !ok {
		t.Fatalf("got %v", err)
	}
	e.Flush()
	compile(t, e, b, 1)
	two := parse(t, twoExits)
	for left := 0; left < 512; left += 8 { // wherever the last block ends
		for _, b := range []*ir.Block{b, two} {
			e.cache.next = len(e.cache.rw) - left
			if _, err = e.Compile(b, 2); err != nil && !errors.Is(err, tcg.ErrFull{}) {
				t.Fatal(err)
			}
		}
	}
}

// twoExits is a counting loop with a load and a store.
const twoExits = "insn.3 #0x1000\nv1 = get.8 rax\nv2 = get.8 rdx\nv3 = ld.8 #0, m0, v2\nv4, f5 = add.8 v3, v1\nst.8 #8, m0, v2, v4\n" +
	"v6 = const.8 #1\nv7, f8 = sub.8 v1, v6\nset.8 rax, v7\nsetflags f8\nexitif ne, ->0, f8\ngoto ->1\nexit 0 direct 0x1000\nexit 1 reason 1 0x2000"

// BenchmarkLoop runs twoExits.
func BenchmarkLoop(b *testing.B) {
	e := newEngine(b)
	c := compile(b, e, parse(b, twoExits), 1)
	e.Link(c, 0, c, false)
	m := tcgtest.New()
	m.Env.Regs[2] = tcgtest.RAMBase
	for b.Loop() {
		m.Env.Regs[0] = 100000
		e.Run(m, c)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100000, "ns/iter")
}

// BenchmarkExit is a round trip through a helper.
func BenchmarkExit(b *testing.B) {
	e := newEngine(b)
	c := compile(b, e, parse(b, "insn.3 #0x1000\nv1 = call.8 #0\nset.8 rax, v1\ngoto ->0\nexit 0 reason 1 0x2000"), 1)
	m := tcgtest.New()
	m.OnHelper = func(uint32, uint64, uint64, uint64) (uint64, tcg.Action) { return 1, tcg.Continue }
	for b.Loop() {
		e.Run(m, c)
	}
}

// TestListing checks that a listing covers the code and shows descriptors as data.
func TestListing(t *testing.T) {
	e := newEngine(t)
	var text string
	e.Dump = func(b *ir.Block, entry uintptr, code []byte) {
		text = e.Listing(b, entry, code, func(c []byte, _ uint64) (string, int) {
			if c[0] == 0xe8 {
				return "call", 5
			}
			return "byte", 1
		})
	}
	compile(t, e, parse(t, "insn.3 #0x1000\nv1 = call.8 #7\nset.8 rax, v1\ngoto ->0\nexit 0 reason 5 0x2000"), 1)
	for _, want := range []string{"OUT: [size=", "-- guest addr 0x0000000000001000", ".leave helper 7, pc 0x1000", ".leave reason 5, pc 0x2000"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

// TestFastIsBare: what runs in the system-call state keeps clear of Go's runtime.
func TestFastIsBare(t *testing.T) { tcgtest.Bare(t, fastCall) }
