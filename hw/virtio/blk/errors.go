package blk

import (
	"sync"

	"goemu/hw/disk"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
)

// errorPolicy decides about failed requests and keeps those that are tried again.
type errorPolicy struct {
	disk.Policy

	mu   sync.Mutex
	held []heldRequest // guarded by mu
}

type heldRequest struct {
	q *virtio.Queue
	e *ring.Element
	r request
}

// hold keeps a request until the machine runs again.
func (p *errorPolicy) hold(h heldRequest) {
	p.mu.Lock()
	p.held = append(p.held, h)
	p.mu.Unlock()
	disk.StopMachine()
}

// take returns the requests to be tried again.
func (p *errorPolicy) take() []heldRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held
	p.held = nil
	return h
}

// drop forgets all requests.
func (p *errorPolicy) drop() { p.take() }

// Started implements virtio.Starter: requests that failed before the machine stopped are tried again.
func (m *Model) Started() {
	for _, h := range m.errs.take() {
		h.q.Go(func() { m.serve(h.q, h.e, &h.r) })
	}
}
