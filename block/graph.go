package block

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Graph holds all nodes and backends of a program. Its lock is taken by whoever changes edges, opens or closes; requests never take it.
type Graph struct {
	drivers []*Driver

	// Messages receives what drivers tell people besides errors, line by line: findings of checks, corrupt images. The default is
	// standard error.
	Messages io.Writer

	mu       sync.Mutex
	nodes    []*Node
	backends []*Backend
	serial   int // of automatic node names
}

// NewGraph makes an empty graph that knows the drivers of the tables.
func NewGraph(tables ...[]*Driver) *Graph {
	return &Graph{drivers: slices.Concat(tables...), Messages: os.Stderr}
}

// Messagef writes a line to Messages.
func (g *Graph) Messagef(format string, a ...any) { fmt.Fprintf(g.Messages, format+"\n", a...) }

// Lock takes the graph lock for a change of several steps; functions that say so expect it.
func (g *Graph) Lock() { g.mu.Lock() }

// Unlock gives the graph lock back.
func (g *Graph) Unlock() { g.mu.Unlock() }

// Drivers lists the drivers in the order of the tables.
func (g *Graph) Drivers() []*Driver { return g.drivers }

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
	n.state.Close()
	for len(n.children) > 0 {
		g.detach(n.children[len(n.children)-1])
	}
	g.nodes = slices.DeleteFunc(g.nodes, func(m *Node) bool { return m == n })
}

// parent is the upper end of an edge: a node or a Backend.
type parent interface {
	// describe names the parent in messages: "node 'fmt'", "block device 'drive0'", …
	describe() string
}

func (n *Node) describe() string { return fmt.Sprintf("node '%s'", n.name) }

// attach makes an edge; the reference to the node goes to the edge.
// Preconditions: the graph lock is held.
func (g *Graph) attach(p parent, n *Node, name string, role Role, perm, shared Perm) (*Child, error) {
	c := &Child{name: name, role: role, node: n, parent: p, perm: perm, shared: shared}
	n.parents = append(n.parents, c)
	if up, ok := p.(*Node); ok {
		up.children = append(up.children, c)
	}
	return c, nil
}

// detach removes an edge and its reference.
// Preconditions: the graph lock is held.
func (g *Graph) detach(c *Child) {
	c.node.parents = slices.DeleteFunc(c.node.parents, func(x *Child) bool { return x == c })
	if up, ok := c.parent.(*Node); ok {
		up.children = slices.DeleteFunc(up.children, func(x *Child) bool { return x == c })
	}
	g.Unref(c.node)
}

// Open opens a node from a filename, options or both, the way QEMU's blockdev and -drive options do: protocol prefixes, json:{…}, probing of
// the format when no driver is named, and the chain of backing files. The caller owns one reference.
// Preconditions: the graph lock is held.
func (g *Graph) Open(ctx context.Context, filename string, o *Options, m Mode) (*Node, error) {
	name, _ := o.TakeString("driver")
	d := g.FindDriver(name)
	if d == nil {
		return nil, Errorf(unix.EINVAL, "Unknown driver '%s'", name)
	}
	if filename != "" {
		o.Set("filename", filename)
	}
	n := &Node{graph: g, driver: d, mode: m, refs: 1, options: o.Clone(), filename: filename}
	if n.name, _ = o.TakeString("node-name"); n.name == "" {
		g.serial++
		n.name = fmt.Sprintf("#block%03d", g.serial)
	}
	state, err := d.Open(ctx, n, o)
	if err != nil {
		return nil, err
	}
	n.state = state
	g.nodes = append(g.nodes, n)
	if names := o.Names(); len(names) > 0 {
		g.Unref(n)
		return nil, Errorf(unix.EINVAL, "Block %s '%s' does not support the option '%s'", d.kind(), d.Name, names[0])
	}
	if l, ok := state.(Limiter); ok {
		if err := l.RefreshLimits(&n.limits); err != nil {
			g.Unref(n)
			return nil, err
		}
	}
	return n, nil
}

// kind is what messages call the driver.
func (d *Driver) kind() string {
	if d.Protocol {
		return "protocol"
	}
	return "format"
}

// OpenChild attaches the child that the options name: "file=NODE" refers to a node, "file.driver=…" (and the rest of file.*) opens one.
// It is called by a driver's Open. A missing child gives nil unless required.
// Preconditions: the graph lock is held.
func (n *Node) OpenChild(ctx context.Context, o *Options, name string, role Role, required bool) (*Child, error) {
	sub := o.Extract(name)
	ref, isRef := o.TakeString(name)
	var child *Node
	switch {
	case isRef:
		if child = n.graph.Find(ref); child == nil {
			return nil, Errorf(unix.EINVAL, "Cannot find device='' nor node-name='%s'", ref)
		}
		child.refs++
	case sub.Len() > 0:
		var err error
		if child, err = n.graph.Open(ctx, "", sub, n.mode); err != nil {
			return nil, err
		}
	case required:
		return nil, Errorf(unix.EINVAL, "A block device must be specified for \"%s\"", name)
	default:
		return nil, nil
	}
	return n.graph.attach(n, child, name, role, 0, PermAll)
}
