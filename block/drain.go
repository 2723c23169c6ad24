package block

// Drained sections: between DrainBegin and DrainEnd no request reaches the node from outside, and none is in flight. Parents are asked to
// hold back new requests first, from the node upwards; then everything that was begun comes to its end. Sections nest.

// DrainBegin begins a drained section of the node.
// Preconditions: the graph lock is held.
func (n *Node) DrainBegin() {
	n.quiesce()
	n.settle()
}

// DrainEnd ends a drained section.
// Preconditions: the graph lock is held.
func (n *Node) DrainEnd() { n.resume() }

// quiesce asks all parents, and the driver, to begin nothing new.
func (n *Node) quiesce() {
	n.quiesced.Add(1)
	for _, c := range n.parents {
		c.parent.quiesce()
	}
	if d, ok := n.state.(Drainer); ok {
		d.DrainBegin()
	}
}

// settle waits for everything in flight above and in the node.
func (n *Node) settle() {
	for _, c := range n.parents {
		c.parent.settle()
	}
	n.tracker.wait()
}

// resume undoes quiesce.
func (n *Node) resume() {
	if d, ok := n.state.(Drainer); ok {
		d.DrainEnd()
	}
	for _, c := range n.parents {
		c.parent.resume()
	}
	n.quiesced.Add(-1)
}

// DrainSubtreeBegin begins drained sections of the node and everything below it.
// Preconditions: the graph lock is held.
func (n *Node) DrainSubtreeBegin() []*Node {
	list := topological(n)
	for _, m := range list {
		m.quiesce()
	}
	for _, m := range list {
		m.settle()
	}
	return list
}

// DrainNodesEnd ends the drained sections of nodes as DrainSubtreeBegin or DrainAllBegin returned them.
// Preconditions: the graph lock is held.
func DrainNodesEnd(list []*Node) {
	for i := len(list) - 1; i >= 0; i-- {
		list[i].resume()
	}
}

// DrainAllBegin begins drained sections of all nodes.
// Preconditions: the graph lock is held.
func (g *Graph) DrainAllBegin() []*Node {
	list := g.Nodes()
	for _, m := range list {
		m.quiesce()
	}
	for _, m := range list {
		m.settle()
	}
	return list
}

// DrainAll waits until no request is in flight anywhere.
// Preconditions: the graph lock is held.
func (g *Graph) DrainAll() { DrainNodesEnd(g.DrainAllBegin()) }

// CancelInFlight makes requests fail at once that wait for something that may never happen, in the node or, unless it is a format with
// tables of its own, in the one below.
func (n *Node) CancelInFlight() {
	for n != nil {
		if c, ok := n.state.(InFlightCanceller); ok {
			c.CancelInFlight()
			return
		}
		c := n.Primary()
		if c == nil || c.role&RoleMetadata != 0 {
			return
		}
		n = c.node
	}
}

// Quiesced tells whether the node is in a drained section.
func (n *Node) Quiesced() bool { return n.quiesced.Load() > 0 }

// InFlight counts work that DrainBegin waits for and that is no request; the function returned ends it.
func (n *Node) InFlight() (done func()) {
	n.tracker.enter()
	return n.tracker.exit
}
