package tcg

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"goemu/accel"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/target/x86"
	eng "goemu/tcg"
	"goemu/tcg/backend/amd64"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
	"goemu/tcg/ir"
)

// testMachine is RAM, a debug console at port 0xe9 and isa-debug-exit at port 0xf4.
type testMachine struct {
	as   *memory.AddressSpace
	mu   sync.Mutex
	out  []byte
	exit chan int
	why  string
}

func (m *testMachine) ReadIO(port uint16, size int) uint32 {
	if port == 0xe9 {
		return 0xe9
	}
	return 1<<(8*size) - 1
}

func (m *testMachine) WriteIO(port uint16, _ int, v uint32) {
	switch port {
	case 0xe9:
		m.mu.Lock()
		m.out = append(m.out, byte(v))
		m.mu.Unlock()
	case 0xf4:
		m.finish(int(v)<<1 | 1)
	}
}

func (m *testMachine) finish(code int) {
	select {
	case m.exit <- code:
	default:
	}
}

func (m *testMachine) Stopping() bool { return false }

func (m *testMachine) Request(why accel.Shutdown, text string) {
	m.why = text
	m.finish(-1 - int(why))
}

const testRAM = 16 << 20

// newTestMachine loads image at 0x7c00 and makes CPUs that start there in real mode.
func newTestMachine(t testing.TB, model string, image []byte, cpus int, e eng.Engine) (*testMachine, *Accel) {
	t.Helper()
	root := memory.NewContainer("system", memory.Whole)
	ram, err := memory.NewRAM("ram", testRAM)
	if err != nil {
		t.Fatal(err)
	}
	mainloop.Lock.Lock()
	root.Add(ram, 0, 0)
	mainloop.Lock.Unlock()
	m := &testMachine{as: memory.NewAddressSpace("memory", root), exit: make(chan int, 1)}
	copy(ram.RAM().Bytes()[0x7c00:], image)
	cfg, _ := x86.NewConfig(x86.FindModel(model), &x86.TCGFeatures)
	a, err := New(Options{Engine: e, Config: cfg, Memory: m.as, Machine: m})
	if err != nil {
		t.Fatal(err)
	}
	for i := range cpus {
		c, err := a.NewCPU(i, uint32(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		env := c.Env()
		env.Seg[x86.CS].Selector, env.Seg[x86.CS].Base, env.PC = 0, 0, 0x7c00
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
	nasm, err := exec.LookPath("nasm")
	if err != nil {
		t.Skip("nasm is not installed: guest programs are not tested")
	}
	out := filepath.Join(t.TempDir(), "guest.bin")
	args := append([]string{"-f", "bin", "-I", "../../tests/tcg/", "-o", out}, defs...)
	if msg, err := exec.Command(nasm, append(args, "../../tests/tcg/"+file)...).CombinedOutput(); err != nil {
		t.Fatalf("nasm: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// runGuest runs a guest program to its end.
func runGuest(t testing.TB, model string, image []byte, e eng.Engine) (out []byte, code int) {
	t.Helper()
	m, a := newTestMachine(t, model, image, 1, e)
	a.Start()
	select {
	case code = <-m.exit:
	case <-time.After(20 * time.Second):
		a.Pause()
		t.Fatalf("the guest does not end; output %q\n%s", m.out, a.CPUs()[0].Dump())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if code < 0 {
		t.Fatalf("the machine stops with %d: %s\noutput %q", code, m.why, m.out)
	}
	return m.out, code
}

// qemuOutput runs the program under QEMU.
func qemuOutput(t testing.TB, model string, image []byte) []byte {
	t.Helper()
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("qemu-system-x86_64 is not installed: no comparison")
	}
	dir := t.TempDir()
	disk, con := filepath.Join(dir, "disk"), filepath.Join(dir, "con")
	padded := make([]byte, (len(image)+511)&^511)
	copy(padded, image)
	if err := os.WriteFile(disk, padded, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("timeout", "30", qemu, "-accel", "tcg", "-cpu", model, "-m", "16", "-drive", "file="+disk+",format=raw", "-display", "none",
		"-debugcon", "file:"+con, "-device", "isa-debug-exit,iobase=0xf4", "-net", "none")
	_ = cmd.Run() // the exit status is the guest's
	b, err := os.ReadFile(con)
	if err != nil {
		t.Fatal(err)
	}
	return b
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
			if leaf == 0x80000001 || leaf == 0x8000000a { // SVM, which is not there
				continue
			}
			t.Errorf("leaf %x.%d: % x, QEMU % x", leaf, le.Uint32(g[4:]), g[8:], w[8:])
		}
	}
}

// TestGuestPrograms runs programs whose output QEMU knows, on every engine.
func TestGuestPrograms(t *testing.T) {
	for _, name := range []string{"prot.asm", "long.asm", "amd.asm", "pks.asm"} {
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
	if e, err := amd64.New(front.Globals, amd64.Options{Vec: x86.VecLayout, Soft: soft}); err == nil {
		list["jit"] = e
	} else {
		t.Log("only the interpreter is tested:", err)
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
		case <-m.exit:
		case <-time.After(20 * time.Second):
			a.Pause()
			t.Fatalf("%s: the guest does not end\n%s%s", what, a.CPUs()[0].Dump(), a.CPUs()[1].Dump())
		}
		a.Pause()
		for i, w := range want {
			if got := le.Uint32(m.out[4*i:]); got != w {
				t.Errorf("%s: sum %d is %d, want %d", what, i, got, w)
			}
		}
	}
}
