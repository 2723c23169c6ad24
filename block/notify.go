package block

import (
	"context"
	"slices"

	"golang.org/x/sys/unix"
)

// WriteNotifier is called before every change of a node, with the range that is about to change. An error stops the request.
type WriteNotifier struct {
	Before func(ctx context.Context, off, n int64) error
}

// AddWriteNotifier makes the node call w from now on.
func (n *Node) AddWriteNotifier(w *WriteNotifier) {
	n.changeNotifiers(func(l []*WriteNotifier) []*WriteNotifier { return append(l, w) })
}

// RemoveWriteNotifier undoes AddWriteNotifier.
func (n *Node) RemoveWriteNotifier(w *WriteNotifier) {
	n.changeNotifiers(func(l []*WriteNotifier) []*WriteNotifier {
		return slices.DeleteFunc(l, func(x *WriteNotifier) bool { return x == w })
	})
}

func (n *Node) changeNotifiers(change func([]*WriteNotifier) []*WriteNotifier) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var l []*WriteNotifier
	if p := n.notifiers.Load(); p != nil {
		l = slices.Clone(*p)
	}
	if l = change(l); len(l) == 0 {
		n.notifiers.Store(nil)
	} else {
		n.notifiers.Store(&l)
	}
}

func (n *Node) notifyBefore(ctx context.Context, off, length int64) error {
	p := n.notifiers.Load()
	if p == nil {
		return nil
	}
	for _, w := range *p {
		if err := w.Before(ctx, off, length); err != nil {
			return err
		}
	}
	return nil
}

// writeThreshold is an offset whose crossing is reported once.
type writeThreshold struct {
	at     int64
	report func(exceededBy int64)
}

// SetWriteThreshold has report called once, when a write reaches beyond the offset; 0 turns that off.
func (n *Node) SetWriteThreshold(at int64, report func(exceededBy int64)) {
	if at == 0 {
		n.threshold.Store(nil)
		return
	}
	n.threshold.Store(&writeThreshold{at, report})
}

// WriteThreshold is the offset set last, or 0 when it was crossed.
func (n *Node) WriteThreshold() int64 {
	if t := n.threshold.Load(); t != nil {
		return t.at
	}
	return 0
}

func (n *Node) checkThreshold(end int64) {
	t := n.threshold.Load()
	if t != nil && end > t.at && n.threshold.CompareAndSwap(t, nil) {
		t.report(end - t.at)
	}
}

// HighestWrite is the end of the highest write so far.
func (n *Node) HighestWrite() int64 { return n.highest.Load() }

// LoadVMState reads what SaveVMState stored, from this node or the first below it that can.
func (n *Node) LoadVMState(ctx context.Context, off int64, iov [][]byte) error {
	if v := n.vmStater(); v != nil {
		return v.LoadVMState(ctx, off, iov)
	}
	return unix.ENOTSUP
}

// SaveVMState stores bytes beside the disk's content.
func (n *Node) SaveVMState(ctx context.Context, off int64, iov [][]byte) error {
	if v := n.vmStater(); v != nil {
		return v.SaveVMState(ctx, off, iov)
	}
	return unix.ENOTSUP
}

// vmStater finds the node that stores the VM's state.
func (n *Node) vmStater() VMStater {
	for {
		if v, ok := n.state.(VMStater); ok {
			return v
		}
		c := n.Primary()
		if c == nil {
			return nil
		}
		n = c.node
	}
}

// ChangeBackingFile writes another backing file name and format into the image. Nodes stay as they are.
func (n *Node) ChangeBackingFile(ctx context.Context, filename, format string) error {
	b, ok := n.state.(BackingChanger)
	if !ok {
		return unix.ENOTSUP
	}
	if err := b.ChangeBacking(ctx, filename, format); err != nil {
		return err
	}
	n.backingFile, n.backingFormat, n.autoBacking = filename, format, filename
	return nil
}
