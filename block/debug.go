package block

// Breakpointer is a node on whose events requests can be stopped (blkdebug).
type Breakpointer interface {
	// Breakpoint makes the next request that causes the event stop, under the name tag.
	Breakpoint(event, tag string) error
	// RemoveBreakpoint takes the breakpoints with the tag back and lets requests stopped there go on.
	RemoveBreakpoint(tag string) error
	// ResumeRequest lets a stopped request go on.
	ResumeRequest(tag string) error
	// Suspended tells whether a request stands still under the tag.
	Suspended(tag string) bool
}

// Breakpoints finds the node that stops requests, from n down the children that hold its data; nil if there is none.
func (n *Node) Breakpoints() Breakpointer {
	for n != nil {
		if b, ok := n.state.(Breakpointer); ok {
			return b
		}
		c := n.Child("file")
		if c == nil {
			return nil
		}
		n = c.node
	}
	return nil
}
