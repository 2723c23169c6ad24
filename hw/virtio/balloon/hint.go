package balloon

import (
	"errors"
	"sync"

	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// hintQueueSize is the size of the queue for hints.
const hintQueueSize = 1024

// Commands in the configuration space (section 5.5.6.7): those from cmdFirst on ask for hints.
const (
	cmdStop  = 0
	cmdDone  = 1
	cmdFirst = 1 << 31
)

// hintStatus is how far a command is, numbered as in migration streams.
type hintStatus = uint32

const (
	hintsStopped   hintStatus = iota // the driver may use the pages if it needs them
	hintsRequested                   // the driver has not answered yet
	hintsCome
	hintsDone // the driver may use the pages
)

// hints are the guest's free pages as the driver tells of them while the machine is being sent elsewhere: their contents need not go along
// (section 5.5.6.7). Until it is told otherwise the driver uses them only where it runs out of memory.
type hints struct {
	mu     sync.Mutex
	id     uint32                                 // guarded by mu: of the last command
	status hintStatus                             // guarded by mu
	free   func(b *memory.RAMBlock, at, n uint64) // guarded by mu: hears of free pages
}

// command is what the driver reads.
func (h *hints) command() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.status {
	case hintsStopped:
		return cmdStop
	case hintsDone:
		return cmdDone
	}
	return h.id
}

// checkHints checks the options.
func (p *Props) checkHints() error {
	if p.Hints && p.IOThread == nil {
		return errors.New("'free-page-hint' requires 'iothread' to be set")
	}
	return nil
}

// HintsFree tells whether the driver tells of free pages.
func (m *Model) HintsFree() bool { return m.Has(featureHint) }

// StartHints asks the driver for free pages, of which free hears. Any goroutine may call it.
func (m *Model) StartHints(free func(b *memory.RAMBlock, at, n uint64)) {
	h := &m.hints
	h.mu.Lock()
	if h.id++; h.id < cmdFirst {
		h.id = cmdFirst
	}
	h.status, h.free = hintsRequested, free
	h.mu.Unlock()
	mainloop.Post(m.ConfigChanged)
}

// StopHints ends the hints: free hears of none when it has returned. Any goroutine may call it.
func (m *Model) StopHints() {
	if m.hints.end(hintsStopped) {
		mainloop.Post(m.ConfigChanged)
	}
}

// FinishHints ends the hints, too, and tells the driver that the pages are its own again. Preconditions: the machine lock is held.
func (m *Model) FinishHints() {
	if m.hints.end(hintsDone) {
		m.ConfigChanged()
	}
}

// end tells whether the driver is to hear of the end; it need not hear that it has to stop if it has heard that all is done.
func (h *hints) end(to hintStatus) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = nil
	if h.status == to || h.status == hintsDone {
		return false
	}
	h.status = to
	return true
}

// reset is the state before any command.
func (h *hints) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free, h.status = nil, hintsStopped
}

// hint is the handler of the queue for hints.
func (m *Model) hint(q *virtio.Queue) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		if err := m.takeHint(e); err != nil {
			m.Fail(err)
			q.Detach(e)
			return true
		}
		q.Push(e, 0)
	}
}

// takeHint takes the number of a command, which begins its hints, or another, which ends them, or free pages: the buffers of the chain.
func (m *Model) takeHint(e *ring.Element) error {
	h := &m.hints
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(e.Out) > 0 {
		var b [4]byte
		if c := outOf(e); !c.next(b[:]) {
			return virtio.Errorf("received an incorrect cmd id")
		}
		switch id := le.Uint32(b[:]); {
		case h.status == hintsRequested && id == h.id:
			h.status = hintsCome
		case h.status == hintsCome:
			h.status = hintsStopped
		}
	}
	if h.status == hintsCome && h.free != nil {
		e.EachIn(func(addr, n uint64) { m.each(addr, n, h.free) })
	}
	return nil
}

// hintState is the part of the device's state that drivers with hints need.
var hintState = vmstate.Description[Model]{
	Name: "virtio-balloon-device/free-page-report", Version: 1, MinVersion: 1,
	Needed: (*Model).HintsFree,
	Fields: []vmstate.Field[Model]{
		vmstate.Of("free_page_hint_cmd_id", func(m *Model) *uint32 { return &m.hints.id }),
		vmstate.Of("free_page_hint_status", func(m *Model) *uint32 { return &m.hints.status }),
	},
}
