// Package acceltest is a small machine for tests of accelerators, and the programs that it runs (tests/tcg): RAM, a debug console at port
// 0xe9, isa-debug-exit at port 0xf4.
package acceltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"goemu/accel"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/testprog"
)

// RAM is the size of the machine's memory, Entry where a program is loaded and begins.
const (
	RAM   = 16 << 20
	Entry = 0x7c00
)

// Machine implements accel.Machine.
type Machine struct {
	AS   *memory.AddressSpace
	Root *memory.Region
	Exit chan int // the status that the guest has ended with; negative: what it was asked for

	mu  sync.Mutex
	out []byte
	why string
}

// New makes a machine with image at Entry.
func New(t testing.TB, image []byte) *Machine {
	t.Helper()
	root := memory.NewContainer("system", memory.Whole)
	ram, err := memory.NewRAM("ram", RAM)
	if err != nil {
		t.Fatal(err)
	}
	mainloop.Lock.Lock()
	root.Add(ram, 0, 0)
	mainloop.Lock.Unlock()
	copy(ram.RAM().Bytes()[Entry:], image)
	return &Machine{AS: memory.NewAddressSpace("memory", root), Root: root, Exit: make(chan int, 1)}
}

// Free gives the memory back; no accelerator may use it any more.
func (m *Machine) Free(t testing.TB) {
	t.Helper()
	ram := m.AS.View().Find(0).RAM
	m.AS.Close()
	if err := ram.Free(); err != nil {
		t.Error(err)
	}
}

// ReadIO implements accel.Bus.
func (m *Machine) ReadIO(_ accel.Registers, port uint16, size int) uint32 {
	if port == 0xe9 {
		return 0xe9
	}
	return 1<<(8*size) - 1
}

// WriteIO implements accel.Bus.
func (m *Machine) WriteIO(_ accel.Registers, port uint16, _ int, v uint32) {
	switch port {
	case 0xe9:
		m.mu.Lock()
		m.out = append(m.out, byte(v))
		m.mu.Unlock()
	case 0xf4:
		m.finish(int(v)<<1 | 1)
	}
}

func (m *Machine) finish(code int) {
	select {
	case m.Exit <- code:
	default:
	}
}

// Stopping implements accel.Machine.
func (m *Machine) Stopping() bool { return false }

// Request implements accel.Machine.
func (m *Machine) Request(why accel.Shutdown, text string) {
	m.mu.Lock()
	m.why = text
	m.mu.Unlock()
	m.finish(-1 - int(why))
}

// Output is what the guest has printed.
func (m *Machine) Output() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out
}

// Why is what the accelerator said with its last request.
func (m *Machine) Why() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.why
}

// Assemble runs nasm on a program. dir is where tests/tcg lies.
func Assemble(t testing.TB, dir, file string, defs ...string) []byte {
	t.Helper()
	nasm := testprog.Need(t, "nasm")
	out := filepath.Join(t.TempDir(), "guest.bin")
	args := append([]string{"-f", "bin", "-I", dir + "/", "-o", out}, defs...)
	if msg, err := exec.Command(nasm, append(args, filepath.Join(dir, file))...).CombinedOutput(); err != nil {
		t.Fatalf("nasm: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// QEMU runs the program as a boot sector under QEMU with an accelerator and returns what it prints.
func QEMU(t testing.TB, acc, model string, image []byte) []byte {
	t.Helper()
	qemu := testprog.QEMU(t)
	dir := t.TempDir()
	disk, con := filepath.Join(dir, "disk"), filepath.Join(dir, "con")
	padded := make([]byte, (len(image)+511)&^511)
	copy(padded, image)
	if err := os.WriteFile(disk, padded, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("timeout", "30", qemu, "-accel", acc, "-cpu", model, "-m", "16", "-drive", "file="+disk+",format=raw", "-display", "none",
		"-debugcon", "file:"+con, "-device", "isa-debug-exit,iobase=0xf4", "-net", "none")
	_ = cmd.Run() // the exit status is the guest's
	b, err := os.ReadFile(con)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
