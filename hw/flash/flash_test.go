package flash

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/internal/memory"
)

const size = 64 << 10

// rig is a chip at address zero with an image of counting bytes.
func rig(t testing.TB, readOnly bool) (*Flash, *memory.AddressSpace, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flash")
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i / 7)
	}
	require.NoError(t, os.WriteFile(file, b, 0o600))
	drives := driver.NewDrives()
	ro := ""
	if readOnly {
		ro = ",readonly=on"
	}
	_, err := drives.AddDrive("if=none,id=d,format=raw,file="+file+ro, "none")
	require.NoError(t, err)
	t.Cleanup(func() { _ = drives.Close() })
	tree := qdev.NewTree(qdev.NewRegistry())
	qdev.Link(&tree.Links, func(id string) (*block.Source, bool) { return drives.Source(id) })
	f, err := New(tree, "system.flash0", "d", MaxFirmware)
	require.NoError(t, err)
	t.Cleanup(tree.Close)
	f.Reset()
	root := memory.NewContainer("system", memory.Whole)
	root.Add(f.Region(), 0, 0)
	as := memory.NewAddressSpace("memory", root)
	t.Cleanup(as.Close)
	return f, as, file
}

// conversation is what a driver says: w is a write, r a read.
var conversation = []struct {
	write bool
	at    uint64
	size  int
	v     uint64
}{
	{false, 0x100, 4, 0}, {true, 0, 1, 0x98}, {false, 0x10, 1, 0}, {false, 0x11, 1, 0}, {false, 0x27, 1, 0}, {false, 0x2a, 1, 0}, {false, 0x2d, 1, 0},
	{false, 0x2e, 1, 0}, {false, 0x2f, 1, 0}, {false, 0x30, 1, 0}, {false, 0x31, 1, 0}, {false, 0x1100, 1, 0}, {true, 0, 1, 0xff}, {false, 0x100, 2, 0},
	{true, 0, 1, 0x90}, {false, 0, 1, 0}, {false, 1, 1, 0}, {true, 0, 1, 0xff},
	{true, 0x204, 1, 0x40}, {true, 0x204, 1, 0x5a}, {false, 0x204, 1, 0}, {true, 0, 1, 0x50}, {true, 0, 1, 0x70}, {false, 0, 4, 0}, {true, 0, 1, 0xff}, {false, 0x204, 4, 0},
	{true, 0x3010, 1, 0x20}, {true, 0x3010, 1, 0xd0}, {false, 0x3010, 1, 0}, {true, 0, 1, 0xff}, {false, 0x3010, 4, 0}, {false, 0x2ffc, 4, 0}, {false, 0x4000, 4, 0},
	{true, 0x5000, 1, 0xe8}, {false, 0x5000, 1, 0}, {true, 0x5000, 1, 3}, {true, 0x5000, 1, 1}, {true, 0x5001, 1, 2}, {true, 0x5002, 1, 3}, {true, 0x5003, 1, 4},
	{true, 0x5000, 1, 0xd0}, {false, 0x5000, 1, 0}, {true, 0, 1, 0xff}, {false, 0x5000, 4, 0},
	{true, 0x6000, 1, 0xe8}, {true, 0x6000, 1, 0}, {true, 0x7000, 1, 9}, {true, 0x6000, 1, 0xd0}, {false, 0x6000, 1, 0}, {true, 0, 1, 0x70}, {false, 0, 1, 0}, {true, 0, 1, 0x50},
	{true, 0, 1, 0x60}, {true, 0, 1, 0xd0}, {false, 0, 1, 0}, {true, 0, 1, 0x60}, {true, 0, 1, 0x33}, {false, 0, 1, 0},
	{true, 0, 1, 0x77}, {false, 0, 4, 0}, {true, 0x20, 4, 0x12345640}, {true, 0x20, 4, 0xdeadbeef}, {false, 0x20, 1, 0}, {true, 0, 1, 0xff}, {false, 0x20, 4, 0},
}

// TestAgainstQEMU has the same conversation with QEMU's chip, of an image that can be written to and of one that cannot, and compares
// the images.
func TestAgainstQEMU(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		t.Run(fmt.Sprintf("readonly=%v", readOnly), func(t *testing.T) {
			_, as, file := rig(t, readOnly)
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			other := filepath.Join(t.TempDir(), "other")
			require.NoError(t, os.WriteFile(other, b, 0o600))
			opt := "if=pflash,format=raw,file=" + other
			if readOnly {
				opt += ",readonly=on"
			}
			q := qtest.Start(t, "-M", "pc", "-nodefaults", "-drive", opt)
			const base = 1<<32 - size
			letter := map[int]string{1: "b", 2: "w", 4: "l"}
			for i, c := range conversation {
				if c.write {
					as.Store(c.at, c.size, c.v)
					q.Command("write%s %#x %#x", letter[c.size], base+c.at, c.v)
					continue
				}
				got, _ := as.Load(c.at, c.size)
				want := strings.Join(q.Command("read%s %#x", letter[c.size], base+c.at), "")
				require.Equal(t, want, fmt.Sprintf("0x%016x", got), "step %d: %+v", i, c)
			}
			ours, err := os.ReadFile(file)
			require.NoError(t, err)
			theirs, err := os.ReadFile(other)
			require.NoError(t, err)
			require.True(t, bytes.Equal(ours, theirs), "the images differ")
		})
	}
}

// TestSizes refuses images that no chip can have.
func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "invalid size 0", 5000: "invalid size 5120", 9 << 20: "combined size of system firmware exceeds 8388608 bytes"} {
		drives := driver.NewDrives()
		file := filepath.Join(t.TempDir(), "flash")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		require.NoError(t, os.Truncate(file, n))
		_, err := drives.AddDrive("if=none,id=d,format=raw,file="+file, "none")
		require.NoError(t, err)
		tree := qdev.NewTree(qdev.NewRegistry())
		qdev.Link(&tree.Links, func(id string) (*block.Source, bool) { return drives.Source(id) })
		_, err = New(tree, "system.flash0", "d", MaxFirmware)
		require.ErrorContains(t, err, want)
		require.NoError(t, drives.Close())
	}
}

// FuzzFlash writes anything anywhere.
func FuzzFlash(f *testing.F) {
	f.Add([]byte{0xe8, 0, 0, 0x10, 0, 0, 1, 0, 0, 0xd0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		chip, as, _ := rig(t, false)
		for ; len(script) >= 3; script = script[3:] {
			at := uint64(script[1])<<8 | uint64(script[2])
			as.Store(at, 1+int(script[1]&3), uint64(script[0])*0x01010101)
			as.Load(at, 4)
		}
		chip.Reset()
		got := make([]byte, size)
		require.NoError(t, chip.backend.Read(context.Background(), 0, got))
		require.True(t, bytes.Equal(got, chip.Region().RAM().Bytes()), "the image is not what the guest sees")
	})
}
