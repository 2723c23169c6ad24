package driver

import (
	"context"
	"slices"

	"goemu/block"
)

// The nodes of -blockdev and blockdev-add belong to the user: they stay open without users until they are deleted.

// AddNode opens a node of the user's.
// Preconditions: the graph lock is held.
func (s *Drives) AddNode(ctx context.Context, o *block.Options) (*block.Node, error) {
	n, err := s.Graph.Open(ctx, "", o, block.Mode{Inactive: s.Graph.InMigrate()})
	if err != nil {
		return nil, unexpected(err)
	}
	s.roots[n.Name()] = n
	return n, nil
}

// OwnsNode tells whether a node is the user's.
// Preconditions: the graph lock is held.
func (s *Drives) OwnsNode(n *block.Node) bool { return s.roots[n.Name()] == n }

// DeleteNode gives the user's reference to a node up.
// Preconditions: the graph lock is held.
func (s *Drives) DeleteNode(n *block.Node) {
	delete(s.roots, n.Name())
	s.Graph.Unref(n)
}

// SetThrottle makes a backend a member of the throttle group with the name, of its own group if the name is empty, and gives that the limits. Without limits
// the membership ends.
// Preconditions: the graph lock is held.
func (s *Drives) SetThrottle(b *block.Backend, name string, c *block.ThrottleConfig) error {
	old := b.Throttle()
	if c == nil {
		b.SetThrottle(nil)
		s.forgetGroup(old)
		return nil
	}
	g := old
	if name != "" {
		g = s.throttleGroup(name)
	}
	if g != old {
		b.SetThrottle(g)
		s.forgetGroup(old)
	}
	return g.SetConfig(*c)
}

// throttleGroup finds or makes a throttle group.
// Preconditions: the graph lock is held.
func (s *Drives) throttleGroup(name string) *block.ThrottleGroup {
	if s.Graph.Object != nil {
		if g, ok := s.Graph.Object(name).(*block.ThrottleGroup); ok {
			return g
		}
	}
	g := s.groups[name]
	if g == nil {
		g = block.NewThrottleGroup(name)
		s.groups[name] = g
	}
	return g
}

// forgetGroup drops a group without members.
// Preconditions: the graph lock is held.
func (s *Drives) forgetGroup(g *block.ThrottleGroup) {
	if g != nil && s.groups[g.Name] == g && g.Members() == 0 {
		delete(s.groups, g.Name)
	}
}

// TopNodes lists the nodes that backends use, in the backends' order, then the user's others.
// Preconditions: the graph lock is held.
func (s *Drives) TopNodes() (list []*block.Node) {
	for _, b := range s.Graph.Backends() {
		if n := b.Node(); n != nil && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	for _, n := range s.Graph.Nodes() {
		if s.OwnsNode(n) && !n.HasBackend() {
			list = append(list, n)
		}
	}
	return list
}
