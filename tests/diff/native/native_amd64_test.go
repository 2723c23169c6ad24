//go:build amd64

package native

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/cpu"

	"goemu/target/x86"
	"goemu/tcg"
	"goemu/tcg/backend/amd64"
	frontend "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
	"goemu/tcg/opt"
)

const longMode = x86.HFPE | x86.HFCS32 | x86.HFSS32 | x86.HFCS64 | x86.HFLMA | 3 | x86.HFOSFXSR | x86.HFAVX | x86.HFOSXSAVE

// fixture is a host stub and a machine on the same memory.
type fixture struct {
	*testing.T
	h   *Host
	m   *Machine
	gen *Gen
}

func newFixture(t *testing.T, engine tcg.Engine) *fixture {
	t.Helper()
	if !cpu.X86.HasAVX2 || !cpu.X86.HasBMI2 {
		t.Skip("SKIPPED: the host CPU has no AVX2 or BMI2, so it cannot be the oracle")
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
	m.Env.HFlags = longMode
	return &fixture{t, h, m, NewGen(h, *seed)}
}

// generalRow tells whether a row is tested here: general registers, flags and memory only.
func generalRow(r *frontend.Row) bool { return !r.System && !r.Vector && !r.No64 }

// engines are the engines under test, with and without the optimiser.
var engines = []struct {
	name string
	opt  bool
	make func() (tcg.Engine, error)
}{
	{"interp", false, func() (tcg.Engine, error) {
		e := interp.New(frontend.Globals)
		e.PoisonUpperBits()
		return e, nil
	}},
	{"interp-opt", true, func() (tcg.Engine, error) { return interp.New(frontend.Globals), nil }},
	{"jit", false, func() (tcg.Engine, error) { return amd64.New(frontend.Globals, amd64.Options{Bulk: &frontend.Bulk}) }},
	{"jit-opt", true, func() (tcg.Engine, error) { return amd64.New(frontend.Globals, amd64.Options{Bulk: &frontend.Bulk}) }},
}

// TestGeneral executes every user-level integer row with every engine.
func TestGeneral(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			eng, err := e.make()
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			f := newFixture(t, eng)
			if e.opt {
				f.m.Passes = opt.New(frontend.Globals).Run
			}
			f.general()
		})
	}
}

func (f *fixture) general() {
	tries := 150
	if testing.Short() {
		tries = 60
	} else if *long {
		tries = 4000
	}
	rows := frontend.Rows()
	for i := range rows {
		r := &rows[i]
		if !generalRow(r) {
			continue
		}
		f.row(r, tries)
	}
}

// row runs random cases of one row.
func (f *fixture) row(r *frontend.Row, tries int) {
	done, bad := 0, 0
	c := &Case{Mem: make([]byte, WindowSize)}
	var skipped bool
	for n := 0; n < tries && bad < 3; n++ {
		var ok bool
		if c.Code, c.Info, ok = f.gen.Encode(r); !ok || !f.gen.Fill(c) {
			continue
		}
		if !c.Info.On(&hostFeatures) {
			skipped = true
			break
		}
		if !f.gen.Branch(c) || undefinedResult(c) {
			continue
		}
		res, diff := f.try(c)
		switch {
		case res == ran && diff != "":
			f.Errorf("row %d %s, % x: %s\n%s", r.ID, r.Name, c.Code, c.describe(), diff)
			bad++
		case res == ran:
			done++
		case res == needsHelper:
			skipped = true
		}
	}
	if done == 0 && bad == 0 && !skipped {
		f.Errorf("row %d %s (opcode % x %02x, reg %d): no case could be run", r.ID, r.Name, r.Prefix, r.Opcode, r.Reg)
	}
}

type result int

const (
	ran result = iota
	faulted
	needsHelper
)

// try runs a case on the machine and, if it did not fault there, on the host.
func (f *fixture) try(c *Case) (result, string) {
	copy(f.h.Window, c.Mem)
	f.m.SetState(&c.In)
	called := false
	f.m.OnHelper = func(uint32, uint64, uint64, uint64) (uint64, tcg.Action) { called = true; return 0, tcg.Fault }
	leave, err := f.m.Run(f.h.PC(), c.Code)
	if err != nil {
		return faulted, err.Error()
	}
	if called {
		return needsHelper, ""
	}
	if leave == tcg.LeaveFault || leave == tcg.LeaveDivide || leave == tcg.LeaveReason {
		return faulted, ""
	}
	var got State
	f.m.State(&got)
	mem := bytes.Clone(f.h.Window)
	copy(f.h.Window, c.Mem)
	saved := *f.h.In
	f.h.In.GPR, f.h.In.Flags = c.In.GPR, c.In.Flags
	if os.Getenv("NATIVE_TRACE") != "" {
		fmt.Fprintf(os.Stderr, "% x %s\n", c.Code, c.describe())
	}
	f.h.Run(c.Code)
	f.h.In.Saved = saved.Saved
	return ran, compare(c, &got, f.h.Out, mem, f.h.Window)
}

// compare describes the difference between the machine's and the host's state.
func compare(c *Case, got, want *State, gotMem, wantMem []byte) (s string) {
	for i := range got.GPR {
		if got.GPR[i] != want.GPR[i] {
			s += fmt.Sprintf("  %s = %#x, host %#x\n", frontend.Globals[i].Name, got.GPR[i], want.GPR[i])
		}
	}
	mask := (allFlags | 1<<10) &^ undefined(c)
	if (got.Flags^want.Flags)&mask != 0 {
		s += fmt.Sprintf("  flags = %#x, host %#x, compared %#x\n", got.Flags&mask, want.Flags&mask, mask)
	}
	if got.PC != want.PC {
		s += fmt.Sprintf("  pc = %#x, host %#x\n", got.PC, want.PC)
	}
	for i := range gotMem {
		if gotMem[i] != wantMem[i] {
			s += fmt.Sprintf("  memory at %#x = %#x, host %#x\n", i, gotMem[i], wantMem[i])
			break
		}
	}
	return s
}
