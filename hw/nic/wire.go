package nic

import (
	"slices"
	"sync"

	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
)

// Receiver is a device that is served under the machine lock.
type Receiver interface {
	// TakeFrame takes a frame, which is the caller's again after. With false the device has no room: it calls Wire.Room once it has.
	TakeFrame(data []byte) bool
	// LinkChanged says that the link went up or down.
	LinkChanged(down bool)
}

// Wire connects a device that is served under the machine lock with the network, whose frames come on any goroutine.
type Wire struct {
	dev    Receiver
	nic    *netdev.NIC
	client *netdev.Client
	out    netdev.Outbox

	delivering bool // guarded by the machine lock

	mu     sync.Mutex
	queue  [][]byte // guarded by mu
	bytes  int      // guarded by mu
	free   [][]byte // guarded by mu
	posted bool     // guarded by mu: the device will be given the frames
}

// Bounds of what waits for the device, and for its peer.
const (
	inFrames  = 512
	inBytes   = 512 << 10
	keepFree  = 64
	outFrames = 1024
)

// wires are those of all devices, and running whether the machine runs. Both are guarded by the machine lock.
var (
	wires   []*Wire
	running = true
)

// SetMachineRunning hears from the machine, under the machine lock, that it starts or stops running: frames wait while it does not.
func SetMachineRunning(on bool) {
	running = on
	if on {
		for _, w := range wires {
			w.Room()
		}
	}
}

// Open makes the device's part of the network; class is the name of its type. Close undoes it.
func (w *Wire) Open(p *Props, d qdev.Device, class string, r Receiver) error {
	w.dev = r
	n, err := p.New(d, class, class, []netdev.Port{w})
	if err != nil {
		return err
	}
	w.nic, w.client = n, n.Clients[0]
	w.out.Init(w.client, outFrames, 0)
	wires = append(wires, w)
	return nil
}

// Shut takes the device out of the network.
func (w *Wire) Shut(p *Props) {
	wires = slices.DeleteFunc(wires, func(x *Wire) bool { return x == w })
	w.nic.Close()
	p.Release()
}

// ShowMAC tells people the address that the device answers to.
func (w *Wire) ShowMAC(mac [6]byte) { w.nic.ShowMAC(mac) }

// LinkDown tells whether the link is down; SetLinkDown puts it there without telling anybody.
func (w *Wire) LinkDown() bool { return w.client.LinkDown() }

// SetLinkDown puts the link up or down without telling anybody.
func (w *Wire) SetLinkDown(down bool) { w.client.SetLinkDown(down) }

// Send sends a frame; it is lost if too many wait already.
func (w *Wire) Send(data []byte) { w.out.Send(data, nil) }

// Receive implements netdev.Port.
func (w *Wire) Receive(data []byte, _ *netdev.Offload) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) >= inFrames || w.bytes+len(data) > inBytes && len(w.queue) > 0 {
		return false
	}
	var b []byte
	if n := len(w.free); n > 0 {
		b, w.free = w.free[n-1], w.free[:n-1]
	}
	w.queue = append(w.queue, append(b[:0], data...))
	w.bytes += len(data)
	w.post()
	return true
}

// post makes the device be given the frames soon. Preconditions: mu is held.
func (w *Wire) post() {
	if !w.posted && len(w.queue) > 0 {
		w.posted = true
		mainloop.Post(w.Deliver)
	}
}

// Room says that the device can take frames again. Preconditions: the machine lock is held.
func (w *Wire) Room() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.post()
}

// Deliver gives the device what waits at once; Room does so soon. Preconditions: the machine lock is held.
func (w *Wire) Deliver() {
	if w.delivering { // the device's own memory accesses have led here
		return
	}
	w.delivering = true
	defer func() { w.delivering = false }()
	w.deliver()
}

// deliver gives the device what waits.
func (w *Wire) deliver() {
	w.mu.Lock()
	w.posted = false
	list := w.queue
	w.queue = nil
	w.mu.Unlock()
	n, taken := 0, 0
	for running && n < len(list) && w.dev.TakeFrame(list[n]) {
		taken += len(list[n])
		n++
	}
	w.mu.Lock()
	w.bytes -= taken
	for _, b := range list[:n] {
		if len(w.free) < keepFree {
			w.free = append(w.free, b)
		}
	}
	if rest := list[n:]; len(rest) > 0 {
		w.queue = append(rest, w.queue...)
	} else if w.queue == nil {
		clear(list)
		w.queue = list[:0]
	}
	w.mu.Unlock()
	if n > 0 && w.client != nil {
		w.client.Ready()
	}
}

// Resume implements netdev.Port.
func (w *Wire) Resume() { w.out.Resume() }

// LinkChanged implements netdev.Port. Preconditions: the machine lock is held.
func (w *Wire) LinkChanged() { w.dev.LinkChanged(w.client.LinkDown()) }

// Close implements netdev.Port.
func (w *Wire) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue, w.bytes = nil, 0
}
