// Package driver turns what users write after -drive and -blockdev into open disks. It knows the drivers and no device.
package driver

import (
	"fmt"
	"sync"

	"goemu/block"
	"goemu/block/driver/file"
	"goemu/block/driver/raw"
)

// node is a named part of the graph: a protocol node (file) or a format node (disk).
type node struct {
	name   string
	driver string
	file   *file.File
	disk   block.Disk // nil for a protocol node that no device uses yet
	mode   cacheMode
}

// Drive is what a -drive option defined.
type Drive struct {
	ID       string
	IF       string // bus type: none, virtio, ide, …
	Index    int    // position on the bus, -1 if not given
	Media    string // disk or cdrom
	Filename string
	WError   string // what to do about failed writes: ignore, stop, report, enospc or auto
	RError   string
	Backend  block.Disk
	claimed  bool
}

// Graph holds all drives and nodes of a machine.
type Graph struct {
	// Warn gets the text of warnings; nil drops them.
	Warn func(text string)

	mu     sync.Mutex
	drives []*Drive         // guarded by mu
	nodes  map[string]*node // guarded by mu
	users  map[string]string
}

// NewGraph makes an empty graph.
func NewGraph() *Graph {
	return &Graph{nodes: map[string]*node{}, users: map[string]string{}}
}

func (g *Graph) warn(format string, args ...any) {
	if g.Warn != nil {
		g.Warn(fmt.Sprintf(format, args...))
	}
}

// Drives lists the drives in the order of their definition.
func (g *Graph) Drives() []*Drive {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*Drive(nil), g.drives...)
}

// drive finds a drive.
// Preconditions: mu is held.
func (g *Graph) drive(id string) *Drive {
	for _, d := range g.drives {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// Has tells whether a drive or node has the name.
func (g *Graph) Has(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.nodes[name]
	return ok || g.drive(name) != nil
}

// Drive returns the drive with the ID, or nil if a node or nothing has that name.
func (g *Graph) Drive(id string) *Drive {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.drive(id)
}

// Claim gives the disk with the name to a device; ok is false if there is none. A disk has one user at a time.
func (g *Graph) Claim(name, user string) (b block.Disk, ok bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d := g.drive(name); d != nil {
		if d.claimed {
			return nil, true, fmt.Errorf("Drive '%s' is already in use by another device", name)
		}
		d.claimed = true
		return d.Backend, true, nil
	}
	n := g.nodes[name]
	if n == nil {
		return nil, false, nil
	}
	if n.disk == nil { // a protocol node is as good as a raw disk
		if n.disk, err = raw.New(n.file, raw.Options{ReadOnly: n.file.ReadOnly()}); err != nil {
			return nil, true, err
		}
	}
	g.users[name] = user
	return n.disk, true, nil
}

// Source returns the disk with the name as devices take it; ok is false if there is none.
func (g *Graph) Source(name string) (s *block.Source, ok bool) {
	if !g.Has(name) {
		return nil, false
	}
	s = &block.Source{Name: name, WError: "auto", RError: "auto"}
	if d := g.Drive(name); d != nil {
		s.WError, s.RError = d.WError, d.RError
	}
	s.Claim = func(user string) (block.Disk, error) {
		b, _, err := g.Claim(name, user)
		return b, err
	}
	s.Release = func() { g.Release(name) }
	return s, true
}

// Release takes the disk from its user.
func (g *Graph) Release(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d := g.drive(name); d != nil {
		d.claimed = false
		if d.Backend != nil {
			block.Detach(d.Backend)
		}
	} else if n := g.nodes[name]; n != nil && n.disk != nil {
		delete(g.users, name)
		block.Detach(n.disk)
	}
}

// Close flushes and closes everything.
func (g *Graph) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var first error
	closeAll := func(b block.Disk) {
		if err := b.Close(); err != nil && first == nil {
			first = err
		}
	}
	for _, d := range g.drives {
		if d.Backend != nil {
			closeAll(d.Backend)
		}
	}
	for _, n := range g.nodes {
		if n.disk != nil {
			closeAll(n.disk)
		}
		if n.file != nil {
			n.file.Close()
		}
	}
	g.drives, g.nodes = nil, map[string]*node{}
	return first
}
