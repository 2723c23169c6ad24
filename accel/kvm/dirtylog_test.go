package kvm

import (
	"bytes"
	"testing"
	"time"

	"goemu/accel/acceltest"
	"goemu/internal/memory"
)

// TestDirtyLog copies the memory of a CPU that writes all the while, round by round. After the last round, with the CPU stopped, the copy
// must be the memory.
func TestDirtyLog(t *testing.T) {
	h := hostOrSkip(t)
	m, a := newTestMachine(t, h, "qemu64", acceltest.Assemble(t, "../../tests/kvm", "dirty.asm"), 1)
	ram := m.AS.View().Find(0).RAM
	a.Start()
	wait(t, m, a) // the program has set itself up and goes on
	ram.Track(memory.DirtyMigration)
	copied := bytes.Clone(ram.Bytes())
	dirty := make([]uint64, (ram.Size()>>memory.PageBits+63)/64)
	var pages uint64
	round := func() {
		pages += ram.Collect(memory.DirtyMigration, dirty)
		for i, w := range dirty {
			for b := range 64 {
				if w>>b&1 != 0 {
					at := (i*64 + b) << memory.PageBits
					copy(copied[at:at+memory.PageSize], ram.Bytes()[at:])
				}
			}
			dirty[i] = 0
		}
	}
	const enough = 300
	for end := time.Now().Add(60 * time.Second); pages < enough && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		round()
	}
	a.Pause()
	round()
	ram.Untrack(memory.DirtyMigration)
	if pages < enough {
		t.Errorf("only %d pages were found dirty", pages)
	}
	for at := 0; at < len(copied); at += memory.PageSize {
		if !bytes.Equal(copied[at:at+memory.PageSize], ram.Bytes()[at:at+memory.PageSize]) {
			t.Fatalf("page %#x was not found dirty; %d pages in all", at, pages)
		}
	}
}
