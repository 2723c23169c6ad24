package loader_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"goemu/hw/firmware/loader"
	"goemu/hw/qdev/qtest"
)

// kernel is a file that is taken for a bzImage, protocol 2.15, with n bytes of code.
func kernel(t testing.TB, n int) string {
	t.Helper()
	le := binary.LittleEndian
	b := make([]byte, 5*512+n)
	for i := 5 * 512; i < len(b); i++ {
		b[i] = byte(i)
	}
	b[0x1f1] = 4
	le.PutUint32(b[0x1f4:], uint32(n+15)/16)
	le.PutUint16(b[0x1fe:], 0xaa55)
	b[0x201] = 0x66
	copy(b[0x202:], "HdrS")
	le.PutUint16(b[0x206:], 0x20f)
	b[0x211] = 1
	le.PutUint32(b[0x22c:], 0x7fffffff)
	le.PutUint32(b[0x230:], 1<<21)
	b[0x234] = 1
	le.PutUint32(b[0x238:], 2047)
	return file(t, "kernel", b)
}

func file(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHandOver compares what firmware gets with what QEMU's gets.
func TestHandOver(t *testing.T) {
	const ram, cmdline = 128 << 20, "console=ttyS0 quiet"
	initrd := file(t, "initrd", bytes.Repeat([]byte("initrd"), 3000))
	cfg := &loader.Config{Kernel: kernel(t, 3000), Initrd: initrd, Cmdline: cmdline}
	h, err := loader.HandOver(cfg, ram)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	q := qtest.Start(t, "-M", "pc", "-m", "128", "-kernel", cfg.Kernel, "-initrd", initrd, "-append", cmdline)
	item := func(key uint16, n int) []byte {
		q.Out(0x510, 2, uint32(key))
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(q.In(0x511, 1))
		}
		return b
	}
	for _, c := range []struct {
		name             string
		addr, size, data uint16
		at               uint32
		b                []byte
	}{
		{"setup", 0x16, 0x17, 0x18, h.SetupAddr, h.Setup},
		{"kernel", 0x07, 0x08, 0x11, h.KernelAddr, h.Kernel},
		{"initrd", 0x0a, 0x0b, 0x12, h.InitrdAddr, h.Initrd},
		{"command line", 0x13, 0x14, 0x15, h.CmdlineAddr, h.Cmdline},
	} {
		at, size := binary.LittleEndian.Uint32(item(c.addr, 4)), binary.LittleEndian.Uint32(item(c.size, 4))
		n := min(len(c.b), 2600)
		if at != c.at || int(size) != len(c.b) || !bytes.Equal(item(c.data, n), c.b[:n]) {
			t.Errorf("%s: %d bytes for %#x, QEMU %d for %#x", c.name, len(c.b), c.at, size, at)
		}
	}
	for ram, want := range map[uint64]string{ram: "", 180000: "initrd is too large, cannot support.(max: 16159, need 18000)"} {
		h, err := loader.HandOver(cfg, ram)
		if err == nil {
			h.Close()
		}
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%d bytes of memory: %v", ram, err)
		}
	}
}

func FuzzHandOver(f *testing.F) {
	b, err := os.ReadFile(kernel(f, 64))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, []byte("initrd"), uint64(128<<20))
	f.Fuzz(func(t *testing.T, kernel, initrd []byte, below uint64) {
		h, err := loader.HandOver(&loader.Config{Kernel: file(t, "k", kernel), Initrd: file(t, "i", initrd)}, min(below, 1<<32))
		if err == nil {
			h.Close()
		}
	})
}
