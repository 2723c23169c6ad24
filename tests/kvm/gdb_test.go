package kvm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/accel/acceltest"
	"goemu/internal/testprog"
)

// TestGDB stops in an interrupt's handler, steps, changes a register and lets the guest go on.
func TestGDB(t *testing.T) {
	needKVM(t)
	gdb := testprog.Need(t, "gdb")
	for name, acc := range map[string]string{"kernel": "kvm", "split": "kvm,kernel-irqchip=split", "own": "kvm,kernel-irqchip=off"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			sock := filepath.Join(dir, "gdb")
			m := launch(t, firmware(t, "ticks.asm"), "-accel", acc, "-gdb", "unix:"+sock+",server=on,wait=off")
			m.ticks(2)
			handler := label(t, "timer")
			script := filepath.Join(dir, "script")
			require.NoError(t, os.WriteFile(script, fmt.Appendf(nil, `set pagination off
set confirm off
set architecture i386:x86-64
set tcp connect-timeout 60
target remote %s
hbreak *%d
continue
printf "STOP %%d\n", $pc
stepi
stepi
printf "STEP %%d\n", $pc
printf "R12 %%lx\n", $r12
set $r14 = 0x55
delete
break *%d
continue
printf "AGAIN %%d R14 %%lx\n", $pc, $r14
monitor info status
delete
detach
`, sock, handler, handler), 0o600))
			g := exec.Command(gdb, "-nx", "-q", "-batch", "-x", script)
			watchdog := time.AfterFunc(limit, func() { _ = g.Process.Kill() })
			defer watchdog.Stop()
			out, _ := g.CombinedOutput()
			for _, want := range []string{"STOP " + strconv.Itoa(handler), "STEP " + strconv.Itoa(handler+3), "R12 1234567890abcdef",
				"AGAIN " + strconv.Itoa(handler) + " R14 55", "paused (debug)", "detached"} {
				require.Contains(t, string(out), want)
			}
			m.ticks(3)
		})
	}
}

// label is the address of a label of ticks.asm, where PUSH RAX follows and MOV AL of two bytes.
func label(t *testing.T, name string) int {
	t.Helper()
	list := filepath.Join(t.TempDir(), "list")
	acceltest.Assemble(t, ".", "ticks.asm", "-l", list)
	b, err := os.ReadFile(list)
	require.NoError(t, err)
	f := regexp.MustCompile(`(?m)^ *\d+ ([0-9A-F]{8}) \S+ +(?:<\d+> )?` + name + `:`).FindSubmatch(b)
	require.NotNil(t, f, "no label %s in the listing", name)
	at, err := strconv.ParseInt(string(f[1]), 16, 32)
	require.NoError(t, err)
	return acceltest.Entry + int(at)
}
