package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// serialGuest writes its name to each serial port and to port 0xe9, takes a byte from COM2, answers on COM4 with the next one and ends
// the emulator with status 7.
const serialGuest = `
bits 32
org 0x100000
dd 0x1badb002, 0x10000, -(0x1badb002 + 0x10000), 0x100000, 0x100000, 0, 0, start
start:
 mov esp, 0x110000
 mov esi, ports
 mov bl, '1'
.port:
 mov dx, [esi]
 add esi, 2
 mov edi, text
.char:
 mov al, [edi]
 inc edi
 cmp al, '#'
 jne .put
 mov al, bl
.put:
 mov ecx, edx
 cmp dx, 0xe9
 je .out
 add dx, 5
.busy:
 push eax
 in al, dx
 test al, 0x20
 pop eax
 jz .busy
 mov edx, ecx
.out:
 out dx, al
 cmp al, 10
 jne .char
 inc bl
 cmp esi, ports_end
 jb .port
 mov dx, 0x2fd
.wait:
 in al, dx
 test al, 1
 jz .wait
 mov dx, 0x2f8
 in al, dx
 inc al
 mov dx, 0x2e8
 out dx, al
 mov dx, 0x2ed
.flush:
 in al, dx
 test al, 0x40
 jz .flush
 mov al, 3
 out 0xf4, al
 hlt
ports: dw 0x3f8, 0x2f8, 0x3e8, 0x2e8, 0xe9
ports_end:
text: db 'port #', 10
`

// TestSerialPorts connects four ports to a file, a listening socket, a connecting socket and, through a file of options, another
// file; goemu and QEMU are used in the same way.
func TestSerialPorts(t *testing.T) {
	nasm := testprog.Need(t, "nasm")
	src, kernel := filepath.Join(t.TempDir(), "k.asm"), filepath.Join(t.TempDir(), "k")
	require.NoError(t, os.WriteFile(src, []byte(serialGuest), 0o644))
	out, err := exec.Command(nasm, "-f", "bin", "-o", kernel, src).CombinedOutput()
	require.NoError(t, err, string(out))
	for _, program := range []string{testprog.Goemu(t), testprog.QEMU(t)} {
		t.Run(filepath.Base(program), func(t *testing.T) { serialPorts(t, program, kernel) })
	}
}

func serialPorts(t *testing.T, program, kernel string) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	config := fmt.Sprintf("[chardev \"four\"]\n  backend = \"file\"\n  path = %q\n", path("four"))
	require.NoError(t, os.WriteFile(path("config"), []byte(config), 0o644))
	three, err := net.Listen("unix", path("three"))
	require.NoError(t, err)
	defer three.Close()
	cmd := exec.Command(program, "-M", "pc", "-m", "16", "-display", "none", "-monitor", "none", "-kernel", kernel, "-readconfig", path("config"),
		"-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-chardev", "socket,id=three,path="+path("three")+",reconnect=1",
		"-serial", "file:"+path("one"), "-serial", "unix:"+path("two")+",server=on,wait=on", "-serial", "chardev:three", "-serial", "chardev:four", "-debugcon", "file:"+path("debug"))
	var errs strings.Builder
	cmd.Stderr = &errs
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	watchdog := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()

	conn3, err := three.Accept()
	require.NoError(t, err)
	defer conn3.Close()
	var conn2 net.Conn
	require.Eventually(t, func() bool { conn2, err = net.Dial("unix", path("two")); return err == nil }, 20*time.Second, 10*time.Millisecond)
	defer conn2.Close()
	line := func(c net.Conn, want string) {
		t.Helper()
		buf := make([]byte, len(want))
		require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
		_, err := io.ReadFull(c, buf)
		require.NoError(t, err, errs.String())
		require.Equal(t, want, string(buf))
	}
	line(conn2, "port 2\n")
	line(conn3, "port 3\n")
	_, err = conn2.Write([]byte("x"))
	require.NoError(t, err)
	_ = cmd.Wait()
	require.Equal(t, 7, cmd.ProcessState.ExitCode(), errs.String())
	for name, want := range map[string]string{"one": "port 1\n", "four": "port 4\ny", "debug": "port 5\n"} {
		b, err := os.ReadFile(path(name))
		require.NoError(t, err)
		require.Equal(t, want, string(b), name)
	}
	_, err = conn3.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// TestDebugconErrors compares what is said of wrong -debugcon options with QEMU.
func TestDebugconErrors(t *testing.T) {
	goemu := testprog.Goemu(t)
	args := []string{"-accel", "tcg", "-display", "none", "-nodefaults", "-debugcon"}
	got := map[string]string{}
	for _, v := range []string{"nope", "chardev:none-such"} {
		got[v] = said(t, goemu, append(args, v)...)
		require.Contains(t, got[v], "-debugcon "+v+": invalid character backend '"+v+"'")
	}
	qemu := testprog.QEMU(t)
	for v, text := range got {
		require.Equal(t, said(t, qemu, append(args, v)...), text)
	}
}

// TestMonitorErrors compares what is said of wrong options for monitors with QEMU.
func TestMonitorErrors(t *testing.T) {
	goemu := testprog.Goemu(t)
	lines := [][]string{{"-qmp", "none"}, {"-qmp", "nope"}, {"-qmp-pretty", "none"}, {"-monitor", "nope"}, {"-monitor", "chardev:none-such"}, {"-qmp", "unix:/none/such,server=on"}}
	args := []string{"-M", "none", "-display", "none", "-nodefaults"}
	got := make([]string, len(lines))
	for i, line := range lines {
		got[i] = said(t, goemu, append(args, line...)...)
		require.Contains(t, got[i], strings.Join(line, " ")+": ")
	}
	qemu := testprog.QEMU(t)
	for i, line := range lines {
		require.Equal(t, said(t, qemu, append(args, line...)...), got[i])
	}
}
