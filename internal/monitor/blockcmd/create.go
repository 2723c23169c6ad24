package blockcmd

import (
	"context"

	"goemu/block"
	"goemu/block/job"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// creation is the job that makes an image.
type creation struct {
	driver *block.Driver
	graph  *block.Graph
	size   int64
	o      *block.Options
}

// BlockdevCreate implements qapi.BlockCoreCommands.
func (s *Service) BlockdevCreate(_ context.Context, a *qapi.BlockdevCreateArg) error {
	return s.locked(func() error {
		name := a.Options.Text("driver")
		d := s.Graph.FindDriver(name)
		switch {
		case d == nil:
			return block.Errorf(unix.ENOENT, "Block driver '%s' not found or not supported", name)
		case d.CreateNode == nil:
			return block.Errorf(unix.ENOTSUP, "Driver does not support blockdev-create")
		}
		c := &creation{driver: d, graph: s.Graph, o: nodeOptions(a.Options)}
		c.o.Delete("driver")
		size, err := c.o.TakeUint("size", 0)
		if err != nil {
			return err
		}
		c.size = int64(size)
		j, err := s.Jobs.New(job.Spec{ID: a.JobId, Type: string(qapi.JobTypeCreate), Flags: job.ManualDismiss}, c)
		if err != nil {
			return err
		}
		j.Start()
		return nil
	})
}

// Run implements job.Body.
func (c *creation) Run(j *job.Job) (err error) {
	j.SetRemaining(1)
	j.Locked(func() { err = c.driver.CreateNode(background(), c.graph, c.size, c.o) })
	j.Progress(1)
	return err
}
