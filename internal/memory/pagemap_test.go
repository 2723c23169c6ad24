package memory

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUntouched: pages count as untouched until something is put into them, and again once they are given back; memory that others may fill,
// or that a file stands behind, never does.
func TestUntouched(t *testing.T) {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Skip("ORACLE MISSING: ", err)
	}
	_ = f.Close()
	const pages = 2*pagemapWindow + 3
	r, err := NewRAMBlock("r", pages*PageSize)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Free() }()
	_ = r.Advise(unix.MADV_NOHUGEPAGE)
	var u Untouched
	defer u.Close()
	written := map[uint64]bool{0: true, 7: true, pagemapWindow - 1: true, pagemapWindow + 64: true, pages - 1: true}
	for p := range written {
		r.Bytes()[p*PageSize+p%PageSize] = 1
	}
	check := func(want func(p uint64) bool) {
		t.Helper()
		for p := range uint64(pages) {
			if got := u.Page(r, p); got != want(p) {
				t.Errorf("page %d: %v", p, got)
			}
		}
	}
	check(func(p uint64) bool { return !written[p] })
	r.Discard(7*PageSize, PageSize)
	check(func(p uint64) bool { return p == 7 || !written[p] })
	if !u.Page(r, 20) {
		t.Error("page 20 is not known")
	}
	r.Bytes()[20*PageSize] = 1
	u.Touch(r, 20)
	if u.Page(r, 20) || !u.Page(r, 21) {
		t.Error("Touch is about its page")
	}
	r.Bytes()[21*PageSize] = 1
	u.Forget()
	if u.Page(r, 21) || !u.Page(r, 22) {
		t.Error("Forget makes pages be looked up anew")
	}

	fd, err := unix.MemfdCreate("m", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Ftruncate(fd, PageSize); err != nil {
		t.Fatal(err)
	}
	for _, m := range []Mapping{{FD: -1, Shared: true}, {FD: fd}, {FD: fd, Shared: true}} {
		b, err := MapRAMBlock("b", PageSize, m)
		if err != nil {
			t.Fatal(err)
		}
		if u.Page(b, 0) {
			t.Errorf("%+v", m)
		}
		_ = b.Free()
	}
}
