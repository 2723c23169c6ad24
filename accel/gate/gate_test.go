package gate

import (
	"sync/atomic"
	"testing"
)

// worker is a CPU whose guest counts.
type worker struct {
	cpu    CPU
	out    atomic.Bool // of the guest, at once
	n      atomic.Int64
	shared *int64 // changed inside the guest by one, in exclusive sections by others
	own    bool   // the one that changes it
}

func (w *worker) Gated() *CPU { return &w.cpu }

func (w *worker) main(up func()) {
	up()
	for {
		switch r := w.cpu.Requests(); {
		case r&Quit != 0:
			w.cpu.End()
			return
		case r&Work != 0:
			w.cpu.RunWork()
		case r&Pause != 0:
			w.cpu.Park(w.serve, func() bool { return false })
		default:
			w.enter()
		}
	}
}

func (w *worker) serve() {
	if w.cpu.Requests()&Work != 0 {
		w.cpu.RunWork()
	}
}

// enter stays inside the guest until it is nudged.
func (w *worker) enter() {
	w.out.Store(false)
	if !w.cpu.Enter() {
		return
	}
	for w.cpu.Requests() == 0 && !w.out.Load() {
		w.n.Add(1)
		if w.own {
			*w.shared++
		}
	}
	w.cpu.Leave()
}

// TestGate: exclusive sections, functions and pauses reach CPUs that stay inside the guest until they are nudged, and none of them runs on.
func TestGate(t *testing.T) {
	var g Gate[*worker]
	g.Init()
	var shared int64
	list := make([]*worker, 3)
	for i := range list {
		w := &worker{shared: &shared, own: i == 0}
		list[i] = w
		g.Join(w, func() { w.out.Store(true) })
		g.Add(w)
	}
	ran := false
	list[0].cpu.Do(func() { ran = true }) // at once
	g.Start((*worker).main)
	for i := range 100 {
		g.Exclusive(nil, func() { shared = int64(-i) })
		list[1].cpu.Do(func() {
			g.Exclusive(&list[1].cpu, func() {
				g.Exclusive(&list[1].cpu, func() { shared++ })
			})
		})
		g.Pause()
		before := [3]int64{list[0].n.Load(), list[1].n.Load(), list[2].n.Load()}
		shared++
		g.Exclusive(nil, func() {})
		if after := [3]int64{list[0].n.Load(), list[1].n.Load(), list[2].n.Load()}; before != after {
			t.Fatalf("paused CPUs go on: %v, %v", before, after)
		}
		g.Resume(func() {})
	}
	gone := list[2]
	if !gone.cpu.Remove() {
		t.Error("a running CPU cannot be removed")
	}
	dropped := false
	g.Drop(gone, func() { dropped = true })
	g.Quit()
	if !ran || !dropped || len(g.List()) != 2 {
		t.Error(ran, dropped, len(g.List()))
	}
	done := make(chan bool)
	go func() {
		gone.cpu.Do(func() {}) // nobody runs it any more, and nobody waits
		done <- true
	}()
	<-done
	gone.cpu.Renew()
	if gone.cpu.Started() || gone.cpu.Removed() || gone.cpu.Requests() != 0 {
		t.Error("the CPU is not as new")
	}
}
