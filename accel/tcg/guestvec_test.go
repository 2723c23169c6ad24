package tcg

import (
	"bytes"
	"testing"

	front "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
)

// TestGuestVectorMemory compares masked accesses, gathers and saved state with QEMU's.
func TestGuestVectorMemory(t *testing.T) {
	image := assemble(t, "vecmem.asm")
	got, _ := runGuest(t, "max", image, interp.New(front.Globals))
	want := qemuOutput(t, "max", image)
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%d bytes, QEMU %d", len(got), len(want))
	}
	for i := 0; i < len(got); i += 16 {
		if g, w := got[i:i+16], want[i:i+16]; !bytes.Equal(g, w) {
			t.Errorf("%#x: % x, QEMU % x", i, g, w)
		}
	}
}
