// Package job runs the long operations of the block layer (mirror, commit, stream, backup, create, amend, snapshots) as jobs: goroutines
// with a state machine that users watch and steer. The package knows nothing of monitors; a listener gets the events.
//
// A job belongs to a List. Its Body runs in a goroutine of its own; what changes the block graph happens with the graph lock held: the
// callbacks of the end (Prepare, Commit, Abort, Clean) and all verbs.
package job

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/internal/config"
)

// Body is what a job does. Run returns when the work is done, was cancelled or failed; it calls the methods of Job that belong to the job's
// own goroutine (PausePoint, Sleep, Progress, MarkReady, …). Everything else a body may implement as one of the interfaces below.
type Body interface {
	Run(j *Job) error
}

// Preparer does the last step of a job that can fail, after all jobs of the transaction have run.
// It is called with the graph lock held, as are the following ones.
type Preparer interface{ Prepare(j *Job) error }

// Committer makes the result of a successful job final.
type Committer interface{ Commit(j *Job) }

// Aborter takes back what a failed or cancelled job did.
type Aborter interface{ Abort(j *Job) }

// Cleaner releases what the job holds, after Commit or Abort.
type Cleaner interface{ Clean(j *Job) }

// Completer ends a ready job on request.
type Completer interface{ Complete(j *Job) error }

// Canceller hears of a cancellation and says whether it must be a hard one (a ready mirror ends well when cancelled softly).
type Canceller interface{ Cancel(j *Job, force bool) bool }

// Resumer hears that the user resumed the job after an error stopped it.
type Resumer interface{ Resumed(j *Job) }

// Flags change how a job begins and ends.
type Flags uint8

// The flags.
const (
	Internal       Flags = 1 << iota // no ID, no events
	ManualFinalize                   // auto-finalize=false
	ManualDismiss                    // auto-dismiss=false
)

// Event is what happened to a job.
type Event uint8

// The events, by their names in QMP.
const (
	EventStatus    Event = iota // JOB_STATUS_CHANGE
	EventReady                  // BLOCK_JOB_READY
	EventPending                // BLOCK_JOB_PENDING
	EventCompleted              // BLOCK_JOB_COMPLETED
	EventCancelled              // BLOCK_JOB_CANCELLED
	EventError                  // BLOCK_JOB_ERROR
)

// Report is what a listener gets: the event and the job as it was then.
type Report struct {
	Event Event
	Job   Info
	// Operation ("read" or "write") and Action ("ignore", "report", "stop") belong to EventError.
	Operation, Action string
}

// Info describes a job. Len and Offset are in units of the job's own, mostly bytes.
type Info struct {
	ID, Type                  string
	Status                    Status
	Len, Offset, Speed        int64
	Busy, Paused, Ready       bool
	AutoFinalize, AutoDismiss bool
	Error                     string // empty if none
	IOStatus                  string // ok, failed or nospace
	BlockJob                  bool   // works on nodes: query-block-jobs shows it
}

// List holds the jobs of a program.
type List struct {
	// Loop, if set, is held by commands from their beginning to their answer. What a job tells of itself waits for it, so that it comes after
	// the answer to the command that began the job.
	Loop sync.Locker

	graph  *block.Graph
	listen func(Report)

	mu   sync.Mutex
	cond sync.Cond // something about a job changed
	jobs []*Job    // newest first
}

// NewList makes an empty list. listen gets the events in order; it must not block and not call back. It may be nil.
func NewList(g *block.Graph, listen func(Report)) *List {
	l := &List{graph: g, listen: listen}
	l.cond.L = &l.mu
	return l
}

// Job is one operation.
type Job struct {
	handsOver bool // see Spec
	list      *List
	id        string
	kind      string
	body      Body
	flags     Flags
	block     bool
	txn       *txn
	nodes     nodes

	// The rest is guarded by list.mu.
	status         Status
	err            error
	done           bool // the goroutine has ended
	ended          bool // finalized: Commit or Abort ran
	started        bool
	busy           bool // the goroutine runs, or sleeps where it must not be left alone
	cancelled      bool // soft or hard
	forced         bool
	pauseCount     int
	resumeTo       Status // of a job that stands still: where it goes on from; Undefined for others
	userPaused     bool
	ready          bool
	speed          int64
	respeed        chan struct{} // closed when another speed is set
	budget         budget
	offset, remain int64
	ioStatus       string
	wake           chan struct{} // closed and replaced to interrupt a sleep
}

// Spec describes a job to be made.
type Spec struct {
	ID       string // empty only with Internal
	Type     string // as in query-jobs
	Flags    Flags
	Speed    int64
	BlockJob bool
	Txn      *Txn // nil for a transaction of its own
	// HandsOver says that the job's writing does not keep its images from being handed over with the machine.
	HandsOver bool
}

// New makes a job in state created.
// Preconditions: the graph lock is held.
func (l *List) New(s Spec, b Body) (*Job, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s.Flags&Internal != 0 && s.ID != "":
		return nil, block.Errorf(unix.EINVAL, "Cannot specify job ID for internal job")
	case s.Flags&Internal == 0 && !config.WellFormedID(s.ID):
		return nil, block.Errorf(unix.EINVAL, "Invalid job ID '%s'", s.ID)
	case s.Flags&Internal == 0 && l.find(s.ID) != nil:
		return nil, block.Errorf(unix.EEXIST, "Job ID '%s' already in use", s.ID)
	case s.Speed < 0:
		return nil, errSpeed
	}
	j := &Job{list: l, id: s.ID, kind: s.Type, body: b, flags: s.Flags, block: s.BlockJob, handsOver: s.HandsOver, ioStatus: "ok", wake: make(chan struct{})}
	j.setSpeed(s.Speed)
	j.to(Created)
	l.jobs = slices.Insert(l.jobs, 0, j)
	t := s.Txn
	if t == nil {
		t = NewTxn()
	}
	t.add(j)
	return j, nil
}

var errSpeed = block.Errorf(unix.EINVAL, "Parameter 'speed' expects a non-negative value")

// find finds a job by its ID.
// Preconditions: mu is held.
func (l *List) find(id string) *Job {
	for _, j := range l.jobs {
		if j.id == id && id != "" {
			return j
		}
	}
	return nil
}

// Find finds a job by its ID, or nil.
func (l *List) Find(id string) *Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(id)
}

// Infos describes all jobs that users see, newest first.
func (l *List) Infos() []Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Info
	for _, j := range l.jobs {
		if j.flags&Internal == 0 {
			out = append(out, j.info())
		}
	}
	return out
}

// Block lists the jobs that work on nodes, newest first, internal ones included.
func (l *List) Block() (list []*Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range l.jobs {
		if j.block {
			list = append(list, j)
		}
	}
	return list
}

// ID is the job's name.
func (j *Job) ID() string { return j.id }

// Type is the kind of job, as in query-jobs.
func (j *Job) Type() string { return j.kind }

// Info describes the job.
func (j *Job) Info() Info {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	return j.info()
}

// UserPaused tells whether the user, or an error, made the job pause.
func (j *Job) UserPaused() bool {
	j.list.mu.Lock()
	defer j.list.mu.Unlock()
	return j.userPaused
}

func (j *Job) info() Info {
	i := Info{
		ID: j.id, Type: j.kind, Status: j.status, Len: j.offset + j.remain, Offset: j.offset, Speed: j.speed,
		Busy: j.busy, Paused: j.pauseCount > 0, Ready: j.ready,
		AutoFinalize: j.flags&ManualFinalize == 0, AutoDismiss: j.flags&ManualDismiss == 0, IOStatus: j.ioStatus, BlockJob: j.block,
	}
	if j.err != nil {
		i.Error = text(j.err)
	}
	return i
}

// text is how an error is shown: an errno alone by its text.
func text(err error) string {
	if e, ok := err.(unix.Errno); ok {
		return block.Strerror(e)
	}
	return err.Error()
}

// emit reports an event.
// Preconditions: the list's mu is held.
func (j *Job) emit(e Event) { j.report(Report{Event: e}) }

func (j *Job) report(r Report) {
	if j.list.listen == nil || j.flags&Internal != 0 || r.Event != EventStatus && !j.block {
		return
	}
	r.Job = j.info()
	j.list.listen(r)
}

// budget limits the speed: what was used in the present slice of time.
type budget struct {
	start time.Time
	used  int64
}

// slice is the time over which the speed is averaged.
const slice = 100 * time.Millisecond
