package blk

import (
	"fmt"

	"goemu/hw/virtio/ring"
	"goemu/migration/vmstate"
)

// restored is a request that failed before migration.
type restored struct {
	queue int
	chain ring.Taken
}

// SaveDevice implements virtio.ModelState: the requests that wait to be tried again.
func (m *Model) SaveDevice(w *vmstate.Writer) {
	m.errs.mu.Lock()
	held := append([]heldRequest(nil), m.errs.held...)
	m.errs.mu.Unlock()
	for _, h := range held {
		w.U8(1)
		if m.queues > 1 {
			w.U32(uint32(h.q.Index))
		}
		h.q.SaveElement(h.e, w)
	}
	w.U8(0)
}

// LoadDevice implements virtio.ModelState.
func (m *Model) LoadDevice(r *vmstate.Reader) error {
	m.restored = nil
	for r.Bool() {
		i := 0
		if m.queues > 1 {
			i = int(r.U32())
		}
		q := m.Queue(i)
		if q == nil {
			return fmt.Errorf("Invalid virtqueue index in request list: %#x", i)
		}
		chain, err := q.LoadElement(r)
		if err != nil {
			return err
		}
		m.restored = append(m.restored, restored{i, chain})
	}
	return r.Err()
}

// Loaded takes the requests up once the queues are in place.
func (m *Model) Loaded() error {
	for _, x := range m.restored {
		q := m.Queue(x.queue)
		e, err := q.Adopt(x.chain)
		if err != nil {
			return err
		}
		r, err := parse(e)
		if err != nil {
			return err
		}
		m.errs.mu.Lock()
		m.errs.held = append(m.errs.held, heldRequest{q, e, r})
		m.errs.mu.Unlock()
	}
	m.restored = nil
	return nil
}
