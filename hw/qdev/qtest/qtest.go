// Package qtest drives the chips of an installed QEMU through its qtest protocol, so that tests can hold the same conversation with
// QEMU's model of a device and with ours.
package qtest

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"goemu/internal/testprog"
)

// QEMU is a running QEMU whose CPUs do not execute.
type QEMU struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
}

// Start runs qemu-system-x86_64 with args until the test ends; the test is skipped where QEMU is missing.
func Start(t testing.TB, args ...string) *QEMU {
	t.Helper()
	return start(t, append([]string{"-S"}, args...))
}

// StartHurried is Start for a PC whose virtual clock runs as fast as it can, from timer to timer: firmware of one instruction stops the CPU.
func StartHurried(t testing.TB, args ...string) *QEMU {
	t.Helper()
	dir, err := os.MkdirTemp("", "qtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const size, resetAt = 64 << 10, 64<<10 - 16
	b, bios := make([]byte, size), filepath.Join(dir, "bios")
	copy(b[resetAt:], "\xfa\xf4\xeb\xfc") // cli; hlt; jmp to the beginning
	if err := os.WriteFile(bios, b, 0o600); err != nil {
		t.Fatal(err)
	}
	q := start(t, append([]string{"-bios", bios, "-icount", "shift=0,sleep=off"}, args...))
	const chip = 1<<3 | 3
	q.SetConfig(chip, 0x40, 4, pmPort|1)
	q.SetConfig(chip, 0x80, 1, 1)
	return q
}

// The power management timer of a PC: its port, frequency and width.
const (
	pmPort = 0xb000
	pmHz   = 3_579_545
	pmMask = 1<<24 - 1
)

// Pass waits until at least ns nanoseconds of the virtual clock have passed. Preconditions: StartHurried started q, and ns is at most a second.
func (q *QEMU) Pass(ns int64) {
	q.t.Helper()
	start := q.In(pmPort+8, 4)
	for int64((q.In(pmPort+8, 4)-start)&pmMask) <= ns*pmHz/1e9 {
	}
}

func start(t testing.TB, args []string) *QEMU {
	t.Helper()
	path := testprog.QEMU(t)
	args = append([]string{"-accel", "tcg", "-qtest", "stdio", "-qtest-log", "/dev/null", "-display", "none", "-monitor", "none"}, args...)
	cmd := exec.Command(path, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip("ORACLE MISSING: ", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &QEMU{t: t, in: in, out: bufio.NewReader(out)}
}

// Command sends one line and returns the words after OK. Interrupt reports in between are skipped.
func (q *QEMU) Command(format string, a ...any) []string {
	q.t.Helper()
	if _, err := fmt.Fprintf(q.in, format+"\n", a...); err != nil {
		q.t.Fatalf("qtest "+format+": %v", append(a, err)...)
	}
	for {
		line, err := q.out.ReadString('\n')
		if err != nil {
			q.t.Fatalf("qtest: %v", err)
		}
		f := strings.Fields(line)
		switch {
		case len(f) > 0 && f[0] == "IRQ":
			continue
		case len(f) == 0 || f[0] != "OK":
			q.t.Fatalf("qtest "+format+": %s", append(a, line)...)
		}
		return f[1:]
	}
}

func (q *QEMU) number(format string, a ...any) uint64 {
	q.t.Helper()
	f := q.Command(format, a...)
	if len(f) != 1 {
		q.t.Fatalf("qtest "+format+": %v", append(a, f)...)
	}
	v, err := strconv.ParseUint(f[0], 0, 64)
	if err != nil {
		q.t.Fatal(err)
	}
	return v
}

var (
	portSuffix = map[int]string{1: "b", 2: "w", 4: "l"}
	memSuffix  = map[int]string{1: "b", 2: "w", 4: "l", 8: "q"}
)

// In reads an I/O port.
func (q *QEMU) In(port uint16, size int) uint32 {
	q.t.Helper()
	return uint32(q.number("in%s 0x%x", portSuffix[size], port))
}

// Out writes an I/O port.
func (q *QEMU) Out(port uint16, size int, v uint32) {
	q.t.Helper()
	q.Command("out%s 0x%x 0x%x", portSuffix[size], port, v)
}

// Load reads memory.
func (q *QEMU) Load(addr uint64, size int) uint64 {
	q.t.Helper()
	return q.number("read%s 0x%x", memSuffix[size], addr)
}

// Store writes memory.
func (q *QEMU) Store(addr uint64, size int, v uint64) {
	q.t.Helper()
	q.Command("write%s 0x%x 0x%x", memSuffix[size], addr, v)
}

// Read reads a piece of memory.
func (q *QEMU) Read(addr uint64, n int) []byte {
	q.t.Helper()
	f := q.Command("read %#x %#x", addr, n)
	b, err := hex.DecodeString(strings.TrimPrefix(f[0], "0x"))
	if err != nil {
		q.t.Fatal(err)
	}
	return b
}

// Write writes a piece of memory.
func (q *QEMU) Write(addr uint64, b []byte) {
	q.t.Helper()
	q.Command("write %#x %#x 0x%x", addr, len(b), b)
}

// Config reads from the configuration space of a function on the first PCI bus.
func (q *QEMU) Config(devfn uint8, reg uint32, size int) uint32 {
	q.t.Helper()
	q.Out(0xcf8, 4, 1<<31|uint32(devfn)<<8|reg&^3)
	return q.In(uint16(0xcfc+reg&3), size)
}

// SetConfig writes to the configuration space of a function on the first PCI bus.
func (q *QEMU) SetConfig(devfn uint8, reg uint32, size int, v uint32) {
	q.t.Helper()
	q.Out(0xcf8, 4, 1<<31|uint32(devfn)<<8|reg&^3)
	q.Out(uint16(0xcfc+reg&3), size, v)
}
