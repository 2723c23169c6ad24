package blockcmd

import (
	"context"

	"goemu/block"
	"goemu/block/job"
	"goemu/block/job/backup"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// DriveBackup implements qapi.BlockCoreCommands.
func (s *Service) DriveBackup(ctx context.Context, a *qapi.DriveBackup) error {
	return s.single(ctx, &qapi.TransactionAction{Type: qapi.TransactionActionKindDriveBackup, DriveBackup: &qapi.DriveBackupWrapper{Data: a}})
}

// BlockdevBackup implements qapi.BlockCoreCommands.
func (s *Service) BlockdevBackup(ctx context.Context, a *qapi.BlockdevBackup) error {
	return s.single(ctx, &qapi.TransactionAction{Type: qapi.TransactionActionKindBlockdevBackup, BlockdevBackup: &qapi.BlockdevBackupWrapper{Data: a}})
}

// begin lets a job of a transaction run with its commit.
func (st *step) begin(j *job.Job) {
	st.commit = j.Start
	st.abort = func() { _ = j.Cancel(true) }
}

func (p *preparation) blockdevBackup(st *step, a *qapi.BlockdevBackup) error {
	n, err := p.s.lookup(a.Device)
	if err != nil {
		return err
	}
	target, err := p.s.lookup(a.Target)
	if err != nil {
		return err
	}
	n.DrainBegin()
	st.clean = n.DrainEnd
	j, err := p.backupJob(common(a), n, target)
	if err == nil {
		st.begin(j)
	}
	return err
}

// common are the members that both commands for backups have.
func common(a *qapi.BlockdevBackup) *qapi.BackupCommon {
	return &qapi.BackupCommon{
		JobId: a.JobId, Device: a.Device, Sync: a.Sync, Speed: a.Speed, Bitmap: a.Bitmap, BitmapMode: a.BitmapMode, Compress: a.Compress,
		OnSourceError: a.OnSourceError, OnTargetError: a.OnTargetError, AutoFinalize: a.AutoFinalize, AutoDismiss: a.AutoDismiss,
		FilterNodeName: a.FilterNodeName, XPerf: a.XPerf,
	}
}

func (p *preparation) driveBackup(st *step, a *qapi.DriveBackup) error {
	s, g := p.s, p.s.Graph
	n, err := s.lookup(a.Device)
	if err != nil {
		return err
	}
	n.DrainBegin()
	st.clean = n.DrainEnd
	existing := deref(a.Mode, qapi.NewImageModeAbsolutePaths) == qapi.NewImageModeExisting
	format := deref(a.Format, "")
	if format == "" && !existing {
		format = n.DriverName()
	}
	if err := n.Blocked(block.OpBackupSource); err != nil {
		return err
	}
	c := &qapi.BackupCommon{
		JobId: a.JobId, Device: a.Device, Sync: a.Sync, Speed: a.Speed, Bitmap: a.Bitmap, BitmapMode: a.BitmapMode, Compress: a.Compress,
		OnSourceError: a.OnSourceError, OnTargetError: a.OnTargetError, AutoFinalize: a.AutoFinalize, AutoDismiss: a.AutoDismiss,
		FilterNodeName: a.FilterNodeName, XPerf: a.XPerf,
	}
	m := n.Mode()
	m.ReadOnly, m.CopyOnRead = false, false
	var source *block.Node
	switch a.Sync {
	case qapi.MirrorSyncModeTop:
		if source = cowBelow(n); source == nil {
			c.Sync = qapi.MirrorSyncModeFull
		}
	case qapi.MirrorSyncModeNone:
		source, m.NoBacking = n, true
	}
	if !existing {
		if err := s.createImage(p.ctx, a.Target, format, n, source.SkipImplicit()); err != nil {
			return err
		}
	}
	o := block.OptionsOf("discard", "unmap", "detect-zeroes", "unmap")
	if format != "" {
		o.Set("driver", format)
	}
	target, err := g.Open(p.ctx, a.Target, o, m)
	if err != nil {
		return err
	}
	defer g.Unref(target)
	if a.Sync == qapi.MirrorSyncModeNone {
		if err := g.SetBacking(target, source); err != nil {
			return err
		}
	}
	j, err := p.backupJob(c, n, target)
	if err == nil {
		st.begin(j)
	}
	return err
}

var backupSyncs = map[qapi.MirrorSyncMode]backup.Sync{
	qapi.MirrorSyncModeFull: backup.Full, qapi.MirrorSyncModeTop: backup.Top, qapi.MirrorSyncModeNone: backup.None, qapi.MirrorSyncModeBitmap: backup.Bitmap,
}

var bitmapModes = map[qapi.BitmapSyncMode]backup.BitmapMode{
	qapi.BitmapSyncModeOnSuccess: backup.OnSuccess, qapi.BitmapSyncModeNever: backup.Never, qapi.BitmapSyncModeAlways: backup.Always,
}

// backupJob checks what both commands have and makes the job.
func (p *preparation) backupJob(a *qapi.BackupCommon, n, target *block.Node) (*job.Job, error) {
	fail := func(format string, v ...any) (*job.Job, error) { return nil, block.Errorf(unix.EINVAL, format, v...) }
	o := backup.Options{
		ID: deref(a.JobId, ""), Source: n, Target: target, Compress: deref(a.Compress, false), Speed: deref(a.Speed, 0),
		OnSourceError: policy(a.OnSourceError), OnTargetError: policy(a.OnTargetError), FilterName: deref(a.FilterNodeName, ""),
		Flags: flags(a.AutoFinalize, a.AutoDismiss), Txn: p.txn,
	}
	if x := a.XPerf; x != nil {
		if x.MaxWorkers != nil && (*x.MaxWorkers < 1 || *x.MaxWorkers > 1<<31-1) {
			return fail("max-workers must be between 1 and %d", 1<<31-1)
		}
		if x.MaxChunk != nil && *x.MaxChunk < 0 {
			return fail("max-chunk must be zero (which means no limit) or positive")
		}
		o.Workers, o.Chunk = int(deref(x.MaxWorkers, 0)), deref(x.MaxChunk, 0)
	}
	sync, mode := a.Sync, a.BitmapMode
	if (sync == qapi.MirrorSyncModeBitmap || sync == qapi.MirrorSyncModeIncremental) && a.Bitmap == nil {
		return fail("must provide a valid bitmap name for '%s' sync mode", sync)
	}
	if sync == qapi.MirrorSyncModeIncremental {
		if mode != nil && *mode != qapi.BitmapSyncModeOnSuccess {
			return fail("Bitmap sync mode must be '%s' when using sync mode '%s'", qapi.BitmapSyncModeOnSuccess, sync)
		}
		sync, mode = qapi.MirrorSyncModeBitmap, some(qapi.BitmapSyncModeOnSuccess)
	}
	o.Sync = backupSyncs[sync]
	if a.Bitmap == nil {
		if mode != nil {
			return fail("Cannot specify bitmap sync mode without a bitmap")
		}
		return backup.New(background(), p.s.Jobs, o)
	}
	if o.Bitmap = n.FindBitmap(*a.Bitmap); o.Bitmap == nil {
		return fail("Bitmap '%s' could not be found", *a.Bitmap)
	}
	if mode == nil {
		return fail("Bitmap sync mode must be given when providing a bitmap")
	}
	if err := block.CheckBitmap(o.Bitmap, block.BitmapRead); err != nil {
		return nil, err
	}
	switch {
	case sync == qapi.MirrorSyncModeNone:
		return fail("sync mode '%s' does not produce meaningful bitmap outputs", sync)
	case *mode == qapi.BitmapSyncModeNever && sync != qapi.MirrorSyncModeBitmap:
		return fail("Bitmap sync mode '%s' has no meaningful effect when combined with sync mode '%s'", *mode, sync)
	}
	o.BitmapMode = bitmapModes[*mode]
	return backup.New(background(), p.s.Jobs, o)
}
