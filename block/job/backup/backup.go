// Package backup is the job that copies what a disk contained at the moment when the job was made, while the guest goes on writing.
package backup

import (
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/block/blockcopy"
	"goemu/block/driver/copybeforewrite"
	"goemu/block/job"
)

// Sync says what of the disk is copied.
type Sync uint8

// The modes.
const (
	Full   Sync = iota // everything
	Top                // what the image has above its backing file
	None               // only what the guest is about to change, until the job is cancelled
	Bitmap             // what a bitmap marks (also called incremental)
)

// BitmapMode says what a bitmap marks when the job is over.
type BitmapMode uint8

// The modes.
const (
	OnSuccess BitmapMode = iota // after success what was written meanwhile, otherwise everything
	Never                       // everything
	Always                      // what was written meanwhile and what was not copied
)

// Options describe the job.
type Options struct {
	ID                           string // empty: the name of the device on Source
	Source, Target               *block.Node
	Sync                         Sync
	Bitmap                       *bitmap.Bitmap // of Source; may be nil except with Sync Bitmap
	BitmapMode                   BitmapMode
	Compress                     bool
	Speed                        int64
	OnSourceError, OnTargetError job.Policy
	FilterName                   string
	Workers                      int   // requests in flight; 0 for the default
	Chunk                        int64 // bytes of a request; 0 for the default
	Flags                        job.Flags
	Txn                          *job.Txn
}

const defaultWorkers = 64

type backup struct {
	Options
	filter *block.Node
	copier *blockcopy.Copier
	length int64
}

// New makes the job. The caller starts it; what the disk contains now is what is copied.
// Preconditions: the graph lock is held.
func New(ctx context.Context, l *job.List, o Options) (*job.Job, error) {
	b := &backup{Options: o}
	if err := b.check(ctx); err != nil {
		return nil, err
	}
	if b.ID == "" && b.Flags&job.Internal == 0 {
		if b.ID = o.Source.DeviceName(); b.ID == "" {
			return nil, block.Errorf(unix.EINVAL, "An explicit job ID is required for this node")
		}
	}
	g := o.Source.Graph()
	var f *copybeforewrite.Filter
	var err error
	if b.Bitmap != nil && !b.Bitmap.Split() {
		return nil, block.Errorf(unix.EINVAL, "Cannot create a successor for a bitmap that is in-use by an operation")
	}
	defer func() {
		if err != nil && b.Bitmap != nil {
			b.Bitmap.Reclaim()
		}
	}()
	if b.filter, f, err = copybeforewrite.Insert(ctx, g, o.FilterName, o.Source, o.Target); err != nil {
		return nil, err
	}
	b.filter.SetImplicit(o.FilterName == "")
	b.copier = f.Copier()
	b.copier.Compressed = o.Compress
	b.copier.Chunk = o.Chunk
	j, err := b.attach(l)
	if err != nil {
		b.removeFilter(g)
		return nil, err
	}
	b.mark()
	b.copier.Copied = j.Progress
	j.SetRemaining(b.copier.Left())
	return j, nil
}

// check refuses what cannot work.
func (b *backup) check(ctx context.Context) (err error) {
	if b.Source == b.Target {
		return block.Errorf(unix.EINVAL, "Source and target cannot be the same")
	}
	if b.length, err = b.Source.Length(ctx); err != nil {
		return block.Errnof(block.Errno(err), "Unable to get length for '%s'", b.Source.DeviceOrNodeName())
	}
	have, err := b.Target.Length(ctx)
	switch {
	case err != nil:
		return block.Errnof(block.Errno(err), "Unable to get length for '%s'", b.Target.DeviceOrNodeName())
	case have != b.length:
		return block.Errorf(unix.EINVAL, "Source and target image have different sizes")
	case b.Compress && !b.Target.CanCompress():
		return block.Errorf(unix.EINVAL, "Compression is not supported for this drive %s", b.Target.DeviceOrNodeName())
	}
	for _, x := range []struct {
		n  *block.Node
		op block.Op
	}{{b.Source, block.OpBackupSource}, {b.Target, block.OpBackupTarget}} {
		if err := x.n.Blocked(x.op); err != nil {
			return err
		}
	}
	if b.Bitmap != nil {
		return block.CheckBitmap(b.Bitmap, block.BitmapNotBusy|block.BitmapConsistent)
	}
	return nil
}

func (b *backup) attach(l *job.List) (*job.Job, error) {
	j, err := l.NewOn(b.filter, job.Spec{ID: b.ID, Type: "backup", Flags: b.Flags, Speed: b.Speed, Txn: b.Txn}, b, 0, block.PermAll)
	if err != nil {
		return nil, err
	}
	if _, err := j.AddNode(b.Target, "target", 0, block.PermAll); err != nil {
		j.Drop()
		return nil, err
	}
	return j, nil
}

// mark restricts what is copied to what the bitmap marks, and lets its successor record what is written from now on.
func (b *backup) mark() {
	if b.Bitmap == nil {
		return
	}
	b.Bitmap.EnableSuccessor()
	if b.Sync == Bitmap {
		marks := b.Bitmap.Snapshot()
		b.copier.Do(func(m *bitmap.Map) {
			m.Clear()
			m.Merge(marks)
		})
	}
}

// Run implements job.Body.
func (b *backup) Run(j *job.Job) error {
	ctx := context.Background()
	switch b.Sync {
	case None:
		for !j.Cancelled() {
			j.Wait()
		}
		return nil
	case Top:
		if err := b.skipBacking(ctx, j); err != nil {
			return err
		}
	}
	return b.loop(ctx, j)
}

// skipBacking takes the marks of what the image takes from its backing file.
func (b *backup) skipBacking(ctx context.Context, j *job.Job) error {
	for off := int64(0); off < b.length && !j.Cancelled(); {
		j.PausePoint()
		allocated, n, err := b.Source.IsAllocated(ctx, off, b.length-off)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if !allocated {
			b.copier.Do(func(m *bitmap.Map) { // only clusters that lie wholly in the range
				first, last := off, off+n
				if rest := first % m.Granularity(); rest != 0 {
					first += m.Granularity() - rest
				}
				if last != b.length {
					last -= last % m.Granularity()
				}
				if first < last {
					m.Reset(first, last-first)
				}
			})
		}
		off += n
	}
	j.SetRemaining(b.copier.Left())
	return nil
}

// outcome is how a copy in the background ended.
type outcome struct {
	read bool
	err  error
}

// loop copies until nothing is marked.
func (b *backup) loop(ctx context.Context, j *job.Job) error {
	workers := b.Workers
	if workers == 0 {
		workers = defaultWorkers
	}
	results := make(chan outcome, workers)
	running := 0
	var wait sync.WaitGroup
	defer wait.Wait()
	judge := func(o outcome) error {
		running--
		p := b.OnTargetError
		if o.read {
			p = b.OnSourceError
		}
		if o.err == nil {
			return nil
		}
		switch j.Failed(p, o.read, o.err) {
		case job.ActionReport:
			return o.err
		case job.ActionIgnore: // it is tried again
			j.Sleep(job.RetryDelay)
		}
		return nil
	}
	settle := func(most int) error {
		for running > most {
			if err := judge(<-results); err != nil {
				return err
			}
		}
		return nil
	}
	for pos := int64(0); !j.Cancelled(); {
		if j.Held() {
			if err := settle(0); err != nil {
				return err
			}
			j.PausePoint()
			continue
		}
		off, n, ok := b.copier.Next(pos)
		if !ok && pos > 0 {
			pos = 0
			continue
		}
		if !ok {
			if running == 0 {
				return nil
			}
			if err := settle(running - 1); err != nil {
				return err
			}
			continue
		}
		if err := settle(workers - 1); err != nil {
			return err
		}
		running++
		wait.Add(1)
		go func() {
			defer wait.Done()
			read, err := b.copier.CopyMarked(ctx, off, n)
			results <- outcome{read, err}
		}()
		pos = off + n
		if d := j.Charge(n); d.Any() {
			if err := settle(0); err != nil {
				return err
			}
			j.Rest(d)
		}
	}
	return settle(0)
}

// Cancel implements job.Canceller.
func (b *backup) Cancel(*job.Job, bool) (force bool) {
	b.Target.CancelInFlight()
	return true
}

// Commit implements job.Committer.
func (b *backup) Commit(*job.Job) { b.finishBitmap(true) }

// Abort implements job.Aborter.
func (b *backup) Abort(*job.Job) { b.finishBitmap(false) }

// finishBitmap decides what the bitmap marks from now on.
func (b *backup) finishBitmap(success bool) {
	if b.Bitmap == nil {
		return
	}
	if b.BitmapMode == Always || b.BitmapMode == OnSuccess && success {
		b.Bitmap.Abdicate()
	} else {
		b.Bitmap.Reclaim()
	}
	if b.BitmapMode == Always && !success {
		b.copier.Do(func(left *bitmap.Map) {
			for off, n, ok := left.NextDirtyArea(0, b.length, b.length); ok; off, n, ok = left.NextDirtyArea(off+n, b.length, b.length) {
				b.Bitmap.Set(off, min(n, b.length-off))
			}
		})
	}
}

// Clean implements job.Cleaner.
func (b *backup) Clean(j *job.Job) {
	j.RemoveNodes()
	b.removeFilter(j.Graph())
}

func (b *backup) removeFilter(g *block.Graph) {
	if err := g.DropFilter(b.filter); err != nil {
		g.Messagef("%s", err)
	}
	g.Unref(b.filter)
}
