package tcg

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"

	"goemu/target/x86"
	"goemu/tcg/ir"
	"goemu/tcg/tcgtest"
)

// TestFastStrings compares the fast string helpers with a plain loop and checks that they decline what they must.
func TestFastStrings(t *testing.T) {
	const page = 0x5000
	mem := make([]byte, 2<<ir.PageBits)
	tlb := make([]ir.TLBEntry, 16)
	for i := range tlb {
		tlb[i] = ir.TLBEntry{Read: ir.TLBInvalid, Write: ir.TLBInvalid, Code: ir.TLBInvalid}
	}
	tlb[page>>ir.PageBits] = ir.TLBEntry{Read: page, Write: page, Addend: uint64(uintptr(unsafe.Pointer(&mem[0]))) - page}
	e := new(x86.Env)
	e.HFlags = x86.HFCS64 | x86.HFPE | x86.HFLMA
	e.TLB[x86.MMUKernel] = ir.TLBTable{Base: uint64(uintptr(unsafe.Pointer(&tlb[0]))), Mask: 15 << 5}
	r := rand.New(rand.NewPCG(5, 6))
	done := 0
	for range 3000 {
		for i := range mem {
			mem[i] = byte(r.Uint32())
		}
		size := uint64(1) << r.IntN(4)
		rep := uint64(r.IntN(2))
		move := r.IntN(2) == 0
		id := x86.HelperStos
		if move {
			id = x86.HelperMovs
		}
		e.Regs[x86.RSI], e.Regs[x86.RDI] = page+r.Uint64N(4200), page+r.Uint64N(4200)
		e.Regs[x86.RCX], e.Regs[x86.RAX] = r.Uint64N(300), r.Uint64()
		e.EFlags = uint64(r.IntN(8)) / 7 * x86.FlagDF
		e.Args[0] = size | 8<<8 | x86.DS<<16 | rep<<24
		before, want, regs := e.Regs, bytes.Clone(mem), e.Regs
		n := uint64(1)
		if rep != 0 {
			n = regs[x86.RCX]
			regs[x86.RCX] = 0
		}
		src, dst := regs[x86.RSI]-page, regs[x86.RDI]-page
		inPage := n == 0 || dst+n*size <= 4096 && (!move || src+n*size <= 4096)
		if inPage {
			for k := range n * size {
				if move {
					want[dst+k] = want[src+k]
				} else {
					want[dst+k] = byte(regs[x86.RAX] >> (k % size * 8))
				}
			}
		}
		regs[x86.RDI] += n * size
		if move {
			regs[x86.RSI] += n * size
		}
		_, ok := FastHelper(&e.Header, uint32(id))
		if !ok {
			if e.Regs != before {
				t.Fatal("declined, but registers changed")
			}
			continue
		}
		done++
		if !inPage || e.EFlags&x86.FlagDF != 0 {
			t.Fatalf("did not decline %#x, flags %#x", before, e.EFlags)
		}
		if e.Regs != regs || !bytes.Equal(mem, want) {
			t.Fatalf("size %d rep %d move %v: registers %#x, want %#x; memory equal: %v", size, rep, move, e.Regs, regs, bytes.Equal(mem, want))
		}
	}
	if done < 500 {
		t.Errorf("only %d of 3000 were done", done)
	}
}

// TestFastIsBare: what generated code calls in the system-call state keeps clear of Go's runtime.
func TestFastIsBare(t *testing.T) { tcgtest.Bare(t, FastHelper, FastHost, FastLookup) }

// TestLongModeAlign: alignment is checked at privilege level 3 only, with both of its enabling bits.
func TestLongModeAlign(t *testing.T) {
	for _, tt := range []struct {
		cr0, flags uint64
		cpl, want  uint32
	}{
		{x86.CR0AM, x86.FlagAC, 3, x86.HFAlign}, {x86.CR0AM, x86.FlagAC, 0, 0}, {x86.CR0AM, 0, 3, 0}, {0, x86.FlagAC, 3, 0},
	} {
		e := new(x86.Env)
		e.CR[0], e.HFlags = tt.cr0, x86.HFAlign
		if got := longMode(e, tt.flags, tt.cpl) & x86.HFAlign; got != tt.want {
			t.Errorf("%+v: %#x", tt, got)
		}
	}
}
