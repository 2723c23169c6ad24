package amd64

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"goemu/tcg/ir"
	"goemu/tcg/tcgtest"
)

// TestSite runs a load and a store in a hot block on changing pages: in one that the soft TLB has, in another one, on their border and
// out of bounds. A site that misses all the time makes the engine ask for the block to be compiled anew, without it.
func TestSite(t *testing.T) {
	for _, size := range []int{1, 2, 4, 8} {
		e, m := newEngine(t), tcgtest.New()
		e.now = func() time.Duration { return 0 } // however busy the host is, the misses come fast
		asked := 0
		e.OnRetranslate(func(id uint64) {
			if id != 7 {
				t.Errorf("asked for block %d", id)
			}
			asked++
		})
		b := parse(t, fmt.Sprintf("insn.4 #0x1000\nv1 = get.8 rcx\nv2 = ld.%d #0x0, m0, v1\nset.8 rax, v2\ninsn.4 #0x1004\nv3 = get.8 rdx\nv4 = get.8 rbx\n"+
			"st.%d #0x10, m0, v3, v4\ngoto ->0\nexit 0 to 0x1008 5\n", size, size))
		b.Hot = true
		second := uint64(tcgtest.RAMBase + 1<<ir.PageBits)
		first := m.TLB[tcgtest.RAMBase>>ir.PageBits&15]
		m.TLB[second>>ir.PageBits&15] = ir.TLBEntry{Read: second, Write: second, Addend: first.Addend}
		for i := range m.RAM {
			m.RAM[i] = byte(i * 7)
		}
		code := compile(t, e, b, 7)
		for n := range 1000 {
			at := tcgtest.RAMBase + []uint64{0x40, 0x1040, 0xffe, 0x41, 0xfff, 0x1fe0}[n%6]
			m.Env.Regs[1], m.Env.Regs[2], m.Env.Regs[3] = at, at, uint64(n)*0x0101010101010101
			m.Env.Regs[0] = 0
			var buf [8]byte
			copy(buf[:size], m.RAM[at-tcgtest.RAMBase:])
			e.Run(m, code)
			if want := binary.LittleEndian.Uint64(buf[:]); m.Env.Regs[0] != want {
				t.Fatalf("size %d, at %#x: loaded %#x, not %#x", size, at, m.Env.Regs[0], want)
			}
			copy(buf[:], m.RAM[at-tcgtest.RAMBase+0x10:][:size])
			if got, want := binary.LittleEndian.Uint64(buf[:]), m.Env.Regs[3]&ir.SizeMask(uint8(size)); got != want {
				t.Fatalf("size %d, at %#x: stored %#x, not %#x", size, at, got, want)
			}
		}
		if asked == 0 {
			t.Errorf("size %d: sites that always miss went on guessing", size)
		}
		m.TLB[second>>ir.PageBits&15].Read |= ir.TLBInvalid // what a site remembers must not outlive the entry
		m.Slow = 0
		m.Env.Regs[1], m.Env.Regs[2] = second+8, second+8
		e.Run(m, code)
		e.Run(m, code)
		if m.Slow != 2 {
			t.Errorf("size %d: %d slow accesses to a page that is not there", size, m.Slow)
		}
	}
}
