package filter

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
	"goemu/internal/userobj"
)

// maxHeld is how many frames a filter-buffer holds; more are lost.
const maxHeld = 10000

// buffer is the type filter-buffer: it lets frames go once in an interval of the guest's time.
type buffer struct {
	interval uint64 // microseconds
	timer    *clock.Timer

	mu   sync.Mutex
	held []heldFrame // guarded by mu
}

type heldFrame struct {
	sender *netdev.Client
	data   []byte
	tx     bool
}

func bufferType() *userobj.Type {
	bad := errors.New("Property 'filter-buffer.interval' requires a positive value")
	return newType("filter-buffer", func() kind { return new(buffer) },
		userobj.Field("interval", "uint32", "", func(b *base) *uint64 { return &b.kind.(*buffer).interval }, func(_ *base, v uint64) error {
			if v == 0 {
				return bad
			}
			return nil
		}))
}

func (f *buffer) open(b *base) error {
	if f.interval == 0 {
		return errors.New("Parameter 'interval' expects a non-zero interval")
	}
	f.timer = mainloop.NewTimer(clock.Virtual, func() {
		f.arm()
		f.release(b)
	})
	if b.status == "on" {
		f.arm()
	}
	return nil
}

// arm begins an interval.
func (f *buffer) arm() { f.timer.Mod(clock.Virtual.Now() + int64(f.interval)*1000) }

func (f *buffer) pass(_ *base, sender *netdev.Client, data []byte, tx bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.held) < maxHeld {
		f.held = append(f.held, heldFrame{sender, bytes.Clone(data), tx})
	}
	return true
}

// release lets the frames go; those for which there is no room are lost.
func (f *buffer) release(b *base) {
	f.mu.Lock()
	list := f.held
	f.held = nil
	f.mu.Unlock()
	for _, h := range list {
		b.filter.PassOn(h.sender, h.data, h.tx)
	}
}

// switched hears that the filter was switched on or off.
func (f *buffer) switched(b *base) {
	if b.status == "on" { // it was: now it is off
		f.timer.Del()
		f.release(b)
		return
	}
	f.arm()
}

func (f *buffer) close(b *base) {
	f.timer.Del()
	f.release(b)
}

func (f *buffer) details() string { return fmt.Sprintf(",interval=%d", f.interval) }
