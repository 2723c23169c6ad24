// Package testprog finds the programs that tests run: goemu, and those that tell what is right.
package testprog

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// packages are Debian's names for what has a program, when they are not the program's own.
var packages = map[string]string{
	"qemu-system-x86_64": "qemu-system-x86", "qemu-storage-daemon": "qemu-system-common",
	"qemu-img": "qemu-utils", "qemu-io": "qemu-utils", "qemu-nbd": "qemu-utils",
	"ndisasm": "nasm", "iasl": "acpica-tools", "virsh": "libvirt-clients", "nbdinfo": "libnbd-bin", "nbdcopy": "libnbd-bin",
	"mkfs.ext4": "e2fsprogs", "debugfs": "e2fsprogs", "e2fsck": "e2fsprogs",
}

// Need returns the path of a program, or skips the test when it, or one of the others, is missing.
func Need(t testing.TB, program string, others ...string) string {
	t.Helper()
	for _, p := range append(others, program) {
		if _, err := exec.LookPath(p); err != nil {
			pkg := packages[p]
			if pkg == "" {
				pkg = p
			}
			t.Skipf("ORACLE MISSING: %s is not installed (package %s)", p, pkg)
		}
	}
	path, _ := exec.LookPath(program)
	return path
}

// QEMU returns the path of the emulator that goemu is compared with, or skips the test.
func QEMU(t testing.TB) string {
	t.Helper()
	return Need(t, "qemu-system-x86_64")
}

// built is where goemu is, once a test of this process has asked for it.
var built struct {
	once sync.Once
	dir  string
	out  []byte
	err  error
}

// Goemu returns the path of goemu, built from the sources at hand. The package's TestMain is to be Main.
func Goemu(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "goemu"); built.err == nil {
			built.out, built.err = exec.Command("go", "build", "-o", filepath.Join(built.dir, "goemu"), "goemu/cmd/goemu").CombinedOutput()
		}
	})
	if built.err != nil {
		t.Fatalf("goemu cannot be built: %v\n%s", built.err, built.out)
	}
	return filepath.Join(built.dir, "goemu")
}

// Main is the TestMain of a package whose tests run goemu.
func Main(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(built.dir)
	os.Exit(code)
}
