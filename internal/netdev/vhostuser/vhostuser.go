// Package vhostuser is the network back end vhost-user: a process at the other end of a unix socket serves the rings of a virtio NIC.
package vhostuser

import (
	"fmt"
	"sync/atomic"

	"goemu/internal/chardev"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
	"goemu/internal/vhostuser"
	"goemu/qapi"
)

// Set by the emulator: where character devices are found, and reasons against migration are kept.
var (
	FindChardev = func(id string) (*chardev.Backend, bool) { return nil, false }
	Block       = func(reason string) error { return nil }
	Unblock     = func(reason string) {}
)

const (
	kind      = "vhost-user"
	maxQueues = 1024
	// rarpSize is the length of the frames by which NICs are announced.
	rarpSize = 60
)

// backend is a character device with the clients that are its queues.
type backend struct {
	set     *netdev.Set
	id      string
	line    *vhostuser.Line
	queues  int
	reasons []string // against migration

	session  atomic.Pointer[vhostuser.Session]
	accepted atomic.Uint64

	ready chan error // what came of the first connections
	begun atomic.Bool
}

// port is a queue.
type port struct {
	*backend
	index int
}

// Open is the Opener of the kind vhost-user. It waits until the other side has connected and says what it can do.
func Open(s *netdev.Set, n *qapi.Netdev, peer *netdev.Client) error {
	o := n.VhostUser
	chr, ok := FindChardev(o.Chardev)
	switch {
	case !ok:
		return qapi.Errorf("chardev \"%s\" not found", o.Chardev)
	case !chr.IsSocket():
		return qapi.Errorf("chardev \"%s\" is not reconnectable", o.Chardev)
	case !chr.PassesFDs():
		return qapi.Errorf("chardev \"%s\" does not support FD passing", o.Chardev)
	}
	b := &backend{set: s, id: n.Id, queues: 1, ready: make(chan error)}
	if o.Queues != nil {
		b.queues = int(min(*o.Queues, maxQueues+1))
	}
	if b.queues < 1 || b.queues > maxQueues {
		return qapi.Errorf("vhost-user number of queues must be in range [1, %d]", maxQueues)
	}
	var err error
	if b.line, err = vhostuser.Attach(chr, b.opened, b.closed); err != nil {
		return err
	}
	for err = <-b.ready; err != nil; err = <-b.ready {
		if !chr.Reconnects() {
			b.line.Close()
			return err
		}
		s.Warn(err.Error())
	}
	b.begun.Store(true)
	if err := b.block(); err != nil {
		b.line.Close()
		return err
	}
	for i := range b.queues {
		c := &netdev.Client{Name: n.Id, Kind: kind, Model: "vhost_user", Index: i, Offloads: true, VnetHdr: true, UFO: true}
		s.Add(c, &port{b, i}, peer)
		c.SetInfo("vhost-user%d to %s", i, chr.ID)
	}
	return nil
}

// block names what stands against migration.
func (b *backend) block() error {
	s := b.session.Load()
	switch {
	case s == nil || s.Features>>vhostuser.FeatureLogAll&1 != 0 && s.Knows(vhostuser.ProtocolLogShmFD):
		return nil
	case s.HasProtocol():
		b.reasons = []string{"Migration disabled: vhost-user backend lacks VHOST_USER_PROTOCOL_F_LOG_SHMFD feature."}
	default:
		b.reasons = []string{"Migration disabled: vhost lacks VHOST_F_LOG_ALL feature."}
	}
	return Block(b.reasons[0])
}

// opened greets a server that has connected.
func (b *backend) opened(l *vhostuser.Line, n int) {
	s, err := l.Begin(n)
	if err == nil {
		err = b.check(s)
	}
	if err != nil {
		l.Cut(n)
		if !b.begun.Load() {
			b.ready <- fmt.Errorf("failed to init vhost_net for queue 0: %w", err)
		}
		return
	}
	if !b.begun.Load() {
		b.session.Store(s)
		b.ready <- nil
		return
	}
	mainloop.Post(func() { b.take(s) })
}

// check tells whether a server can do what is asked for, and what one before it could.
func (b *backend) check(s *vhostuser.Session) error {
	if uint64(b.queues) > s.Queues && b.queues > 1 {
		return fmt.Errorf("you are asking more queues than supported: %d", s.Queues)
	}
	if lacks := b.accepted.Load() &^ s.Features; lacks != 0 {
		return fmt.Errorf("vhost lacks feature mask 0x%x for backend", lacks)
	}
	return nil
}

// closed notes that a connection has ended.
func (b *backend) closed(*vhostuser.Line, int) {
	if !b.begun.Load() {
		return
	}
	old := b.session.Load()
	mainloop.Post(func() {
		if b.session.Load() == old {
			b.take(nil)
		}
	})
}

// take changes the session: the NIC's link goes down and up with it. Preconditions: the machine lock is held.
func (b *backend) take(s *vhostuser.Session) {
	if b.session.Swap(s) != nil && s != nil {
		_ = b.set.SetLink(b.id, false) // the NIC sees that it is another one
	}
	_ = b.set.SetLink(b.id, s != nil)
}

// Session is the present connection, nil if there is none.
func (b *backend) Session() *vhostuser.Session { return b.session.Load() }

// Accepted tells which features of the server are in use, so that one that follows must have them, too.
func (b *backend) Accepted(f uint64) {
	if s := b.session.Load(); s != nil {
		f |= s.Features & (1 << vhostuser.FeatureProtocol)
	}
	b.accepted.Store(f)
}

// Receive implements netdev.Port. Frames go through the rings; only announcements come here.
func (p *port) Receive(data []byte, _ *netdev.Offload) bool {
	if s := p.session.Load(); s != nil && len(data) == rarpSize && p.index == 0 {
		s.Announce([6]byte(data[6:]))
	}
	return true
}

// Resume implements netdev.Port.
func (*port) Resume() {}

// LinkChanged implements netdev.Port.
func (*port) LinkChanged() {}

// Close implements netdev.Port.
func (p *port) Close() {
	if p.index != 0 {
		return
	}
	p.session.Store(nil)
	p.line.Close()
	for _, r := range p.reasons {
		Unblock(r)
	}
}
