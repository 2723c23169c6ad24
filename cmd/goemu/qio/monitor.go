package qio

import (
	"sync"

	"goemu/block"
	"goemu/internal/tool"
)

// Monitor runs commands for a machine monitor: each on a backend that the machine uses. What they print goes to standard output.
type Monitor struct {
	mu sync.Mutex
	s  *session
}

// NewMonitor makes a Monitor for the images of a graph.
func NewMonitor(g *block.Graph) *Monitor {
	t := tool.New("qemu-io")
	t.Graph = g
	return &Monitor{s: &session{Tool: t, live: true}}
}

// Run runs a line on a backend. Requests in the background go on after it.
func (m *Monitor) Run(b *block.Backend, line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s.image = b
	_ = m.s.run(line) // it has told what went wrong
	m.s.output.Lock()
	defer m.s.output.Unlock()
	m.s.Out.Flush()
}

// Wait waits for the requests in the background.
func (m *Monitor) Wait() { m.s.requests.Wait() }
