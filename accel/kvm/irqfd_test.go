package kvm

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"goemu/accel"
)

// eventFD is an event descriptor.
func eventFD(t *testing.T) int {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

var oneSignal = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// TestDirect: the real kernel sends a message for each signal of a descriptor while it may, and signals from before; afterwards they stay.
func TestDirect(t *testing.T) {
	h := hostOrSkip(t)
	if !h.has(capIRQFD) {
		h.Close()
		t.Skip("the kernel sends nothing for event descriptors")
	}
	_, a := newTestMachineOf(t, Options{Host: h, Chips: accel.ChipsAll}, "qemu64", []byte{0xf4}, 1)
	c := a.CPUs()[0]
	const (
		spurious, enabled = 0xf, 0x1ff
		pending           = 0x20
		vector            = 0x41
	)
	var p accel.LocalPage
	if err := get(c, reqGetLAPIC, &p); err != nil {
		t.Fatal(err)
	}
	le.PutUint32(p[spurious<<4:], enabled)
	if err := get(c, reqSetLAPIC, &p); err != nil {
		t.Fatal(err)
	}
	arrives := func(vector int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; runtime.Gosched() {
			if err := get(c, reqGetLAPIC, &p); err != nil {
				t.Fatal(err)
			}
			if le.Uint32(p[(pending+vector/32)<<4:])>>(vector%32)&1 != 0 {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("vector %#x does not arrive", vector)
			}
		}
	}
	fds := []int{eventFD(t), eventFD(t)}
	var stops []func()
	for i, fd := range fds {
		if i == 1 {
			if _, err := unix.Write(fd, oneSignal); err != nil {
				t.Fatal(err)
			}
			a.send(true)
		}
		stop, err := a.Direct(fd, accel.MSIRoute{Addr: 0xfee00000, Data: vector + uint32(i)})
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, stop)
	}
	arrives(vector + 1)
	if _, err := unix.Write(fds[0], oneSignal); err != nil {
		t.Fatal(err)
	}
	arrives(vector)
	stops[0]()
	a.send(false)
	for _, fd := range fds {
		if _, err := unix.Write(fd, oneSignal); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(fd, make([]byte, 8)); n != 8 || err != nil {
			t.Errorf("the signal is gone: %d %v", n, err)
		}
	}
	stops[1]()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// TestDirectRequests: what the kernel is told of descriptors; global interrupts are used again, and those who are refused are left alone.
func TestDirectRequests(t *testing.T) {
	f := newFake()
	f.caps[capIRQRouting] = firstDirect + 2
	f.guest = func([]byte) error { <-f.signals; return unix.EINTR }
	_, a, err := f.machineOf(t, Options{Chips: accel.ChipsAll})
	if err != nil {
		t.Fatal(err)
	}
	pins := len(isaRoutes())
	routes := func() (list []uint32) {
		b := f.kept[reqSetGSIRouting]
		for i := range int(le.Uint32(b)) {
			if i >= pins {
				list = append(list, le.Uint32(b[8+i*len(bytesOf(new(route))):]))
			}
		}
		slices.Sort(list)
		return list
	}
	var stops []func()
	for range 2 {
		stop, err := a.Direct(7, accel.MSIRoute{Addr: 0xfee00000, Data: 0x41})
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, stop)
	}
	if _, err := a.Direct(7, accel.MSIRoute{}); err == nil {
		t.Error("more interrupts than the kernel has")
	}
	if got := routes(); !slices.Equal(got, []uint32{firstDirect, firstDirect + 1}) {
		t.Errorf("routes %v", got)
	}
	if slices.Contains(f.made, reqIRQFD) {
		t.Error("the kernel listens while the machine stands still")
	}
	a.send(true)
	stops[0]()
	if b := f.kept[reqIRQFD]; le.Uint32(b) != 7 || le.Uint32(b[4:]) != firstDirect || le.Uint32(b[8:]) != irqDeassign {
		t.Errorf("the end: % x", b)
	}
	if got := routes(); !slices.Equal(got, []uint32{firstDirect + 1}) {
		t.Errorf("routes %v", got)
	}
	for _, r := range []request{reqIRQFD, reqSetGSIRouting} {
		f.mu.Lock()
		f.fail[r] = unix.ENOSPC
		f.mu.Unlock()
		if _, err := a.Direct(8, accel.MSIRoute{}); err == nil {
			t.Errorf("%s is refused without an error", requestNames[r])
		}
		delete(f.fail, r)
	}
	stops[1]()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
