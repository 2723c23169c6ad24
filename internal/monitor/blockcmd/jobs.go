package blockcmd

import (
	"context"

	"goemu/block"
	"goemu/block/job"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// jobEvent turns what happened to a job into an event.
func (s *Service) jobEvent(r job.Report) {
	i := &r.Job
	kind := qapi.JobType(i.Type)
	switch r.Event {
	case job.EventStatus:
		s.Emit(&qapi.JobStatusChangeEvent{Id: i.ID, Status: qapi.JobStatus(i.Status.String())})
	case job.EventReady:
		s.Emit(&qapi.BlockJobReadyEvent{Type: kind, Device: i.ID, Len: i.Len, Offset: i.Offset, Speed: i.Speed})
	case job.EventPending:
		s.Emit(&qapi.BlockJobPendingEvent{Type: kind, Id: i.ID})
	case job.EventCancelled:
		s.Emit(&qapi.BlockJobCancelledEvent{Type: kind, Device: i.ID, Len: i.Len, Offset: i.Offset, Speed: i.Speed})
	case job.EventCompleted:
		e := &qapi.BlockJobCompletedEvent{Type: kind, Device: i.ID, Len: i.Len, Offset: i.Offset, Speed: i.Speed}
		if i.Error != "" {
			e.Error = &i.Error
		}
		s.Emit(e)
	case job.EventError:
		s.Emit(&qapi.BlockJobErrorEvent{Device: i.ID, Operation: qapi.IoOperationType(r.Operation), Action: qapi.BlockErrorAction(r.Action)})
	}
}

// blockJob finds a job that works on nodes.
func (s *Service) blockJob(id string) (*job.Job, error) {
	if j := s.Jobs.Find(id); j != nil && j.Info().BlockJob {
		return j, nil
	}
	return nil, &qapi.Error{Class: qapi.QapiErrorClassDeviceNotActive, Desc: "Block job '" + id + "' not found"}
}

// onBlockJob does something with a job that works on nodes.
func (s *Service) onBlockJob(id string, f func(*job.Job) error) error {
	return s.locked(func() error {
		j, err := s.blockJob(id)
		if err != nil {
			return err
		}
		return f(j)
	})
}

// onJob does something with any job.
func (s *Service) onJob(id string, f func(*job.Job) error) error {
	return s.locked(func() error {
		j := s.Jobs.Find(id)
		if j == nil {
			return block.Errorf(unix.ENOENT, "Job not found")
		}
		return f(j)
	})
}

// QueryBlockJobs implements qapi.BlockCoreCommands.
func (s *Service) QueryBlockJobs(context.Context) ([]*qapi.BlockJobInfo, error) {
	list := []*qapi.BlockJobInfo{}
	for _, i := range s.Jobs.Infos() {
		if !i.BlockJob {
			continue
		}
		b := &qapi.BlockJobInfo{
			Type: i.Type, Device: i.ID, Len: i.Len, Offset: i.Offset, Busy: i.Busy, Paused: i.Paused, Speed: i.Speed,
			IoStatus: qapi.BlockDeviceIoStatus(i.IOStatus), Ready: i.Ready, Status: qapi.JobStatus(i.Status.String()),
			AutoFinalize: i.AutoFinalize, AutoDismiss: i.AutoDismiss,
		}
		if i.Error != "" {
			b.Error = &i.Error
		}
		list = append(list, b)
	}
	return list, nil
}

// QueryJobs implements qapi.JobCommands.
func (s *Service) QueryJobs(context.Context) ([]*qapi.JobInfo, error) {
	list := []*qapi.JobInfo{}
	for _, i := range s.Jobs.Infos() {
		b := &qapi.JobInfo{Id: i.ID, Type: qapi.JobType(i.Type), Status: qapi.JobStatus(i.Status.String()), CurrentProgress: i.Offset, TotalProgress: i.Len}
		if i.Error != "" {
			b.Error = &i.Error
		}
		list = append(list, b)
	}
	return list, nil
}

// BlockJobSetSpeed implements qapi.BlockCoreCommands.
func (s *Service) BlockJobSetSpeed(_ context.Context, a *qapi.BlockJobSetSpeedArg) error {
	return s.onBlockJob(a.Device, func(j *job.Job) error { return j.SetSpeed(a.Speed) })
}

// BlockJobCancel implements qapi.BlockCoreCommands.
func (s *Service) BlockJobCancel(_ context.Context, a *qapi.BlockJobCancelArg) error {
	return s.onBlockJob(a.Device, func(j *job.Job) error {
		force := deref(a.Force, false)
		if j.UserPaused() && !force {
			return block.Errorf(unix.EBUSY, "The block job for device '%s' is currently paused", a.Device)
		}
		return j.Cancel(force)
	})
}

// BlockJobPause implements qapi.BlockCoreCommands.
func (s *Service) BlockJobPause(_ context.Context, a *qapi.BlockJobPauseArg) error {
	return s.onBlockJob(a.Device, (*job.Job).Pause)
}

// BlockJobResume implements qapi.BlockCoreCommands.
func (s *Service) BlockJobResume(_ context.Context, a *qapi.BlockJobResumeArg) error {
	return s.onBlockJob(a.Device, (*job.Job).Resume)
}

// BlockJobComplete implements qapi.BlockCoreCommands.
func (s *Service) BlockJobComplete(_ context.Context, a *qapi.BlockJobCompleteArg) error {
	return s.onBlockJob(a.Device, (*job.Job).Complete)
}

// BlockJobFinalize implements qapi.BlockCoreCommands.
func (s *Service) BlockJobFinalize(_ context.Context, a *qapi.BlockJobFinalizeArg) error {
	return s.onBlockJob(a.Id, (*job.Job).Finalize)
}

// BlockJobDismiss implements qapi.BlockCoreCommands.
func (s *Service) BlockJobDismiss(_ context.Context, a *qapi.BlockJobDismissArg) error {
	return s.onBlockJob(a.Id, (*job.Job).Dismiss)
}

// JobPause implements qapi.JobCommands.
func (s *Service) JobPause(_ context.Context, a *qapi.JobPauseArg) error {
	return s.onJob(a.Id, (*job.Job).Pause)
}

// JobResume implements qapi.JobCommands.
func (s *Service) JobResume(_ context.Context, a *qapi.JobResumeArg) error {
	return s.onJob(a.Id, (*job.Job).Resume)
}

// JobCancel implements qapi.JobCommands.
func (s *Service) JobCancel(_ context.Context, a *qapi.JobCancelArg) error {
	return s.onJob(a.Id, func(j *job.Job) error { return j.Cancel(true) })
}

// JobComplete implements qapi.JobCommands.
func (s *Service) JobComplete(_ context.Context, a *qapi.JobCompleteArg) error {
	return s.onJob(a.Id, (*job.Job).Complete)
}

// JobFinalize implements qapi.JobCommands.
func (s *Service) JobFinalize(_ context.Context, a *qapi.JobFinalizeArg) error {
	return s.onJob(a.Id, (*job.Job).Finalize)
}

// JobDismiss implements qapi.JobCommands.
func (s *Service) JobDismiss(_ context.Context, a *qapi.JobDismissArg) error {
	return s.onJob(a.Id, (*job.Job).Dismiss)
}
