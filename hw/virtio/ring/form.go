package ring

// form is how the rings are laid out and used. Its methods but size, areas and after want Queue.mu to be held and the rings to be mapped.
type form interface {
	// size tells whether a queue may have so many entries.
	size(num uint16) bool
	// areas are the numbers of bytes of the three parts.
	areas(num uint64) (desc, avail, used uint64)
	// available tells whether there is a chain to take.
	available(q *Queue) (bool, error)
	// empty tells the same of what the driver has added last.
	empty(q *Queue) bool
	// chain fills an element with the next chain.
	chain(q *Queue, e *Element) error
	// after is the place n chains, or descriptors, further on in a queue of num.
	after(p Place, num uint16, n int) Place
	// fill writes the used entry at a place.
	fill(q *Queue, at Place, e *Element, written uint32)
	// publish shows the driver n entries that were filled from a place on.
	publish(q *Queue, from Place, n int)
	// wanted applies the driver's interrupt suppression. The stores before it are fully ordered.
	wanted(q *Queue) bool
	// ask tells the driver whether to notify of what it adds, as Queue.notify says.
	ask(q *Queue)
	// restore takes a position that was loaded over if it can be.
	restore(q *Queue, p Position, inUse int) error
}

// needEvent tells whether an index that moved from old to cur passed event (virtio 1.2, section 2.7.7.2).
func needEvent(event, cur, old uint16) bool { return cur-event-1 < cur-old }
