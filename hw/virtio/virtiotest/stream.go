package virtiotest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"goemu/hw/qdev/qtest"
	"goemu/migration/vmstate"
)

// Stopper is a device model whose work stops with the machine.
type Stopper interface{ SetRunning(bool) }

// StreamTest makes QEMU's device and ours go through the same configuration and compares what they save.
type StreamTest struct {
	DevFn   uint8
	Section string   // the name of the state, as "virtio-rng"
	QEMU    []string // options that make the device
	// New makes the device in a machine.
	New func() (*Machine, Stopper, vmstate.State)
	// Drive configures the device; legacy writes a register of the legacy interface.
	Drive func(f *Function, legacy func(off uint64, size int, v uint64))
	// Mask, if set, clears what differs for a reason in a saved state.
	Mask func(saved []byte)
}

// Run compares the saved states, and loads QEMU's into another device, which must save the same again.
func (c *StreamTest) Run(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "virtio") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "qmp")
	q := qtest.Start(t, append([]string{"-M", "pc", "-m", "16", "-nodefaults", "-qmp", "unix:" + socket + ",server=on,wait=off"}, c.QEMU...)...)
	m, model, state := c.New()
	f := m.Map(c.DevFn)
	c.Drive(f, func(off uint64, size int, v uint64) { m.IO.Store(f.Legacy+off, size, v) })
	DriveQEMU(t, q, c.DevFn, c.Drive)
	model.SetRunning(false)
	want := MigrateQEMU(t, socket, fmt.Sprintf("0000:00:%02x.%x/%s", c.DevFn>>3, c.DevFn&7, c.Section))
	var w, again vmstate.Writer
	save := func(s vmstate.State, w *vmstate.Writer) {
		s.Save(w)
		if c.Mask != nil {
			c.Mask(w.Bytes())
		}
	}
	if c.Mask != nil {
		c.Mask(want)
	}
	if save(state, &w); !bytes.Equal(w.Bytes(), want) {
		got, i := w.Bytes(), 0
		for i < min(len(want), len(got)) && want[i] == got[i] {
			i++
		}
		const shown = 64
		t.Errorf("saved %d bytes, QEMU %d; different from %d on:\ngot  % x\nwant % x", len(got), len(want), i, got[i:min(i+shown, len(got))], want[i:min(i+shown, len(want))])
	}
	_, _, other := c.New()
	r := vmstate.NewReader(want)
	if err := other.Load(r, state.Layout().Version); err != nil || r.Len() != 0 {
		t.Fatalf("QEMU's state: %v, %d bytes left", err, r.Len())
	}
	if save(other, &again); !bytes.Equal(again.Bytes(), want) {
		t.Error("QEMU's state changes on the way through ours")
	}
}
