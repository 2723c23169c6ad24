// Package netdev is the network as the emulator sees it: clients (NICs, back ends, ports of hubs) that are each other's peers, the frames
// between them with back pressure, filters on the way, and their configuration. It knows no device and no kind of back end.
package netdev

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// MaxFrame is the largest frame that a client sends or takes: what segmentation is left to the peer for, with all headers.
const MaxFrame = 64<<10 + 64

// Port is what a client does with frames. Its methods are called from any goroutine, with or without the machine lock, and do not block.
type Port interface {
	// Receive takes a frame, which is the caller's again when it returns. With false the port has no room now: the sender keeps the frame
	// and waits for its own Resume. off is nil for a frame that is complete.
	Receive(data []byte, off *Offload) bool
	// Resume says that the peer, which had no room, may have some now. It does not send on the calling goroutine.
	Resume()
	// LinkChanged says that the link went up or down.
	LinkChanged()
	// Close ends the client.
	Close()
}

// Client is one end of a link.
type Client struct {
	Name  string
	Kind  string // as in -netdev, "nic" or "hubport"
	Model string
	Index int // of the queue

	// Offloads tells that frames with work left to do may come.
	Offloads bool
	// VnetHdr and UFO are what a guest may leave to the back end, as it is told.
	VnetHdr, UFO bool
	// HiddenVnetHdr is VnetHdr that QEMU's back end of the kind lacks: guests are told of it only if Set.ShowVnetHdr says so.
	HiddenVnetHdr bool

	set      *Set
	port     Port
	netdev   bool
	peer     atomic.Pointer[Client]
	linkDown atomic.Bool
	refused  atomic.Bool // the port had no room
	filters  atomic.Pointer[[]*Filter]
	nic      *NIC

	mu   sync.Mutex
	info string // guarded by mu
}

// IsNIC tells whether the client is a NIC's.
func (c *Client) IsNIC() bool { return c.Kind == KindNIC }

// Kinds that are no back ends.
const (
	KindNIC     = "nic"
	KindHubPort = "hubport"
)

// GuestOffloads is which frames with work left the guest takes.
type GuestOffloads struct{ Csum, TSO4, TSO6, ECN, UFO bool }

// OffloadPort is a back end that sends frames with work left.
type OffloadPort interface{ SetOffloads(GuestOffloads) }

// SetPeerOffloads tells the back end what the guest takes.
func (c *Client) SetPeerOffloads(o GuestOffloads) {
	if p := c.peer.Load(); p != nil {
		if b, ok := p.port.(OffloadPort); ok {
			b.SetOffloads(o)
		}
	}
}

// Port is what the client does with frames.
func (c *Client) Port() Port { return c.port }

// Peer is the other end, nil if there is none.
func (c *Client) Peer() *Client { return c.peer.Load() }

// LinkDown tells whether the link is down.
func (c *Client) LinkDown() bool { return c.linkDown.Load() }

// SetInfo changes what info network says about the client.
func (c *Client) SetInfo(format string, args ...any) {
	c.mu.Lock()
	c.info = fmt.Sprintf(format, args...)
	c.mu.Unlock()
}

// Info is what info network says about the client.
func (c *Client) Info() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// PeerOffloads tells whether the peer takes frames with work left to do.
func (c *Client) PeerOffloads() bool {
	p := c.peer.Load()
	return p != nil && p.Offloads
}

// Send gives a frame to the peer. With false the peer has no room: the sender keeps the frame until its port's Resume. Work that is left
// is done here if the peer does not take such frames.
func (c *Client) Send(data []byte, off *Offload) bool {
	p := c.peer.Load()
	if p == nil || c.linkDown.Load() {
		return true
	}
	if off != nil && (!p.Offloads || p.filters.Load() != nil || c.filters.Load() != nil) {
		return c.sendFinished(data, off)
	}
	return c.filtered(p, data, off)
}

// SendRaw is Send past the filters.
func (c *Client) SendRaw(data []byte) bool {
	p := c.peer.Load()
	return p == nil || c.linkDown.Load() || p.deliver(data, nil)
}

// sendFinished does the work that is left and sends the outcome. Of several frames the first decides whether there is room.
func (c *Client) sendFinished(data []byte, off *Offload) bool {
	first, ok := true, true
	Finish(data, off, func(frame []byte) {
		p := c.peer.Load()
		if p == nil || !ok {
			return
		}
		ok = c.filtered(p, frame, nil) || !first
		first = false
	})
	return ok
}

func (c *Client) filtered(p *Client, data []byte, off *Offload) bool {
	if f := c.filters.Load(); f != nil && runFilters(*f, c, data, true, nil) {
		return true
	}
	if f := p.filters.Load(); f != nil && runFilters(*f, c, data, false, nil) {
		return true
	}
	return p.deliver(data, off)
}

// deliver gives a frame to the client's port.
func (c *Client) deliver(data []byte, off *Offload) bool {
	if c.linkDown.Load() || c.port.Receive(data, off) {
		return true
	}
	// The port may have got room since, and found nobody to tell of it.
	c.refused.Store(true)
	return c.port.Receive(data, off)
}

// Ready says that the client's port has room again after it had none.
func (c *Client) Ready() {
	if c.refused.Swap(false) {
		c.wakePeer()
	}
}

func (c *Client) wakePeer() {
	if p := c.peer.Load(); p != nil {
		p.port.Resume()
	}
}

// connect makes two clients each other's peers.
func connect(a, b *Client) {
	a.peer.Store(b)
	b.peer.Store(a)
}

// disconnect takes a client's peer away; frames that the peer holds are lost.
func (c *Client) disconnect() {
	if p := c.peer.Swap(nil); p != nil {
		p.peer.CompareAndSwap(c, nil)
		p.port.Resume()
	}
}

// Netdev tells whether the client was made by -netdev, -nic or netdev_add and can be removed.
func (c *Client) Netdev() bool { return c.netdev }

// Type is the client's kind as info network shows it.
func (c *Client) Type() string {
	if c.Kind == "bridge" {
		return "tap"
	}
	return c.Kind
}

// SetLinkDown puts the client's own link up or down without telling anybody.
func (c *Client) SetLinkDown(down bool) { c.linkDown.Store(down) }
