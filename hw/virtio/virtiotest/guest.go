package virtiotest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
)

// Slot is the function that a Guest's accesses to configuration space go to: device 5.
const Slot = 5 << 3

// Guest is a machine with a device in Slot, as a driver sees it: Ours or Theirs.
type Guest interface {
	Config(reg uint32, size int) uint32
	SetConfig(reg uint32, size int, v uint32)
	Load(addr uint64, size int) uint64
	Store(addr uint64, size int, v uint64)
	In(port uint16, size int) uint32
	Out(port uint16, size int, v uint32)
	Read(addr uint64, n int) []byte
	Write(addr uint64, b []byte)
}

// Ours is a Machine as a Guest: its methods take the machine lock.
type Ours struct{ *Machine }

// NewOurs builds a machine with the drive d, a raw image.
func NewOurs(t testing.TB, image string, classes ...[]*qdev.Class) Ours {
	t.Helper()
	m := NewMachine(t, classes...)
	drives := driver.NewDrives()
	qdev.Link(&m.Tree.Links, func(id string) (*block.Source, bool) { return drives.Source(id) })
	if _, err := drives.AddDrive("id=d,if=none,format=raw,file="+image, "none"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Close()
		drives.Close()
	})
	return Ours{m}
}

// Plug creates devices, each given as to -device.
func (o Ours) Plug(devices ...string) {
	o.T.Helper()
	for _, d := range devices {
		words := strings.Split(d, ",")
		var pairs []string
		for _, w := range words[1:] {
			name, value, _ := strings.Cut(w, "=")
			pairs = append(pairs, name, value)
		}
		var err error
		Locked(func() { _, err = o.Add(words[0], pairs...) })
		if err != nil {
			o.T.Fatal(d, err)
		}
	}
}

// Config implements Guest.
func (o Ours) Config(reg uint32, size int) (v uint32) {
	Locked(func() { v = o.Machine.Config(Slot, reg, size) })
	return v
}

// SetConfig implements Guest.
func (o Ours) SetConfig(reg uint32, size int, v uint32) {
	Locked(func() { o.Machine.SetConfig(Slot, reg, size, v) })
}

// Load implements Guest.
func (o Ours) Load(addr uint64, size int) (v uint64) {
	Locked(func() { v, _ = o.Mem.Load(addr, size) })
	return v
}

// Store implements Guest.
func (o Ours) Store(addr uint64, size int, v uint64) {
	Locked(func() { o.Mem.Store(addr, size, v) })
}

// In implements Guest.
func (o Ours) In(port uint16, size int) (v uint32) {
	Locked(func() { x, _ := o.IO.Load(uint64(port), size); v = uint32(x) })
	return v
}

// Out implements Guest.
func (o Ours) Out(port uint16, size int, v uint32) {
	Locked(func() { o.IO.Store(uint64(port), size, uint64(v)) })
}

// Read implements Guest.
func (o Ours) Read(addr uint64, n int) []byte {
	b := make([]byte, n)
	Locked(func() { o.Mem.Read(addr, b) })
	return b
}

// Write implements Guest.
func (o Ours) Write(addr uint64, b []byte) { Locked(func() { o.Mem.Write(addr, b) }) }

// Theirs is a PC of QEMU's as a Guest.
type Theirs struct{ *qtest.QEMU }

// PCArgs are the options of a PC of QEMU's that is like NewOurs with devices plugged.
func PCArgs(image string, devices ...string) []string {
	args := []string{"-M", "pc", "-m", "16", "-nodefaults", "-drive", "if=none,id=d,format=raw,file=" + image}
	for _, d := range devices {
		args = append(args, "-device", d)
	}
	return args
}

// Config implements Guest.
func (q Theirs) Config(reg uint32, size int) uint32 { return q.QEMU.Config(Slot, reg, size) }

// SetConfig implements Guest.
func (q Theirs) SetConfig(reg uint32, size int, v uint32) { q.QEMU.SetConfig(Slot, reg, size, v) }

// Image makes a disk image of size bytes, of which the first ones hold a pattern and the rest is a hole.
func Image(t testing.TB, filled int, size int64) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "image") // the test's own directory may have commas in its name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "d.img")
	b := make([]byte, filled)
	for i := range b {
		b[i] = byte(i>>9 ^ i*5)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}
