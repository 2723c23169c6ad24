package netdev

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"goemu/qapi"
)

// Opener makes the back end that n describes: one client or, for several queues, more. peer, if not nil, is a hub's port to connect it to.
type Opener func(s *Set, n *qapi.Netdev, peer *Client) error

// Set is all clients of a machine.
type Set struct {
	// Kinds are the kinds of back ends there are.
	Kinds map[string]Opener
	// Emit tells clients of the monitor; nil drops the event.
	Emit func(qapi.Event)
	// Warn prints a warning.
	Warn func(text string)
	// ShowVnetHdr tells guests of what a back end can do and QEMU's cannot; such a guest does not move to QEMU.
	ShowVnetHdr bool

	mu      sync.Mutex
	clients []*Client // guarded by mu, in order of creation
	hubs    []*Hub    // guarded by mu
	macs    [256]int  // guarded by mu: users of each default address
	nics    []*NICInfo
	made    uint64 // identifiers so far
	named   map[string]*announcer
}

// Main is the process's set.
var Main = NewSet()

// NewSet returns an empty set.
func NewSet() *Set { return &Set{Kinds: map[string]Opener{}} }

// NewID makes an identifier for a client that was given none.
func (s *Set) NewID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return fmt.Sprintf("#net%d%02d", s.made-1, rand.IntN(100))
}

// Add takes a new client into the set and connects it with peer, unless that is nil.
func (s *Set) Add(c *Client, p Port, peer *Client) *Client {
	c.set, c.port = s, p
	s.mu.Lock()
	if c.Name == "" {
		n := 0
		for _, o := range s.clients {
			if o.Model == c.Model {
				n++
			}
		}
		c.Name = fmt.Sprintf("%s.%d", c.Model, n)
	}
	s.clients = append(s.clients, c)
	s.mu.Unlock()
	if peer != nil {
		connect(c, peer)
	}
	return c
}

// Clients are all clients in the order of their making.
func (s *Set) Clients() []*Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.clients)
}

// Find returns the back end or hub port of that name.
func (s *Set) Find(id string) (*Client, bool) {
	for _, c := range s.Clients() {
		if !c.IsNIC() && c.Name == id {
			return c, true
		}
	}
	return nil, false
}

// Peer finds a back end as a NIC's property names it.
func (s *Set) Peer(id string) (*Peer, bool) {
	p := &Peer{id: id}
	for _, c := range s.Clients() {
		if !c.IsNIC() && c.Name == id {
			p.clients = append(p.clients, c)
		}
	}
	return p, len(p.clients) > 0
}

// Peer is a back end with all its queues.
type Peer struct {
	id      string
	clients []*Client
}

// ID is the back end's name.
func (p *Peer) ID() string { return p.id }

// Queues is the number of the back end's queues.
func (p *Peer) Queues() int {
	if p == nil {
		return 0
	}
	return len(p.clients)
}

// Port is what the back end's first queue does with frames; nil without a back end.
func (p *Peer) Port() Port {
	if p == nil {
		return nil
	}
	return p.clients[0].port
}

// InUse tells whether somebody is connected to the back end.
func (p *Peer) InUse() bool {
	return p != nil && slices.ContainsFunc(p.clients, func(c *Client) bool { return c.Peer() != nil })
}

// VnetHdr tells whether the back end has virtio's net headers, so that the guest may leave work to the host.
func (p *Peer) VnetHdr() bool {
	if p == nil {
		return false
	}
	c := p.clients[0]
	return c.VnetHdr || c.HiddenVnetHdr && c.set.ShowVnetHdr
}

// UFO tells whether the back end segments UDP.
func (p *Peer) UFO() bool { return p != nil && p.clients[0].UFO }

// Kind is the kind of the back end.
func (p *Peer) Kind() string {
	if p == nil {
		return ""
	}
	return p.clients[0].Kind
}

// Open makes a back end of -netdev and netdev_add.
func (s *Set) Open(n *qapi.Netdev) error {
	open := s.Kinds[string(n.Type)]
	if open == nil {
		return qapi.Errorf("network backend '%s' is not compiled into this binary", n.Type)
	}
	if err := s.unused(n.Id); err != nil {
		return err
	}
	err := open(s, n, nil)
	for _, c := range s.Clients() {
		switch {
		case c.Name != n.Id || c.IsNIC():
		case err != nil: // a queue before the one that could not be opened
			s.remove(c)
		default:
			c.netdev = true
		}
	}
	return err
}

// unused refuses an ID that a client has.
func (s *Set) unused(id string) error {
	if _, ok := s.Find(id); ok {
		return qapi.Errorf("Duplicate ID '%s'", id)
	}
	return nil
}

// OpenLegacy makes a back end or asks for a NIC as -net does: at a port of hub 0.
func (s *Set) OpenLegacy(n *qapi.Netdev) error {
	switch n.Type {
	case qapi.NetClientDriverNone:
		return nil
	case qapi.NetClientDriverHubport:
		return qapi.Errorf("network backend '%s' is only supported with -netdev/-nic", n.Type)
	}
	open := s.Kinds[string(n.Type)]
	if n.Type == qapi.NetClientDriverNic {
		open = openNIC
	}
	if open == nil {
		return qapi.Errorf("network backend '%s' is not compiled into this binary", n.Type)
	}
	var peer *Client
	if n.Nic == nil || n.Nic.Netdev == nil {
		peer = s.AddHubPort(0, "", nil)
	}
	err := s.unused(n.Id)
	if err == nil {
		err = open(s, n, peer)
	}
	if err != nil && peer != nil {
		s.remove(peer)
	}
	return err
}

// remove takes a client out of the set and ends it.
func (s *Set) remove(c *Client) {
	s.mu.Lock()
	s.clients = slices.DeleteFunc(s.clients, func(x *Client) bool { return x == c })
	s.mu.Unlock()
	c.disconnect()
	for _, f := range c.Filters() {
		if f.Gone != nil {
			f.Gone()
		}
		f.Detach()
	}
	c.port.Close()
}

// Delete removes a back end. A NIC at it stays, with its link down.
func (s *Set) Delete(id string) error {
	p, ok := s.Peer(id)
	if !ok {
		return notFound(id)
	}
	if !p.clients[0].netdev {
		return qapi.Errorf("Device '%s' is not a netdev", id)
	}
	for _, c := range p.clients {
		nic := c.Peer()
		s.remove(c)
		if nic != nil && nic.IsNIC() {
			nic.linkDown.Store(true)
			if nic.Index == 0 {
				nic.port.LinkChanged()
			}
		}
	}
	return nil
}

func notFound(id string) error {
	return &qapi.Error{Class: qapi.QapiErrorClassDeviceNotFound, Desc: fmt.Sprintf("Device '%s' not found", id)}
}

// Tell tells clients of the monitor of an event.
func (s *Set) Tell(ev qapi.Event) {
	if s.Emit != nil {
		s.Emit(ev)
	}
}

// SetLink puts a client's link up or down; a NIC's goes with its back end's.
func (s *Set) SetLink(name string, up bool) error {
	var list []*Client
	for _, c := range s.Clients() {
		if c.Name == name {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return notFound(name)
	}
	for _, c := range list {
		c.linkDown.Store(!up)
	}
	list[0].port.LinkChanged()
	p := list[0].Peer()
	if p == nil {
		return nil
	}
	if p.IsNIC() {
		for _, c := range list {
			if o := c.Peer(); o != nil {
				o.linkDown.Store(!up)
			}
		}
	}
	p.port.LinkChanged()
	if up {
		for _, c := range list {
			c.port.Resume()
			c.wakePeer()
		}
	}
	return nil
}

// Check warns of clients that nothing is connected to.
func (s *Set) Check(qtest bool) {
	for _, h := range s.Hubs() {
		h.check(s.Warn, qtest)
	}
	for _, c := range s.Clients() {
		if c.Peer() != nil {
			continue
		}
		what := "netdev"
		if c.IsNIC() {
			what = "nic"
		}
		s.Warn(fmt.Sprintf("%s %s has no peer", what, c.Name))
	}
	for _, n := range s.nics {
		if !n.Made {
			model := n.Model
			if model == "" {
				model = "unspecified"
			}
			s.Warn(fmt.Sprintf("requested NIC (%s, model %s) was not created (not supported by this machine?)", n.Name, model))
		}
	}
}

func (h *Hub) check(warn func(string), qtest bool) {
	nic, host := false, false
	for _, c := range h.Clients() {
		p := c.Peer()
		switch {
		case p == nil:
			warn(fmt.Sprintf("hub port %s has no peer", c.Name))
		case p.IsNIC():
			nic = true
		case p.Kind != KindHubPort && p.Kind != "bridge":
			host = true
		}
	}
	if host && !nic {
		warn(fmt.Sprintf("hub %d with no nics", h.ID))
	}
	if nic && !host && !qtest {
		warn(fmt.Sprintf("hub %d is not connected to host network", h.ID))
	}
}

// Close ends all clients.
func (s *Set) Close() {
	for _, c := range s.Clients() {
		s.remove(c)
	}
}

// order is the order of kinds in lists for people.
var order = []string{"socket", "stream", "dgram", "hubport", "tap", "user", "bridge", "vhost-user"}

// KindNames are the kinds of back ends.
func (s *Set) KindNames() (list []string) {
	for _, k := range order {
		if s.Kinds[k] != nil {
			list = append(list, k)
		}
	}
	return list
}

// Help is the answer to -netdev help.
func (s *Set) Help() string {
	return "Available netdev backend types:\n" + strings.Join(s.KindNames(), "\n") + "\n"
}

// RxFilters is the answer to query-rx-filter about one NIC or all.
func (s *Set) RxFilters(name *string) ([]*qapi.RxFilterInfo, error) {
	list := []*qapi.RxFilterInfo{}
	for _, c := range s.Clients() {
		if name != nil && c.Name != *name {
			continue
		}
		switch {
		case !c.IsNIC():
			if name != nil {
				return nil, qapi.Errorf("net client(%s) isn't a NIC", *name)
			}
			continue
		case c.Index != 0:
			continue
		case c.nic.RxFilter != nil:
			list = append(list, c.nic.RxFilter())
		case name != nil:
			return nil, qapi.Errorf("net client(%s) doesn't support rx-filter querying", *name)
		}
		if name != nil {
			break
		}
	}
	if len(list) == 0 && name != nil {
		return nil, qapi.Errorf("invalid net client name: %s", *name)
	}
	return list, nil
}
