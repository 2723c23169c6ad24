package kvm

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"goemu/accel/acceltest"
)

var long = flag.Bool("kvm.long", false, "start as many machines, and stop and continue one as often, as makes small leaks show")

// footprint is what the process has of the host: descriptors, threads, mappings of CPUs, bytes of memory that are in use and those that are mapped.
type footprint struct {
	fds, threads, maps int
	heap, mapped       uint64
}

// grown tells whether more is there than what Go's runtime keeps for itself.
func (f footprint) grown(since footprint) bool {
	const threads, heap, mapped = 4, 16 << 20, 256 << 20
	return f.fds > since.fds || f.maps > since.maps || f.threads > since.threads+threads || f.heap > since.heap+heap || f.mapped > since.mapped+mapped
}

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
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f = footprint{fds: count("/proc/self/fd"), threads: count("/proc/self/task"), maps: bytes.Count(b, []byte("anon_inode:kvm-vcpu")), heap: m.HeapAlloc}
	for line := range strings.Lines(string(b)) {
		var (
			from, to uint64
			may      string
		)
		// What nobody may touch is reserved address space, of which a C library takes much for each thread.
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &may); n == 3 && !strings.HasPrefix(may, "---") {
			f.mapped += to - from
		}
	}
	return f
}

// TestStopAndGo stops and continues a running guest again and again.
func TestStopAndGo(t *testing.T) {
	h := hostOrSkip(t)
	m, a := newTestMachine(t, h, "qemu64", acceltest.Assemble(t, "../../tests/kvm", "dirty.asm"), 2)
	a.Start()
	wait(t, m, a)
	before := measure(t)
	times := 100
	if *long {
		times = 1000
	}
	for range times {
		a.Pause()
		a.Resume()
	}
	if after := measure(t); after.grown(before) {
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

// TestManyMachines starts many machines one after the other; nothing of them stays.
func TestManyMachines(t *testing.T) {
	hostOrSkip(t).Close()
	machines := 50
	if *long {
		machines = 1000
	}
	image := []byte{0xb0, 0, 0xe6, 0xf4, 0xf4} // mov al, 0; out 0xf4, al; hlt
	run := func(n int) {
		const batch = 10 // what a test cleans up stays until its end
		for range n / batch {
			t.Run("batch", func(t *testing.T) {
				for range batch {
					m, a := newTestMachine(t, hostOrSkip(t), "qemu64", image, 1)
					a.Start()
					wait(t, m, a)
					if err := a.Close(); err != nil {
						t.Fatal(err)
					}
					m.Free(t)
				}
			})
		}
	}
	run(10)
	before := measure(t)
	run(machines)
	if after := measure(t); after.grown(before) {
		t.Errorf("%+v before, %+v after", before, after)
	}
}
