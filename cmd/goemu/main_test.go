package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

func TestMain(m *testing.M) { testprog.Main(m) }

// said runs a program, which is to end by itself, and returns all that it says, with QEMU for its name.
func said(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, _ := runGoemu(t, program, args...)
	return strings.ReplaceAll(out, filepath.Base(program), "QEMU")
}

// talkTo starts a program that answers what is written to it, line by line. The caller ends it.
func talkTo(t *testing.T, program string, args ...string) (in io.Writer, out *bufio.Scanner, end func()) {
	t.Helper()
	cmd := exec.Command(program, args...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	watchdog := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	out = bufio.NewScanner(pipe)
	out.Buffer(nil, 16<<20)
	return in, out, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		watchdog.Stop()
	}
}

// runGoemu runs goemu and returns what it printed and its status.
func runGoemu(t *testing.T, bin string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	timer := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait()
	return out.String(), cmd.ProcessState.ExitCode()
}

// TestMistakes: what cannot be done ends in one line that names it, with status 1.
func TestMistakes(t *testing.T) {
	bin := testprog.Goemu(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-machine", "nosuch"}, "unsupported machine type\nUse -machine help to list supported machines"},
		{[]string{"-machine", "pc,nosuch=on"}, "Property 'pc-i440fx-7.2-machine.nosuch' not found"},
		{[]string{"-accel", "nosuch"}, "-accel nosuch: invalid accelerator nosuch"},
		{[]string{"-accel", "tcg,engine=x"}, "-accel tcg,engine=x: Invalid 'engine' setting x"},
		{[]string{"-cpu", ""}, "-cpu option cannot be empty"},
		{[]string{"-cpu", "nosuch"}, "unable to find CPU model 'nosuch'"},
		{[]string{"-smp", "300"}, "Invalid SMP CPUs 300. The max CPUs supported by machine 'pc-i440fx-7.2' is 255"},
		{[]string{"-device", "nosuch"}, "-device nosuch: 'nosuch' is not a valid device model name"},
		{[]string{"-device", "isa-serial,nosuch=1"}, "-device isa-serial,nosuch=1: Property 'isa-serial.nosuch' not found"},
		{[]string{"-device", "virtio-blk-pci"}, "-device virtio-blk-pci: drive property not set"},
		{[]string{"-object", "nosuch,id=a"}, "-object nosuch,id=a: Parameter 'qom-type' does not accept value 'nosuch'"},
		{[]string{"-drive", "file=/nonexistent,if=virtio,format=raw"}, "-drive file=/nonexistent,if=virtio,format=raw: Could not open '/nonexistent': No such file or directory"},
		{[]string{"-serial", "nosuch"}, "-serial nosuch: 'nosuch' is not a valid char driver"},
		{[]string{"-bios", "/nonexistent"}, "could not load PC BIOS '/nonexistent'"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			out, status := runGoemu(t, bin, append([]string{"-display", "none"}, c.args...)...)
			require.Equal(t, 1, status, out)
			require.Contains(t, out, c.want)
			require.NotContains(t, out, "goroutine")
		})
	}
	out, status := runGoemu(t, bin, "-display", "none", "-kernel", "/nonexistent")
	require.Equal(t, 1, status)
	require.Contains(t, out, "could not open kernel file '/nonexistent': No such file or directory")
}

// TestQueries: every kind of help answers with status 0.
func TestQueries(t *testing.T) {
	bin := testprog.Goemu(t)
	for _, c := range []struct{ args, want string }{
		{"-help", "-kernel bzImage"}, {"-version", "QEMU emulator version 7.2"}, {"-machine help", "pc-i440fx-7.2        Standard PC (i440FX + PIIX, 1996) (default)"},
		{"-machine pc,help", "hpet=<bool>"}, {"-cpu help", "Skylake-Client-v1"}, {"-accel help", "tcg"}, {"-device help", `name "virtio-blk-pci", bus PCI`},
		{"-device virtio-blk-pci,help", "drive=<str>"}, {"-object help", "rng-random"}, {"-object rng-random,help", "filename=<string>"},
		{"-chardev help", "socket"}, {"-display help", "none"}, {"-d help", "in_asm"}, {"-drive format=help", "raw"}, {"man", ".TH GOEMU 1"}, {"completion bash", "bash completion"},
	} {
		out, status := runGoemu(t, bin, strings.Fields(c.args)...)
		require.Equal(t, 0, status, "%s: %s", c.args, out)
		require.Contains(t, out, c.want, c.args)
	}
}

// TestDaemon: -daemonize comes back when the machine runs; the pid file names it, and SIGTERM ends it and removes the file.
func TestDaemon(t *testing.T) {
	bin := testprog.Goemu(t)
	pid := filepath.Join(t.TempDir(), "pid")
	args := []string{"-S", "-display", "none", "-serial", "null", "-daemonize", "-pidfile", pid, "-bios", bios(t)}
	out, status := runGoemu(t, bin, args...)
	require.Equal(t, 0, status, out)
	b, err := os.ReadFile(pid)
	require.NoError(t, err)
	out, status = runGoemu(t, bin, args...)
	require.Equal(t, 1, status, "a second one with the same pid file must fail")
	require.Contains(t, out, "cannot create PID file")
	require.NoError(t, exec.Command("kill", strings.TrimSpace(string(b))).Run())
	require.Eventually(t, func() bool { _, err := os.Stat(pid); return os.IsNotExist(err) }, 10*time.Second, 20*time.Millisecond)
}

// bios makes a firmware image that halts.
func bios(t *testing.T) string {
	t.Helper()
	b := bytes.Repeat([]byte{0xf4}, 64<<10) // HLT everywhere
	copy(b[len(b)-16:], []byte{0xf4, 0xeb, 0xfd})
	file := filepath.Join(t.TempDir(), "bios.bin")
	require.NoError(t, os.WriteFile(file, b, 0o644))
	return file
}
