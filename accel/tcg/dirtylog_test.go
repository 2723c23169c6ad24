package tcg

import (
	"bytes"
	"testing"
	"time"

	"goemu/internal/memory"
)

// TestDirtyLog copies the memory of a CPU that writes all the while, round by round. After the last round, with the CPU stopped, the copy
// must be the memory.
func TestDirtyLog(t *testing.T) {
	image := assemble(t, "dirty.asm")
	for what, e := range testEngines(t) {
		m, a := newTestMachine(t, "max", image, 1, e)
		ram := m.AS.View().Find(0).RAM
		a.Start()
		select {
		case <-m.Exit: // the program has set itself up and goes on
		case <-time.After(20 * time.Second):
			a.Pause()
			t.Fatalf("%s: the guest does not begin\n%s", what, a.CPUs()[0].Dump())
		}
		ram.Track(memory.DirtyMigration)
		a.Log()
		copied := bytes.Clone(ram.Bytes())
		dirty := make([]uint64, (ram.Size()>>memory.PageBits+63)/64)
		var pages uint64
		round := func() {
			pages += ram.Collect(memory.DirtyMigration, dirty)
			a.Log()
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
		for end := time.Now().Add(20 * time.Second); pages < 20000 && time.Now().Before(end); {
			round()
			time.Sleep(time.Millisecond)
		}
		a.Pause()
		round()
		ram.Untrack(memory.DirtyMigration)
		if pages < 20000 {
			t.Errorf("%s: only %d pages were found dirty", what, pages)
		}
		for at := 0; at < len(copied); at += memory.PageSize {
			if !bytes.Equal(copied[at:at+memory.PageSize], ram.Bytes()[at:at+memory.PageSize]) {
				t.Fatalf("%s: page %#x was not found dirty; %d pages in all", what, at, pages)
			}
		}
	}
}
