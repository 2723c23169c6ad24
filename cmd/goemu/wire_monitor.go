package main

import (
	"context"
	"fmt"
	"time"

	"goemu/internal/config"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/qmp"
	"goemu/internal/monitor/runcmd"
	"goemu/qapi"
)

// monitors are the monitors of a process and the services behind their commands.
type monitors struct {
	server *qmp.Server
	run    *runcmd.Service

	held bool // commands wait until the machine is made
}

// version is what clients are told.
var version = &qapi.VersionInfo{Qemu: &qapi.VersionTriple{Major: 7, Minor: 2, Micro: 22}, Package: "goemu"}

// makeMonitors makes the services and binds the commands to them.
func (s *session) makeMonitors(ctx context.Context) {
	m := &s.mon
	r := qapi.NewRegistry()
	m.run = runcmd.NewService()
	m.server = &qmp.Server{Registry: r, Version: version, Ready: m.run.Ready, Context: ctx}
	m.run.Name, m.run.UUID, m.run.Registry, m.run.Version, m.run.End = s.vm.Name, s.vm.UUID, r, version, s.requestQuit
	m.run.Graph = s.host.disks.Graph
	m.run.CanWake = func() bool { return s.machine.Suspends() }
	s.presetActions(&m.run.Preset)
	qapi.BindControl(r, m.run)
	qapi.BindIntrospect(r, m.run)
	qapi.BindRunState(r, m.run)
	qapi.BindMachine(r, m.run)
	qapi.BindMisc(r, m.run)
}

// presetActions applies -no-reboot, -no-shutdown, -action and -watchdog-action.
func (s *session) presetActions(a *runcmd.Actions) {
	a.Reboot, a.Shutdown = s.vm.NoReboot, s.vm.NoShutdown
	if s.vm.OnPanic != "" {
		a.Panic = mainloop.PanicAction(s.vm.OnPanic)
	}
	if s.vm.OnWatchdog != "" {
		a.Watchdog = mainloop.WatchdogAction(s.vm.OnWatchdog)
	}
}

// openMonitors opens the monitors that the command line names. Commands wait until releaseMonitors.
func (s *session) openMonitors() error {
	s.mon.server.Hold()
	s.mon.held = true
	for i, m := range s.vm.Monitors {
		if err := s.openMonitor(i, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) openMonitor(i int, m config.Monitor) error {
	if !m.Control {
		return at(m.Device.Origin, fmt.Errorf("'readline' monitors are not supported"))
	}
	id := m.Chardev
	if id == "" {
		id = fmt.Sprintf("compat_monitor%d", i)
		if _, err := s.host.chars.OpenLegacy(id, m.Device.Value, notice); err != nil {
			return at(m.Device.Origin, err)
		}
	}
	b, ok := s.host.chars.Find(id)
	if !ok {
		return at(m.Device.Origin, fmt.Errorf("chardev \"%s\" not found", id))
	}
	if _, err := s.mon.server.Open(b, m.Pretty); err != nil {
		return at(m.Device.Origin, err)
	}
	return nil
}

// releaseMonitors lets commands run.
func (s *session) releaseMonitors() {
	if s.mon.held {
		s.mon.held = false
		s.mon.server.Release()
	}
}

// flushTime is how long the end of the emulator waits for clients to take what was said to them.
const flushTime = 200 * time.Millisecond

// closeMonitors lets the last replies out.
func (s *session) closeMonitors() {
	if s.mon.server != nil {
		s.releaseMonitors()
		s.mon.server.Flush(flushTime)
	}
}

// preconfigure lets the commands of -preconfig run until x-exit-preconfig, which makes the machine. There is none if the emulator is to
// end before.
func (s *session) preconfigure(ctx context.Context) (status int, err error) {
	asked := make(chan chan error)
	s.mon.run.ExitPreconfig = func(ctx context.Context) error {
		done := make(chan error)
		select {
		case asked <- done:
			return <-done
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.releaseMonitors()
	select {
	case done := <-asked:
		if err = s.build(ctx); err == nil {
			s.start()
		}
		done <- err
		return 0, err
	case status := <-s.exit:
		return status, nil
	}
}
