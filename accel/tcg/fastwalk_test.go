package tcg

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"goemu/accel/acceltest"
	"goemu/target/x86"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
)

// walkTables is where the page tables of TestFastWalk are: walkPages pages that refer to one another, and to some RAM.
const walkTables, walkPages = 0x200000, 8

// randomTables fills the tables with entries of which most can be used.
func randomTables(r *rand.Rand, mem []byte, wide bool) {
	entry := func() uint64 {
		pte := uint64(pteP|pteRW|pteUS) | r.Uint64()&(pteRW|pteUS|pteA|pteD|pteG|0x18)
		at := uint64(walkTables) + r.Uint64N(walkPages)<<12
		switch r.IntN(8) {
		case 0:
			pte &^= uint64(pteP) << r.IntN(3)
		case 1:
			pte &^= pteRW | pteUS
		case 2:
			at = r.Uint64N(acceltest.RAM) &^ 0xfff
			pte |= ptePS
		case 3:
			at = r.Uint64N(acceltest.RAM) &^ 0x1fffff
			pte |= ptePS
		case 4:
			pte |= ptePS
			at = r.Uint64N(acceltest.RAM) &^ 0x3fffff
		case 5:
			pte ^= uint64(1) << r.IntN(64)
		case 6:
			pte |= uint64(pteNX) | r.Uint64N(16)<<ptePKey
		}
		return pte | at
	}
	for i := 0; i < len(mem); {
		if pte := entry(); wide {
			le.PutUint64(mem[i:], pte)
			i += 8
		} else {
			le.PutUint32(mem[i:], uint32(pte))
			i += 4
		}
	}
}

// TestFastWalk compares the fast page walk with the other in random tables of all modes: the same entry of the soft TLB, the same bits set in the
// tables. It may decline, but not what is plain.
func TestFastWalk(t *testing.T) {
	const changes = x86.CR4PSE | x86.CR4PGE | x86.CR4SMEP | x86.CR4SMAP | x86.CR4PKE | x86.CR4PKS
	m, a := newTestMachine(t, "max", []byte{0xf4}, 1, interp.New(front.Globals))
	c := a.CPUs()[0]
	e := c.env
	ram := m.AS.View().Find(0).RAM.Bytes()
	tables := ram[walkTables : walkTables+walkPages<<12]
	r := rand.New(rand.NewPCG(7, 8))
	for _, mode := range []struct {
		name      string
		cr4, efer uint64
	}{{"32 bits", 0, 0}, {"PAE", x86.CR4PAE, 0}, {"long mode", x86.CR4PAE, x86.EFERLME | x86.EFERLMA}, {"5 levels", x86.CR4PAE | x86.CR4LA57, x86.EFERLME | x86.EFERLMA}} {
		t.Run(mode.name, func(t *testing.T) {
			done, declined := 0, 0
			for range 2000 {
				e.CR[0] = x86.CR0PE | x86.CR0PG | r.Uint64()&x86.CR0WP
				e.CR[4] = mode.cr4 | r.Uint64()&changes
				e.EFER = mode.efer | r.Uint64()&x86.EFERNXE
				e.CR[3] = walkTables
				e.PKRU, e.PKRS = r.Uint32()&r.Uint32(), r.Uint32()&r.Uint32()
				randomTables(r, tables, mode.cr4&x86.CR4PAE != 0)
				if mode.name == "PAE" {
					for i := range 4 {
						le.PutUint64(tables[8*i:], le.Uint64(tables[8*i:])&^uint64(pteRW|pteUS|pteA|pteD|ptePS|pteG|pteNX))
					}
				}
				addr := r.Uint64() & 0xffffffff
				if mode.efer != 0 {
					addr = uint64(int64(r.Uint64()) >> (16 + r.IntN(8)))
				}
				acc, mmu := access(r.IntN(3)), []uint8{x86.MMUUser, x86.MMUKernelAC, x86.MMUKernelSMAP}[r.IntN(3)]
				before := bytes.Clone(tables)
				c.flushTLB(true)
				c.physRange(0)
				fast := c.fastFill(addr, acc, mmu)
				i := c.table(mmu).index(addr)
				entry, shadow, set := c.table(mmu).entries[i], c.table(mmu).meta[i], bytes.Clone(tables)
				copy(tables, before)
				c.flushTLB(true)
				_, ok := c.fillTLB(addr, acc, mmu)
				i = c.table(mmu).index(addr)
				plainRAM := ok && plain(tagOf(&c.table(mmu).entries[i], acc))
				if !fast {
					declined += b2i(plainRAM)
					continue
				}
				done++
				if !ok {
					t.Fatalf("%#x, access %d, regime %d: the fast walk allows what faults", addr, acc, mmu)
				}
				if got, want := entry, c.table(mmu).entries[i]; got != want || shadow != c.table(mmu).meta[i] {
					t.Fatalf("%#x, access %d, regime %d: %+v %+v, want %+v %+v", addr, acc, mmu, got, shadow, want, c.table(mmu).meta[i])
				}
				if !bytes.Equal(set, tables) {
					t.Fatalf("%#x, access %d, regime %d: other bits are set in the tables", addr, acc, mmu)
				}
			}
			if done < 30 || declined > 0 {
				t.Errorf("%d done, %d of plain RAM declined", done, declined)
			}
		})
	}
}
