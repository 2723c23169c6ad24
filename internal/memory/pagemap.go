package memory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"goemu/internal/strerror"
)

// Bits of an entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
const (
	pagemapPresent = 1 << 63
	pagemapFilled  = 3 << 62 // the page is in memory or in swap
	pagemapFrame   = 1<<55 - 1
	pagemapFile    = "/proc/self/pagemap"
)

// HostPhysical is the address in the host's memory of a byte of the block, 0 in its page if the host does not tell this user.
func (r *RAMBlock) HostPhysical(off uint64) (uint64, error) {
	f, err := os.Open(pagemapFile)
	if err != nil {
		return 0, fmt.Errorf("Cannot open %s: %s", pagemapFile, strerror.Of(err))
	}
	defer f.Close()
	if err := r.Populate(off&^(r.pageSize-1), 1); err != nil {
		return 0, fmt.Errorf("Cannot provide the page: %s", strerror.Of(err))
	}
	var entry [8]byte
	at := uint64(uintptr(r.Host())) + off
	if _, err := f.ReadAt(entry[:], int64(at>>PageBits*8)); err != nil {
		return 0, fmt.Errorf("Cannot read pagemap: %s", strerror.Of(err))
	}
	e := binary.NativeEndian.Uint64(entry[:])
	if e&pagemapPresent == 0 {
		return 0, errors.New("Page not present")
	}
	return e&pagemapFrame<<PageBits | at&(1<<PageBits-1), nil
}

// Untouched finds pages of RAM blocks that nothing has been put into since they were mapped, so that they read as zeroes, without making the
// host provide them as reading does. It remembers the last few pages asked about. The zero value is ready; after Close it is so again.
type Untouched struct {
	f      *os.File
	failed bool
	block  *RAMBlock
	first  uint64 // page of block that set begins with
	set    [pagemapWindow / 64]uint64
	buf    [pagemapWindow * 8]byte
}

const pagemapWindow = 512 // pages that are looked up at once: a huge page of the host

// Page tells whether a page is known to be untouched. The answer is as old as the last one for another part of memory, or as Forget.
func (u *Untouched) Page(r *RAMBlock, page uint64) bool {
	if !r.anonymous || u.failed {
		return false
	}
	if i := page - u.first; r != u.block || i >= pagemapWindow {
		u.look(r, page&^(pagemapWindow-1))
	}
	i := page - u.first
	return u.set[i>>6]>>(i&63)&1 != 0
}

// look finds the untouched pages from first on.
func (u *Untouched) look(r *RAMBlock, first uint64) {
	u.block, u.first, u.set = r, first, [pagemapWindow / 64]uint64{}
	if u.f == nil {
		f, err := os.Open(pagemapFile)
		if err != nil { // not for every user, and not on every host
			u.failed = true
			return
		}
		u.f = f
	}
	at := uint64(uintptr(r.Host()))>>PageBits + first
	pages := min(pagemapWindow, r.mapped>>PageBits-first)
	if _, err := u.f.ReadAt(u.buf[:pages*8], int64(at*8)); err != nil {
		u.failed = true
		return
	}
	for i := range pages {
		if binary.NativeEndian.Uint64(u.buf[i*8:])&pagemapFilled == 0 {
			u.set[i>>6] |= 1 << (i & 63)
		}
	}
}

// Touch says that something was put into a page.
func (u *Untouched) Touch(r *RAMBlock, page uint64) {
	if i := page - u.first; r == u.block && i < pagemapWindow {
		u.set[i>>6] &^= 1 << (i & 63)
	}
}

// Forget makes every page be looked up anew: others may have written.
func (u *Untouched) Forget() { u.block = nil }

// Close ends the use of the host's tables.
func (u *Untouched) Close() {
	if u.f != nil {
		_ = u.f.Close()
	}
	*u = Untouched{}
}
