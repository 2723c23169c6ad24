package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// qtestCommands are lines that a machine answers the same way whoever emulates it.
var qtestCommands = []string{
	"endianness", "outb 0x70 0x0f", "inb 0x71", "inw 0x71", "inl 0xcf8", "outl 0xcf8 0x80000800", "inl 0xcfc", "inw 0xcfe",
	"writeb 0x1001 0xab", "writew 0x1002 0xcdef", "writel 0x1004 0x12345678", "writeq 0x1008 0x1122334455667788", "read 0x1000 16",
	"readb 0x1001", "readw 4098", "readl 010004", "readq 0x1008", "b64read 0x1000 7", "b64write 0x2000 4 q83vAQ==", "read 0x2000 5",
	"write 0x3000 4 0xa1b2c3d4", "read 0x3000 4", "write 0x3000 4 0xff", "read 0x3000 4", "memset 0x4000 5 0x5a", "read 0x4000 6", "b64write 0x5000 9 x",
	"readl 0xe0000000", "irq_intercept_in nosuch", "irq_intercept_in ioapic", "irq_intercept_in ioapic", "irq_intercept_out i440fx",
	"set_irq_in ioapic unnamed-gpio-in 4 1", "set_irq_in ioapic unnamed-gpio-in 4 1", "set_irq_in ioapic unnamed-gpio-in 4 0",
	"nosuch",
}

// TestQTest: the protocol is QEMU's, with the processors stopped and without any.
func TestQTest(t *testing.T) {
	bin := testprog.Goemu(t)
	link := filepath.Join(t.TempDir(), "qemu-system-x86_64")
	require.NoError(t, exec.Command("ln", "-s", bin, link).Run())
	common := []string{"-M", "pc-i440fx-7.2", "-m", "16", "-nodefaults", "-display", "none", "-qtest", "stdio", "-qtest-log", "none"}
	got := converse(t, link, append(common, "-accel", "nosuch", "-accel", "qtest"), qtestCommands)
	stopped := converse(t, link, append(common, "-S"), qtestCommands)
	require.Equal(t, got, stopped)
	qemu := testprog.QEMU(t)
	require.Equal(t, converse(t, qemu, append(common, "-accel", "tcg", "-S"), qtestCommands), got)
}

// TestQTestClock: only the protocol moves the clock, timers run at their time, and their interrupts are reported before the answer.
func TestQTestClock(t *testing.T) {
	const rtcIRQ = "IRQ raise 8"
	got := converse(t, testprog.Goemu(t), []string{"-M", "pc", "-nodefaults", "-rtc", "base=2020-02-03T04:05:06,clock=vm", "-accel", "qtest", "-qtest", "stdio", "-qtest-log", "none"}, []string{
		"clock_set 500000000", "clock_set 1", "irq_intercept_in ioapic", "outb 0x70 0x0b", "outb 0x71 0x12", // interrupt after each update
		"clock_step 1000000000", "outb 0x70 0x00", "inb 0x71", "clock_step nothing"})
	got = slices.DeleteFunc(got, func(l string) bool { return l == "IRQ raise 0" || l == "IRQ lower 0" }) // the timer's ticks
	require.Equal(t, []string{"OK 500000000", "OK 500000000", "OK", "OK", "OK", rtcIRQ, "OK 1500000000", "OK", "OK 0x0007", "ERR invalid number"}, got)
}

// converse sends commands one by one and returns all that is answered, with reports of interrupts.
func converse(t *testing.T, program string, args, commands []string) (out []string) {
	t.Helper()
	in, lines, end := talkTo(t, program, args...)
	defer end()
	for _, c := range commands {
		_, err := in.Write([]byte(c + "\n"))
		require.NoError(t, err)
		for lines.Scan() {
			out = append(out, lines.Text())
			if !strings.HasPrefix(lines.Text(), "IRQ") {
				break
			}
		}
	}
	require.NoError(t, lines.Err())
	return out
}

// TestQTestBeforeMachine: while -preconfig waits, only what needs no machine is answered.
func TestQTestBeforeMachine(t *testing.T) {
	args := []string{"-M", "none", "-accel", "qtest", "-preconfig", "-display", "none", "-qtest", "stdio", "-qtest-log", "none"}
	require.Equal(t, []string{"OK little"}, converse(t, testprog.Goemu(t), args, []string{"endianness"}))
}

// TestTablesFollowFirmware: where firmware has placed the power management registers is where the ACPI tables say that they are.
func TestTablesFollowFirmware(t *testing.T) {
	const list, filesAt, requestAt, directory = "etc/acpi/tables", 0x10000, 0x1000, 0x19
	fadt := func(program string, args ...string) []byte {
		args = append([]string{"-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-S", "-qtest", "stdio", "-qtest-log", "none"}, args...)
		read := func(key uint16, n int, before ...string) []byte {
			const selectAndRead = 8 | 2
			b := binary.BigEndian.AppendUint32(nil, uint32(key)<<16|selectAndRead)
			b = binary.BigEndian.AppendUint32(b, uint32(n))
			b = binary.BigEndian.AppendUint64(b, filesAt)
			commands := append(before, fmt.Sprintf("write %#x %d %#x", requestAt, len(b), b), "outl 0x514 0", "outl 0x518 0x00100000", fmt.Sprintf("read %#x %d", filesAt, n))
			out := converse(t, program, args, commands)
			data, err := hex.DecodeString(strings.TrimPrefix(out[len(out)-1], "OK 0x"))
			require.NoError(t, err)
			return data
		}
		files := read(directory, 4096)
		i := bytes.Index(files, []byte(list))
		require.Positive(t, i)
		tables := read(binary.BigEndian.Uint16(files[i-4:]), 16<<10, // PMBASE of the PIIX4, and its enable bit
			"outl 0xcf8 0x80000b40", "outl 0xcfc 0xb001", "outl 0xcf8 0x80000b80", "outb 0xcfc 1")
		i = bytes.Index(tables, []byte("FACP"))
		require.Positive(t, i)
		return tables[i+44:][:72] // behind the pointers
	}
	want := fadt(testprog.QEMU(t), "-accel", "tcg")
	require.Equal(t, uint32(0xb000), binary.LittleEndian.Uint32(want[12:]))
	require.Equal(t, want, fadt(testprog.Goemu(t)))
}
