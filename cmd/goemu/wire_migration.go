package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"goemu/hw/misc"
	"goemu/hw/pc"
	"goemu/hw/qdev"
	"goemu/hw/virtio/balloon"
	"goemu/internal/fdset"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/dumpcmd"
	"goemu/internal/monitor/migratecmd"
	"goemu/migration"
	"goemu/qapi"
	"goemu/target/x86"
	"goemu/ui"
	"goemu/ui/input"
)

// logger is an accelerator that logs what its CPUs write.
type logger interface{ Log() }

// makeMigration makes the engine and binds its commands.
func (s *session) makeMigration(r *qapi.Registry) {
	s.migration = migration.New()
	s.migration.OnlyMigratable = s.vm.OnlyMigratable
	s.migration.Hooks = migration.Hooks{
		Status: func(st migration.Status) { s.mon.server.Emit(&qapi.MigrationEvent{Status: qapi.MigrationStatus(st)}) },
		Pass:   func(n int64) { s.mon.server.Emit(&qapi.MigrationPassEvent{Pass: n}) },
		Report: report,
		Exit:   s.requestExit,
		Settle: s.mon.settleCommands,
		FreePages: func() migration.FreePages {
			if b := balloon.Active(); b != nil && b.HintsFree() {
				return b
			}
			return nil
		},
		Announce: func(p migration.Parameters) {
			a := announcements(p)
			s.host.net.Announce(&a)
		},
	}
	s.mon.net.Announcements = func() qapi.AnnounceParameters { return announcements(s.migration.Parameters()) }
	s.mon.migrate = &migratecmd.Service{Engine: s.migration, Jobs: s.mon.block.Jobs, Files: namedFile}
	qapi.BindMigration(r, s.mon.migrate)
	s.mon.dump = &dumpcmd.Service{Machine: s.dumpTarget, File: namedFile, Emit: s.mon.server.Emit, Block: s.migration.AddBlocker, Unblock: s.migration.RemoveBlocker, Warn: warn}
	qapi.BindDump(r, s.mon.dump)
}

// announcements are the rounds in which a machine tells the network where it is.
func announcements(p migration.Parameters) qapi.AnnounceParameters {
	return qapi.AnnounceParameters{Initial: int64(p.AnnounceInitial), Max: int64(p.AnnounceMax), Rounds: int64(p.AnnounceRounds), Step: int64(p.AnnounceStep)}
}

// dumpTarget is the machine for dumps of its memory.
func (s *session) dumpTarget() *dumpcmd.Target {
	m := s.machine
	t := &dumpcmd.Target{VM: m.VM, Memory: m.Memory(), CPUs: len(m.CPUs()), State: func(i int) *x86.State { return m.CPUs()[i].State() }}
	if c := misc.FindCoreInfo(m.Tree); c != nil {
		t.GuestNote = c.Note
	}
	return t
}

// namedFile takes a descriptor that a client has handed over.
func namedFile(name string) (*os.File, error) {
	fd, ok := fdset.Default.TakeNamed(name)
	if !ok {
		return nil, fmt.Errorf("File descriptor named '%s' has not been found", name)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// report prints a line for the user as QEMU's error_report does.
func report(text string) { complain(text) }

// connectMigration tells the engine of the machine. Preconditions: the machine lock is held.
func (s *session) connectMigration(m *pc.Machine) {
	e := &s.migration.M
	e.Disks = s.host.disks.TopNodes
	e.Name, e.VM, e.Graph, e.RAM, e.LoadDone, e.Dropped = s.typ.Name, m.VM, s.host.disks.Graph, m.RAM, m.LoadDone, m.Dropped
	if id, err := hex.DecodeString(strings.ReplaceAll(s.vm.UUID, "-", "")); err == nil && len(id) == 16 {
		e.UUID = id
	}
	e.Sections = func(load bool) []qdev.Section {
		if load {
			return m.LoadSections()
		}
		return m.Sections()
	}
	e.Unmigratable, e.Settle = m.Tree.Unmigratable, m.Settle
	e.Failover, m.Tree.Migrating = m.Tree, s.migration.Migrating
	m.Tree.OnlyMigratable = s.vm.OnlyMigratable
	e.Log = func() {}
	if l, ok := m.Accelerator().(logger); ok {
		e.Log = l.Log
		ui.Main.Sync = l.Log
	}
	e.CPUs = func() (out []migration.CPU) {
		for _, c := range m.CPUs() {
			out = append(out, c)
		}
		return out
	}
	input.Main.Running = func() bool { return m.VM.Running() || m.VM.State() == mainloop.StateSuspended }
	m.VM.Autostart = !s.vm.Paused
	if s.vm.Incoming != "" {
		m.VM.SetState(mainloop.StateInMigrate)
	}
}

// expectMigration makes disks inactive that are opened while a machine comes in.
func (s *session) expectMigration() {
	g := s.host.disks.Graph
	g.Lock()
	defer g.Unlock()
	g.SetInMigrate(s.vm.Incoming != "")
	g.Relaxed = s.config.Props.RelaxedResume
}

// awaitMigration begins to wait for the machine that -incoming promises.
func (s *session) awaitMigration() error {
	uri := s.vm.Incoming
	if uri == "defer" {
		return nil
	}
	if err := s.migration.Incoming(uri, nil); err != nil {
		return fmt.Errorf("-incoming %s: %w", uri, err)
	}
	return nil
}
