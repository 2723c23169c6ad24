package virtio

import "goemu/hw/virtio/ring"

// InUse tells whether a driver uses the device: it has said that it is ready, or notified a queue before, as legacy drivers may.
func (d *Device) InUse() bool { return d.driverOK() || d.kicked }

// StartsOnKick tells whether a notification would start the device.
func (d *Device) StartsOnKick() bool { return d.startOnKick }

// ServerFeatures are the offered features as far as the server in another process decides them; zero without one.
func (d *Device) ServerFeatures() uint64 {
	if d.outside == nil {
		return 0
	}
	return d.HostFeatures()
}

// Served tells whether another process serves rings now.
func (d *Device) Served() bool {
	if d.outside == nil {
		return false
	}
	d.outside.mu.Lock()
	defer d.outside.mu.Unlock()
	return d.outside.run != nil
}

// QueueState is what a queue is like at one time.
type QueueState struct {
	ring.Position
	InUse             int
	Seen              uint16 // the driver's index
	Desc, Avail, Used uint64 // in force
	Served            bool   // by another process, which alone knows positions
}

// State is the state of the queue.
func (q *Queue) State() QueueState {
	return QueueState{
		Position: q.ring.Position(), InUse: q.ring.InUse(), Seen: q.ring.Seen(),
		Desc: q.inForce(q.Desc), Avail: q.inForce(q.Avail), Used: q.inForce(q.Used),
		Served: q.outside && q.dev.Served(),
	}
}

// Look reads a chain as ring.Queue's Look does.
func (q *Queue) Look(index *uint16) (*ring.Chain, error) { return q.ring.Look(index) }
