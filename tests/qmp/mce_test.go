package qmp

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestMachineChecks: the guest's handler sees the same of what mce injects, under every accelerator there is.
func TestMachineChecks(t *testing.T) {
	testprog.QEMU(t)
	nasm := testprog.Need(t, "nasm")
	bios := filepath.Join(t.TempDir(), "bios")
	out, err := exec.Command(nasm, "-f", "bin", "-o", bios, "testdata/mce.asm").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, args := range [][]string{{"-accel", "tcg"}, {"-accel", "tcg", "-cpu", "coreduo"}, {"-accel", "kvm"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); args[1] == "kvm" && err != nil {
				t.Skip("ORACLE MISSING: /dev/kvm cannot be used")
			} else if err == nil {
				f.Close()
			}
			said := func(bin string) (lines []string) {
				printed := filepath.Join(t.TempDir(), "printed")
				m := start(t, bin, "-qmp", append([]string{"-M", "pc", "-m", "16", "-bios", bios, "-chardev", "file,id=d,path=" + printed,
					"-device", "isa-debugcon,chardev=d"}, args...)...)
				await := func(mark string, n int) {
					require.Eventually(t, func() bool {
						b, _ := os.ReadFile(printed)
						return strings.Count(string(b), mark) == n
					}, 50*time.Second, time.Millisecond, "%s: %d times %s", bin, n, mark)
				}
				m.say("")
				m.say(`{"execute": "qmp_capabilities"}`)
				await("R", 1)
				for _, l := range []string{"0 3 0x9c00000000000000 0 1 2", "0 3 0x9d00000000000000 0 1 3", "0 3 0xbd00000000000134 5 0x1234 0x8c"} {
					lines = append(lines, m.say(people("mce "+l))...)
				}
				await("E", 1)
				for _, l := range []string{"0 10 0 0 0 0", "9 0 0 0 0 0", "0 0 0 0 0 0", "0 0", "-b 0 3 0xbe00000000000134 7 1 2"} {
					lines = append(lines, m.say(people("mce "+l))...)
				}
				await("E", 2)
				b, err := os.ReadFile(printed)
				require.NoError(t, err)
				return append(lines, string(b))
			}
			assert.Equal(t, said(oracle), said(testprog.Goemu(t)))
		})
	}
}

// TestMachineChecksRefused: CPUs that cannot be told are reset; old ones have no machine checks.
func TestMachineChecksRefused(t *testing.T) {
	testprog.QEMU(t)
	for cpu, lines := range map[string][]string{
		"486":      {"0 0 0xbe00000000000000 0 0 0"},
		"pentium2": {"-b 0 0 0xbe00000000000000 0 0 0"},
		"qemu64":   {"0 0 0xbf80000000000000 0 0 0", "-b 1 0 0xbe00000000000000 0 0 0"},
	} {
		said := func(bin string) (replies, events []string) {
			m := start(t, bin, "-qmp", "-accel", "tcg", "-M", "pc", "-S", "-smp", "2", "-cpu", cpu)
			m.say("")
			m.say(`{"execute": "qmp_capabilities"}`)
			for _, l := range append(lines, "") {
				text := people("mce " + l)
				if l == "" {
					text = `{"execute": "stop"}`
				}
				for _, line := range m.say(text) {
					if !strings.Contains(line, `"event": `) {
						replies = append(replies, line)
					} else if strings.Contains(line, "MEMORY_FAILURE") {
						events = append(events, line)
					}
				}
			}
			return replies, events
		}
		q, qe := said(oracle)
		g, ge := said(testprog.Goemu(t))
		assert.Equal(t, q, g, cpu)
		assert.Equal(t, qe, ge, cpu)
	}
}
