package rng

import (
	"bytes"
	"testing"
	"time"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

const devfn = 5 << 3

func newRNG(t testing.TB, props ...string) (*virtiotest.Function, *virtiotest.Driver) {
	t.Helper()
	m := virtiotest.NewMachine(t, Classes())
	src := &Source{id: "r"}
	qdev.Link(&m.Tree.Links, func(id string) (*Source, bool) { return src, id == "r" })
	if _, err := m.Add("virtio-rng-pci", append([]string{"addr", "5"}, props...)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	f := m.Map(devfn)
	f.EnableMSIX(2)
	f.Negotiate(1<<32 | 1<<29)
	d := virtiotest.NewDriver(f.Mem, 0x10000, 8, true)
	f.SetupQueue(0, d, 1)
	f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
	return f, d
}

func wait(t testing.TB, f *virtiotest.Function, d *virtiotest.Driver) uint32 {
	t.Helper()
	for {
		if _, n, ok := d.Next(); ok {
			return n
		}
		select {
		case <-f.Interrupts():
		case <-time.After(10 * time.Second):
			t.Fatal("no completion")
		}
	}
}

func TestFill(t *testing.T) {
	for _, props := range [][]string{nil, {"rng", "r"}} {
		f, d := newRNG(t, props...)
		d.Add(virtiotest.Buf{Addr: 1 << 20, Len: 64, Write: true}, virtiotest.Buf{Addr: 2 << 20, Len: 200000, Write: true})
		f.Kick(0)
		if n := wait(t, f, d); n != 200064 {
			t.Errorf("%d bytes", n)
		}
		b := make([]byte, 64)
		f.Mem.Read(2<<20+199936, b)
		if bytes.Equal(b, make([]byte, 64)) {
			t.Error("the end of the buffer is zero")
		}
	}
}

// TestQuota: after max-bytes the device waits for the end of the period.
func TestQuota(t *testing.T) {
	clock.Virtual.SetFake(0)
	f, d := newRNG(t, "max-bytes", "100", "period", "1000")
	buf := virtiotest.Buf{Addr: 1 << 20, Len: 60, Write: true}
	for range 3 {
		d.Add(buf)
	}
	f.Kick(0)
	if a, b := wait(t, f, d), wait(t, f, d); a != 60 || b != 40 {
		t.Fatalf("%d and %d bytes", a, b)
	}
	time.Sleep(10 * time.Millisecond)
	if _, _, ok := d.Next(); ok {
		t.Fatal("more than the quota")
	}
	clock.Virtual.Start()
	clock.Virtual.Advance(1001 * nsPerMilli)
	mainloop.Main.RunPending()
	if n := wait(t, f, d); n != 60 {
		t.Errorf("%d bytes in the second period", n)
	}
}

func TestOptionErrors(t *testing.T) {
	m := virtiotest.NewMachine(t, Classes())
	for _, c := range [][3]string{
		{"period", "0", "'period' parameter expects a positive integer"},
		{"max-bytes", "9999999999999999999", "'max-bytes' parameter must be non-negative, and less than 2^63"},
		{"rng", "x", "Device 'x' not found"},
	} {
		if _, err := m.Add("virtio-rng-pci", c[0], c[1]); err == nil || err.Error() != c[2] {
			t.Errorf("%s: %v", c[0], err)
		}
	}
	if _, err := NewRandom("r", "/nonexistent"); err == nil || err.Error() != "Could not open '/nonexistent': No such file or directory" {
		t.Error(err)
	}
	s, err := NewRandom("r", "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if b := make([]byte, 32); s.Read(b) != nil || bytes.Equal(b, make([]byte, 32)) {
		t.Error("no random bytes")
	}
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes()) }
