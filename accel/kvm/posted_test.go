package kvm

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"goemu/accel"
	"goemu/accel/acceltest"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// recorder notes writes.
type recorder struct {
	values []uint64
	rung   chan uint64
}

// Read implements memory.Ops.
func (r *recorder) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops.
func (r *recorder) Write(_ uint64, _ int, v uint64) {
	if r.rung != nil {
		r.rung <- v
		return
	}
	r.values = append(r.values, v)
}

// Places of the test's registers.
const (
	bellPort, keptPort = 0x300, 0x310
	bellValue          = 5
)

// postedSpace is a port space with a doorbell and a register to which writes may be kept back.
func postedSpace(t testing.TB) (ports *memory.AddressSpace, bell, kept *recorder) {
	t.Helper()
	root := memory.NewContainer("ports", 0x10000)
	bell, kept = &recorder{rung: make(chan uint64, 8)}, new(recorder)
	b, k := memory.NewIO("bell", 4, bell), memory.NewIO("kept", 4, kept)
	b.Unlocked = true
	b.Posted = []memory.Posted{{Size: 2, Match: true, Data: bellValue}}
	k.Coalesced = []memory.Span{{Size: 4}}
	root.Add(b, bellPort, 0)
	root.Add(k, keptPort, 0)
	ports = memory.NewAddressSpace("ports", root)
	t.Cleanup(ports.Close)
	return ports, bell, kept
}

// heard waits for a doorbell.
func heard(t *testing.T, bell *recorder) {
	t.Helper()
	select {
	case v := <-bell.rung:
		if v != bellValue {
			t.Errorf("value %d", v)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("the doorbell does not ring")
	}
}

// TestPostedWrites: a doorbell rings and writes that were kept back come in their order before the guest's next exit is handled, on the real kernel.
func TestPostedWrites(t *testing.T) {
	h := hostOrSkip(t)
	if !h.has(capIOEventFD) || !h.has(capCoalescedPIO) {
		h.Close()
		t.Skip("the kernel has no ioeventfd, or keeps no writes to ports back")
	}
	ports, bell, kept := postedSpace(t)
	image := []byte{
		0xba, bellPort & 0xff, bellPort >> 8, 0xb8, bellValue, 0, 0xef, // mov dx, bellPort; mov ax, bellValue; out dx, ax
		0xba, keptPort & 0xff, keptPort >> 8, 0xb0, 1, 0xee, 0xb0, 2, 0xee, // mov dx, keptPort; mov al, 1; out dx, al; mov al, 2; out dx, al
		0xb0, 0, 0xe6, 0xf4, 0xf4, // mov al, 0; out 0xf4, al; hlt
	}
	m, a := newTestMachineOf(t, Options{Host: h, Ports: ports, Chips: accel.ChipsAll}, "qemu64", image, 1)
	a.Start()
	wait(t, m, a)
	heard(t, bell)
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if !slices.Equal(kept.values, []uint64{1, 2}) {
		t.Errorf("kept back: %v", kept.values)
	}
}

// TestPostedRequests: what the kernel is told of doorbells and registers, and takes back; where it refuses, the guest leaves for each, and nothing
// stays behind.
func TestPostedRequests(t *testing.T) {
	for _, refused := range []request{0, reqIOEventFD, reqCoalesce} {
		f := newFake()
		f.caps[capCoalescedMMIO] = 2
		kick := make(chan func(page []byte), 1)
		f.guest = func(p []byte) error {
			select {
			case g := <-kick:
				g(p)
				return nil
			case <-f.signals:
				return unix.EINTR
			}
		}
		if refused != 0 {
			f.fail[refused] = unix.ENOSPC
		}
		before := measure(t)
		ports, bell, kept := postedSpace(t)
		m, a, err := f.machineOf(t, Options{Chips: accel.ChipsAll, Ports: ports})
		if err != nil {
			t.Fatal(err)
		}
		a.posts.mu.Lock()
		n := len(a.posts.all)
		for _, p := range a.posts.all { // as the kernel does
			if p.said.Addr != bellPort || p.said.Len != 2 || p.said.Data != bellValue || p.said.Flags != ioMatch|ioPorts {
				t.Errorf("%+v", p.said)
			}
			if _, err := unix.Write(p.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
				t.Error(err)
			}
		}
		a.posts.mu.Unlock()
		if (n == 1) != (refused != reqIOEventFD) {
			t.Errorf("%d doorbells with %s refused", n, requestNames[refused])
		}
		if n == 1 {
			heard(t, bell)
		}
		a.Start()
		ring(f, 3, keptPort, 1, 7)
		kick <- func(p []byte) { le.PutUint32(p[runReason:], exitShutdown) }
		<-m.Exit
		mainloop.Lock.Lock()
		if !slices.Equal(kept.values, []uint64{7}) {
			t.Errorf("kept back: %v", kept.values)
		}
		ring(f, 0xffffffff, 1<<40, 200, 1) // what no kernel does
		memory.FlushCoalesced()
		mainloop.Lock.Unlock()
		root := ports.Root()
		mainloop.Lock.Lock()
		for _, at := range []uint64{bellPort, keptPort} {
			root.Remove(ports.View().Find(at).Region)
		}
		mainloop.Lock.Unlock()
		if len(a.posts.all) != 0 || refused == 0 && !slices.Contains(f.made, reqUncoalesce) {
			t.Error("the kernel is not told that they are gone")
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if after := measure(t); after.fds > before.fds {
			t.Errorf("%+v before, %+v after", before, after)
		}
	}
}

// ring puts an entry into the ring of writes that were kept back, of the only CPU, and makes its place the first.
func ring(f *fake, place uint32, addr uint64, size uint32, v byte) {
	b := f.page[2*memory.PageSize:]
	e := b[keptEntries+keptEntry*(place%keptMax):]
	le.PutUint64(e[keptAddr:], addr)
	le.PutUint32(e[keptLen:], size)
	le.PutUint32(e[keptPorts:], 1)
	e[keptBytes] = v
	flagWord(b[keptFirst:]).Store(place)
	flagWord(b[keptLast:]).Store((place + 1) % keptMax)
}

// FuzzKept: whatever is in the ring is handled within it and comes to an end.
func FuzzKept(f *testing.F) {
	f.Add(make([]byte, 64))
	m := acceltest.New(f, nil)
	ports, _, _ := postedSpace(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		k := keptWrites{a: &Accel{opt: Options{Memory: m.AS, Ports: ports}}, ring: make([]byte, memory.PageSize)}
		copy(k.ring, data)
		k.flush()
		if flagWord(k.ring[keptFirst:]).Load()%keptMax != flagWord(k.ring[keptLast:]).Load()%keptMax {
			t.Error("entries are left")
		}
	})
}
