package block

import (
	"context"
	"strings"

	"golang.org/x/sys/unix"
)

// reopening is what a node becomes.
type reopening struct {
	node     *Node
	mode     Mode
	options  *Options
	explicit *Options
	missing  bool // the option "backing" is not there though it must be
	prepared bool
}

// ReopenRequest asks for other options of a node.
type ReopenRequest struct {
	Node    *Node
	Options *Options
	// KeepOld keeps the options that are not given; otherwise they get their defaults.
	KeepOld bool
}

// Reopen changes the options of nodes, and of the children that were opened with them, all or none.
// Preconditions: the graph lock is held.
func (g *Graph) Reopen(ctx context.Context, requests ...ReopenRequest) error {
	var queue []*reopening
	var drained []*Node
	defer func() { DrainNodesEnd(drained) }()
	for _, r := range requests {
		drained = append(drained, r.Node.DrainSubtreeBegin()...)
	}
	for _, r := range requests {
		var err error
		if queue, err = g.queueReopen(queue, r.Node, r.Options.Clone(), r.KeepOld, nil, 0); err != nil {
			return err
		}
	}
	return g.reopen(ctx, queue)
}

// SetReadOnly reopens a node for reading only, or for writing too.
// Preconditions: the graph lock is held.
func (g *Graph) SetReadOnly(ctx context.Context, n *Node, on bool) error {
	return g.Reopen(ctx, ReopenRequest{Node: n, Options: OptionsOf(optReadOnly, onOff(on)), KeepOld: true})
}

// queueReopen works out the options of a node and of the children that inherit from it.
func (g *Graph) queueReopen(queue []*reopening, n *Node, o *Options, keep bool, parent *reopening, role Role) ([]*reopening, error) {
	var r *reopening
	for _, q := range queue {
		if q.node == n {
			r = q
		}
	}
	switch {
	case r != nil:
		joinOptions(n, o, r.explicit)
	case keep:
		joinOptions(n, o, n.explicit)
	}
	if r == nil {
		r = &reopening{node: n}
		queue = append(queue, r)
	}
	r.explicit = o.Clone()
	r.mode = n.mode
	if !keep { // what is not said goes back to its default
		r.mode.ReadOnly, r.mode.AutoReadOnly, r.mode.Direct, r.mode.NoFlush, r.mode.DetectZeroes = false, false, false, false, DetectOff
	}
	if parent != nil {
		op := &opening{g: g, options: o, mode: parent.mode, parent: &Node{driver: parent.node.driver, mode: parent.mode, options: parent.options}, role: role}
		op.inherit()
		r.mode = op.mode
		r.mode.NoBacking, r.mode.CopyOnRead, r.mode.Unmap = n.mode.NoBacking, n.mode.CopyOnRead, n.mode.Unmap
	}
	if keep {
		joinOptions(n, o, n.options)
	}
	r.options = o
	if on, err := o.Clone().TakeBool(optForceShare, n.mode.ForceShare); err == nil && on != n.mode.ForceShare {
		return nil, Errorf(unix.EINVAL, "Cannot change the option '%s'", optForceShare)
	}
	if err := r.mode.take(o.Clone()); err != nil {
		return nil, err
	}
	r.missing = !keep && !o.Has("backing") && !o.Has("backing.driver")
	for _, c := range n.children {
		if c.node.inheritsFrom != n {
			continue
		}
		childKeep, sub := keep, NewOptions()
		if v, ok := o.Get(c.name); ok {
			if v != c.node.name {
				continue
			}
			childKeep = true
		} else {
			sub = o.Extract(c.name)
			r.explicit.Extract(c.name)
		}
		var err error
		if queue, err = g.queueReopen(queue, c.node, sub, childKeep, r, c.role); err != nil {
			return nil, err
		}
	}
	return queue, nil
}

// joinOptions adds old options to new ones; an old option does not come back beside a new one that takes its place, as a child by name
// does for the options of the child.
func joinOptions(n *Node, o, old *Options) {
	if d, ok := n.state.(OptionJoiner); ok {
		old = old.Clone()
		d.JoinOptions(o, old)
	}
	for _, name := range old.Names() {
		head, _, nested := strings.Cut(name, ".")
		if nested && o.Has(head) && n.Child(head) != nil || o.HasPrefix(name) {
			continue
		}
		v, _ := old.Get(name)
		o.SetDefault(name, v)
	}
}

// reopen prepares everything, then makes it so.
func (g *Graph) reopen(ctx context.Context, queue []*reopening) (err error) {
	var t transaction
	for _, r := range queue {
		if err := r.node.flush(ctx); err != nil {
			return Errnof(Errno(err), "Error flushing drive")
		}
	}
	var roots []*Node
	for _, r := range queue {
		var more []*Node
		if more, err = g.prepareReopen(ctx, r, &t); err != nil {
			break
		}
		roots = append(append(roots, r.node), more...)
	}
	if err == nil {
		err = g.refresh(&t, roots...)
	}
	if err != nil {
		_ = t.finish(err)
		for _, r := range queue {
			if d, ok := r.node.state.(Reopener); ok && r.prepared {
				d.ReopenAbort()
			}
			r.node.reopening = nil
		}
		return err
	}
	for i := len(queue) - 1; i >= 0; i-- {
		if d, ok := queue[i].node.state.(Reopener); ok {
			d.ReopenCommit()
		}
	}
	_ = t.finish(nil)
	for i := len(queue) - 1; i >= 0; i-- {
		queue[i].commit()
	}
	for _, r := range queue {
		if err := r.node.refreshLimits(); err != nil {
			return err
		}
	}
	return nil
}

// commit makes the node what it is to be.
func (r *reopening) commit() {
	n := r.node
	n.reopening = nil
	n.mode, n.options, n.explicit = r.mode, r.options, r.explicit
	names := []string{"backing"}
	for _, c := range n.children {
		names = append(names, c.name)
	}
	for _, name := range names {
		n.options.Delete(name)
		n.explicit.Delete(name)
	}
	if p, ok := n.state.(ReopenFinisher); ok {
		p.ReopenFinish()
	}
}

// ReopenFinisher is a Reopener that has something to do when all nodes are what they are to be.
type ReopenFinisher interface {
	ReopenFinish()
}

// prepareReopen checks what is to become of a node. It returns the children that the node loses.
func (g *Graph) prepareReopen(ctx context.Context, r *reopening, t *transaction) (lost []*Node, err error) {
	n := r.node
	o := r.options.Clone()
	for _, name := range []string{optDirect, optNoFlush, optReadOnly, optAutoReadOnly, optForceShare, optDiscard, optDetectZeroes} {
		o.Delete(name)
	}
	if r.mode.ReadOnly && n.copyOnRead.Load() > 0 {
		return nil, Errorf(unix.EINVAL, "Can't set node '%s' to r/o with copy-on-read enabled", n.DeviceOrNodeName())
	}
	d, ok := n.state.(Reopener)
	if !ok {
		return nil, Errorf(unix.EINVAL, "Block format '%s' used by node '%s' does not support reopening files", n.driver.Name, n.DeviceOrNodeName())
	}
	for _, opt := range n.driver.Options {
		if opt.Fixed && n.options.Has(opt.Name) && !o.Has(opt.Name) {
			return nil, Errorf(unix.EINVAL, "Option '%s' cannot be reset to its default value", opt.Name)
		}
	}
	n.reopening = r
	if err := d.ReopenPrepare(ctx, o, r.mode); err != nil {
		if _, bare := err.(unix.Errno); bare {
			n.refreshFilename()
			return nil, Errorf(Errno(err), "failed while preparing to reopen image '%s'", n.filename)
		}
		return nil, err
	}
	r.prepared = true
	if n.driver.SupportsBacking && r.missing && (n.Backing() != nil || n.backingFile != "") {
		return nil, Errorf(unix.EINVAL, "backing is missing for '%s'", n.name)
	}
	for _, name := range []string{"backing", "file"} {
		old, err := g.reopenChild(t, n, o, name)
		if err != nil {
			return nil, err
		}
		if old != nil {
			lost = append(lost, old)
		}
		o.Delete(name)
	}
	return lost, n.unchanged(o)
}

// unchanged refuses options that differ from the present ones and that nobody changed.
func (n *Node) unchanged(o *Options) error {
	for _, name := range o.Order() {
		v, _ := o.Get(name)
		if c := n.Child(name); c != nil && v == c.node.name {
			continue
		}
		if old, _ := n.options.Get(name); old != v {
			return Errorf(unix.EINVAL, "Cannot change the option '%s'", name)
		}
	}
	return nil
}

// reopenChild gives the node another child if the option says so.
func (g *Graph) reopenChild(t *transaction, n *Node, o *Options, name string) (lost *Node, err error) {
	v, ok := o.Get(name)
	if !ok {
		return nil, nil
	}
	var to *Node
	if ref, isName := v.(string); isName {
		if to, err = g.Lookup("", ref); err != nil {
			return nil, err
		}
		if to.reaches(n) {
			return nil, Errorf(unix.EINVAL, "Making '%s' a %s child of '%s' would create a cycle", ref, name, n.name)
		}
	} else if v != nil || name != "backing" {
		return nil, Errorf(unix.EINVAL, "Cannot change the option '%s'", name)
	}
	edge := n.Child(name)
	if edge != nil {
		switch {
		case edge.node == to || edge.node.SkipImplicit() == to:
			return nil, nil
		case edge.node.implicit:
			return nil, Errorf(unix.EPERM, "Cannot replace implicit %s child of %s", name, n.name)
		}
	} else if to == nil {
		return nil, nil
	}
	switch {
	case n.driver.Filter && edge == nil:
		return nil, Errorf(unix.EINVAL, "'%s' is a %s filter node that does not support a %s child", n.name, n.driver.Name, name)
	case name == "backing":
		return g.setBacking(t, n, to)
	case edge == nil:
		return nil, Errorf(unix.EINVAL, "Cannot set file child to format node without file child")
	case edge.frozen:
		return nil, Errorf(unix.EPERM, "Cannot change frozen '%s' link from '%s' to '%s'", edge.name, n.name, edge.node.name)
	}
	if err := joinContext(t, n, to, edge); err != nil {
		return nil, err
	}
	lost = edge.node
	g.moveEdge(t, edge, to)
	return lost, nil
}
