package kvm

import (
	"bytes"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"goemu/accel"
	"goemu/accel/acceltest"
	"goemu/internal/memory"
)

// TestDirtyLog copies the memory of a CPU that writes all the while, round by round. After the last round, with the CPU stopped, the copy
// must be the memory.
func TestDirtyLog(t *testing.T) {
	for name, o := range map[string]Options{"bitmap": {}, "ring": {DirtyRing: 1024}} {
		t.Run(name, func(t *testing.T) { testDirtyLog(t, o) })
	}
}

func testDirtyLog(t *testing.T, o Options) {
	h := hostOrSkip(t)
	if n, err := h.CheckRing(o.DirtyRing, func(string) {}); n != o.DirtyRing || err != nil {
		h.Close()
		t.Skip("no dirty rings on this host: ", err)
	}
	if _, err := os.Stat("/sys/module/kvm_pvm"); err == nil && o.DirtyRing != 0 {
		h.Close()
		t.Skip("ORACLE MISSING: the software KVM of this host notes nothing in dirty rings; QEMU finds nothing there, either")
	}
	o.Host = h
	m, a := newTestMachineOf(t, o, "qemu64", acceltest.Assemble(t, "../../tests/kvm", "dirty.asm"), 1)
	ram := m.AS.View().Find(0).RAM
	a.Start()
	wait(t, m, a) // the program has set itself up and goes on
	ram.Track(memory.DirtyMigration)
	copied := bytes.Clone(ram.Bytes())
	dirty := make([]uint64, (ram.Size()>>memory.PageBits+63)/64)
	var pages uint64
	round := func() {
		pages += ram.Collect(memory.DirtyMigration, dirty)
		for i := range uint64(len(dirty)) / 64 { // a chunk at a time, as a migration does
			ram.Arm(i*4096, 4096)
		}
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

// TestManualLog: pages that were found dirty are cleared in the kernel when they are about to be read, and only those.
func TestManualLog(t *testing.T) {
	f := newFake()
	f.caps[capManualProtect] = 3
	f.dirty = map[uint32]uint64{0: 0x5}
	m, a, err := f.machine(t, accel.ChipsNone)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ram := m.AS.View().Find(0).RAM
	ram.Track(memory.DirtyMigration)
	defer ram.Untrack(memory.DirtyMigration)
	dirty := make([]uint64, (ram.Size()>>memory.PageBits+63)/64)
	if n := ram.Collect(memory.DirtyMigration, dirty); n != 2 || dirty[0] != 5 || len(f.cleared) != 0 {
		t.Fatalf("%d pages, %#x; cleared %+v", n, dirty[0], f.cleared)
	}
	ram.Arm(64, 64)
	if len(f.cleared) != 0 {
		t.Errorf("pages that were not dirty are cleared: %+v", f.cleared)
	}
	ram.Arm(2, 3)
	ram.Arm(0, ram.Size()>>memory.PageBits) // all are by now
	if len(f.cleared) != 1 || f.cleared[0].First != 0 || f.cleared[0].Pages != 64 {
		t.Errorf("cleared %+v", f.cleared)
	}
	ram.Track(memory.DirtyDisplay) // whoever reads at once need not say so
	defer ram.Untrack(memory.DirtyDisplay)
	if ram.Collect(memory.DirtyDisplay, dirty); len(f.cleared) != 2 {
		t.Errorf("cleared %+v", f.cleared)
	}
}

// TestDirtyRing: the entries of a ring are read in order, around its end, and given back; entries that make no sense are left out.
func TestDirtyRing(t *testing.T) {
	f := newFake()
	f.caps[capDirtyRing] = 1 << 20
	m, a, err := f.machineOf(t, Options{DirtyRing: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ram := m.AS.View().Find(0).RAM
	ram.Track(memory.DirtyMigration)
	defer ram.Untrack(memory.DirtyMigration)
	entry := func(i int, slot uint32, page uint64) {
		e := f.ring[i*sizeDirtyEntry:]
		le.PutUint32(e[entrySlot:], slot)
		le.PutUint64(e[entryPage:], page)
		le.PutUint32(e, entryDirty)
	}
	f.fail[reqEnableCap] = unix.EINVAL
	const want = "Enabling of KVM dirty ring failed: Invalid argument. Suggested minimum value is 1024."
	if _, _, err := f.machineOf(t, Options{DirtyRing: 4}); err == nil || err.Error() != want {
		t.Error(err)
	}
	dirty := make([]uint64, (ram.Size()>>memory.PageBits+63)/64)
	entry(0, 0, 3)
	entry(1, 0, 1<<40)
	entry(2, 77, 1)
	if n := ram.Collect(memory.DirtyMigration, dirty); n != 1 || dirty[0] != 1<<3 {
		t.Errorf("%d pages, %#x", n, dirty[0])
	}
	entry(3, 0, 4)
	entry(0, 0, 5)
	if n := ram.Collect(memory.DirtyMigration, dirty); n != 2 || dirty[0] != 7<<3 {
		t.Errorf("%d pages, %#x", n, dirty[0])
	}
	for i := range 4 {
		if v := le.Uint32(f.ring[i*sizeDirtyEntry:]); v != entryReset {
			t.Errorf("entry %d: %d", i, v)
		}
	}
}

// TestRingSizes: rings that the kernel cannot have are refused in QEMU's words.
func TestRingSizes(t *testing.T) {
	warned := ""
	warn := func(text string) { warned = text }
	h := &Host{caps: map[capability]int{}}
	if n, err := h.CheckRing(1024, warn); n != 0 || err != nil || warned != "KVM dirty ring not available, using bitmap method" {
		t.Errorf("%d, %v, %q", n, err, warned)
	}
	h.caps[capDirtyRing] = 1 << 20
	const want = "KVM dirty ring size 131072 too big (maximum is 65536).  Please use a smaller value."
	if _, err := h.CheckRing(131072, warn); err == nil || err.Error() != want {
		t.Error(err)
	}
	if n, err := h.CheckRing(65536, warn); n != 65536 || err != nil {
		t.Error(n, err)
	}
}
