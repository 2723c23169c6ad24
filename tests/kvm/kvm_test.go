// Package kvm runs guest programs in goemu on the host's KVM, and the same programs under goemu's translator and QEMU.
package kvm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/accel/acceltest"
	"goemu/accel/kvm"
	"goemu/internal/testprog"
)

// limit is how long a program may take, firmware included: a KVM that is software, on a loaded machine, is slow.
const limit = 2 * time.Minute

// missing is why the host's KVM cannot be used.
var missing error

func TestMain(m *testing.M) {
	h, err := kvm.Open()
	if missing = err; err == nil {
		h.Close()
	}
	testprog.Main(m)
}

// needKVM skips a test where there is no KVM.
func needKVM(t *testing.T) {
	t.Helper()
	if missing != nil {
		t.Skip("no KVM on this host: ", missing)
	}
	if testing.Short() {
		t.Skip("whole machines take seconds each")
	}
}

// Layout of the firmware image that starts a program: its code, the program, and at the end the jump of the reset vector.
const (
	imageSize   = 64 << 10
	programAt   = 0x1000
	resetVector = imageSize - 16
)

// copyProgram is real-mode code that copies the program to 0x7c00 and starts it.
var copyProgram = []byte{
	0xfa, 0xfc, // cli; cld
	0x8c, 0xc8, 0x8e, 0xd8, // mov ax, cs; mov ds, ax
	0x31, 0xc0, 0x8e, 0xc0, // xor ax, ax; mov es, ax
	0xbe, programAt & 0xff, programAt >> 8, // mov si, programAt
	0xbf, 0x00, 0x7c, 0xb9, 0x00, 0x10, // mov di, 0x7c00; mov cx, 0x1000
	0xf3, 0xa4, 0xea, 0x00, 0x7c, 0x00, 0x00, // rep movsb; jmp 0:0x7c00
}

// firmware assembles a program into firmware that starts it.
func firmware(t *testing.T, file string, defs ...string) string {
	t.Helper()
	b := make([]byte, imageSize)
	copy(b, copyProgram)
	copy(b[programAt:], acceltest.Assemble(t, ".", file, defs...))
	copy(b[resetVector:], []byte{0xea, 0, 0, 0, 0xf0}) // jmp 0xf000:0
	image := filepath.Join(t.TempDir(), file+".rom")
	require.NoError(t, os.WriteFile(image, b, 0o600))
	return image
}

// program runs firmware to its end and returns what it prints.
func program(t *testing.T, emulator, image string, args ...string) string {
	t.Helper()
	printed, ended := run(t, emulator, image, args...)
	require.Empty(t, ended, printed)
	return printed
}

// run runs firmware and returns what it prints; how the emulator ended, and said, if the firmware did not come to its end.
func run(t *testing.T, emulator, image string, args ...string) (printed, ended string) {
	t.Helper()
	con := filepath.Join(t.TempDir(), "console")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, emulator, append([]string{"-m", "16", "-bios", image, "-display", "none", "-vga", "none", "-net", "none",
		"-debugcon", "file:" + con, "-device", "isa-debug-exit,iobase=0xf4"}, args...)...)
	out, err := cmd.CombinedOutput()
	b, _ := os.ReadFile(con)
	if cmd.ProcessState.ExitCode() != 1 {
		ended = fmt.Sprintf("%v\n%s", err, out)
	}
	return string(b), ended
}

func TestModes(t *testing.T) {
	needKVM(t)
	image := firmware(t, "modes.asm")
	want, err := os.ReadFile("modes.want")
	require.NoError(t, err)
	for _, acc := range []string{"tcg", "kvm"} {
		require.Equal(t, string(want), program(t, testprog.Goemu(t), image, "-accel", acc), "-accel %s", acc)
	}
	qemu := testprog.QEMU(t)
	require.Equal(t, string(want), program(t, qemu, image, "-accel", "kvm"), "QEMU")
}

// TestInterrupts runs the timer, HLT, the start of processors and interrupts between them.
func TestInterrupts(t *testing.T) {
	needKVM(t)
	for _, cpus := range []int{1, 2, 3, 4} {
		n := strconv.Itoa(cpus)
		image := firmware(t, "smp.asm", "-DCPUS="+n)
		require.Equal(t, "ticks, processors: "+n+"\n", program(t, testprog.Goemu(t), image, "-smp", n, "-accel", "kvm"))
	}
}

// TestControllers: interrupts through each controller come wherever the controllers work.
func TestControllers(t *testing.T) {
	needKVM(t)
	image := firmware(t, "pins.asm")
	const want = "pel\n"
	for _, acc := range []string{"kvm", "kvm,kernel-irqchip=split", "kvm,kernel-irqchip=off", "tcg"} {
		require.Equal(t, want, program(t, testprog.Goemu(t), image, "-M", "q35", "-accel", acc), "-accel %s", acc)
	}
	require.Equal(t, "ticks, processors: 3\n", program(t, testprog.Goemu(t), firmware(t, "smp.asm", "-DCPUS=3"), "-smp", "3", "-accel", "kvm,kernel-irqchip=split"))
	qemu := testprog.QEMU(t)
	require.Equal(t, want, program(t, qemu, image, "-M", "q35", "-accel", "kvm,kernel-irqchip=split"), "QEMU")
}

// TestKVMFeatures: what -cpu says of KVM's interface for guests shows as in QEMU.
func TestKVMFeatures(t *testing.T) {
	needKVM(t)
	qemu := testprog.QEMU(t)
	image := firmware(t, "cpuid.asm")
	for _, args := range [][]string{{"-cpu", "qemu64,kvm=off"}, {"-cpu", "qemu64,+kvm_pv_unhalt,kvmclock=off"}, {"-cpu", "qemu64,kvm-hint-dedicated=on,-kvm_pv_eoi"},
		{"-cpu", "host,migratable=off"}, {"-cpu", "host", "-accel", "kvm,kernel-irqchip=split"}} {
		args = append(args, "-accel", "kvm")
		got := program(t, testprog.Goemu(t), image, args...)
		want, ended := run(t, qemu, image, args...)
		if strings.Contains(ended, "failed to set MSR") { // a register of the host's processor that this kernel has not
			t.Logf("not compared: QEMU with %v: %s", args, ended)
			continue
		}
		require.Empty(t, ended)
		require.Equal(t, want, got, args)
	}
}

// TestFallback: without the device the next accelerator is taken, with one line that says why.
func TestFallback(t *testing.T) {
	needKVM(t)
	if os.Getuid() != 0 {
		t.Skip("a root directory without the device needs root")
	}
	run := func(args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		script := `mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9 && echo quit | "$@"`
		out, _ := exec.CommandContext(ctx, "unshare", append([]string{"-m", "sh", "-c", script, "sh", testprog.Goemu(t), "-display", "none", "-monitor", "stdio", "-S", "-net", "none"}, args...)...).CombinedOutput()
		if strings.Contains(string(out), "unshare") || strings.Contains(string(out), "mount:") {
			t.Skip("no mount namespaces here: ", string(out))
		}
		return string(out)
	}
	const why = "failed to initialize kvm: No such file or directory (could not access KVM kernel module, /dev/kvm)"
	require.Equal(t, "goemu: -accel kvm: "+why+"\n", run("-accel", "kvm"))
	for _, list := range [][]string{{"-machine", "pc,accel=kvm:tcg"}, {"-accel", "kvm:tcg"}} {
		line, _, _ := strings.Cut(run(list...), "\n")
		require.Equal(t, "goemu: "+why+"; falling back to tcg", line)
	}
}

// TestOptions: mistakes end in one line in QEMU's words.
func TestOptions(t *testing.T) {
	needKVM(t)
	for want, args := range map[string][]string{
		"-accel kvm,foo=1: Property 'kvm-accel.foo' not found":                                                {"-accel", "kvm,foo=1"},
		"-accel kvm,kernel-irqchip=x: Parameter 'kernel-irqchip' does not accept value 'x'":                   {"-accel", "kvm,kernel-irqchip=x"},
		"-accel kvm,dirty-ring-size=3: dirty-ring-size must be a power of two.":                               {"-accel", "kvm,dirty-ring-size=3"},
		"-accel kvm,notify-vmexit=x: Parameter 'notify-vmexit' does not accept value 'x'":                     {"-accel", "kvm,notify-vmexit=x"},
		"can't apply global kvm-accel.kernel-irqchip=x: Parameter 'kernel-irqchip' does not accept value 'x'": {"-machine", "pc,accel=kvm,kernel-irqchip=x"},
		"System Management Mode not supported by this hypervisor.":                                            {"-machine", "pc,accel=kvm,smm=on"},
		"CPU model 'host' requires KVM or HVF":                                                                {"-accel", "tcg", "-cpu", "host"},
		"-accel nosuch: invalid accelerator nosuch":                                                           {"-accel", "nosuch"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		out, _ := exec.CommandContext(ctx, testprog.Goemu(t), append(args, "-display", "none", "-S")...).CombinedOutput()
		cancel()
		require.Equal(t, "goemu: "+want+"\n", string(out))
	}
}
