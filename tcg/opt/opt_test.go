package opt

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"goemu/tcg"
	"goemu/tcg/interp"
	"goemu/tcg/ir"
	"goemu/tcg/ir/irgen"
	"goemu/tcg/tcgtest"
)

const exits = "exit 0 direct 0x2000\nexit 1 direct 0x3000\n"

// TestGolden gives blocks before and after all passes (without the block line and the exits).
func TestGolden(t *testing.T) {
	for _, c := range []struct{ name, in, out string }{
		{"dead flags", `
			v1 = get.8 rax
			v2 = const.8 #0x5
			v3, f4 = add.4 v1, v2
			setflags f4
			v5, f6 = sub.4 v3, v2
			setflags f6
			set.8 rax, v5
			goto ->0`, `
			v1 = get.8 rax
			v2 = const.8 #0x5
			v3, _ = add.4 v1, v2
			v5, f6 = sub.4 v3, v2
			setflags f6
			set.8 rax, v5
			goto ->0`},
		{"flags live at an exit between", `
			v1 = get.8 rax
			f2 = neg.4 v1
			goto ->0`, `
			goto ->0`},
		{"compare loses its result, a dead one goes", `
			v1 = get.8 rax
			v2 = get.8 rcx
			v3, f4 = sub.8 v1, v2
			v5, f6 = sub.8 v2, v1
			exitif e, ->0, f4
			goto ->1`, `
			v1 = get.8 rax
			v2 = get.8 rcx
			_, f4 = sub.8 v1, v2
			exitif e, ->0, f4
			goto ->1`},
		{"inc without anybody for the carry", `
			v1 = get.8 rax
			f2 = getflags
			v3, f4 = inc.4 v1, f2
			set.8 rax, v3
			exitif e, ->0, f4
			v5 = get.8 rcx
			_, f6 = sub.4 v3, v5
			setflags f6
			goto ->1`, `
			v1 = get.8 rax
			v3, f4 = inc.4 v1
			set.8 rax, v3
			exitif e, ->0, f4
			v5 = get.8 rcx
			_, f6 = sub.4 v3, v5
			setflags f6
			goto ->1`},
		{"inc keeps the carry for the guest", `
			v1 = get.8 rax
			f2 = getflags
			v3, f4 = inc.4 v1, f2
			setflags f4
			goto ->0`, `
			v1 = get.8 rax
			f2 = getflags
			_, f4 = inc.4 v1, f2
			setflags f4
			goto ->0`},
		{"dead set of a global, not across a load", `
			v1 = get.8 rax
			set.8 rcx, v1
			v2 = ld.8 #0x0, m0, v1
			set.8 rcx, v2
			set.8 rdx, v1
			set.8 rdx, v2
			goto ->0`, `
			v1 = get.8 rax
			set.8 rcx, v1
			v2 = ld.8 #0x0, m0, v1
			set.8 rcx, v2
			set.8 rdx, v2
			goto ->0`},
		{"flags consumed behind what may fault are there at the fault", `
			v1 = get.8 rax
			_, f2 = sub.8 v1, v1
			setflags f2
			st.8 #0x0, m0, v1, v1
			v3 = setcond.8 e, f2
			set.8 rcx, v3
			_, f4 = and.8 v1, v1
			setflags f4
			goto ->0`, `
			v1 = get.8 rax
			_, f2 = sub.8 v1, v1
			setflags f2
			st.8 #0x0, m0, v1, v1
			v3 = setcond.8 e, f2
			set.8 rcx, v3
			_, f4 = and.8 v1, v1
			setflags f4
			goto ->0`},
		{"get after set", `
			v1 = get.8 rax
			set.8 rcx, v1
			v2 = get.8 rcx
			set.8 rdx, v2
			goto ->0`, `
			v1 = get.8 rax
			set.8 rcx, v1
			set.8 rdx, v1
			goto ->0`},
		{"get after a helper", `
			v1 = get.8 rax
			set.8 rcx, v1
			v2 = call.8 #0x3
			v3 = get.8 rcx
			set.8 rdx, v3
			goto ->0`, `
			v1 = get.8 rax
			set.8 rcx, v1
			_ = call.8 #0x3
			v3 = get.8 rcx
			set.8 rdx, v3
			goto ->0`},
		{"extensions", `
			v1 = get.8 rax
			v2 = ext.4 v1
			v3 = ld.1 #0x0, m0, v1
			v4 = ext.1 v3
			v5, _ = add.4 v2, v4
			v6 = ext.4 v5
			set.8 rax, v6
			goto ->0`, `
			v1 = get.8 rax
			v3 = ld.1 #0x0, m0, v1
			v5, _ = add.4 v1, v3
			set.8 rax, v5
			goto ->0`},
		{"byte of a merged register", `
			v1 = get.8 rax
			v2 = get.8 rcx
			v3 = deposit.8 #0x800, v1, v2
			set.8 rax, v3
			v4 = ext.1 v3
			set.8 rdx, v4
			goto ->0`, `
			v1 = get.8 rax
			v2 = get.8 rcx
			v3 = deposit.8 #0x800, v1, v2
			set.8 rax, v3
			v4 = ext.1 v2
			set.8 rdx, v4
			goto ->0`},
		{"addresses", `
			v1 = get.8 rax
			v2 = const.8 #0x10
			v3, _ = add.8 v1, v2
			v4 = lea.8 #0xfffffffffffffff8, %0, v3
			v5 = ld.8 #0x20, m0, v4
			set.8 rax, v5
			goto ->0`, `
			v1 = get.8 rax
			v5 = ld.8 #0x28, m0, v1
			set.8 rax, v5
			goto ->0`},
		{"constants", `
			v1 = const.8 #0xffffffff
			v2 = const.8 #0x2
			v3, _ = add.4 v1, v2
			v4 = shlx.8 v3, v2
			v5 = lea.8 #0x1, %3, v4, v2
			set.8 rax, v5
			exitz.1 ->0, v5
			exitnz.1 ->1, v5
			goto ->0`, `
			v5 = const.8 #0x15
			set.8 rax, v5
			goto ->1`},
		{"strength", `
			v1 = get.8 rax
			v2 = const.8 #0xff
			v3, _ = and.8 v2, v1
			set.8 rax, v3
			f4 = getflags
			v5, _ = shl.4 v1, v3, f4
			set.8 rcx, v5
			goto ->0`, `
			v1 = get.8 rax
			v3 = ext.1 v1
			set.8 rax, v3
			v5 = shlx.4 v1, v3
			set.8 rcx, v5
			goto ->0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := strings.ReplaceAll(c.in, "f2 = neg.4", "_, f2 = neg.4")
			b, err := ir.Parse("block 0x0\n"+in+"\n"+exits, tcgtest.Globals)
			if err != nil {
				t.Fatal(err)
			}
			verify(t, b)
			New(tcgtest.Globals).Run(b)
			verify(t, b)
			want := "block 0x0\n" + strings.TrimSpace(strings.ReplaceAll(c.out, "\t", "")) + "\n" + exits
			if got := ir.Text(b, tcgtest.Globals); strings.ReplaceAll(got, "_ = call", "call") != strings.ReplaceAll(want, "_ = call", "call") {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func verify(t *testing.T, b *ir.Block) {
	t.Helper()
	if err := ir.Verify(b, len(tcgtest.Globals)); err != nil {
		t.Fatalf("%v in:\n%s", err, ir.Text(b, tcgtest.Globals))
	}
}

// outcome is everything that can be seen of a run.
type outcome struct {
	leave  tcg.Leave
	regs   [16]uint64
	flags  uint64
	pc     uint64
	info   [2]uint64
	memory [tcgtest.RAMSize]byte
	calls  []uint64
}

const baseGlobal = 5

// runner executes blocks on one machine.
type runner struct {
	m *tcgtest.Machine
	e *interp.Engine
}

// run executes a block on the machine with contents from seed.
func (x *runner) run(t *testing.T, b *ir.Block, seed uint64) *outcome {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	m, e := x.m, x.e
	out := new(outcome)
	for i := range m.RAM {
		m.RAM[i] = byte(r.Uint32())
	}
	for i := range m.Env.Regs {
		m.Env.Regs[i] = []uint64{r.Uint64(), r.Uint64() & 0xff, ^uint64(0), 0}[r.IntN(4)]
	}
	m.Env.Regs[baseGlobal] = tcgtest.RAMBase + 1<<ir.PageBits
	m.SetFlags(r.Uint64() & ir.FlagAll)
	m.OnHelper = func(id uint32, a, b, c uint64) (uint64, tcg.Action) {
		out.calls = append(out.calls, uint64(id), a, b, c, m.Flags(), m.Env.PC, m.Env.Regs[0], m.Env.Regs[1])
		m.Env.Regs[2] += 7
		m.SetFlags(a & ir.FlagAll)
		return a ^ b<<1, tcg.Continue
	}
	m.Env.ExitInfo, m.Env.ExitSlot = 0, 0
	code, err := e.Compile(b, 1)
	if err != nil {
		t.Fatal(err)
	}
	out.leave = e.Run(m, code)
	out.regs, out.flags, out.pc, out.info = m.Env.Regs, m.Flags(), m.Env.PC, [2]uint64{uint64(m.Env.ExitInfo), uint64(m.Env.ExitSlot)}
	copy(out.memory[:], m.RAM)
	return out
}

// TestSameResults runs random blocks before and after the passes.
func TestSameResults(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 500
	}
	o := New(tcgtest.Globals)
	x := runner{tcgtest.New(), interp.New(tcgtest.Globals)}
	x.e.PoisonUpperBits()
	removed, total := 0, 0
	for seed := range uint64(n) {
		cfg := irgen.Config{Globals: tcgtest.Globals, Insns: 1 + int(seed%24), Base: baseGlobal, MemSize: 1 << ir.PageBits, Helpers: uint32(seed % 4)}
		b := irgen.Block(rand.New(rand.NewPCG(seed, 0)), cfg)
		verify(t, b)
		before := ir.Text(b, cfg.Globals)
		want := x.run(t, b, seed)
		size := len(b.Insts)
		o.Run(b)
		total, removed = total+size, removed+size-len(b.Insts)
		verify(t, b)
		got := x.run(t, b, seed)
		if got.leave != want.leave || got.regs != want.regs || got.flags != want.flags || got.pc != want.pc || got.info != want.info ||
			!bytes.Equal(got.memory[:], want.memory[:]) || len(got.calls) != len(want.calls) {
			t.Fatalf("seed %d: results differ\n%+x\n%+x\nbefore:\n%s\nafter:\n%s", seed, want.regs, got.regs, before, ir.Text(b, cfg.Globals))
		}
		for i := range got.calls {
			if got.calls[i] != want.calls[i] {
				t.Fatalf("seed %d: helper calls differ: %x, %x\nbefore:\n%s\nafter:\n%s", seed, want.calls, got.calls, before, ir.Text(b, cfg.Globals))
			}
		}
	}
	if removed*10 < total {
		t.Errorf("only %d of %d instructions were removed", removed, total)
	}
}

// TestDisable switches a pass off.
func TestDisable(t *testing.T) {
	o := New(tcgtest.Globals)
	var ran []string
	o.After = func(pass string, _ *ir.Block) { ran = append(ran, pass) }
	if o.Disable("nonsense") || !o.Disable("simplify") {
		t.Error("Disable does not tell whether the pass is there")
	}
	b, _ := ir.Parse("goto ->0\n"+exits, tcgtest.Globals)
	o.Run(b)
	if got := strings.Join(ran, " "); got != "liveness cleanup" {
		t.Errorf("ran %q", got)
	}
}

func BenchmarkOptimizer(b *testing.B) {
	blk := irgen.Block(rand.New(rand.NewPCG(1, 2)), irgen.Config{Globals: tcgtest.Globals, Insns: 20, Base: baseGlobal, MemSize: 64})
	work := *blk
	o := New(tcgtest.Globals)
	b.ReportAllocs()
	for b.Loop() {
		work.Insts = append(work.Insts[:0:0], blk.Insts...)
		work.Vals = append(work.Vals[:0:0], blk.Vals...)
		o.Run(&work)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20, "ns/insn")
}
