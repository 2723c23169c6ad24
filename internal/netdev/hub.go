package netdev

import (
	"fmt"
	"slices"
	"sync"
)

// Hub sends what comes in at a port out of all others.
type Hub struct {
	ID int
	mu sync.Mutex
	// ports is guarded by mu; the newest first.
	ports []*hubPort
	made  int // ports so far
}

// maxQueued is how many frames wait for a receiver that has no room; more are dropped.
const maxQueued = 10000

type hubPort struct {
	Outbox
	hub *Hub
	c   *Client
}

// Receive implements Port.
func (p *hubPort) Receive(data []byte, off *Offload) bool {
	p.hub.mu.Lock()
	ports := p.hub.ports
	p.hub.mu.Unlock()
	for _, o := range ports {
		if o != p {
			o.Send(data, nil)
		}
	}
	return true
}

// LinkChanged implements Port.
func (p *hubPort) LinkChanged() {}

// Close implements Port.
func (p *hubPort) Close() {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	p.hub.ports = slices.DeleteFunc(slices.Clone(p.hub.ports), func(x *hubPort) bool { return x == p })
}

// AddHubPort makes a port of hub number id, with peer at it unless that is nil.
func (s *Set) AddHubPort(id int, name string, peer *Client) *Client {
	s.mu.Lock()
	i := slices.IndexFunc(s.hubs, func(h *Hub) bool { return h.ID == id })
	if i < 0 {
		s.hubs = slices.Insert(s.hubs, 0, &Hub{ID: id})
		i = 0
	}
	h := s.hubs[i]
	s.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if name == "" {
		name = fmt.Sprintf("hub%dport%d", id, h.made)
	}
	h.made++
	p := &hubPort{hub: h}
	p.c = s.Add(&Client{Name: name, Kind: KindHubPort, Model: "hub"}, p, peer)
	p.Init(p.c, maxQueued, 0)
	h.ports = slices.Insert(slices.Clone(h.ports), 0, p)
	return p.c
}

// FreeHubPort is a port of the hub without peer, a new one if need be.
func (s *Set) FreeHubPort(id int) *Client {
	for _, h := range s.Hubs() {
		if h.ID == id {
			for _, c := range h.Clients() {
				if c.Peer() == nil {
					return c
				}
			}
		}
	}
	return s.AddHubPort(id, "", nil)
}

// Hubs are the hubs, the newest first.
func (s *Set) Hubs() []*Hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hubs)
}

// Clients are the hub's ports, the newest first.
func (h *Hub) Clients() (list []*Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.ports {
		list = append(list, p.c)
	}
	return list
}

// Hub is the hub that the client is connected to, nil if there is none.
func (c *Client) Hub() *Hub {
	if p := c.Peer(); p != nil {
		if h, ok := p.port.(*hubPort); ok {
			return h.hub
		}
	}
	return nil
}

// InHub tells whether the client is a port of a hub or connected to one.
func (c *Client) InHub() bool {
	return c.Kind == KindHubPort || c.Hub() != nil
}
