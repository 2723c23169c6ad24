package block

import "context"

// looseFilter takes nothing from the node below it and denies nothing: what is above it does not keep the node from being written.
type looseFilter struct{}

// Close implements Instance.
func (looseFilter) Close() {}

// ChildPerm implements ChildPermer.
func (looseFilter) ChildPerm(*Child, Role, Perm, Perm) (nperm, nshared Perm) { return 0, PermAll }

var looseDriver = &Driver{Name: "commit_top", Filter: true, NeverFrozen: true}

// InsertLooseFilter puts a filter above a node that is to be committed into, or from which something is: permissions of the nodes above do
// not get through it. The caller owns a reference. An empty name makes one up.
// Preconditions: the graph lock is held.
func (g *Graph) InsertLooseFilter(ctx context.Context, name string, below *Node) (*Node, error) {
	return g.InsertFilter(ctx, looseDriver, name, func(*Node) (Instance, error) { return looseFilter{}, nil }, below)
}
