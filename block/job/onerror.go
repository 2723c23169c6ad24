package job

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// RetryDelay is how long a job waits before it tries again what failed and is not to stop it.
const RetryDelay = 10 * time.Millisecond

// Policy says what a failed request means for a job.
type Policy uint8

// The policies, by QEMU's names report, ignore, enospc, stop, auto.
const (
	PolicyReport Policy = iota
	PolicyIgnore
	PolicyENOSPC
	PolicyStop
	PolicyAuto
)

var policyNames = [...]string{"report", "ignore", "enospc", "stop", "auto"}

func (p Policy) String() string { return policyNames[p] }

// ParsePolicy finds a policy by its name.
func ParsePolicy(s string) (Policy, bool) {
	for i, n := range policyNames {
		if n == s {
			return Policy(i), true
		}
	}
	return 0, false
}

// Action is what follows from a policy and an error.
type Action uint8

// The actions.
const (
	ActionReport Action = iota // the job fails
	ActionIgnore               // it goes on without
	ActionStop                 // it is paused and tries again
)

var actionNames = [...]string{"report", "ignore", "stop"}

func (a Action) String() string { return actionNames[a] }

// action decides what an error means.
func (p Policy) action(err error) Action {
	full := errors.Is(err, unix.ENOSPC)
	switch {
	case p == PolicyIgnore:
		return ActionIgnore
	case p == PolicyStop, full && (p == PolicyENOSPC || p == PolicyAuto):
		return ActionStop
	}
	return ActionReport
}

// ResetIOStatus forgets the failures of all jobs that work on nodes.
func (l *List) ResetIOStatus() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range l.jobs {
		j.ioStatus = "ok"
	}
}

// Failed reports a failed request of the job and pauses the job if the policy wants that.
func (j *Job) Failed(p Policy, read bool, err error) Action {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	a := p.action(err)
	op := "write"
	if read {
		op = "read"
	}
	j.report(Report{Event: EventError, Operation: op, Action: a.String()})
	if a == ActionStop {
		if !j.userPaused {
			j.userPaused = true
			j.pauseCount++
		}
		if j.ioStatus == "ok" {
			j.ioStatus = "failed"
			if errors.Is(err, unix.ENOSPC) {
				j.ioStatus = "nospace"
			}
		}
	}
	return a
}
