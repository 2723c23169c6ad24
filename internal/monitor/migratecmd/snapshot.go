package migratecmd

import (
	"context"
	"fmt"
	"slices"

	"goemu/block"
	"goemu/block/img"
	"goemu/block/job"
	"goemu/internal/monitor/hmp"
	"goemu/internal/tool"
	"goemu/migration"
	"goemu/qapi"
)

// snapshotJob is a job that does one thing with a snapshot.
type snapshotJob func() error

// Run implements job.Body.
func (do snapshotJob) Run(j *job.Job) (err error) {
	j.SetRemaining(1)
	j.InBand(func() { err = do() })
	j.Progress(1)
	return err
}

func (s *Service) startSnapshot(id string, kind qapi.JobType, do snapshotJob) error {
	g := s.Engine.M.Graph
	g.Lock()
	defer g.Unlock()
	j, err := s.Jobs.New(job.Spec{ID: id, Type: string(kind), Flags: job.ManualDismiss}, do)
	if err == nil {
		j.Start()
	}
	return err
}

// devices are the nodes that a command names: an empty list is not the same as none.
func devices(list []string) []string { return append([]string{}, list...) }

// SnapshotSave implements qapi.MigrationCommands.
func (s *Service) SnapshotSave(_ context.Context, a *qapi.SnapshotSaveArg) error {
	return s.startSnapshot(a.JobId, qapi.JobTypeSnapshotSave, func() error {
		return s.Engine.SaveSnapshot(migration.Snapshot{Name: a.Tag, State: a.Vmstate, Devices: devices(a.Devices)})
	})
}

// SnapshotLoad implements qapi.MigrationCommands.
func (s *Service) SnapshotLoad(_ context.Context, a *qapi.SnapshotLoadArg) error {
	return s.startSnapshot(a.JobId, qapi.JobTypeSnapshotLoad, func() error {
		return s.Engine.RestoreSnapshot(migration.Snapshot{Name: a.Tag, State: a.Vmstate, Devices: devices(a.Devices)})
	})
}

// SnapshotDelete implements qapi.MigrationCommands.
func (s *Service) SnapshotDelete(_ context.Context, a *qapi.SnapshotDeleteArg) error {
	return s.startSnapshot(a.JobId, qapi.JobTypeSnapshotDelete, func() error {
		return s.Engine.DeleteSnapshot(migration.Snapshot{Name: a.Tag, Devices: devices(a.Devices)})
	})
}

// snapshotCommands are the commands for people about snapshots, and those of info.
func (s *Service) snapshotCommands() (commands, info []*hmp.Command) {
	commands = []*hmp.Command{
		{Name: "savevm", Args: "name:s?", Params: "tag", Help: "save a VM snapshot. If no tag is provided, a new snapshot is created", Run: func(_ *hmp.Monitor, a *hmp.Args) error {
			return s.Engine.SaveSnapshot(migration.Snapshot{Name: a.Text("name"), Overwrite: true})
		}},
		{Name: "loadvm", Args: "name:s", Params: "tag", Help: "restore a VM snapshot from its tag", Complete: s.snapshotNames, Run: func(m *hmp.Monitor, a *hmp.Args) error {
			return s.Engine.RestoreSnapshot(migration.Snapshot{Name: a.Text("name"), Report: func(text string) { m.Printf("%s\n", text) }})
		}},
		{Name: "delvm", Args: "name:s", Params: "tag", Help: "delete a VM snapshot from its tag", Complete: s.snapshotNames, Run: func(_ *hmp.Monitor, a *hmp.Args) error {
			return s.Engine.DeleteSnapshot(migration.Snapshot{Name: a.Text("name")})
		}},
	}
	return commands, []*hmp.Command{{Name: "snapshots", Help: "show the currently saved VM snapshots", Run: s.hmpInfoSnapshots}}
}

// snapshotNames completes the name of a snapshot.
func (s *Service) snapshotNames(_ *hmp.Monitor, words []string) (names []string) {
	if len(words) != 2 {
		return nil
	}
	g := s.Engine.M.Graph
	g.Lock()
	defer g.Unlock()
	for _, n := range s.Engine.M.Disks() {
		list, _ := img.Snapshots(n)
		for _, x := range list {
			if !slices.Contains(names, x.Name) {
				names = append(names, x.Name)
			}
		}
	}
	return names
}

// hmpInfoSnapshots lists the snapshots that all disks have, then those that only some have.
func (s *Service) hmpInfoSnapshots(m *hmp.Monitor, _ *hmp.Args) error {
	g := s.Engine.M.Graph
	g.Lock()
	defer g.Unlock()
	top := s.Engine.M.Disks()
	set := img.AllDisks(top)
	state, err := set.StateNode("")
	if err != nil {
		m.Printf("%s\n", err)
		return nil
	}
	list, err := img.Snapshots(state)
	if err != nil {
		m.Printf("bdrv_snapshot_list: error -%d\n", int(block.Errno(err)))
		return nil
	}
	common := list[:0:0]
	for _, x := range list {
		if has, err := set.Has(x.Name); err == nil && has {
			x.ID = "--" // it may be another one on each disk
			common = append(common, x)
		}
	}
	found := false
	var partial []func()
	for _, n := range top {
		if !img.CanSnapshot(n) {
			continue
		}
		own, _ := img.Snapshots(n)
		found = found || len(own) > 0
		own = slices.DeleteFunc(own, func(x block.Snapshot) bool {
			return slices.ContainsFunc(common, func(c block.Snapshot) bool { return c.Name == x.Name })
		})
		if len(own) > 0 {
			partial = append(partial, func() {
				m.Printf("\nList of partial (non-loadable) snapshots on '%s':\n", n.DeviceName())
				printSnapshots(m, own)
			})
		}
	}
	if !found {
		m.Printf("There is no snapshot available.\n")
		return nil
	}
	m.Printf("List of snapshots present on all disks:\n")
	if len(common) > 0 {
		printSnapshots(m, common)
	} else {
		m.Printf("None\n")
	}
	for _, f := range partial {
		f()
	}
	return nil
}

func printSnapshots(m *hmp.Monitor, list []block.Snapshot) {
	fmt.Fprintln(m, tool.SnapshotHeader)
	for _, x := range list {
		fmt.Fprintln(m, tool.SnapshotLine(&x))
	}
}
