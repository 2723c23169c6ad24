package kvm

import (
	"bytes"
	"os"
	"testing"
	"time"

	"goemu/accel/acceltest"
)

// footprint is what the process has of the host: descriptors, threads, mappings.
type footprint struct{ fds, threads, maps int }

func measure(t *testing.T) (f footprint) {
	t.Helper()
	count := func(dir string) int {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return footprint{count("/proc/self/fd"), count("/proc/self/task"), bytes.Count(b, []byte("anon_inode:kvm-vcpu"))}
}

// TestStopAndGo stops and continues a running guest a thousand times.
func TestStopAndGo(t *testing.T) {
	h := hostOrSkip(t)
	m, a := newTestMachine(t, h, "qemu64", acceltest.Assemble(t, "../../tests/kvm", "dirty.asm"), 2)
	a.Start()
	wait(t, m, a)
	before := measure(t)
	for range 1000 {
		a.Pause()
		a.Resume()
	}
	if after := measure(t); after.fds != before.fds || after.maps != before.maps || after.threads > before.threads+4 {
		t.Errorf("%+v before, %+v after", before, after)
	}
	a.Pause()
	was := *a.CPUs()[0].State()
	a.Resume()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		a.Pause()
		now := *a.CPUs()[0].State()
		a.Resume()
		if now.Regs != was.Regs {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the guest does not go on")
		}
	}
}

// TestManyMachines starts a thousand machines one after the other; nothing of them stays.
func TestManyMachines(t *testing.T) {
	hostOrSkip(t).Close()
	machines := 1000
	if testing.Short() {
		machines = 50
	}
	image := []byte{0xb0, 0, 0xe6, 0xf4, 0xf4} // mov al, 0; out 0xf4, al; hlt
	run := func(n int) {
		for range n {
			m, a := newTestMachine(t, hostOrSkip(t), "qemu64", image, 1)
			a.Start()
			wait(t, m, a)
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			m.Free(t)
		}
	}
	run(10)
	before := measure(t)
	run(machines)
	if after := measure(t); after.fds > before.fds || after.maps > before.maps || after.threads > before.threads+4 {
		t.Errorf("%+v before, %+v after", before, after)
	}
}
