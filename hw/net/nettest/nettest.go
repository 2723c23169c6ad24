// Package nettest is a machine with one PCI network card and the other end of the card's cable, for tests of cards.
package nettest

import (
	"bytes"
	"testing"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
)

// Where the card is: slot 5, with its registers at MMIO. Its address on the network is MAC.
const (
	Devfn = 5 << 3
	MMIO  = 0xfd000000
	MAC   = "52:54:00:12:34:56"
)

// Rig is the machine.
type Rig struct {
	*virtiotest.Machine
	Frames [][]byte // what came out of the card

	c *netdev.Client
}

// New makes a machine with a card of one of the classes.
func New(t testing.TB, classes []*qdev.Class, card string, props ...string) (*Rig, qdev.Device) {
	t.Helper()
	set := netdev.NewSet()
	netdev.Main = set
	r := &Rig{Machine: virtiotest.NewMachine(t, classes)}
	r.c = set.Add(&netdev.Client{Name: "w", Kind: "wire", Model: "wire"}, (*wire)(r), nil)
	qdev.Link(&r.Tree.Links, set.Peer)
	d, err := r.Add(card, append([]string{"addr", "5", "romfile", "", "netdev", "w", "mac", MAC}, props...)...)
	if err != nil {
		t.Fatal(err)
	}
	r.Tree.Reset()
	t.Cleanup(r.Tree.Close)
	return r, d
}

// QEMU starts a QEMU with the same card in the same place.
func QEMU(t testing.TB, card string) *qtest.QEMU {
	return qtest.Start(t, "-M", "pc", "-nodefaults", "-netdev", "hubport,id=w,hubid=0", "-device", card+",addr=5,netdev=w,romfile=,mac="+MAC)
}

// Configured is a machine whose configuration space can be written.
type Configured interface {
	SetConfig(devfn uint8, reg uint32, size int, v uint32)
}

// Map maps the BAR at a place of a card's configuration space, and lets the card master the bus.
func Map(m Configured, bar uint32) {
	m.SetConfig(Devfn, bar, 4, MMIO)
	m.SetConfig(Devfn, 4, 2, 6)
}

// Receive sends a frame to the card.
func (r *Rig) Receive(frame []byte) {
	r.c.Send(frame, nil)
	mainloop.Main.RunPending()
}

// Frame is a frame of n bytes to the address whose bytes are all dst.
func Frame(dst byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	for i := range 6 {
		b[i] = dst
	}
	return b
}

// wire is the other end.
type wire Rig

// Receive implements netdev.Port.
func (w *wire) Receive(data []byte, _ *netdev.Offload) bool {
	w.Frames = append(w.Frames, bytes.Clone(data))
	return true
}

// Resume implements netdev.Port.
func (w *wire) Resume() {}

// LinkChanged implements netdev.Port.
func (w *wire) LinkChanged() {}

// Close implements netdev.Port.
func (w *wire) Close() {}
