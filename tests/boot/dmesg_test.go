package boot

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// warnings is what a guest runs: the kernel's lines of level warning or worse.
const warnings = "dmesg -r|grep ^.[0-4]"

// timing are lines that come and go with the load of the host, under QEMU as under goemu.
var timing = regexp.MustCompile(`calibrat|bogoMips|platform interrupts|Lost \d+ RTC|interrupt took|clocksource|hogged|TSC|tsc|sched_clock|stall|lockup|Unstable clock|local clock|trace_clock|on the kernel command line|mtrr: (your|prob|corr)`)

// numbers are replaced so that addresses and times do not count.
var numbers = regexp.MustCompile(`0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+`)

// complaintsIn picks the kernel's lines out of a console, without time stamps and numbers.
func complaintsIn(console string) map[string]string {
	out := map[string]string{}
	line := regexp.MustCompile(`^<[0-4]>\[ *[0-9.]+\] (.*)$`)
	for l := range strings.SplitSeq(strings.ReplaceAll(console, "\r", ""), "\n") {
		if m := line.FindStringSubmatch(l); m != nil && !timing.MatchString(m[1]) {
			out[numbers.ReplaceAllString(m[1], "#")] = m[1]
		}
	}
	return out
}

// TestKernelMessages: a kernel finds nothing to complain about that it does not find under QEMU.
func TestKernelMessages(t *testing.T) {
	qemu := testprog.QEMU(t)
	for _, c := range []struct{ kernel, machine, cpu string }{
		{"cloud-amd64", "pc", "max"}, {"cloud-amd64", "microvm", "max"}, {"cloud-amd64", "pc", "Skylake-Client-v1"}, {"cloud-amd64", "pc", "qemu64"}, {"amd64", "pc", "max"},
	} {
		t.Run(c.kernel+"-"+c.machine+"-"+c.cpu, func(t *testing.T) {
			f := prepare(t, c.kernel)
			args := []string{"-M", c.machine, "-cpu", c.cpu, "-smp", "2"}
			ours := complaintsIn(f.console(t, warnings, 4*time.Minute, args...))
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			// A microvm has nothing to measure the TSC with but the 8254, which fails on a busy host, and then the kernel hangs.
			args = append(args, "-m", "512", "-nographic", "-no-reboot", "-kernel", f.kernel.Image, "-initrd", f.initrd,
				"-append", fmt.Sprintf("console=ttyS0 tsc_early_khz=%d run=%s", hostKHz(t), strings.ReplaceAll(warnings, " ", ",")))
			out, err := exec.CommandContext(ctx, qemu, args...).CombinedOutput()
			require.NoError(t, err, tail(out))
			require.Contains(t, string(out), "GOEMU-EXIT")
			theirs := complaintsIn(string(out))
			for l, text := range ours {
				if _, ok := theirs[l]; !ok {
					t.Errorf("only under goemu: %s", text)
				}
			}
			t.Logf("%d kinds of complaints under goemu, %d under QEMU", len(ours), len(theirs))
		})
	}
}

// hostKHz is the rate of the host's time stamp counter, near enough.
func hostKHz(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/cpuinfo")
	require.NoError(t, err)
	m := regexp.MustCompile(`cpu MHz\s*: ([0-9.]+)`).FindSubmatch(b)
	require.NotNil(t, m)
	mhz, err := strconv.ParseFloat(string(m[1]), 64)
	require.NoError(t, err)
	return int(mhz * 1000)
}
