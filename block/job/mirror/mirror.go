// Package mirror is the job that copies a disk to another node while the disk is in use, and keeps both equal until it is told to change
// over (mirror), or to merge an image into its backing file (commit of the active layer).
package mirror

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/block/blockcopy"
	"goemu/block/job"
)

// Sync says what of the disk is copied at the beginning.
type Sync uint8

// The modes.
const (
	Full Sync = iota // everything
	Top              // what is above Base
	None             // nothing: only new writes
)

// Backing says what the target's backing file becomes when the job has changed over.
type Backing uint8

// The choices.
const (
	BackingOfSource Backing = iota // that of the source, or Base
	BackingOpen                    // what the target's image says
	BackingLeave                   // what it is
)

// Options describe the job.
type Options struct {
	ID                           string // empty: the name of the device on Source
	Source, Target               *block.Node
	Base                         *block.Node // with Top: what is not copied; with commit the target itself
	Replaces                     string      // node-name of what Target takes the place of; empty: Source
	Speed                        int64
	Buffer                       int64 // bytes in flight at most; 0 for the default
	Granularity                  int64 // bytes; 0 for the default
	Sync                         Sync
	Backing                      Backing
	ZeroTarget                   bool // the target does not read as zeroes yet, and must
	Unmap                        bool
	OnSourceError, OnTargetError job.Policy
	FilterName                   string
	Blocking                     bool // copy-mode write-blocking
	Flags                        job.Flags
	Txn                          *job.Txn

	commit      bool
	targetWasRO bool // commit: the target was read-only before the job
}

// The limits of what is in flight.
const (
	maxInFlight = 16
	maxTransfer = 1 << 20
	// defaultBuffer is the buffer of users who name none.
	defaultBuffer = 10 << 20
)

// mirror is the state of the job.
type mirror struct {
	Options
	source, target *block.Child
	filter         *block.Node
	top            *topFilter
	bits           *bitmap.Bitmap
	granularity    int64
	align          int64 // of what is copied: the granularity, or clusters of the target that must be written whole
	length         int64
	transfer       *blockcopy.Transfer
	behind         block.WriteBehind
	cheapZeroes    bool // the target makes zeroes by giving blocks back: they do not count against the speed
	job            *job.Job
	replaced       *block.Node    // the node named by Replaces, from Complete on
	completing     *block.Blocker // of other operations on it
	drained        bool
	within         bool // the target is a backing file of the source
	frozen         bool // so the chain down to it stays as it is

	mu       sync.Mutex
	changed  sync.Cond // an operation ended
	claims   []claim   // ranges on their way
	ops      int       // of the job itself
	busy     int64     // bytes of those
	err      error
	complete bool
	charged  atomic.Int64 // bytes of data copied that were not yet counted against the speed
}

// claim is a range that is on its way to the target.
type claim struct{ off, end int64 }

// New makes the job. The caller starts it.
// Preconditions: the graph lock is held.
func New(ctx context.Context, l *job.List, o Options) (*job.Job, error) {
	switch {
	case o.Granularity == 0:
		o.Granularity = o.Target.DefaultBitmapGranularity()
	case o.Buffer < 0:
		return nil, block.Errorf(unix.EINVAL, "Invalid parameter 'buf-size'")
	case o.Granularity&(o.Granularity-1) != 0 || o.Granularity < 512 || o.Granularity > 64<<20:
		return nil, block.Errorf(unix.EINVAL, "Parameter 'granularity' expects a power of 2")
	}
	if o.Source == o.Target {
		return nil, block.Errorf(unix.EINVAL, "Can't mirror node into itself")
	}
	if o.Buffer == 0 {
		o.Buffer = defaultBuffer
	}
	kind := "mirror"
	if o.commit {
		kind = "commit"
	}
	m := &mirror{Options: o, granularity: o.Granularity}
	m.changed.L = &m.mu
	g := o.Source.Graph()
	m.top = &topFilter{m: m}
	o.Source.DrainBegin() // no request meets a filter whose job is not complete
	defer o.Source.DrainEnd()
	var err error
	m.filter, err = g.InsertFilter(ctx, topDriver(kind), o.FilterName, func(n *block.Node) (block.Instance, error) { m.top.node = n; return m.top, nil }, o.Source)
	if err != nil {
		return nil, err
	}
	m.filter.SetImplicit(o.FilterName == "")
	if m.job, err = m.attach(ctx, l, kind); err != nil {
		m.removeFilter(g)
		g.Unref(m.filter)
		return nil, err
	}
	return m.job, nil
}

// attach makes the job and lets it hold its nodes.
func (m *mirror) attach(ctx context.Context, l *job.List, kind string) (j *job.Job, err error) {
	const read, write, unchanged, resize = block.PermConsistentRead, block.PermWrite, block.PermWriteUnchanged, block.PermResize
	perm := read
	if m.commit { // nobody reads between top and base consistently while base changes
		perm = 0
	}
	if m.ID == "" && m.Flags&job.Internal == 0 {
		m.ID = m.filter.DeviceName()
	}
	j, err = l.NewOn(m.Source, job.Spec{ID: m.ID, Type: kind, Flags: m.Flags, Speed: m.Speed, Txn: m.Txn, HandsOver: !m.commit}, m, perm, read|unchanged|write)
	if err != nil {
		return nil, err
	}
	made := j
	defer func() {
		if err != nil {
			made.Drop()
		}
	}()
	m.source = m.Source.Parents()[len(m.Source.Parents())-1]
	perm, shared := write, unchanged
	if m.within = m.Source.ChainContains(m.Target); m.within {
		shared |= read | write | resize
		if m.commit {
			perm |= resize
		}
		for n := below(m.Source); n != nil && n != m.Target; n = below(n) {
			if _, err = j.AddNode(n, "intermediate node", 0, unchanged|read|write); err != nil {
				return nil, err
			}
		}
	}
	if m.target, err = j.AddNode(m.Target, "target", perm, shared); err != nil {
		return nil, err
	}
	m.transfer = blockcopy.NewTransfer(m.source, m.target, maxTransfer)
	if m.within {
		if err = m.filter.Freeze(m.Target); err != nil {
			return nil, err
		}
		m.frozen = true
	}
	if m.bits, err = m.Source.AddBitmap(ctx, "", m.granularity); err != nil {
		return nil, err
	}
	if m.length, err = m.Source.Length(ctx); err != nil {
		return nil, err
	}
	m.align = m.wholeClusters()
	m.cheapZeroes = m.Target.UnmapsZeroes()
	if m.Blocking { // the filter marks what it could not copy at once
		m.bits.Change(func(s *bitmap.State) { s.Enabled = false })
	}
	return j, nil
}

// wholeClusters is the unit of what is copied. An image whose backing file is not there yet cannot fill the rest of a cluster from it.
func (m *mirror) wholeClusters() int64 {
	n := m.Target.SkipFilters()
	name, _ := n.BackingFile()
	if info, ok := n.Info(); ok && name != "" && n.COWChild() == nil {
		return max(m.granularity, info.ClusterSize)
	}
	return m.granularity
}

func below(n *block.Node) *block.Node {
	if c := n.FilterOrCOW(); c != nil {
		return c.Node()
	}
	return nil
}

// Complete implements job.Completer.
func (m *mirror) Complete(j *job.Job) error {
	if m.Backing == BackingOpen && !m.commit {
		if err := m.Target.OpenBacking(context.Background()); err != nil {
			return err
		}
	}
	if m.Replaces != "" && m.replaced == nil {
		n := j.Graph().Find(m.Replaces)
		if n == nil {
			return block.Errorf(unix.ENOENT, "Node name '%s' not found", m.Replaces)
		}
		j.Graph().Ref(n)
		m.replaced, m.completing = n, &block.Blocker{Reason: "block device is in use by block-job-complete"}
		n.BlockAll(m.completing)
	}
	m.mu.Lock()
	m.complete = true
	m.mu.Unlock()
	return nil
}

// Cancel implements job.Canceller: a ready mirror ends well when it is cancelled softly, leaving a copy of this moment.
func (m *mirror) Cancel(j *job.Job, force bool) bool {
	if force = force || !j.Info().Ready; force && !m.commit {
		m.Target.CancelInFlight()
	}
	return force
}

// Run implements job.Body.
func (m *mirror) Run(j *job.Job) error {
	ctx := context.Background()
	if err := m.prepareTarget(ctx); err != nil {
		return err
	}
	if err := m.markInitial(ctx, j); err != nil || j.Cancelled() {
		return err
	}
	err := m.loop(ctx, j)
	m.waitOps(0)
	return err
}

// prepareTarget compares the lengths.
func (m *mirror) prepareTarget(ctx context.Context) error {
	have, err := m.target.Length(ctx)
	switch {
	case err != nil:
		return err
	case have < m.length && m.commit:
		return m.target.Truncate(ctx, m.length, false, block.PreallocOff, false)
	case have != m.length && !m.commit:
		return block.Errorf(unix.EINVAL, "Source and target image have different sizes")
	}
	return nil
}

// markInitial marks what has to be copied, whoever writes.
func (m *mirror) markInitial(ctx context.Context, j *job.Job) error {
	if m.Sync == None {
		return nil
	}
	if m.ZeroTarget { // even a target whose driver makes empty images may have been written to
		if !m.cheapZeroes {
			m.bits.Set(0, m.length)
			return nil
		}
		if err := m.target.WriteZeroes(ctx, 0, m.length, block.MayUnmap); err != nil {
			return err
		}
	}
	var lowest *block.Node // that is copied from; nil: all
	if m.Sync != Full && m.Base != nil {
		lowest = m.Source.OverlayOf(m.Base)
	}
	for off := int64(0); off < m.length && !j.Cancelled(); {
		j.PausePoint()
		depth, n, err := m.Source.AllocatedAbove(ctx, lowest, lowest != nil, off, m.length-off)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if depth > 0 {
			m.bits.Set(off, n)
		}
		off += n
	}
	return nil
}

// loop copies until the job is to end.
func (m *mirror) loop(ctx context.Context, j *job.Job) error {
	synced := false
	for pos := int64(0); ; {
		if j.Held() {
			m.waitOps(0)
			j.PausePoint()
		}
		if j.Forced() {
			return nil
		}
		m.mu.Lock()
		err, ops, busy, complete := m.err, m.ops, m.busy, m.complete
		m.mu.Unlock()
		if err != nil {
			return err
		}
		dirty := m.bits.Count()
		j.SetRemaining(dirty + busy)
		switch {
		case dirty == 0 && ops > 0, ops >= maxInFlight, ops > 0 && busy >= m.Buffer:
			m.waitOps(ops - 1)
		case dirty > 0:
			pos = m.begin(ctx, j, pos)
		default:
			if ended, err := m.atRest(ctx, j, &synced, complete); ended || err != nil {
				return err
			}
		}
	}
}

// quiet is how often the job looks when there is nothing to do; new writes are copied after that time at the latest.
const quiet = 100e6

// atRest is called when everything is copied.
func (m *mirror) atRest(ctx context.Context, j *job.Job, synced *bool, complete bool) (ended bool, err error) {
	if !*synced {
		if err := m.target.Flush(ctx); err != nil {
			if j.Failed(m.OnTargetError, false, err) == job.ActionReport {
				return false, err
			}
			j.PausePoint()
			return false, nil
		}
		*synced = true
		j.MarkReady()
	}
	if !complete && !j.Cancelled() {
		j.Sleep(quiet)
		return false, nil
	}
	j.Locked(func() {
		m.Source.DrainBegin()
		if m.bits.Count() != 0 {
			m.Source.DrainEnd()
			return
		}
		m.drained, ended = true, true
	})
	if !ended {
		return false, nil
	}
	if err = m.target.Flush(ctx); err == nil {
		return true, nil
	}
	j.LockedAnyway(func() { m.drained = false; m.Source.DrainEnd() }) // the guest is not to wait while the job stands still
	err = m.failed(j, false, err)
	j.PausePoint()
	return false, err
}

// waitOps waits until at most n operations are on their way.
func (m *mirror) waitOps(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.ops > max(n, 0) {
		m.changed.Wait()
	}
}
