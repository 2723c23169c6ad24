package kvm

import (
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

// nestedScript runs firmware in the guest's own goemu on the guest's KVM, and shows what it prints between two lines.
const nestedScript = `#!/bin/sh
goemu -accel kvm -m 16 -bios /image -display none -vga none -net none -debugcon file:/console -device isa-debug-exit,iobase=0xf4 "$@"
echo "STATUS $?"
echo OUTPUT
cat /console
echo
echo END
`

// TestNestedKVM: a Linux guest of the translator has a KVM of its own (SVM), in which goemu runs a program of all processor modes and one
// of timer interrupts, with nested paging and without.
func TestNestedKVM(t *testing.T) {
	if testing.Short() {
		t.Skip("whole boots take seconds each")
	}
	kernel, err := guest.GetKernel("amd64")
	if err != nil {
		t.Skip("ORACLE MISSING: no kernel package: ", err)
	}
	bb, err := guest.GetBusybox()
	if err != nil {
		t.Skip("ORACLE MISSING: no busybox package: ", err)
	}
	dir, goemu := t.TempDir(), testprog.Goemu(t)
	script, initrd := filepath.Join(dir, "script"), filepath.Join(dir, "initrd")
	require.NoError(t, os.WriteFile(script, []byte(nestedScript), 0o600))
	modes, err := os.ReadFile("modes.want")
	require.NoError(t, err)
	for _, c := range []struct {
		program, want, cpu string
	}{
		{"modes.asm", strings.TrimSpace(string(modes)), "max"},
		{"smp.asm", "ticks, processors: 1", "EPYC,npt=off"},
	} {
		files := map[string]string{"bin/goemu": goemu, "bin/nested": script, "image": firmware(t, c.program, "-DCPUS=1")}
		require.NoError(t, guest.WriteInitramfs(initrd, guest.Spec{Busybox: bb, Kernel: kernel, Modules: []string{"ccp", "kvm-amd"}, Files: files}))
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, goemu, "-accel", "tcg", "-cpu", c.cpu, "-m", "512", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
			"-kernel", kernel.Image, "-initrd", initrd, "-append", "console=ttyS0 no_timer_check quiet run=nested")
		out, err := cmd.CombinedOutput()
		text := strings.ReplaceAll(string(out), "\r", "")
		require.NoError(t, err, text)
		_, rest, _ := strings.Cut(text, "STATUS 1\nOUTPUT\n")
		got, _, ok := strings.Cut(rest, "\nEND\n")
		require.True(t, ok, text)
		require.Equal(t, c.want, strings.TrimSpace(got), c.cpu)
	}
}
