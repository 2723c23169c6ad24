package job

import (
	"slices"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Status is where a job is in its life.
type Status uint8

// The states of a job.
const (
	Undefined Status = iota
	Created
	Running
	Paused
	Ready
	Standby // paused while ready
	Waiting // done, others of the transaction are not
	Pending // waits to be finalized
	Aborting
	Concluded
	Null
)

var statusNames = [...]string{"undefined", "created", "running", "paused", "ready", "standby", "waiting", "pending", "aborting", "concluded", "null"}

func (s Status) String() string { return statusNames[s] }

// transitions are the states that may follow each state.
var transitions = [...][]Status{
	Undefined: {Created},
	Created:   {Running, Aborting, Null},
	Running:   {Paused, Ready, Waiting, Aborting},
	Paused:    {Running},
	Ready:     {Standby, Waiting, Aborting},
	Standby:   {Ready},
	Waiting:   {Pending, Aborting},
	Pending:   {Aborting, Concluded},
	Aborting:  {Aborting, Concluded},
	Concluded: {Null},
	Null:      {},
}

// Verb is something a user asks of a job.
type Verb uint8

// The verbs.
const (
	VerbCancel Verb = iota
	VerbPause
	VerbResume
	VerbSetSpeed
	VerbComplete
	VerbFinalize
	VerbDismiss
)

// verbs says in which states each verb is accepted.
var verbs = [...]struct {
	name   string
	states []Status
}{
	VerbCancel:   {"cancel", []Status{Created, Running, Paused, Ready, Standby, Waiting, Pending}},
	VerbPause:    {"pause", []Status{Created, Running, Paused, Ready, Standby}},
	VerbResume:   {"resume", []Status{Created, Running, Paused, Ready, Standby}},
	VerbSetSpeed: {"set-speed", []Status{Created, Running, Paused, Ready, Standby}},
	VerbComplete: {"complete", []Status{Ready, Standby}},
	VerbFinalize: {"finalize", []Status{Pending}},
	VerbDismiss:  {"dismiss", []Status{Concluded}},
}

// accept refuses a verb that the job's state does not allow.
// Preconditions: the list's mu is held.
func (j *Job) accept(v Verb) error {
	if slices.Contains(verbs[v].states, j.status) {
		return nil
	}
	return block.Errorf(unix.EPERM, "Job '%s' in state '%s' cannot accept command verb '%s'", j.id, j.status, verbs[v].name)
}

// to moves the job to another state and tells the listener.
// Preconditions: the list's mu is held.
func (j *Job) to(s Status) {
	if !slices.Contains(transitions[j.status], s) {
		panic("BUG: job " + j.id + " goes from " + j.status.String() + " to " + s.String())
	}
	j.status = s
	j.emit(EventStatus)
}
