// Package boot boots Debian's kernels in goemu to userspace and off again.
package boot

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
	"goemu/tests/guest"
)

// fixture is what all boots share.
type fixture struct {
	goemu, initrd, disk string
	share               string // a directory
	kernel              *guest.Kernel
}

// prepare makes the fixture; without packages to fetch it skips.
func prepare(t *testing.T, flavour string) *fixture {
	t.Helper()
	if testing.Short() {
		t.Skip("whole boots take seconds each")
	}
	dir := t.TempDir()
	f := &fixture{goemu: testprog.Goemu(t), initrd: filepath.Join(dir, "initrd.gz"), disk: filepath.Join(dir, "disk.img"), share: filepath.Join(dir, "share")}
	require.NoError(t, os.Mkdir(f.share, 0o755))
	var err error
	if f.kernel, err = guest.GetKernel(flavour); err != nil {
		t.Skip("ORACLE MISSING: no kernel package: ", err)
	}
	bb, err := guest.GetBusybox()
	if err != nil {
		t.Skip("ORACLE MISSING: no busybox package: ", err)
	}
	require.NoError(t, guest.WriteInitramfs(f.initrd, guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: guest.DefaultModules}))
	require.NoError(t, os.WriteFile(f.disk, bytes.Repeat([]byte("goemu disk\n"), 1<<20/11), 0o644))
	require.NoError(t, os.Truncate(f.disk, 1<<20))
	return f
}

func TestMain(m *testing.M) { testprog.Main(m) }

// boot runs a program in a guest and returns the console. The program must succeed.
func (f *fixture) boot(t *testing.T, run string, limit time.Duration, args ...string) string {
	t.Helper()
	out := f.console(t, run, limit, args...)
	require.Contains(t, out, "GOEMU-EXIT 0", "the console ends with:\n%s", tail([]byte(out)))
	return out
}

// console runs a program in a guest and returns the console. goemu must end with status 0 within the limit.
func (f *fixture) console(t *testing.T, run string, limit time.Duration, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	args = append([]string{"-cpu", "max", "-m", "512", "-nographic", "-no-reboot", "-kernel", f.kernel.Image, "-initrd", f.initrd,
		"-append", "console=ttyS0 run=" + strings.ReplaceAll(run, " ", ",")}, args...)
	cmd := exec.CommandContext(ctx, f.goemu, args...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	require.NoError(t, ctx.Err(), "the console ends with:\n%s", tail(out))
	require.NoError(t, err, "the console ends with:\n%s", tail(out))
	return strings.ReplaceAll(string(out), "\r", "")
}

func tail(b []byte) string { return string(b[max(0, len(b)-3000):]) }

const probe = "uname -a; nproc; grep -c ^processor /proc/cpuinfo; dd if=/dev/vda bs=64k 2>/dev/null | md5sum; echo written | dd of=/dev/vda conv=fsync 2>/dev/null; head -c 8 /dev/vda; echo"

func TestBoot(t *testing.T) {
	f := prepare(t, "cloud-amd64")
	pci := []string{"-drive", "file=" + f.disk + ",if=virtio,format=raw,snapshot=on"}
	mmio := []string{"-M", "microvm", "-drive", "id=d,file=" + f.disk + ",if=none,format=raw,snapshot=on", "-device", "virtio-blk-device,drive=d"}
	for _, c := range []struct {
		name  string
		nproc string
		args  []string
	}{
		{"pc", "1", pci},
		{"pc-smp4", "4", append([]string{"-smp", "4"}, pci...)},
		{"microvm", "1", mmio},
		{"microvm-smp2", "2", append([]string{"-smp", "2"}, mmio...)},
		{"pc-interp", "1", append([]string{"-accel", "tcg,engine=interp"}, pci...)},
		{"microvm-interp", "2", append([]string{"-smp", "2", "-accel", "tcg,engine=interp"}, mmio...)},
		{"pc-smp64", "64", append([]string{"-smp", "64", "-m", "1G"}, pci...)},
		{"pc-above-4g", "1", append([]string{"-m", "5G"}, pci...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := f.boot(t, probe, 4*time.Minute, c.args...)
			require.Contains(t, out, "\n"+c.nproc+"\n"+c.nproc+"\n")
			require.Contains(t, out, diskSum(t, f.disk))
			require.Contains(t, out, "\nwritten\n")
			for _, bad := range []string{"BUG:", "Oops", "Call Trace", "unchecked MSR", "soft lockup", "segfault"} {
				require.NotContains(t, out, bad)
			}
		})
	}
}

// TestRestart: a guest that restarts the machine ends goemu with -no-reboot.
func TestRestart(t *testing.T) {
	f := prepare(t, "cloud-amd64")
	for _, machine := range []string{"pc", "microvm"} {
		out := f.console(t, "dmesg -n 7; reboot -f", 2*time.Minute, "-M", machine)
		require.Contains(t, out, "reboot: machine restart")
	}
}

// TestGenericKernel boots the kernel of ordinary installations.
func TestGenericKernel(t *testing.T) {
	f := prepare(t, "amd64")
	for _, machine := range []string{"pc", "microvm"} {
		f.boot(t, "uname -r", 4*time.Minute, "-M", machine)
	}
}

func diskSum(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command("md5sum", file).Output()
	require.NoError(t, err)
	return strings.Fields(string(out))[0]
}
