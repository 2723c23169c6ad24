package qtest

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"goemu/hw/char"
	"goemu/hw/qdev"
	"goemu/internal/chardev"
)

// TestParallel writes random values to a parallel port's registers; the printer must get the same bytes.
func TestParallel(t *testing.T) {
	dir := t.TempDir()
	theirs, ours := filepath.Join(dir, "qemu"), filepath.Join(dir, "ours")
	p := newPair(t, "-parallel", "file:"+theirs)
	set := chardev.NewSet(p.m.loop, chardev.Hooks{})
	must[*chardev.Backend](t)(set.OpenLegacy("", "p", "file:"+ours))
	qdev.Link(&p.m.tree.Links, set.Find)
	d := must[qdev.Device](t)(p.m.tree.Create(&char.ParallelClass, p.m.piix3.ISA, qdev.Setting{Name: "chardev", Value: "p"}))
	qdev.Reset(d)
	r := rand.New(rand.NewPCG(13, 78))
	for range 600 {
		port := uint16(0x378 + r.IntN(4))
		if r.IntN(2) == 0 {
			p.in(port, 1)
		} else {
			p.out(port, 1, uint32(r.IntN(256)))
		}
		p.in(0x20, 1) // the interrupt
	}
	set.Close()
	want, got := must[[]byte](t)(os.ReadFile(theirs)), must[[]byte](t)(os.ReadFile(ours))
	if len(want) == 0 || string(want) != string(got) {
		t.Errorf("printed % x, QEMU printed % x", got, want)
	}
}
