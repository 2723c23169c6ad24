package job

import (
	"sync"
	"time"
)

// The methods of this file belong to the job's own goroutine.

// run is the goroutine of the job.
func (j *Job) run() {
	l := j.list
	l.mu.Lock()
	j.pausePoint()
	l.mu.Unlock()
	err := j.body.Run(j)
	l.mu.Lock()
	j.busy, j.done = false, true
	if j.err == nil {
		j.err = err
	}
	l.cond.Broadcast()
	l.mu.Unlock()

	if l.Loop != nil {
		l.Loop.Lock()
		defer l.Loop.Unlock()
	}
	l.graph.Lock()
	defer l.graph.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	j.completed()
}

// PausePoint stands still as long as the job is paused.
func (j *Job) PausePoint() {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	j.pausePoint()
}

// pausePoint is PausePoint.
// Preconditions: mu is held; it is given back while the job stands still.
func (j *Job) pausePoint() {
	if j.pauseCount == 0 || j.forced {
		return
	}
	from := j.status
	if from == Ready {
		j.to(Standby)
	} else {
		j.to(Paused)
	}
	j.busy = false
	j.list.cond.Broadcast()
	j.resumeTo = from
	for j.pauseCount > 0 && !j.forced {
		j.list.cond.Wait()
	}
	j.busy = true
	j.leavePause()
}

// leavePause ends the state of a job that stands still. Whoever ends the pause does that, so that it is told before what comes next.
// Preconditions: mu is held.
func (j *Job) leavePause() {
	if to := j.resumeTo; to != Undefined {
		j.resumeTo = Undefined
		j.to(to)
	}
}

// Sleep waits for the time or until something happens that the body should look at: cancellation, completion, a pause or Kick. The job may be left
// alone meanwhile (drained). It ends with a pause point.
func (j *Job) Sleep(d time.Duration) { j.sleep(d, nil) }

// sleep is Sleep that ends when other is closed, too.
func (j *Job) sleep(d time.Duration, other <-chan struct{}) {
	l := j.list
	l.mu.Lock()
	defer l.mu.Unlock()
	if !j.cancelled && j.pauseCount == 0 && d > 0 {
		wake := j.wake
		j.busy = false
		l.cond.Broadcast()
		l.mu.Unlock()
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-wake:
		case <-other:
		}
		t.Stop()
		l.mu.Lock()
		j.busy = true
	}
	j.pausePoint()
}

// forever is long enough for a sleep that something always ends.
const forever = 365 * 24 * time.Hour

// Wait sleeps until something happens.
func (j *Job) Wait() { j.Sleep(forever) }

// Kick interrupts a sleep. Any goroutine may call it.
func (j *Job) Kick() {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	j.kick()
}

// kick is Kick.
// Preconditions: mu is held.
func (j *Job) kick() {
	close(j.wake)
	j.wake = make(chan struct{})
	j.list.cond.Broadcast()
}

// Locked runs f with the graph lock. A drain does not wait for a job that is here: f may drain the job's own nodes.
func (j *Job) Locked(f func()) {
	j.with(j.list.graph, f)
}

// LockedAnyway is Locked for what may be done while the job is to stand still, as ending a drained section.
func (j *Job) LockedAnyway(f func()) {
	l := j.list
	l.mu.Lock()
	j.busy = false
	l.cond.Broadcast()
	l.mu.Unlock()
	l.graph.Lock()
	f()
	l.graph.Unlock()
	l.mu.Lock()
	j.busy = true
	l.mu.Unlock()
}

// InBand runs f as if it were a command: no other runs meanwhile.
func (j *Job) InBand(f func()) {
	if j.list.Loop == nil {
		f()
		return
	}
	j.with(j.list.Loop, f)
}

// with runs f with a lock whose holders may wait until the job stands still.
func (j *Job) with(lock sync.Locker, f func()) {
	l := j.list
	for {
		l.mu.Lock()
		j.pausePoint()
		j.busy = false
		l.cond.Broadcast()
		l.mu.Unlock()
		lock.Lock()
		l.mu.Lock()
		held := j.pauseCount > 0 && !j.forced
		l.mu.Unlock()
		if !held {
			break
		}
		lock.Unlock()
	}
	f()
	lock.Unlock()
	l.mu.Lock()
	j.busy = true
	l.mu.Unlock()
}

// Held tells whether the job should come to a pause point soon.
func (j *Job) Held() bool {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	return j.pauseCount > 0
}

// Cancelled tells whether the job was told to stop, softly or hard.
func (j *Job) Cancelled() bool {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	return j.cancelled
}

// Forced tells whether the job was told to stop at once.
func (j *Job) Forced() bool {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	return j.forced
}

// MarkReady tells that the job can be completed at any time.
func (j *Job) MarkReady() {
	mark := func() {
		j.list.mu.Lock()
		defer j.list.mu.Unlock()
		if !j.ready {
			j.ready = true
			j.to(Ready)
			j.emit(EventReady)
		}
	}
	j.InBand(mark)
}

// SetRemaining tells how much is left to do.
func (j *Job) SetRemaining(n int64) {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	j.remain = n
}

// AddRemaining tells of more work.
func (j *Job) AddRemaining(n int64) {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	j.remain += n
}

// Progress tells that n was done.
func (j *Job) Progress(n int64) {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	j.offset, j.remain = j.offset+n, max(j.remain-n, 0)
}

// Limited tells whether the job has a speed.
func (j *Job) Limited() bool {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	return j.speed != 0
}

// Delay is a time that a job has to rest before it does more, as its speed wants it. Another speed ends it, even before it has begun.
type Delay struct {
	time  time.Duration
	ended <-chan struct{}
}

// Any tells whether there is anything to rest.
func (d Delay) Any() bool { return d.time > 0 }

// Rest sleeps for a delay.
func (j *Job) Rest(d Delay) { j.sleep(d.time, d.ended) }

// Charge counts n bytes against the speed and tells how long to rest before the next ones.
func (j *Job) Charge(n int64) Delay {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	if j.speed == 0 {
		return Delay{}
	}
	return Delay{j.charge(n), j.respeed}
}

// charge is Charge for a job with a speed.
// Preconditions: the list's lock is held.
func (j *Job) charge(n int64) time.Duration {
	now := time.Now()
	quota := max(j.speed/int64(time.Second/slice), 1)
	b := &j.budget
	if passed := now.Sub(b.start); passed >= slice {
		slices := int64(passed / slice)
		if b.used/quota < slices { // a speed may be as large as the type allows, so that the product would not fit
			b.used = 0
		} else {
			b.used -= slices * quota
		}
		b.start = b.start.Add(time.Duration(slices) * slice)
		if passed >= time.Minute {
			b.start, b.used = now, 0
		}
	}
	b.used += n
	if b.used <= quota {
		return 0
	}
	return b.start.Add(time.Duration((b.used-1)/quota) * slice).Sub(now)
}
