package block

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Device is the guest device that uses a backend.
type Device struct {
	// Name describes the device in messages: its id, or its path in the object tree.
	Name string
	// Media, if set, says that the medium can be changed.
	Media Media
}

// Media is a device whose medium can be changed. The functions are called with the graph lock held.
type Media interface {
	// HasTray tells whether there is a tray; without one the medium is simply there or not.
	HasTray() bool
	// TrayOpen and Locked tell the state of the tray.
	TrayOpen() bool
	Locked() bool
	// EjectRequest asks the guest to open the tray.
	EjectRequest(force bool)
	// MediumChanged moves the tray, or tells of the medium if there is none. loaded is true if the tray closes or a medium came.
	MediumChanged(loaded bool) error
}

// media is the device's interface for changes of the medium, or nil.
func (b *Backend) media() Media {
	if b.device == nil {
		return nil
	}
	return b.device.Media
}

// Removable tells whether the medium can be taken out; a backend without device has nobody who minds.
func (b *Backend) Removable() bool { return b.device == nil || b.device.Media != nil }

// HasTray tells whether the device has a tray.
func (b *Backend) HasTray() bool { m := b.media(); return m != nil && m.HasTray() }

// TrayOpen tells whether the device's tray is open.
func (b *Backend) TrayOpen() bool { return b.HasTray() && b.media().TrayOpen() }

// MediumLocked tells whether the guest has locked the tray.
func (b *Backend) MediumLocked() bool { m := b.media(); return m != nil && m.Locked() }

// EjectRequest asks the guest to open the tray.
func (b *Backend) EjectRequest(force bool) {
	if m := b.media(); m != nil {
		m.EjectRequest(force)
	}
}

// ChangeMedium tells the device that a medium came or went, which moves the tray if it has one.
// Preconditions: the graph lock is held.
func (b *Backend) ChangeMedium(loaded bool) error {
	m := b.media()
	if m == nil {
		return nil
	}
	was := b.TrayOpen()
	if err := m.MediumChanged(loaded); err != nil {
		return err
	}
	if is := b.TrayOpen(); is != was {
		b.TrayMoved(is)
	}
	return nil
}

// TrayMoved tells that the tray was moved, by the guest or a user.
func (b *Backend) TrayMoved(open bool) {
	if f := b.graph.OnTray; f != nil {
		f(b, open)
	}
}

// IOError is a failed request of a guest.
type IOError struct {
	Backend *Backend
	Write   bool
	Action  string // what was done about it: ignore, report or stop
	Err     error
}

// The states of a backend's requests, as query-block tells them.
const (
	ioStatusOK = iota
	ioStatusFailed
	ioStatusNoSpace
)

var ioStatusNames = [...]string{"ok", "failed", "nospace"}

// EnableIOStatus begins keeping whether a request failed so that the machine stopped.
func (b *Backend) EnableIOStatus() {
	b.keepsStatus.Store(true)
	b.ResetIOStatus()
}

// IOStatusEnabled tells whether EnableIOStatus was called.
func (b *Backend) IOStatusEnabled() bool { return b.keepsStatus.Load() }

// IOStatus is ok, failed or nospace.
func (b *Backend) IOStatus() string { return ioStatusNames[b.ioStatus.Load()] }

// ResetIOStatus forgets failures: the machine goes on.
func (b *Backend) ResetIOStatus() { b.ioStatus.Store(ioStatusOK) }

// Failed tells what is done about a request that failed: the action is ignore, report or stop. The caller stops the machine.
func (b *Backend) Failed(write bool, action string, err error) {
	if action == "stop" && b.keepsStatus.Load() {
		status := int32(ioStatusFailed)
		if errors.Is(err, unix.ENOSPC) {
			status = ioStatusNoSpace
		}
		b.ioStatus.CompareAndSwap(ioStatusOK, status)
	}
	if f := b.graph.OnIOError; f != nil {
		f(IOError{b, write, action, err})
	}
}

// ResetIOStatus forgets the failures of all backends.
// Preconditions: the graph lock is held.
func (g *Graph) ResetIOStatus() {
	for _, b := range g.backends {
		b.ResetIOStatus()
	}
}

// Corruption is what was found to be wrong with an image in use.
type Corruption struct {
	Node         *Node
	Message      string
	Offset, Size int64 // -1 if unknown
	Fatal        bool  // nothing more is written to the image
}

// Corrupted tells of a corrupt image.
func (n *Node) Corrupted(c Corruption) {
	if f := n.graph.OnCorrupt; f != nil {
		c.Node = n
		f(c)
	}
}

// QuorumOp is what a quorum was doing when it found a bad image.
type QuorumOp string

// The operations, by their names in QMP.
const (
	QuorumRead  QuorumOp = "read"
	QuorumWrite QuorumOp = "write"
	QuorumFlush QuorumOp = "flush"
)

// QuorumBad is what was found about an image of a quorum.
type QuorumBad struct {
	Node         *Node
	Op           QuorumOp
	Offset, Size int64 // of the request, in bytes
	Err          error // nil if the content differs
}
