// Package qom is the tree of a machine's objects as management tools see it: nodes with QEMU's paths, types and typed properties. It
// knows no device; whoever makes objects puts their nodes in the tree.
package qom

import (
	"fmt"
	"strconv"
	"strings"
)

// Property is one property of an object. A value is a bool, an int64, a uint64 or a string, as it appears in JSON; a link's is the path
// of the object it names, "" for none.
type Property struct {
	Name string
	Type string // "bool", "uint32", "str", "link<bus>", …
	Desc string
	Get  func() any        // nil: cannot be read
	Set  func(v any) error // nil: cannot be written
}

// Node is an object's place in the tree.
type Node struct {
	name     string
	typ      string
	obj      any
	parent   *Node
	children []*Node
	props    []Property
	next     map[string]int // next number of children that are numbered
}

// New returns a node outside the tree for obj, which may be nil.
func New(typ string, obj any) *Node {
	n := &Node{typ: typ, obj: obj}
	n.AddProperty(Property{Name: "type", Type: "string", Get: func() any { return n.typ }})
	return n
}

// Container returns a node that only holds others.
func Container() *Node { return New("container", nil) }

// Name returns the node's name in its parent, "" for the root and outside the tree.
func (n *Node) Name() string { return n.name }

// Type returns the object's type.
func (n *Node) Type() string { return n.typ }

// SetType names the type of an object that is made in steps.
func (n *Node) SetType(typ string) { n.typ = typ }

// Object returns what the node stands for.
func (n *Node) Object() any { return n.obj }

// Parent returns the node above, nil for none.
func (n *Node) Parent() *Node { return n.parent }

// Children returns the nodes below in the order in which they came.
func (n *Node) Children() []*Node { return n.children }

// Path returns the absolute path, "" outside the tree of root.
func (n *Node) Path() string {
	if n.parent == nil {
		return "/"
	}
	p := n.parent.Path()
	if p == "/" {
		p = ""
	}
	return p + "/" + n.name
}

// numbered is the end of a child's name that stands for the next free number.
const numbered = "[*]"

// Add puts c below n. A name that ends with [*] gets a number: numbers are not used again.
func (n *Node) Add(name string, c *Node) error {
	if stem, ok := strings.CutSuffix(name, numbered); ok {
		if n.next == nil {
			n.next = map[string]int{}
		}
		name = stem + "[" + strconv.Itoa(n.next[stem]) + "]"
		n.next[stem]++
	}
	if n.Child(name) != nil || n.property(name) != nil {
		return fmt.Errorf("attempt to add duplicate property '%s' to object (type '%s')", name, n.typ)
	}
	if c.parent != nil {
		panic("BUG: object " + c.Path() + " gets a second parent")
	}
	c.name, c.parent = name, n
	n.children = append(n.children, c)
	return nil
}

// MustAdd is Add for names that cannot be taken yet.
func (n *Node) MustAdd(name string, c *Node) *Node {
	if err := n.Add(name, c); err != nil {
		panic("BUG: " + err.Error())
	}
	return c
}

// Remove takes n out of the tree.
func (n *Node) Remove() {
	p := n.parent
	if p == nil {
		return
	}
	for i, c := range p.children {
		if c == n {
			p.children = append(p.children[:i:i], p.children[i+1:]...)
		}
	}
	n.parent, n.name = nil, ""
}

// Child returns the child called name, nil if there is none.
func (n *Node) Child(name string) *Node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// AddProperty gives n a property, in place of one of the same name.
func (n *Node) AddProperty(p Property) {
	if old := n.property(p.Name); old != nil {
		*old = p
		return
	}
	n.props = append(n.props, p)
}

// RemoveProperty takes a property away.
func (n *Node) RemoveProperty(name string) {
	for i := range n.props {
		if n.props[i].Name == name {
			n.props = append(n.props[:i:i], n.props[i+1:]...)
			return
		}
	}
}

func (n *Node) property(name string) *Property {
	for i := range n.props {
		if n.props[i].Name == name {
			return &n.props[i]
		}
	}
	return nil
}

// Properties lists the node's properties; children are properties of the type child<…>.
func (n *Node) Properties() []Property {
	out := append([]Property(nil), n.props...)
	for _, c := range n.children {
		out = append(out, Property{Name: c.name, Type: "child<" + c.typ + ">", Get: func() any { return c.Path() }})
	}
	return out
}

// lookup finds a property, children included.
func (n *Node) lookup(name string) (*Property, error) {
	if p := n.property(name); p != nil {
		return p, nil
	}
	if c := n.Child(name); c != nil {
		return &Property{Name: name, Get: func() any { return c.Path() }}, nil
	}
	return nil, fmt.Errorf("Property '%s.%s' not found", n.typ, name)
}

// Get returns a property's value.
func (n *Node) Get(name string) (any, error) {
	p, err := n.lookup(name)
	switch {
	case err != nil:
		return nil, err
	case p.Get == nil:
		return nil, fmt.Errorf("Property '%s.%s' is not readable", n.typ, name)
	}
	return p.Get(), nil
}

// Set changes a property.
func (n *Node) Set(name string, v any) error {
	p, err := n.lookup(name)
	switch {
	case err != nil:
		return err
	case p.Set == nil:
		return fmt.Errorf("Property '%s.%s' is not writable", n.typ, name)
	}
	return p.Set(v)
}

// NotFound says that a path names nothing; QMP has a class of errors of its own for it.
type NotFound struct{ Path string }

func (e NotFound) Error() string { return fmt.Sprintf("Device '%s' not found", e.Path) }

// Resolve finds an object by its path from the root n, or by the end of its path if that is the end of one only.
func (n *Node) Resolve(path string) (*Node, error) {
	if strings.HasPrefix(path, "/") {
		if c := n.walk(split(path)); c != nil {
			return c, nil
		}
		return nil, NotFound{path}
	}
	found := n.partial(split(path), nil)
	switch len(found) {
	case 0:
		return nil, NotFound{path}
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("Path '%s' is ambiguous", path)
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func (n *Node) walk(names []string) *Node {
	for _, name := range names {
		if n = n.step(name); n == nil {
			return nil
		}
	}
	return n
}

// step goes to a child, or to where a link points.
func (n *Node) step(name string) *Node {
	if c := n.Child(name); c != nil {
		return c
	}
	if p := n.property(name); p != nil && strings.HasPrefix(p.Type, "link<") && p.Get != nil {
		if path, ok := p.Get().(string); ok && path != "" {
			return n.root().walk(split(path))
		}
	}
	return nil
}

func (n *Node) root() *Node {
	for n.parent != nil {
		n = n.parent
	}
	return n
}

// partial collects the nodes at and below n from which names lead somewhere.
func (n *Node) partial(names []string, found []*Node) []*Node {
	if len(names) == 0 {
		return nil
	}
	if c := n.walk(names); c != nil {
		found = append(found, c)
	}
	for _, c := range n.children {
		found = c.partial(names, found)
	}
	return found
}

// Walk calls f for n and everything below, parents first.
func (n *Node) Walk(f func(*Node)) {
	f(n)
	for _, c := range n.children {
		c.Walk(f)
	}
}
