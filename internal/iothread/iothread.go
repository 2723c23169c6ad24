// Package iothread has the objects of type iothread, which devices name as the threads that do their input and output. Requests of disks
// run on goroutines, which the scheduler spreads over the host's CPUs: the object is a thread of the host with a number, which management
// tools place and account, and the parameters that they set and read back.
package iothread

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"goemu/internal/userobj"
)

// pollMaxDefault is the default of poll-max-ns.
const pollMaxDefault = 32768

// poolMaxDefault is the default of thread-pool-max.
const poolMaxDefault = 64

// Thread is an object of type iothread.
type Thread struct {
	id                            string
	thread                        int
	pollMax, pollGrow, pollShrink int64 // nanoseconds, factor, divisor
	batch, poolMin, poolMax       int64
	stop                          chan struct{}
}

// Parameters are what query-iothreads tells.
type Parameters struct {
	Thread                               int
	PollMax, PollGrow, PollShrink, Batch int64
}

// ID is the object's identifier.
func (t *Thread) ID() string { return t.id }

// PropertyType is the type of properties that name a thread.
func (*Thread) PropertyType() string { return "link<iothread>" }

// Parameters returns the thread's number and how it is tuned.
func (t *Thread) Parameters() Parameters {
	return Parameters{t.thread, t.pollMax, t.pollGrow, t.pollShrink, t.batch}
}

// Complete implements userobj.Object: it starts the thread.
func (t *Thread) Complete() error {
	if err := t.check(); err != nil {
		return err
	}
	t.stop = make(chan struct{})
	number := make(chan int)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		tid := unix.Gettid()
		_ = os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", tid), []byte("IO "+t.id), 0) // the name is for people
		number <- tid
		<-t.stop
	}()
	t.thread = <-number
	return nil
}

// check refuses a pool that has more threads at least than at most.
func (t *Thread) check() error {
	if t.poolMin > t.poolMax || t.poolMax == 0 || t.poolMax > math.MaxInt32 {
		return errors.New("bad thread-pool-min/thread-pool-max values")
	}
	return nil
}

// Close implements userobj.Object.
func (t *Thread) Close() {
	if t.stop != nil {
		close(t.stop)
		t.stop = nil
	}
}

// Type is the type.
func Type() *userobj.Type {
	number := func(name string, at func(*Thread) *int64) userobj.Property {
		return userobj.Field(name, "int", "", at, func(_ *Thread, v int64) error {
			if v < 0 {
				return fmt.Errorf("%s value must be in range [0, %d]", name, int64(math.MaxInt64))
			}
			return nil
		})
	}
	return &userobj.Type{Name: "iothread", Parents: []string{"event-loop-base"},
		New: func(id string) userobj.Object {
			return &Thread{id: id, pollMax: pollMaxDefault, poolMax: poolMaxDefault}
		},
		Props: []userobj.Property{
			number("aio-max-batch", func(t *Thread) *int64 { return &t.batch }),
			number("poll-grow", func(t *Thread) *int64 { return &t.pollGrow }),
			number("poll-max-ns", func(t *Thread) *int64 { return &t.pollMax }),
			number("poll-shrink", func(t *Thread) *int64 { return &t.pollShrink }),
			number("thread-pool-max", func(t *Thread) *int64 { return &t.poolMax }),
			number("thread-pool-min", func(t *Thread) *int64 { return &t.poolMin }),
		}}
}
