package qio

import (
	"errors"
	"sync"

	"goemu/block"
	"goemu/internal/tool"
)

// Monitor runs commands for a machine monitor: each on a backend that the machine uses. What they print goes to standard output.
type Monitor struct {
	mu     sync.Mutex
	s      *session
	settle func()
}

// NewMonitor makes a Monitor for the images of a graph. What commands print comes after what clients of the machine monitor were told
// before: settle waits for that.
func NewMonitor(g *block.Graph, settle func()) *Monitor {
	t := tool.New("qemu-io")
	t.Graph = g
	return &Monitor{s: &session{Tool: t, live: true}, settle: settle}
}

// Run runs a line on a backend. Requests in the background go on after it. The error is one that QEMU tells the monitor's user;
// others are told on standard error.
func (m *Monitor) Run(b *block.Backend, line string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s.image = b
	var denied permError
	err := m.s.run(line)
	if !errors.As(err, &denied) {
		err = nil
	}
	m.settle()
	m.s.output.Lock()
	defer m.s.output.Unlock()
	m.s.Out.Flush()
	return err
}

// Wait waits for the requests in the background.
func (m *Monitor) Wait() { m.s.requests.Wait() }
