package user

import (
	"io"
	"sync"

	"goemu/internal/chardev"
	"goemu/internal/mainloop"
)

// Chardevs are where guestfwd makes its character devices; the emulator sets it. nil: it cannot.
var Chardevs *chardev.Set

// device is the character device behind a guestfwd. The guest's newest connection gets what comes in.
type device struct {
	port *chardev.Port
	id   string
	own  bool // made for this

	mu      sync.Mutex
	filled  sync.Cond
	conn    io.ReadWriteCloser // guarded by mu
	pending []byte             // guarded by mu: for conn
}

// deviceInput is how much input waits for the guest.
const deviceInput = 64 << 10

// newDevice makes the device that the text describes as -serial does.
func newDevice(label, text string) (*device, error) {
	b, err := Chardevs.OpenLegacy("", label, text)
	if err != nil {
		return nil, err
	}
	d := &device{id: label}
	d.filled.L = &d.mu
	if b == nil {
		return d, nil
	}
	d.own = b.ID == label
	d.port, err = b.AttachOn(mainloop.Main, d)
	return d, err
}

// CanRead implements chardev.Frontend.
func (d *device) CanRead() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return 0
	}
	return deviceInput - len(d.pending)
}

// Read implements chardev.Frontend.
func (d *device) Read(p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = append(d.pending, p...)
	d.filled.Broadcast()
}

// Event implements chardev.Frontend.
func (d *device) Event(chardev.Event) {}

// serve connects the device with a connection of the guest until that ends.
func (d *device) serve(c io.ReadWriteCloser) {
	d.mu.Lock()
	d.conn, d.pending = c, nil
	d.filled.Broadcast()
	d.mu.Unlock()
	if d.port != nil {
		d.port.AcceptInput()
	}
	go d.feed(c)
	b := make([]byte, 16<<10)
	for {
		n, err := c.Read(b)
		if n > 0 && d.port != nil {
			d.port.WriteAll(b[:n])
		}
		if err != nil {
			break
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == c {
		d.conn, d.pending = nil, nil
		d.filled.Broadcast()
	}
}

// feed gives the guest what comes in while the connection is the device's.
func (d *device) feed(c io.ReadWriteCloser) {
	for {
		d.mu.Lock()
		for d.conn == c && len(d.pending) == 0 {
			d.filled.Wait()
		}
		if d.conn != c {
			d.mu.Unlock()
			return
		}
		b := d.pending
		d.pending = nil
		d.mu.Unlock()
		if d.port != nil {
			d.port.AcceptInput()
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

func (d *device) close() {
	d.mu.Lock()
	d.conn = nil
	d.filled.Broadcast()
	d.mu.Unlock()
	if d.port != nil {
		mainloop.Post(func() {
			d.port.Detach()
			if d.own {
				_ = Chardevs.Remove(d.id)
			}
		})
	}
}
