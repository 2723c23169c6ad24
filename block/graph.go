package block

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// Graph holds all nodes and backends of a program. Its lock is taken by whoever changes edges, opens or closes; requests never take it.
type Graph struct {
	// Warn gets the text of warnings (without "warning: "); nil drops them.
	Warn func(text string)
	// Report gets the text of failures that no caller can be told of.
	Report func(text string)

	// OnIOError hears of failed requests of guests, OnCorrupt of corrupt images, OnTray of trays that moved. They must not block and may
	// be nil.
	OnIOError func(IOError)
	OnCorrupt func(Corruption)
	OnTray    func(b *Backend, open bool)
	// OnQuorumBad hears of images of a quorum that failed or are not like the others, OnQuorumFailure of requests (offset and length in
	// bytes) for which too few agreed.
	OnQuorumBad     func(QuorumBad)
	OnQuorumFailure func(n *Node, off, size int64)

	// Object finds a user-creatable object (credentials, secrets, throttle groups) by its identifier; nil finds none.
	Object func(id string) any

	// Guests is true if guests use the disks: formats that are not safe enough for that are refused.
	Guests bool

	drivers []*Driver

	// Messages receives what drivers tell people besides errors, line by line: findings of checks, corrupt images. The default is
	// standard error.
	Messages io.Writer
	// BeforeExit is called before a driver ends the program; it may be nil.
	BeforeExit func()

	mu       sync.Mutex
	nodes    []*Node
	backends []*Backend
	serial   int // of automatic node names

	inMigrate bool // a VM is coming in: see Backend.AttachDevice
	denying   bool // Deny is to be tried again when somebody lets go
	letGo     bool // somebody did

	// Relaxed lets a VM run although others still do what its disks deny, see Deny.
	Relaxed bool
}

// NewGraph makes an empty graph that knows the drivers of the tables.
func NewGraph(tables ...[]*Driver) *Graph {
	return &Graph{drivers: slices.Concat(tables...), Messages: os.Stderr}
}

// Die ends the program with a message, because what a driver found makes going on pointless.
func (g *Graph) Die(format string, a ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", a...)
	if g.BeforeExit != nil {
		g.BeforeExit()
	}
	os.Exit(1)
}

// Messagef writes a line to Messages.
func (g *Graph) Messagef(format string, a ...any) { fmt.Fprintf(g.Messages, format+"\n", a...) }

// Lock takes the graph lock for a change of several steps; functions that say so expect it.
func (g *Graph) Lock() { g.mu.Lock() }

// Unlock gives the graph lock back.
func (g *Graph) Unlock() {
	if g.letGo {
		g.letGo = false
		if g.denying {
			g.Deny()
		}
	}
	g.mu.Unlock()
}

// Drivers lists the drivers in the order of the tables.
func (g *Graph) Drivers() []*Driver { return g.drivers }

// DriverNames lists the drivers' names in alphabetical order, for people.
func (g *Graph) DriverNames() string {
	var names []string
	for _, d := range g.drivers {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// FindDriver finds a driver by its name, or nil.
func (g *Graph) FindDriver(name string) *Driver {
	for _, d := range g.drivers {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// Find finds a node by its node-name, or nil.
// Preconditions: the graph lock is held.
func (g *Graph) Find(name string) *Node {
	for _, n := range g.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// Nodes lists the nodes in the order they were opened.
// Preconditions: the graph lock is held.
func (g *Graph) Nodes() []*Node { return slices.Clone(g.nodes) }

// Ref counts one more user of the node.
// Preconditions: the graph lock is held.
func (g *Graph) Ref(n *Node) { n.refs++ }

// Unref counts one user less; the last one closes the node and lets its children go.
// Preconditions: the graph lock is held.
func (g *Graph) Unref(n *Node) {
	if n.refs--; n.refs > 0 {
		return
	}
	n.flush(context.Background())
	n.abandon()
}

// forget takes the node out of the list.
func (g *Graph) forget(n *Node) {
	g.nodes = slices.DeleteFunc(g.nodes, func(m *Node) bool { return m == n })
}

// FindBackend finds a backend by its name, or nil.
// Preconditions: the graph lock is held.
func (g *Graph) FindBackend(name string) *Backend {
	for _, b := range g.backends {
		if b.name == name && name != "" {
			return b
		}
	}
	return nil
}

// Backends lists the backends in the order they were made.
// Preconditions: the graph lock is held.
func (g *Graph) Backends() []*Backend { return slices.Clone(g.backends) }

// Failure reports a failure that no caller can be told of, to Report or, without it, as a message.
func (g *Graph) Failure(format string, a ...any) {
	if g.Report == nil {
		g.Messagef(format, a...)
		return
	}
	g.Report(fmt.Sprintf(format, a...))
}

// Warning passes a warning on to Warn.
func (g *Graph) Warning(text string) { g.warn(text) }

func (g *Graph) warn(text string) {
	if g.Warn != nil {
		g.Warn(text)
	}
}
