package x86

import (
	"math/rand/v2"
	"testing"
)

// TestWalk: the pages of a walk are those that a look-up finds, in every paging mode.
func TestWalk(t *testing.T) {
	for _, st := range []State{
		{CR0: CR0PG, CR3: 0x1000, CR4: CR4PSE},
		{CR0: CR0PG, CR3: 0x1000, CR4: CR4PAE},
		{CR0: CR0PG, CR3: 0x1000, CR4: CR4PAE, EFER: EFERLMA},
		{CR0: CR0PG, CR3: 0x1000, CR4: CR4PAE | CR4LA57, EFER: EFERLMA},
	} {
		r := rand.New(rand.NewPCG(1, uint64(st.CR4)))
		tables := map[uint64]uint64{}
		m := st.PageMap(func(addr uint64, _ int) uint64 {
			if _, ok := tables[addr]; !ok {
				tables[addr] = 0
				if addr < 0x1020 || r.IntN(200) == 0 { // tables lie where others may be read from, too
					tables[addr] = 0x100000 + uint64(r.IntN(64))<<12 | PTEPresent | uint64(r.Uint32())&(PTEWrite|PTEUser|PTEPS|0x60)
				}
			}
			return tables[addr]
		})
		n, last := 0, uint64(0)
		m.Walk(func(p Page) {
			n++
			if n > 1 && p.Addr < last {
				t.Fatalf("page %#x comes after %#x", p.Addr, last)
			}
			last = p.Addr + p.Size
			got, ok := m.Lookup(m.Canonical(p.Addr))
			if got.Addr = m.Canonical(p.Addr); !ok || got.Phys != p.Phys || got.Size != p.Size || got.Entry != p.Entry || got.Rights != p.Rights {
				t.Fatalf("CR4 %#x: walk finds %+v, look-up %+v", st.CR4, p, got)
			}
		})
		if n == 0 {
			t.Errorf("CR4 %#x: no pages", st.CR4)
		}
	}
}
