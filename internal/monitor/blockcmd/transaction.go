package blockcmd

import (
	"context"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/block/job"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// step is a part of a transaction that was prepared: exactly one of commit and abort follows, then clean. They may be nil.
type step struct {
	commit, abort, clean func()
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// preparation is what all steps of a transaction share.
type preparation struct {
	s       *Service
	ctx     context.Context
	grouped bool
	txn     *job.Txn // nil unless jobs stand or fall together
}

// Transaction implements qapi.TransactionCommands.
func (s *Service) Transaction(ctx context.Context, a *qapi.TransactionArg) error {
	p := &preparation{s: s, ctx: ctx}
	if a.Properties != nil && deref(a.Properties.CompletionMode, "") == qapi.ActionCompletionModeGrouped {
		p.grouped, p.txn = true, job.NewTxn()
	}
	return s.locked(func() error { return p.run(a.Actions) })
}

// single runs one action by itself.
func (s *Service) single(ctx context.Context, a *qapi.TransactionAction) error {
	p := &preparation{s: s, ctx: ctx}
	return s.locked(func() error { return p.run([]*qapi.TransactionAction{a}) })
}

// run prepares all actions, then commits or aborts them.
// Preconditions: the graph lock is held.
func (p *preparation) run(actions []*qapi.TransactionAction) (err error) {
	p.s.Graph.DrainAll()
	var steps []*step
	for _, a := range actions {
		st := &step{}
		steps = append(steps, st)
		if err = p.prepare(st, a); err != nil {
			break
		}
	}
	if err == nil {
		for _, st := range steps {
			call(st.commit)
		}
	} else {
		for i := len(steps) - 1; i >= 0; i-- {
			call(steps[i].abort)
		}
	}
	for _, st := range steps {
		call(st.clean)
	}
	return err
}

// prepare does what of an action can fail.
func (p *preparation) prepare(st *step, a *qapi.TransactionAction) error {
	switch a.Type { // the jobs are what may be grouped
	case qapi.TransactionActionKindBlockdevBackup:
		return p.blockdevBackup(st, a.BlockdevBackup.Data)
	case qapi.TransactionActionKindDriveBackup:
		return p.driveBackup(st, a.DriveBackup.Data)
	case qapi.TransactionActionKindAbort:
		return block.Errorf(unix.ECANCELED, "Transaction aborted using Abort action")
	}
	if p.grouped {
		return block.Errorf(unix.EINVAL, "Action '%s' does not support Transaction property completion-mode = %s", a.Type, qapi.ActionCompletionModeGrouped)
	}
	switch a.Type {
	case qapi.TransactionActionKindBlockdevSnapshot:
		d := a.BlockdevSnapshot.Data
		return p.externalSnapshot(st, &overlay{device: d.Node, node: d.Node, ref: d.Overlay})
	case qapi.TransactionActionKindBlockdevSnapshotSync:
		d := a.BlockdevSnapshotSync.Data
		return p.externalSnapshot(st, &overlay{device: deref(d.Device, ""), node: deref(d.NodeName, ""), sync: d})
	case qapi.TransactionActionKindBlockdevSnapshotInternalSync:
		return p.internalSnapshot(st, a.BlockdevSnapshotInternalSync.Data)
	}
	return p.bitmapAction(st, a)
}

// bitmapAction prepares an action about a bitmap.
func (p *preparation) bitmapAction(st *step, a *qapi.TransactionAction) error {
	s := p.s
	switch a.Type {
	case qapi.TransactionActionKindBlockDirtyBitmapAdd:
		n, b, err := s.addBitmap(p.ctx, a.BlockDirtyBitmapAdd.Data)
		if err == nil {
			st.abort = func() {
				_ = n.RemoveStoredBitmap(p.ctx, b.Name())
				n.RemoveBitmap(b)
			}
		}
		return err
	case qapi.TransactionActionKindBlockDirtyBitmapRemove:
		n, b, err := s.unstoreBitmap(p.ctx, a.BlockDirtyBitmapRemove.Data)
		if err != nil {
			return err
		}
		hide := func(on bool) { b.Change(func(x *bitmap.State) { x.SkipStore, x.Busy = on, on }) }
		hide(true)
		st.abort = func() { hide(false) }
		st.commit = func() { n.RemoveBitmap(b) }
		return nil
	case qapi.TransactionActionKindBlockDirtyBitmapMerge:
		dst, before, err := s.mergeBitmaps(a.BlockDirtyBitmapMerge.Data)
		if err == nil && before != nil {
			st.abort = func() { dst.Restore(before) }
		}
		return err
	case qapi.TransactionActionKindBlockDirtyBitmapClear:
		b, err := p.usableBitmap(a.BlockDirtyBitmapClear.Data, block.BitmapChange)
		if err == nil {
			before := b.Clear()
			st.abort = func() { b.Restore(before) }
		}
		return err
	}
	w, on := a.BlockDirtyBitmapDisable, false
	if a.Type == qapi.TransactionActionKindBlockDirtyBitmapEnable {
		w, on = a.BlockDirtyBitmapEnable, true
	}
	b, err := p.usableBitmap(w.Data, block.BitmapRead)
	if err == nil {
		was := b.State().Enabled
		enable(b, on)
		st.abort = func() { enable(b, was) }
	}
	return err
}

// usableBitmap finds a bitmap that allows the use.
func (p *preparation) usableBitmap(a *qapi.BlockDirtyBitmap, use block.BitmapUse) (*bitmap.Bitmap, error) {
	_, b, err := p.s.bitmap(a.Node, a.Name)
	if err == nil {
		err = block.CheckBitmap(b, use)
	}
	return b, err
}
