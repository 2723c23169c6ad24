package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"goemu/cmd/goemu/qio"
	"goemu/internal/chardev"
	"goemu/internal/cli"
	"goemu/internal/config"
	"goemu/internal/iothread"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/blockcmd"
	"goemu/internal/monitor/chardevcmd"
	"goemu/internal/monitor/dumpcmd"
	"goemu/internal/monitor/hmp"
	"goemu/internal/monitor/machinecmd"
	"goemu/internal/monitor/migratecmd"
	"goemu/internal/monitor/netcmd"
	"goemu/internal/monitor/qmp"
	"goemu/internal/monitor/qomcmd"
	"goemu/internal/monitor/runcmd"
	"goemu/internal/monitor/uicmd"
	"goemu/internal/qom"
	"goemu/qapi"
)

// monitors are the monitors of a process and the services behind their commands.
type monitors struct {
	server  *qmp.Server
	shell   *hmp.Shell
	run     *runcmd.Service
	chars   *chardevcmd.Service
	net     *netcmd.Service
	objects objectServices
	block   *blockcmd.Service
	migrate *migratecmd.Service
	dump    *dumpcmd.Service
	ui      *uicmd.Service

	held  bool          // commands wait until the machine is made
	ready chan struct{} // closed when it is
	once  sync.Once
	ended chan struct{} // closed when the disks are
}

// Names under which services with the same type name can be embedded together.
type (
	runService     = runcmd.Service
	chardevService = chardevcmd.Service
	machineService = machinecmd.Service
	uiService      = uicmd.Service
)

// version is what clients are told.
var version = &qapi.VersionInfo{Qemu: &qapi.VersionTriple{Major: 7, Minor: 2, Micro: 22}, Package: "goemu"}

// makeMonitors makes the services and binds the commands to them.
func (s *session) makeMonitors(ctx context.Context) {
	m := &s.mon
	r := qapi.NewRegistry()
	m.run = runcmd.NewService()
	m.net = &netcmd.Service{Set: s.host.net}
	m.chars = &chardevcmd.Service{Chardevs: s.host.chars}
	m.server = &qmp.Server{Registry: r, Version: version, Ready: m.run.Ready, Context: ctx}
	if s.vm.Compat != "" {
		m.server.Policy, _ = qapi.ParseCompatPolicy(s.vm.Compat) // checked by cli
		m.run.Policy = m.server.Policy
	}
	m.run.Name, m.run.UUID, m.run.Registry, m.run.Version, m.run.End = s.vm.Name, s.vm.UUID, r, version, s.requestQuit
	m.run.Graph = s.host.disks.Graph
	m.run.AwaitEnd = m.awaitEnd
	m.run.SingleStep.Store(s.vm.SingleStep)
	m.run.CanWake = func() bool { return s.machine.Suspends() }
	m.run.GDB = func(device string) error { return s.serveGDB(config.Source{Value: device}) }
	m.run.Options = optionInfos()
	m.block = s.blockService()
	m.run.BeforeRun = append(m.run.BeforeRun, m.block.BeforeRun)
	s.presetActions(&m.run.Preset)
	s.makeObjectServices()
	m.ui = s.uiService()
	s.makeMigration(r)
	s.makeShell(ctx)
	qapi.BindControl(r, m.run)
	qapi.BindIntrospect(r, m.run)
	qapi.BindRunState(r, m.run)
	o := &m.objects
	qapi.BindQom(r, o.qom)
	qapi.BindQdev(r, o.device)
	qapi.BindMachine(r, struct {
		*runService
		*machineService
	}{m.run, o.machine})
	qapi.BindMachineTarget(r, o.machine)
	qapi.BindMiscTarget(r, o.machine)
	qapi.BindPci(r, o.machine)
	qapi.BindAcpi(r, o.machine)
	qapi.BindStats(r, o.machine)
	qapi.BindVirtio(r, o.device)
	qapi.BindBlockCore(r, m.block)
	qapi.BindBlock(r, m.block)
	qapi.BindBlockExport(r, m.block)
	qapi.BindJob(r, m.block)
	qapi.BindTransaction(r, m.block)
	qapi.BindMisc(r, struct {
		*runService
		*chardevService
		*hmp.Shell
		*machineService
		*uiService
	}{m.run, m.chars, m.shell, o.machine, m.ui})
	s.host.net.Emit = m.server.Emit
	qapi.BindNet(r, m.net)
	qapi.BindChar(r, m.chars)
	qapi.BindUi(r, m.ui)
	qapi.BindTrace(r, m.run)
	qapi.BindYank(r, m.chars)
}

// blockService makes the service of the commands about disks.
func (s *session) blockService() *blockcmd.Service {
	io := qio.NewMonitor(s.host.disks.Graph, s.mon.settle)
	return blockcmd.New(blockcmd.Config{
		Settle:   s.mon.settle,
		NoDevice: s.noDevice,
		IO:       io.Run, DefaultBus: "ide",
		VNCPassword: func(ctx context.Context, password string) error {
			return s.mon.ui.ChangeVncPassword(ctx, &qapi.ChangeVncPasswordArg{Password: password})
		},
		IOThread: func(id string) bool { _, ok := s.host.objects.Find(id).(*iothread.Thread); return ok },
		Drives:   s.host.disks, Loop: s.mon.server.InBand(), Emit: s.mon.server.Emit, Out: os.Stdout,
		Report: complain,
	})
}

// noDevice is the error for an identifier or a path that is no device. Preconditions: the machine lock is held.
func (s *session) noDevice(id string) error {
	if s.machine == nil {
		return qomcmd.Error(qom.NotFound{Path: id})
	}
	_, err := s.machine.Tree.FindDevice(id)
	return qomcmd.Error(err)
}

// makeShell makes the monitor for people of the services' commands.
func (s *session) makeShell(ctx context.Context) {
	m := &s.mon
	var commands, info []*hmp.Command
	for _, service := range []interface {
		HMP() (commands, info []*hmp.Command)
	}{m.run, m.chars, m.block, m.objects.machine, m.objects.device, m.objects.qom, m.migrate, m.dump, m.ui, m.net} {
		c, i := service.HMP()
		commands, info = append(commands, c...), append(info, i...)
	}
	m.shell = hmp.NewShell(commands, info)
	m.shell.Version, m.shell.Ready, m.shell.Exclusive, m.shell.Context = compatVersion, m.run.Ready, m.server.Exclusive, ctx
	m.shell.LogItems = strings.Replace(logHelp(), "\n", "\nnone            remove all logs\n", 1) + "trace:PATTERN   enable trace events\n\n"
	m.shell.Register = s.mon.objects.machine.Register
	m.shell.HasCPU = func(index int64) bool { return s.mon.objects.target == nil || s.mon.objects.target.HasCPU(index) }
	m.shell.BlockDevices = func() (names []string) {
		s.host.disks.Graph.Lock()
		defer s.host.disks.Graph.Unlock()
		for _, b := range s.host.disks.Graph.Backends() {
			if b.Name() != "" {
				names = append(names, b.Name())
			}
		}
		return names
	}
}

// optionInfos describes the command line to clients.
func optionInfos() (list []*qapi.CommandLineOptionInfo) {
	for _, g := range cli.Groups() {
		info := &qapi.CommandLineOptionInfo{Option: g.Name}
		for _, p := range g.Parameters {
			i := &qapi.CommandLineParameterInfo{Name: p.Name, Type: qapi.CommandLineParameterType(p.Type)}
			if p.Help != "" {
				i.Help = &p.Help
			}
			if p.Default != "" {
				i.Default = &p.Default
			}
			info.Parameters = append(info.Parameters, i)
		}
		list = append(list, info)
	}
	return list
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
	for _, b := range s.host.shared {
		if err := s.mon.shell.Open(b); err != nil {
			return err
		}
	}
	list := s.vm.Monitors
	if s.vm.Nographic && s.defaultMonitor() && len(s.vm.Serials) > 0 {
		list = append(list, config.Monitor{Device: config.Source{Value: "stdio", Origin: "-nographic"}})
	}
	if !s.vm.Nographic && s.defaultMonitor() {
		list = append(list, config.Monitor{Device: config.Source{Value: textConsole, Origin: "-display"}})
	}
	for i, m := range list {
		if err := s.openMonitor(i, m); err != nil {
			return err
		}
	}
	return nil
}

// defaultMonitor tells whether there is a monitor that nobody asked for.
func (s *session) defaultMonitor() bool {
	return !s.vm.NoDefaults && !s.vm.NoMonitor && len(s.vm.Monitors) == 0
}

func (s *session) openMonitor(i int, m config.Monitor) error {
	id := m.Chardev
	if id == "" {
		id = fmt.Sprintf("compat_monitor%d", i)
		if err := s.openMonitorDevice(id, m.Device); err != nil {
			return err
		}
	}
	b, ok := s.host.chars.Find(id)
	if !ok {
		return at(m.Device.Origin, fmt.Errorf("chardev \"%s\" not found", id))
	}
	if !m.Control {
		return at(m.Device.Origin, s.mon.shell.Open(b))
	}
	_, err := s.mon.server.Open(b, m.Pretty)
	return at(m.Device.Origin, err)
}

// openMonitorDevice opens what the option of a monitor names. A line about the whole option follows that about an unknown driver.
func (s *session) openMonitorDevice(id string, src config.Source) error {
	b, err := s.host.chars.OpenLegacy(src.Origin, id, src.Value)
	unknown := fmt.Errorf("'%s' is not a valid char driver", src.Value)
	switch {
	case err == nil && b != nil:
		return nil
	case errors.Is(err, chardev.ErrNotFound):
		return at(src.Origin, fmt.Errorf("chardev \"%s\" not found", strings.TrimPrefix(src.Value, "chardev:")))
	case err == nil || err.Error() == unknown.Error():
		return fmt.Errorf("%w\n%s: %w", at(src.Origin, unknown), progName(), at(src.Origin, errors.New("parse error: "+src.Value)))
	}
	return at(src.Origin, err)
}

// releaseMonitors lets commands run.
func (s *session) releaseMonitors() {
	s.mon.once.Do(func() { close(s.mon.ready) })
	if s.mon.held {
		s.mon.held = false
		s.mon.shell.Begin()
		s.mon.server.Release()
	}
}

// flushTime is how long the end of the emulator waits for clients to take what was said to them.
const flushTime = 200 * time.Millisecond

// settle waits a little until clients have taken what they were told so far.
func (m *monitors) settle() {
	m.server.Settle(flushTime)
	m.shell.Settle(flushTime)
}

// settleCommands waits a little until commands that were given before have been carried out; some may still be on their way here.
func (m *monitors) settleCommands() {
	const quiet, step = 20, time.Millisecond
	for end, n := time.Now().Add(flushTime), 0; n < quiet && time.Now().Before(end); n++ {
		if time.Sleep(step); !m.server.Idle() || !m.shell.Idle() {
			n = 0
		}
	}
}

// awaitEnd is called by a command in band that is answered when the disks are closed.
func (m *monitors) awaitEnd() {
	m.server.Release()
	defer m.server.Hold()
	<-m.ended
}

// quiesceMonitors ends what commands have begun. If none was let through yet, because there is no machine, none will be.
func (s *session) quiesceMonitors() {
	s.mon.once.Do(func() { close(s.mon.ready) })
	if s.mon.server != nil && !s.mon.held {
		s.mon.block.Close()
	}
}

// closeMonitors lets the last replies out.
func (s *session) closeMonitors() {
	close(s.mon.ended)
	if s.mon.server != nil {
		s.mon.server.Flush(flushTime)
		s.mon.shell.Settle(flushTime)
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
			err = s.start()
		}
		done <- err
		return 0, err
	case status := <-s.exit:
		return status, nil
	}
}
