package migration

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
	"goemu/tests/guest"
)

var long = flag.Bool("migration.long", false, "migrate Linux with every device, and a hundred times there and back")

// workScript writes to every disk what it reads back later, computes, and tells of each round. Arguments: disks.
const workScript = `
n=0
want=$(seq 1 2000 | md5sum)
while :; do
	n=$((n + 1))
	for d in $*; do
		(echo "round $n on $d"; head -c $((n * 1000 % 60000)) /bin/busybox) >/tmp/data
		size=$(stat -c %s /tmp/data)
		dd if=/tmp/data of=/dev/$d bs=64k seek=$((n % 15)) conv=fsync 2>/dev/null || echo "BAD write to $d"
		echo 3 >/proc/sys/vm/drop_caches
		dd if=/dev/$d bs=64k skip=$((n % 15)) count=1 2>/dev/null | head -c $size | cmp -s - /tmp/data || echo "BAD data on $d in round $n"
	done
	awk 'BEGIN { for (i = 0; i < 2000; i++) s += i / 4; if (s != 499750) print "BAD sum", s }'
	[ "$(seq 1 2000 | md5sum)" = "$want" ] || echo BAD md5
	echo "TICK $n"
done
`

// complaints are lines that must not be on a guest's console.
var complaints = regexp.MustCompile(`(?m)^.*(BAD |BUG:|Oops|Call Trace|WARNING:|lockup|stall|segfault|I/O error|timed out|resetting).*$`)

// linux is a Linux guest with a program that never ends, in one process or another.
type linux struct {
	t      *testing.T
	args   []string // of every process
	dir    string
	n      int // processes so far
	now    *process
	serial string
}

var fetchGuest = sync.OnceValues(func() (*guest.Kernel, error) { return guest.GetKernel("amd64") })

// newLinux makes a guest and starts it in goemu, unless bin names another emulator. work is what the program gets: names of disks.
func newLinux(t *testing.T, bin string, modules []string, work string, args ...string) *linux {
	t.Helper()
	if testing.Short() {
		t.Skip("whole boots take seconds each")
	}
	kernel, err := fetchGuest()
	if err != nil {
		t.Skip("ORACLE MISSING: no kernel package: ", err)
	}
	busybox, err := guest.GetBusybox()
	if err != nil {
		t.Skip("ORACLE MISSING: no busybox package: ", err)
	}
	l := &linux{t: t, dir: t.TempDir()}
	script, initrd := filepath.Join(l.dir, "work"), filepath.Join(l.dir, "initrd")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n"+workScript), 0o755))
	require.NoError(t, guest.WriteInitramfs(initrd, guest.Spec{Busybox: busybox, Kernel: kernel, Modules: modules, Files: map[string]string{"bin/work": script}}))
	l.args = append([]string{"-accel", "tcg", "-nodefaults", "-display", "none", "-m", "160", "-kernel", kernel.Image, "-initrd", initrd,
		"-append", "console=ttyS0 no_timer_check run=work," + strings.ReplaceAll(work, " ", ",")}, args...)
	l.start(bin)
	l.works()
	return l
}

// start starts a process for the guest.
func (l *linux) start(bin string, more ...string) *process {
	l.t.Helper()
	l.n++
	l.serial = filepath.Join(l.dir, fmt.Sprint("serial", l.n))
	l.now = launch(l.t, bin, append(append([]string{"-serial", "file:" + l.serial}, l.args...), more...)...)
	return l.now
}

func (l *linux) console() string {
	l.t.Helper()
	b, err := os.ReadFile(l.serial)
	require.NoError(l.t, err)
	return strings.ReplaceAll(string(b), "\r", "")
}

// works waits until the program in the guest has done some more rounds and looks for complaints.
func (l *linux) works() {
	l.t.Helper()
	rounds := func() int { return strings.Count(l.console(), "TICK ") }
	begin := rounds()
	for end := time.Now().Add(limit / 2); rounds() < begin+4; time.Sleep(20 * time.Millisecond) {
		if !time.Now().Before(end) || strings.Contains(l.console(), "Kernel panic") {
			c := l.console()
			registers, _ := l.now.do("human-monitor-command", map[string]any{"command-line": "info registers -a"})
			require.Fail(l.t, "the guest does not work", "%s\n%s\n%s", l.now.errs, c[max(0, len(c)-3000):], registers)
		}
	}
	assert.Empty(l.t, complaints.FindAllString(l.console(), -1))
}

// moveTo migrates the guest to another process of an emulator.
func (l *linux) moveTo(bin string) {
	l.t.Helper()
	src := l.now
	socket := filepath.Join(l.dir, fmt.Sprint("mig", l.n))
	dst := l.start(bin, "-incoming", "unix:"+socket)
	src.must("migrate", map[string]any{"uri": "unix:" + socket})
	i := src.until("completed", "failed")
	require.Equal(l.t, "completed", i["status"], "%v\n%s\n%s", i, src.errs, dst.errs)
	dst.becomes("running")
	src.must("quit", nil)
	require.Equal(l.t, 0, src.wait(), src.errs)
	l.works()
	require.Empty(l.t, strings.TrimSpace(strings.ReplaceAll(dst.errs.String(), tcgWarning, "")))
}

// tcgWarning is what QEMU says of features that it does not emulate.
const tcgWarning = "TCG doesn't support requested feature"

func rawImage(t *testing.T, size int64) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "disk.img")
	require.NoError(t, os.WriteFile(f, nil, 0o600))
	require.NoError(t, os.Truncate(f, size))
	return f
}

// TestLinuxInterop migrates Linux guests that work all the while from goemu to QEMU and back, and from QEMU to goemu and back.
func TestLinuxInterop(t *testing.T) {
	qemu := testprog.QEMU(t)
	virtio := []string{"virtio_pci", "virtio_blk"}
	// Our max has features that QEMU's lacks (XSAVES …), which a guest that begins here would miss there.
	const modern = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+avx,+avx2,+fma,+f16c,+bmi1,+bmi2,+movbe,+xsave,+xsaveopt,+xgetbv1,+smep,+smap,+fsgsbase,+erms,+rdrand,+pku,+la57"
	for _, c := range []struct {
		name    string
		always  string // the order that is always taken
		modules []string
		work    string
		args    string // DISK is an image
	}{
		{"pc virtio-blk and virtio-net", "goemu first", append(virtio, "virtio_net"), "vda",
			"-M pc-i440fx-7.2 -cpu qemu64 -drive if=none,id=d,format=raw,file=DISK -device virtio-blk-pci,drive=d -netdev user,id=n -device virtio-net-pci,netdev=n"},
		{"q35 packed virtio-blk modern CPUs", "QEMU first", virtio, "vda", "-M pc-q35-7.2 -smp 2 -cpu " + modern + " -drive if=none,id=d,format=raw,file=DISK -device virtio-blk-pci,drive=d,packed=on"},
		{"pc modern CPUs", "", virtio, "vda", "-M pc-i440fx-7.2 -smp 2 -cpu " + modern + " -drive if=none,id=d,format=raw,file=DISK -device virtio-blk-pci,drive=d"},
		{"pc IDE", "", []string{"ata_piix", "sd_mod"}, "sda", "-M pc-i440fx-7.2 -drive if=ide,format=raw,file=DISK"},
		{"q35 AHCI", "", []string{"ahci", "sd_mod"}, "sda", "-M pc-q35-7.2 -drive if=ide,format=raw,file=DISK"},
		{"pc virtio-scsi", "", append(virtio, "virtio_scsi", "sd_mod"), "sda", "-M pc-i440fx-7.2 -device virtio-scsi-pci -drive if=none,id=d,format=raw,file=DISK -device scsi-hd,drive=d"},
		{"pc others", "", append(virtio, "virtio-rng", "virtio_console", "virtio_balloon", "virtio_net"), "vda",
			"-M pc-i440fx-7.2 -vga std -drive if=virtio,format=raw,file=DISK -device virtio-rng-pci -device virtio-balloon-pci -device virtio-serial-pci -netdev socket,id=n,udp=127.0.0.1:9,localaddr=127.0.0.1:0 -device virtio-net-pci,netdev=n"},
		{"pc legacy virtio", "", virtio, "vda", "-M pc-i440fx-7.2 -drive if=none,id=d,format=raw,file=DISK -device virtio-blk-pci,drive=d,disable-modern=on"},
	} {
		for _, order := range []struct {
			name string
			bins []string
		}{{"goemu first", []string{"", qemu, ""}}, {"QEMU first", []string{qemu, "", qemu}}} {
			t.Run(c.name+" "+order.name, func(t *testing.T) {
				if order.name != c.always && !*long {
					t.Skip("SKIPPED: -migration.long migrates with all devices")
				}
				disk := rawImage(t, 1<<20)
				l := newLinux(t, order.bins[0], c.modules, c.work, strings.Fields(strings.ReplaceAll(c.args, "DISK", disk))...)
				for _, bin := range order.bins[1:] {
					l.moveTo(bin)
				}
			})
		}
	}
}
