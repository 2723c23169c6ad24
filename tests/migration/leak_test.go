package migration

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNothingLeft builds, runs and closes machines: goroutines and open files must not pile up. (The guest's memory
// stays mapped until the process ends.)
func TestNothingLeft(t *testing.T) {
	kernel := assemble(t, "mov ecx, 100000\n.l: loop .l\ncli\nhlt\n")
	cycle := func(typ string, devices ...string) {
		t.Run(typ, func(t *testing.T) { execute(t, newMachine(t, typ, kernel, 2, devices...)) })
	}
	all := func() {
		cycle("pc", "virtio-rng-pci", "virtio-serial-pci")
		cycle("microvm", "virtio-rng-device")
	}
	all() // what is made once stays
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range 3 {
		all()
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines, "goroutines")
	require.LessOrEqual(t, openFiles(t), files, "open files")
}

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(d)
}
