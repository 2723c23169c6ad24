package boot

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestGDB attaches gdb to a running guest: it stops in a function of the kernel, steps into what that calls, changes a vector register,
// finds who writes to the stack, runs to the function's end and lets the guest go on.
func TestGDB(t *testing.T) {
	gdb, nasm := testprog.Need(t, "gdb"), testprog.Need(t, "nasm")
	f := prepare(t, "cloud-amd64")
	dir := t.TempDir()
	console, sock := filepath.Join(dir, "console"), filepath.Join(dir, "gdb")
	run := "grep -w __x64_sys_sync /proc/kallsyms; while true; do sync; echo again; sleep 0.1; done"
	cmd := exec.Command(f.goemu, "-cpu", "max", "-m", "512", "-smp", "2", "-display", "none", "-serial", "file:"+console, "-kernel", f.kernel.Image, "-initrd", f.initrd,
		"-gdb", "unix:"+sock+",server=on,wait=off", "-append", "console=ttyS0 no_timer_check nokaslr run="+strings.ReplaceAll(run, " ", ","))
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	symbol := regexp.MustCompile(`([0-9a-f]{16}) T __x64_sys_sync\b`)
	var addr string
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(console)
		if m := symbol.FindSubmatch(b); m != nil {
			addr = string(m[1])
		}
		return addr != "" && strings.Contains(string(b), "again")
	}, 120*time.Second, 50*time.Millisecond)

	// gdb finds the caller of a function without a frame only if it knows where the function begins.
	source, object := filepath.Join(dir, "sync.asm"), filepath.Join(dir, "sync.o")
	require.NoError(t, os.WriteFile(source, []byte("global do_sync:function\nsection .text\ndo_sync: times 16 nop\n"), 0o644))
	require.NoError(t, exec.Command(nasm, "-f", "elf64", "-o", object, source).Run())

	script := filepath.Join(dir, "script")
	require.NoError(t, os.WriteFile(script, []byte(`set pagination off
set confirm off
set tcp connect-timeout 60
target remote `+sock+`
add-symbol-file `+object+` -s .text 0x`+addr+`
info threads
break *0x`+addr+`
continue
printf "PC %lx\n", $pc
set $sp0 = $rsp
stepi
stepi
printf "CALLED %d\n", *(unsigned long*)$rsp == 0x`+addr+` + 10 && $rsp == $sp0 - 8
set $ymm5.v4_int64[3] = 0x1122334455667788
printf "YMM %lx\n", $ymm5.v4_int64[3]
printf "PAGING %d\n", ($cr0 >> 31) & ($efer >> 10) & 1
monitor info status
delete
watch -l *(long*)($sp0 - 8)
continue
printf "WROTE %d\n", $rsp <= $sp0 + 4096
delete
hbreak *0x`+addr+`
continue
printf "AGAIN %lx\n", $pc
info registers rip cs cr3
set $back = *(unsigned long*)$rsp
set $sp0 = $rsp
finish
printf "FINISHED %d\n", $pc == $back && $rsp == $sp0 + 8
detach
`), 0o644))
	g := exec.Command(gdb, "-nx", "-q", "-batch", "-x", script)
	watchdog := time.AfterFunc(120*time.Second, func() { _ = g.Process.Kill() })
	defer watchdog.Stop()
	out, _ := g.CombinedOutput()
	for _, want := range []string{"CPU#1", "PC " + strings.TrimLeft(addr, "0"), "CALLED 1", "YMM 1122334455667788", "PAGING 1", "VM status: paused (debug)", "hit Hardware watchpoint", "WROTE 1",
		"AGAIN " + strings.TrimLeft(addr, "0"), "<do_sync>", "FINISHED 1", "detached"} {
		require.Contains(t, string(out), want)
	}
	before, _ := os.ReadFile(console)
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(console)
		return strings.Count(string(b), "again") > strings.Count(string(before), "again")
	}, 60*time.Second, 50*time.Millisecond, "the guest goes on")
}
