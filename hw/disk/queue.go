package disk

import (
	"slices"

	"goemu/block"
	"goemu/internal/mainloop"
)

// Queue holds a device's requests to the host that are under way. Each runs on a goroutine of its own, without the machine lock; the device
// hears of the result under it. All methods expect the machine lock.
type Queue struct {
	// Backends, if set, are those that the requests go to: limits of their speed do not hold while something waits for a request.
	Backends func() []*block.Backend

	jobs []*Job
}

// Job is one request to the host.
type Job struct {
	queue  *Queue
	done   chan struct{} // closed when err is there
	err    error
	finish func(error) // nil once it was called or given up
}

// queues are those with jobs, guarded by the machine lock.
var queues []*Queue

// Go runs io on a goroutine, then finish with its result under the machine lock.
func (q *Queue) Go(io func() error, finish func(error)) *Job {
	j := &Job{queue: q, done: make(chan struct{}), finish: finish}
	if len(q.jobs) == 0 {
		queues = append(queues, q)
	}
	q.jobs = append(q.jobs, j)
	go func() {
		j.err = io()
		close(j.done)
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		j.settle(true)
	}()
	return j
}

// settle takes the job off its queue and, if wanted, hands the result over.
func (j *Job) settle(report bool) {
	f := j.finish
	if f == nil {
		return
	}
	j.finish = nil
	q := j.queue
	q.jobs = slices.DeleteFunc(q.jobs, func(x *Job) bool { return x == j })
	if len(q.jobs) == 0 {
		queues = slices.DeleteFunc(queues, func(x *Queue) bool { return x == q })
	}
	if report {
		f(j.err)
	}
}

// wait waits for the job.
func (j *Job) wait() {
	select {
	case <-j.done:
		return
	default:
	}
	if f := j.queue.Backends; f != nil {
		defer block.Unthrottle(f()...)()
	}
	<-j.done
}

// Finish waits for the job and hands the result over at once.
func (j *Job) Finish() {
	j.wait()
	j.settle(true)
}

// Drop waits for the job; nobody hears of the result.
func (j *Job) Drop() {
	j.wait()
	j.settle(false)
}

// Busy tells whether jobs are under way.
func (q *Queue) Busy() bool { return len(q.jobs) > 0 }

// Drain finishes all jobs and what they start in turn.
func (q *Queue) Drain() {
	for len(q.jobs) > 0 {
		q.jobs[0].Finish()
	}
}

// Drop gives all jobs up once the host is done with them.
func (q *Queue) Drop() {
	for len(q.jobs) > 0 {
		q.jobs[0].Drop()
	}
}

// DrainAll finishes the jobs of all devices, for the machine has stopped, and tells whether there were any.
func DrainAll() bool {
	busy := len(queues) > 0
	for len(queues) > 0 {
		queues[0].Drain()
	}
	return busy
}
