package mirror

import (
	"context"

	"goemu/block/job"
)

// NewCommit makes the job that merges the active layer of a chain into one of its backing files: o.Source into o.Target. When it is
// ready and completed, the target is the active layer.
// Preconditions: the graph lock is held.
func NewCommit(ctx context.Context, l *job.List, o Options) (*job.Job, error) {
	g := o.Source.Graph()
	o.commit, o.Base, o.Sync, o.Backing, o.Unmap = true, o.Target, Top, BackingLeave, true
	o.targetWasRO = o.Target.ReadOnly()
	if o.targetWasRO {
		if err := g.SetReadOnly(ctx, o.Target, false); err != nil {
			return nil, err
		}
	}
	j, err := New(ctx, l, o)
	if err != nil && o.targetWasRO {
		_ = g.SetReadOnly(ctx, o.Target, true)
	}
	return j, err
}
