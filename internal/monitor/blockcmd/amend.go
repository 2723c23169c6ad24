package blockcmd

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/job"
	"goemu/qapi"
)

// amending is the job that changes options of an image, which are passwords so far.
type amending struct {
	graph *block.Graph
	node  *block.Node // a reference is held
	o     *block.Options
	force bool
}

// XBlockdevAmend implements qapi.BlockCoreCommands.
func (s *Service) XBlockdevAmend(_ context.Context, a *qapi.XBlockdevAmendArg) error {
	return s.locked(func() error {
		n, err := s.Graph.Lookup("", a.NodeName)
		if err != nil {
			return err
		}
		d := s.Graph.FindDriver(a.Options.Text("driver"))
		switch _, can := n.State().(block.Amender); {
		case d == nil:
			return block.Errorf(unix.ENOENT, "Block driver '%s' not found or not supported", a.Options.Text("driver"))
		case n.Driver() != d:
			return block.Errorf(unix.EINVAL, "x-blockdev-amend doesn't support changing the block driver")
		case !can:
			return block.Errorf(unix.ENOTSUP, "Driver does not support x-blockdev-amend")
		}
		guard, guarded := n.State().(block.AmendBracketer)
		if guarded {
			if err := guard.AmendBegin(); err != nil {
				return err
			}
		}
		j, err := s.Jobs.New(job.Spec{ID: a.JobId, Type: string(qapi.JobTypeAmend), Flags: job.ManualDismiss},
			&amending{graph: s.Graph, node: n, o: amendOptions(a.Options), force: deref(a.Force, false)})
		if err != nil {
			if guarded {
				_ = guard.AmendEnd()
			}
			return err
		}
		s.Graph.Ref(n)
		j.Start()
		return nil
	})
}

// amendOptions are the options as drivers take them.
func amendOptions(a *qapi.Object) *block.Options {
	o := nodeOptions(a)
	o.Delete("driver")
	o.Delete("encrypt.format")
	return o
}

// Run implements job.Body.
func (a *amending) Run(j *job.Job) error {
	j.SetRemaining(1)
	err := a.node.State().(block.Amender).Amend(background(), a.o, a.force, nil)
	j.Progress(1)
	j.Locked(func() {
		if guard, ok := a.node.State().(block.AmendBracketer); ok {
			if e := guard.AmendEnd(); err == nil {
				err = e
			}
		}
		a.graph.Unref(a.node)
	})
	return err
}
