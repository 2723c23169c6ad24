package amd64

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"goemu/tcg"
	"goemu/tcg/interp"
	"goemu/tcg/ir"
	"goemu/tcg/ir/irgen"
	"goemu/tcg/opt"
	"goemu/tcg/tcgtest"
)

const baseGlobal = 3

// newEngine makes an engine or skips the test.
func newEngine(t testing.TB) *Engine {
	t.Helper()
	if !Supported {
		t.Skip("SKIP: generated code cannot run on this host")
	}
	e, err := New(tcgtest.Globals, Options{CacheSize: 4 << 20})
	if err != nil {
		t.Skip("SKIP: ", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// outcome is what can be seen of a run.
type outcome struct {
	leave  tcg.Leave
	regs   [16]uint64
	flags  uint64
	pc     uint64
	reason uint32
	memory [tcgtest.RAMSize]byte
	calls  int
}

// runOn runs a block from a state that seed determines.
func runOn(t testing.TB, e tcg.Engine, m *tcgtest.Machine, b *ir.Block, seed uint64) (o outcome, err error) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range m.Env.Regs {
		m.Env.Regs[i] = r.Uint64() >> (r.UintN(8) * 8)
	}
	m.Env.Regs[baseGlobal] = tcgtest.RAMBase + 1<<ir.PageBits
	if seed&4 != 0 { // wholly in the page that the TLB knows
		m.Env.Regs[baseGlobal] -= 1 << ir.PageBits / 2
	}
	for i := range m.RAM {
		m.RAM[i] = byte(r.Uint32())
	}
	m.SetFlags(r.Uint64() & ir.FlagAll)
	if k := r.UintN(uint(ir.NumCC)); k != 0 {
		m.Env.CCOp, m.Env.CCDst, m.Env.CCSrc = ir.PackCC(ir.CC(k), 1<<r.UintN(4)), r.Uint64(), r.Uint64()
	}
	m.OnHelper = func(id uint32, x, y, _ uint64) (uint64, tcg.Action) {
		o.calls++
		for i := range m.Env.Regs {
			if i != baseGlobal {
				m.Env.Regs[i] += uint64(id)*3 + x
			}
		}
		if id == 2 {
			m.SetFlags(y & ir.FlagAll)
		}
		return x ^ y, tcg.Continue
	}
	e.Flush()
	c, err := e.Compile(b, 1)
	if err != nil {
		return o, err
	}
	o.leave = e.Run(m, c)
	o.regs, o.flags, o.pc, o.reason = m.Env.Regs, m.Flags(), m.Env.PC, 0
	if o.leave == tcg.LeaveReason {
		o.reason = m.Env.ExitInfo
	}
	if o.leave == tcg.LeaveLookup { // how exits to other pages come out here
		o.leave = tcg.LeaveDirect
	}
	copy(o.memory[:], m.RAM)
	return o, nil
}

// disassemble shows code with objdump if there is one.
func disassemble(t testing.TB, code []byte) string {
	tool, err := exec.LookPath("ndisasm")
	if err != nil {
		return hex.Dump(code)
	}
	f := filepath.Join(t.TempDir(), "code")
	if os.WriteFile(f, code, 0o600) != nil {
		return ""
	}
	out, _ := exec.Command(tool, "-b64", f).CombinedOutput()
	return string(out)
}

// foundSeeds are seeds beyond the usual range whose blocks once failed.
var foundSeeds = [...]uint64{
	264206, // the slot of an operand freed with the pending flags it served
	26508,  // flags made from RCX while it held a shift count
}

// TestRandomBlocks compares generated code with the interpreter on random blocks, plain and optimised.
func TestRandomBlocks(t *testing.T) {
	e := newEngine(t)
	x := interp.New(tcgtest.Globals)
	mj, mi := tcgtest.New(), tcgtest.New()
	o := opt.New(tcgtest.Globals)
	var code []byte
	e.Dump = func(_ *ir.Block, _ uintptr, c []byte) { code = append(code[:0], c...) }
	n := uint64(4000)
	if testing.Short() {
		n = 1000
	}
	for i := range n + uint64(len(foundSeeds)) {
		seed := i
		if i >= n {
			seed = foundSeeds[i-n]
		}
		cfg := irgen.Config{Globals: tcgtest.Globals, Insns: 1 + int(seed%24), Base: baseGlobal, MemSize: 1 << ir.PageBits, Helpers: uint32(seed % 4), Defined: true}
		if seed&2 != 0 { // accesses that share a check
			cfg.MemSize = 64
		}
		b := irgen.Block(rand.New(rand.NewPCG(seed, 0)), cfg)
		b.Hot = seed&64 != 0
		if seed%3 == 2 {
			o.Run(b)
		}
		want, err := runOn(t, x, mi, b, seed)
		if err != nil {
			t.Fatal(err)
		}
		e.comp.always = seed%16 == 5
		got, err := runOn(t, e, mj, b, seed)
		if err != nil {
			t.Fatalf("seed %d: %v in:\n%s", seed, err, ir.Text(b, tcgtest.Globals))
		}
		if want.leave == tcg.LeaveFault && seed%3 == 2 { // flags that the optimiser knows to be dead may be stale at a fault
			got.flags = want.flags
		}
		if got == want || got.pc == ^uint64(0) && got.leave == tcg.LeaveDirect { // empty entries of the jump cache match all ones
			continue
		}
		if !bytes.Equal(got.memory[:], want.memory[:]) {
			t.Errorf("memory differs")
		}
		for i := range got.regs {
			if got.regs[i] != want.regs[i] {
				t.Errorf("%s: got %#x, want %#x", tcgtest.Globals[i].Name, got.regs[i], want.regs[i])
			}
		}
		t.Fatalf("seed %d: leave %d, flags %#x, pc %#x, reason %d, calls %d; want %d, %#x, %#x, %d, %d in:\n%s\n%s", seed,
			got.leave, got.flags, got.pc, got.reason, got.calls, want.leave, want.flags, want.pc, want.reason, want.calls,
			ir.Text(b, tcgtest.Globals), disassemble(t, code))
	}
}
