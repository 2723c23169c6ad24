package job

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Txn is a group of jobs that succeed or fail together.
type Txn struct{ txn }

type txn struct {
	jobs     []*Job
	aborting bool
}

// NewTxn makes an empty group.
func NewTxn() *Txn { return &Txn{} }

// add makes j a member.
func (t *txn) add(j *Job) {
	t.jobs = append(t.jobs, j)
	j.txn = t
}

// remove takes a member out that never ran.
func (t *txn) remove(j *Job) {
	t.jobs = slices.DeleteFunc(t.jobs, func(x *Job) bool { return x == j })
}

// each calls f for every member that has not been finalized.
func (t *txn) each(f func(*Job)) {
	for _, j := range slices.Clone(t.jobs) {
		if !j.ended {
			f(j)
		}
	}
}

// completed goes on with a job whose goroutine has ended.
// Preconditions: mu and the graph lock are held.
func (j *Job) completed() {
	if j.ended {
		return
	}
	j.settle()
	if j.err != nil {
		j.txn.abort(j)
		return
	}
	j.to(Waiting)
	j.txn.succeed()
}

// settle decides whether the job failed and enters the failure in its state.
func (j *Job) settle() {
	if j.err == nil && j.forced {
		j.err = unix.ECANCELED
	}
	if j.err != nil && j.status != Aborting {
		j.to(Aborting)
	}
}

// succeed goes on once all members have run.
// Preconditions: mu and the graph lock are held.
func (t *txn) succeed() {
	for _, j := range t.jobs {
		if !j.done {
			return
		}
	}
	manual := false
	t.each(func(j *Job) {
		if j.status == Pending {
			return
		}
		j.to(Pending)
		if j.flags&ManualFinalize != 0 {
			manual = true
			j.emit(EventPending)
		}
	})
	if !manual {
		t.finalize()
	}
}

// finalize prepares and commits all members; if one cannot be prepared, all are aborted.
// Preconditions: mu and the graph lock are held.
func (t *txn) finalize() {
	var failed *Job
	t.each(func(j *Job) {
		if p, ok := j.body.(Preparer); ok && failed == nil && j.err == nil {
			j.call(func() { j.err = p.Prepare(j) })
			if j.settle(); j.err != nil {
				failed = j
			}
		}
	})
	if failed != nil {
		t.abort(failed)
		return
	}
	t.each(func(j *Job) { j.finish() })
}

// abort cancels all members, waits for those that still run and ends them. first is the one that failed.
// Preconditions: mu and the graph lock are held.
func (t *txn) abort(first *Job) {
	if t.aborting { // the call that began it goes on when the last one has ended
		t.conclude()
		return
	}
	t.aborting = true
	t.each(func(j *Job) {
		if j == first || j.done && j.started {
			return
		}
		j.cancelAsync(true)
		if !j.started {
			j.done = true
		}
	})
	t.conclude()
}

// conclude ends the members of an aborting transaction once all have run.
func (t *txn) conclude() {
	for _, j := range t.jobs {
		if !j.done {
			return
		}
	}
	t.each(func(j *Job) {
		if j.err == nil {
			j.forced, j.cancelled = true, true
		}
		j.settle()
		j.finish()
	})
}

// call calls the body without the list's mu, so that it may use the job's methods.
func (j *Job) call(f func()) {
	j.list.mu.Unlock()
	defer j.list.mu.Lock()
	f()
}

// finish commits or aborts one job.
// Preconditions: mu and the graph lock are held.
func (j *Job) finish() {
	j.ended = true
	j.call(func() {
		if j.err == nil {
			if c, ok := j.body.(Committer); ok {
				c.Commit(j)
			}
		} else if a, ok := j.body.(Aborter); ok {
			a.Abort(j)
		}
		if c, ok := j.body.(Cleaner); ok {
			c.Clean(j)
		}
		j.RemoveNodes()
	})
	if j.started {
		if j.forced {
			j.emit(EventCancelled)
		} else {
			j.emit(EventCompleted)
		}
	}
	j.to(Concluded)
	if j.flags&ManualDismiss == 0 || !j.started {
		j.dismiss()
	}
	j.list.cond.Broadcast()
}

// dismiss forgets the job.
// Preconditions: mu is held.
func (j *Job) dismiss() {
	j.to(Null)
	j.list.jobs = slices.DeleteFunc(j.list.jobs, func(x *Job) bool { return x == j })
}
