package block

import (
	"context"
	"sync/atomic"
)

// flush makes everything that was written before durable. Of several flushes at the same time only one works.
func (n *Node) flush(ctx context.Context) error {
	if n.mode.ReadOnly || n.inactive || n.state == nil {
		return nil
	}
	n.tracker.enter()
	defer n.tracker.exit()
	gen := n.writeGen.Load()
	n.flushMu.Lock()
	defer n.flushMu.Unlock()
	if f, ok := n.state.(WholeFlusher); ok {
		if err := f.FlushAll(ctx); err != nil {
			return err
		}
		n.flushedGen = max(n.flushedGen, gen)
		return nil
	}
	if err := n.flushSelf(ctx, gen); err != nil {
		return err
	}
	for _, c := range n.children {
		if c.Perm()&(PermWrite|PermWriteUnchanged) == 0 {
			continue
		}
		if err := c.node.flush(ctx); err != nil {
			return err
		}
	}
	n.flushedGen = max(n.flushedGen, gen)
	return nil
}

// flushSelf writes the driver's buffers out and flushes the medium unless nothing was written since the last time.
func (n *Node) flushSelf(ctx context.Context, gen uint64) error {
	primary := n.Primary()
	if primary == nil {
		primary = n.Child("file")
	}
	if primary != nil {
		primary.DebugEvent("flush_to_os")
	}
	if f, ok := n.state.(Flusher); ok {
		if err := f.FlushToOS(ctx); err != nil {
			return err
		}
	}
	if n.mode.NoFlush || n.flushedGen >= gen {
		return nil
	}
	if primary != nil {
		primary.DebugEvent("flush_to_disk")
	}
	if f, ok := n.state.(DiskFlusher); ok {
		return f.FlushToDisk(ctx)
	}
	return nil
}

// Flush makes everything written to the node so far durable.
func (n *Node) Flush(ctx context.Context) error { return n.flush(ctx) }

// StartWriteback begins to bring what was written to the medium and does not wait for it.
func (n *Node) StartWriteback() {
	if n.mode.ReadOnly || n.inactive || n.state == nil {
		return
	}
	n.tracker.enter()
	defer n.tracker.exit()
	if w, ok := n.state.(Writebacker); ok {
		if !n.mode.NoFlush {
			w.StartWriteback()
		}
		return
	}
	for _, c := range n.children {
		if c.Perm()&(PermWrite|PermWriteUnchanged) != 0 {
			c.node.StartWriteback()
		}
	}
}

// writeBehindStep is how many bytes lie behind before their writeback begins.
const writeBehindStep = 16 << 20

// WriteBehind starts the writeback while more is written, for those who flush at their end: the flush finds little to do then. Its methods may
// be called from many goroutines.
type WriteBehind struct{ behind atomic.Int64 }

// Wrote tells that k bytes were written to a node.
func (w *WriteBehind) Wrote(n *Node, k int64) {
	if b := w.behind.Add(k); b >= writeBehindStep && w.behind.CompareAndSwap(b, 0) {
		n.StartWriteback()
	}
}
