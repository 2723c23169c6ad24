package job

import (
	"slices"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// The methods of this file are verbs of the user. All expect the graph lock.

// Start lets a created job run. One of whose nodes are drained pauses before Start returns.
// Preconditions: the graph lock is held.
func (j *Job) Start() {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	j.started, j.busy = true, true
	j.to(Running)
	go j.run()
	for j.pauseCount > 0 && j.busy {
		j.list.cond.Wait()
	}
}

// Pause stops the job at its next pause point.
func (j *Job) Pause() error {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	if err := j.accept(VerbPause); err != nil {
		return err
	}
	if j.userPaused {
		return block.Errorf(unix.EPERM, "Job is already paused")
	}
	j.userPaused = true
	j.hold()
	return nil
}

// hold adds a reason to stand still.
// Preconditions: mu is held.
func (j *Job) hold() {
	j.pauseCount++
	j.kick()
}

// release takes a reason away.
// Preconditions: mu is held.
func (j *Job) release() {
	if j.pauseCount--; j.pauseCount == 0 {
		j.leavePause()
	}
	j.kick()
}

// Resume takes the user's pause back.
func (j *Job) Resume() error {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	if !j.userPaused || j.pauseCount <= 0 {
		return block.Errorf(unix.EPERM, "Can't resume a job that was not paused")
	}
	if err := j.accept(VerbResume); err != nil {
		return err
	}
	j.resumed()
	return nil
}

// resumed ends the user's pause.
// Preconditions: mu is held.
func (j *Job) resumed() {
	if r, ok := j.body.(Resumer); ok {
		j.call(func() { r.Resumed(j) })
	}
	j.ioStatus = "ok"
	j.userPaused = false
	j.release()
}

// SetSpeed limits the job to n units a second; 0 takes the limit away.
func (j *Job) SetSpeed(n int64) error {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	if err := j.accept(VerbSetSpeed); err != nil {
		return err
	}
	if n < 0 {
		return errSpeed
	}
	old := j.speed
	j.setSpeed(n)
	if n > old || n == 0 {
		j.kick()
	}
	return nil
}

func (j *Job) setSpeed(n int64) {
	j.speed, j.budget = n, budget{}
	if j.respeed != nil {
		close(j.respeed)
	}
	j.respeed = make(chan struct{})
}

// Complete ends a ready job well.
func (j *Job) Complete() error {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	if err := j.accept(VerbComplete); err != nil {
		return err
	}
	c, ok := j.body.(Completer)
	if j.cancelled || !ok {
		return block.Errorf(unix.EPERM, "The active block job '%s' cannot be completed", j.id)
	}
	var err error
	j.call(func() { err = c.Complete(j) })
	j.kick()
	return err
}

// Cancel ends the job early; a ready job ends well unless force is set.
func (j *Job) Cancel(force bool) error {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	if err := j.accept(VerbCancel); err != nil {
		return err
	}
	j.cancel(force)
	return nil
}

// cancel is Cancel without the question whether it is allowed.
// Preconditions: mu and the graph lock are held.
func (j *Job) cancel(force bool) {
	if j.status == Concluded {
		j.dismiss()
		return
	}
	force = j.cancelAsync(force)
	switch {
	case !j.started:
		j.done = true
		j.completed()
	case j.done && !j.ended && force:
		j.txn.abort(j)
	}
}

// cancelAsync tells the goroutine to stop. It returns whether that is a hard cancellation.
// Preconditions: mu is held.
func (j *Job) cancelAsync(force bool) bool {
	if c, ok := j.body.(Canceller); ok && !j.done {
		j.call(func() { force = c.Cancel(j, force) })
	} else {
		force = true
	}
	if j.userPaused {
		j.resumed()
	}
	if force || !j.done {
		j.cancelled = true
		if j.forced = j.forced || force; j.forced {
			j.leavePause()
		}
	}
	j.kick()
	return force
}

// Finalize lets a pending job, and the others of its transaction, take effect.
func (j *Job) Finalize() error {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	if err := j.accept(VerbFinalize); err != nil {
		return err
	}
	j.txn.finalize()
	return nil
}

// Dismiss forgets a concluded job.
func (j *Job) Dismiss() error {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	if err := j.accept(VerbDismiss); err != nil {
		return err
	}
	j.dismiss()
	return nil
}

// Hold makes the job stand still for the block layer (drain); Release ends it. They nest and are not the user's pause.
func (j *Job) Hold() {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	j.hold()
}

// Release ends Hold.
func (j *Job) Release() {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	j.release()
}

// AwaitIdle waits until the goroutine stands still, sleeps or has ended.
func (j *Job) AwaitIdle() {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	for j.started && j.busy && !j.done {
		j.list.cond.Wait()
	}
}

// AwaitPaused waits until the goroutine stands still if it is to.
func (j *Job) AwaitPaused() {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	for j.started && !j.done && !j.forced && j.pauseCount > 0 && j.resumeTo == Undefined {
		j.list.cond.Wait()
	}
}

// Idle tells whether AwaitIdle would not wait.
func (j *Job) Idle() bool {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	return !j.started || !j.busy || j.done
}

// AwaitEnd waits until the job was finalized and gives its error; a pending job ends only when it is finalized by somebody.
// The caller must not hold the graph lock.
func (j *Job) AwaitEnd() error {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	for j.status != Concluded && j.status != Null {
		j.list.cond.Wait()
	}
	return j.err
}

// CancelAll cancels every job and waits for all of them; those held back come to a stop before. The caller must not hold the graph lock.
func (l *List) CancelAll() {
	l.mu.Lock()
	jobs := slices.Clone(l.jobs)
	l.mu.Unlock()
	for _, j := range jobs {
		j.AwaitPaused()
	}
	l.graph.Lock()
	l.mu.Lock()
	jobs = slices.Clone(l.jobs)
	for _, j := range jobs {
		if !j.ended {
			j.cancel(true)
		}
	}
	l.mu.Unlock()
	l.graph.Unlock()
	for _, j := range jobs {
		_ = j.AwaitEnd()
	}
}
