// Package driver lists all block drivers, and turns what users write after -drive and -blockdev into nodes and backends. It knows no device.
package driver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Drive is what a -drive option defined.
type Drive struct {
	Text    string // as the user wrote it
	ID      string
	IF      string // bus type: none, virtio, ide, …
	Index   int    // position on the bus, -1 if not given
	Media   string // disk or cdrom
	WError  string // what to do about failed writes: ignore, stop, report, enospc or auto
	RError  string
	Backend *block.Backend // without medium if the drive is empty
	Default bool           // the machine has it unless the user names others
	claimed bool
	gone    bool // for the user: the backend lives as long as its device
}

// Drives are the disks of a machine: the graph, the drives and who uses what.
type Drives struct {
	Graph *block.Graph
	// OnUnplug, if set, hears of the node of a drive that goes with its device, under the graph lock.
	OnUnplug func(n *block.Node)

	mu     sync.Mutex
	drives []*Drive                // guarded by mu
	units  map[string]int          // on a bus, by type; 0 where there are no buses
	users  map[*block.Backend]bool // guarded by mu: of devices on nodes

	// Guarded by the graph lock.
	roots  map[string]*block.Node
	groups map[string]*block.ThrottleGroup // besides those that are objects
}

// NewDrives makes an empty set over a new graph with all drivers.
func NewDrives() *Drives {
	return &Drives{units: maps.Clone(busTypes), Graph: block.NewGraph(All()), roots: map[string]*block.Node{}, users: map[*block.Backend]bool{}, groups: map[string]*block.ThrottleGroup{}}
}

// SetUnits makes the machine's buses of a type have n units. Call it before drives are added.
func (s *Drives) SetUnits(busType string, n int) { s.units[busType] = n }

// List lists the drives in the order of their definition.
func (s *Drives) List() []*Drive {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Drive(nil), s.drives...)
}

// drive finds a drive.
// Preconditions: mu is held.
func (s *Drives) drive(id string) *Drive {
	for _, d := range s.drives {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// Source returns the disk with the name as devices take it; ok is false if there is none.
func (s *Drives) Source(name string) (src *block.Source, ok bool) {
	s.mu.Lock()
	d := s.drive(name)
	s.mu.Unlock()
	src = &block.Source{Name: name, WError: "auto", RError: "auto"}
	if d != nil {
		src.WError, src.RError, src.CD = d.WError, d.RError, d.Media == "cdrom"
		src.Claim = func(user string) (*block.Backend, error) { return s.claimDrive(d, user) }
		src.InUse = func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			return d.inUse()
		}
		src.Release, src.Unplug = func() { s.releaseDrive(d) }, func() { s.unplugDrive(d) }
		src.Replace = func(node string) error { return s.replaceNode(d.Backend, node) }
		return src, true
	}
	s.Graph.Lock()
	n := s.Graph.Find(name)
	s.Graph.Unlock()
	if n == nil {
		return nil, false
	}
	var held *block.Backend
	src.Claim = func(user string) (b *block.Backend, err error) { held, err = s.claimNode(name, user); return held, err }
	src.Release = func() { s.releaseNode(held); held = nil }
	src.Unplug = src.Release
	src.Replace = func(node string) error { return s.replaceNode(held, node) }
	return src, true
}

// Blank makes a drive without medium for one device.
func (s *Drives) Blank() *block.Source {
	src := &block.Source{WError: "auto", RError: "auto", CD: true}
	var b *block.Backend
	src.Claim = func(user string) (*block.Backend, error) {
		s.Graph.Lock()
		defer s.Graph.Unlock()
		b = s.Graph.NewBackend("", "", 0, block.PermAll)
		b.SetMediumMode(block.Mode{ReadOnly: true})
		b.AttachDevice(&block.Device{Name: user})
		return b, nil
	}
	src.Release = func() {
		s.Graph.Lock()
		defer s.Graph.Unlock()
		b.Delete()
	}
	src.Unplug = src.Release
	return src
}

// inUse tells why the drive cannot be claimed, nil if it can.
// Preconditions: mu is held.
func (drv *Drive) inUse() error {
	switch {
	case !drv.claimed:
		return nil
	case drv.IF != "none":
		return fmt.Errorf("Drive '%s' is already in use because it has been automatically connected to another device (did you need 'if=none' in the drive options?)", drv.ID)
	}
	return fmt.Errorf("Drive '%s' is already in use by another device", drv.ID)
}

func (s *Drives) claimDrive(d *Drive, user string) (*block.Backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := d.inUse(); err != nil {
		return nil, err
	}
	d.claimed = true
	s.Graph.Lock()
	defer s.Graph.Unlock()
	d.Backend.AttachDevice(&block.Device{Name: user})
	return d.Backend, nil
}

func (s *Drives) releaseDrive(d *Drive) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.claimed = false
	s.Graph.Lock()
	defer s.Graph.Unlock()
	d.Backend.DetachDevice()
	if d.gone {
		s.dropBackend(d)
	}
}

// unplugDrive takes a drive back from a device that leaves the machine. The drive goes with it.
func (s *Drives) unplugDrive(d *Drive) {
	s.Graph.Lock()
	if n := d.Backend.Node(); n != nil && s.OnUnplug != nil {
		s.OnUnplug(n)
	}
	s.Graph.Unlock()
	s.mu.Lock()
	s.drives = slices.DeleteFunc(s.drives, func(x *Drive) bool { return x == d })
	d.gone = true
	s.mu.Unlock()
	s.releaseDrive(d)
}

// claimNode makes a backend of its own on a node.
func (s *Drives) claimNode(name, user string) (*block.Backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Graph.Lock()
	defer s.Graph.Unlock()
	n, err := s.Graph.Lookup("", name)
	if err != nil {
		return nil, err
	}
	b := s.Graph.NewBackend("", "", 0, block.PermAll)
	b.AttachDevice(&block.Device{Name: user})
	if err := b.Insert(n); err != nil {
		b.Delete()
		return nil, err
	}
	s.users[b] = true
	return b, nil
}

// replaceNode gives a device's backend another node.
func (s *Drives) replaceNode(b *block.Backend, name string) error {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	n, err := s.Graph.Lookup("", name)
	if err != nil {
		return err
	}
	return b.Replace(n)
}

func (s *Drives) releaseNode(b *block.Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Graph.Lock()
	defer s.Graph.Unlock()
	if s.users[b] {
		b.Delete()
		delete(s.users, b)
	}
}

// busOrder are the bus types in the order of QEMU's numbers.
var busOrder = []string{"none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio", "xen"}

// BusType is QEMU's number of the drive's bus type.
func (drv *Drive) BusType() int { return slices.Index(busOrder, drv.IF) }

// RemoveDrive takes a drive back that nobody uses.
// Preconditions: the graph lock is not held.
func (s *Drives) RemoveDrive(drv *Drive) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(drv)
}

// remove is RemoveDrive.
// Preconditions: mu is held.
func (s *Drives) remove(drv *Drive) {
	s.drives = slices.DeleteFunc(s.drives, func(x *Drive) bool { return x == drv })
	s.Graph.Lock()
	defer s.Graph.Unlock()
	s.dropBackend(drv)
}

func (s *Drives) dropBackend(drv *Drive) {
	g := drv.Backend.Throttle()
	drv.Backend.Delete()
	s.forgetGroup(g)
}

// Forget makes a drive vanish for the user; a device that uses it keeps its backend, without medium, until it goes.
// Preconditions: the graph lock is not held.
func (s *Drives) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	drv := s.drive(id)
	if drv == nil {
		return
	}
	s.drives = slices.DeleteFunc(s.drives, func(x *Drive) bool { return x == drv })
	s.Graph.Lock()
	defer s.Graph.Unlock()
	drv.gone = true
	if !drv.claimed {
		s.dropBackend(drv)
	}
}

// Close flushes and closes everything.
func (s *Drives) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, b := range s.Graph.Backends() {
		if b.Node() != nil {
			if err := b.Flush(context.Background()); !errors.Is(err, unix.ENOMEDIUM) { // an image found to be corrupt takes nothing more
				note(err)
			}
		}
	}
	s.Graph.Lock()
	defer s.Graph.Unlock()
	for _, d := range s.drives {
		d.Backend.Delete()
	}
	for b := range s.users {
		b.Delete()
	}
	for _, n := range s.roots {
		s.Graph.Unref(n)
	}
	s.drives, s.roots, s.users = nil, map[string]*block.Node{}, map[*block.Backend]bool{}
	return first
}
