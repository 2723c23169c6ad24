package tcg

import (
	"bytes"
	"testing"
)

// TestGuestVectorMemory compares masked accesses, gathers and saved state with QEMU's.
func TestGuestVectorMemory(t *testing.T) { sameAsQEMU(t, "vecmem.asm") }

// TestGuestFPExceptions runs unmasked x87 and SSE exceptions. QEMU 7.2 raises no SIMD exceptions, so what the vendors' manuals demand is
// written down here: the vector, the low byte of the x87 status word and MXCSR at each.
func TestGuestFPExceptions(t *testing.T) {
	image := assemble(t, "fpexc.asm")
	for name, e := range testEngines(t) {
		t.Run(name, func(t *testing.T) {
			got, _ := runGuest(t, "max", image, e)
			checkExceptions(t, got)
		})
	}
}

func checkExceptions(t *testing.T, got []byte) {
	want := []struct {
		vector, status byte
		csr            uint16
	}{
		{16, 0x84, 0x1f80}, {16, 0x81, 0x1f80}, {16, 0xa0, 0x1f80}, {16, 0xa0, 0x1f80}, {16, 0xa8, 0x1f80}, // #MF at the next waiting instruction
		{19, 0, 0x1d84}, {19, 0, 0x1f01}, {19, 0, 0x0fa0}, {19, 0, 0x0fa0}, {19, 0, 0x1f01},
		{6, 0, 0x1d84}, // CR4.OSXMMEXCPT clear
	}
	for i, w := range want {
		g := got[i*16:][:16]
		if g[0] != w.vector || g[4] != w.status || le.Uint16(g[8:]) != w.csr {
			t.Errorf("%d: % x, want vector %d, status %#x, MXCSR %#x", i, g, w.vector, w.status, w.csr)
		}
	}
	if got[len(want)*16] != 0 {
		t.Errorf("a further exception: % x", got[len(want)*16:][:16])
	}
	if stored, now := le.Uint16(got[0x850:]), le.Uint16(got[0x870:]); stored != 0x37b || now != 0x37f {
		t.Errorf("FNSTENV stores the control word %#x and leaves %#x", stored, now)
	}
	const third, infinity = 0x3eaaaaab, 0x7ff0000000000000
	if v := le.Uint32(got[0x808:]); v != third {
		t.Errorf("1/3 = %#x", v)
	}
	if v := le.Uint64(got[0x820:]); v != infinity { // the division was repeated with the exception masked
		t.Errorf("1/0 = %#x", v)
	}
}

func sameAsQEMU(t *testing.T, file string) {
	image := assemble(t, file)
	want := qemuOutput(t, "max", image)
	for name, e := range testEngines(t) {
		t.Run(name, func(t *testing.T) {
			got, _ := runGuest(t, "max", image, e)
			if len(got) != len(want) || len(got) == 0 {
				t.Fatalf("%d bytes, QEMU %d", len(got), len(want))
			}
			for i := 0; i < len(got); i += 16 {
				if g, w := got[i:i+16], want[i:i+16]; !bytes.Equal(g, w) {
					t.Errorf("%#x: % x, QEMU % x", i, g, w)
				}
			}
		})
	}
}
