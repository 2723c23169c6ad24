package tcg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"goemu/accel/acceltest"
	"goemu/target/x86"
	eng "goemu/tcg"
	"goemu/tcg/backend/amd64"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
	"goemu/tcg/ir"
)

// newTestMachine loads image and makes CPUs that start there in real mode.
func newTestMachine(t testing.TB, model string, image []byte, cpus int, e eng.Engine) (*acceltest.Machine, *Accel) {
	t.Helper()
	m := acceltest.New(t, image)
	cfg, _ := x86.NewConfig(x86.FindModel(model), &x86.TCGFeatures)
	a, err := New(Options{Engine: e, Config: cfg, Memory: m.AS, Machine: m})
	if err != nil {
		t.Fatal(err)
	}
	for i := range cpus {
		c, err := a.NewCPU(i, uint32(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		env := c.Env()
		env.Seg[x86.CS].Selector, env.Seg[x86.CS].Base, env.PC = 0, 0, acceltest.Entry
		env.UpdateHFlags()
		c.waitSIPI = false
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, a
}

// assemble runs nasm on a file of tests/tcg.
func assemble(t testing.TB, file string, defs ...string) []byte {
	t.Helper()
	return acceltest.Assemble(t, "../../tests/tcg", file, defs...)
}

// runGuest runs a guest program to its end.
func runGuest(t testing.TB, model string, image []byte, e eng.Engine) (out []byte, code int) {
	t.Helper()
	m, a := newTestMachine(t, model, image, 1, e)
	a.Start()
	select {
	case code = <-m.Exit:
	case <-time.After(20 * time.Second):
		a.Pause()
		t.Fatalf("the guest does not end; output %q\n%s", m.Output(), a.CPUs()[0].Dump())
	}
	if code < 0 {
		t.Fatalf("the machine stops with %d: %s\noutput %q", code, m.Why(), m.Output())
	}
	return m.Output(), code
}

// qemuOutput runs the program under QEMU.
func qemuOutput(t testing.TB, model string, image []byte) []byte {
	t.Helper()
	return acceltest.QEMU(t, "tcg", model, image)
}

func TestGuestCPUID(t *testing.T) {
	image := assemble(t, "cpuid.asm")
	got, _ := runGuest(t, "qemu64", image, interp.New(front.Globals))
	want := qemuOutput(t, "qemu64", image)
	if len(got) != len(want) || len(got)%24 != 0 {
		t.Fatalf("%d bytes, QEMU %d", len(got), len(want))
	}
	for i := 0; i < len(got); i += 24 {
		g, w := got[i:i+24], want[i:i+24]
		if string(g) != string(w) {
			leaf := le.Uint32(g)
			t.Errorf("leaf %x.%d: % x, QEMU % x", leaf, le.Uint32(g[4:]), g[8:], w[8:])
		}
	}
}

// TestGuestPrograms runs programs whose output QEMU knows, on every engine.
func TestGuestPrograms(t *testing.T) {
	for _, name := range []string{"prot.asm", "long.asm", "legacy.asm", "amd.asm", "pks.asm"} {
		t.Run(name, func(t *testing.T) {
			image := assemble(t, name)
			want := qemuOutput(t, "max", image)
			for what, e := range testEngines(t) {
				if got, _ := runGuest(t, "max", image, e); string(got) != string(want) {
					t.Errorf("%s output:\n%s\nQEMU:\n%s", what, got, want)
				}
			}
		})
	}
}

// TestGuestWant runs programs on every engine whose output is recorded beside them, because QEMU does not do what the manuals say.
// To record: GOEMU_RECORD=1 go test ./accel/tcg -run TestGuestWant; read the difference.
func TestGuestWant(t *testing.T) {
	files, _ := filepath.Glob("../../tests/tcg/*.want")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".want")
		t.Run(name, func(t *testing.T) {
			image := assemble(t, name+".asm")
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for what, e := range testEngines(t) {
				got, _ := runGuest(t, "max", image, e)
				if os.Getenv("GOEMU_RECORD") != "" {
					if err := os.WriteFile(file, got, 0o600); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if string(got) != string(want) {
					t.Errorf("%s output:\n%s\nwant:\n%s", what, got, want)
				}
			}
		})
	}
}

// testEngines are the engines that this host has.
func testEngines(t testing.TB) map[string]eng.Engine {
	t.Helper()
	list := map[string]eng.Engine{"interp": interp.New(front.Globals)}
	soft := func(cpu eng.CPU, in *ir.Inst, args *[4]uint64) (ret, ret2, image uint64) {
		io := interp.VecIO{A: args[0], B: args[1], FIn: args[3]}
		interp.ExecVec(cpu.Header(), in, &io)
		return io.Dst, io.Dst2, io.FOut
	}
	fast := amd64.Options{Fast: FastHelper, FastIDs: FastHelpers, FastHost: FastHost, FastLookup: FastLookup}
	for what, o := range map[string]amd64.Options{"jit": {}, "fast": fast} {
		o.Vec, o.Soft, o.Bulk = x86.VecLayout, soft, &front.Bulk
		e, err := amd64.New(front.Globals, o)
		if err != nil {
			t.Log("only the interpreter is tested:", err)
			break
		}
		list[what] = e
	}
	return list
}

// TestGuestAtomics lets two CPUs count together with locked operations.
func TestGuestAtomics(t *testing.T) {
	image := assemble(t, "atomic.asm")
	const n = 2 * 2000
	want := []uint32{n, n, n, n, 0, n / 2, n}
	for what, e := range testEngines(t) {
		m, a := newTestMachine(t, "max", image, 2, e)
		a.Start()
		select {
		case <-m.Exit:
		case <-time.After(20 * time.Second):
			a.Pause()
			t.Fatalf("%s: the guest does not end\n%s%s", what, a.CPUs()[0].Dump(), a.CPUs()[1].Dump())
		}
		a.Pause()
		for i, w := range want {
			if got := le.Uint32(m.Output()[4*i:]); got != w {
				t.Errorf("%s: sum %d is %d, want %d", what, i, got, w)
			}
		}
	}
}

// TestOneInsn translates each instruction on its own, and changes that while the guest runs: its output stays the same.
func TestOneInsn(t *testing.T) {
	image := assemble(t, "prot.asm")
	want, _ := runGuest(t, "max", image, interp.New(front.Globals))
	for what, e := range testEngines(t) {
		m, a := newTestMachine(t, "max", image, 1, e)
		a.SetOneInsn(true)
		a.Start()
		for i := range 20 {
			a.SetOneInsn(i&1 != 0)
		}
		select {
		case <-m.Exit:
		case <-time.After(20 * time.Second):
			a.Pause()
			t.Fatalf("%s: the guest does not end\n%s", what, a.CPUs()[0].Dump())
		}
		if got := m.Output(); string(got) != string(want) {
			t.Errorf("%s output:\n%s\nwant:\n%s", what, got, want)
		}
	}
}
