package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	"goemu/accel"
	"goemu/accel/qtest"
	"goemu/block"
	"goemu/hw/pc"
	"goemu/internal/config"
	"goemu/internal/gdbstub"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/runcmd"
	"goemu/migration"
	"goemu/target/x86"
	"goemu/ui/curses"
	"goemu/ui/textcon"
)

// run builds the machine that vm describes, runs it to its end and returns the exit status.
func run(vm *config.VM) (status int, err error) {
	if vm.Daemonize && !isDaemon() {
		return daemonize()
	}
	handleCoreSignals()
	closeLog, err := openLog(vm.Log, vm.Traces)
	if err != nil {
		return 0, err
	}
	defer closeLog()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// Go must always have a free processor for the main loop while all virtual CPUs execute.
	runtime.GOMAXPROCS(vm.SMP.MaxCPUs + max(2, runtime.NumCPU()))

	if err := setProcessName(vm.Process); err != nil {
		return 0, fmt.Errorf("Failed to set the name of the process: %s", reason(err))
	}
	if err := confine(vm); err != nil {
		return 0, err
	}
	s := &session{vm: vm}
	defer s.close()
	defer func() { err = reported(err) }() // before a client can see that the monitors close
	loop := make(chan error, 1)
	go func() { loop <- mainloop.Main.Run(ctx) }()
	defer func() { cancel(); <-loop }()
	s.exit, s.mon.ready, s.mon.ended = make(chan int, 1), make(chan struct{}), make(chan struct{})
	if err := s.open(ctx); err != nil {
		return 0, err
	}
	s.handleSignals()
	ready := func() error {
		if s.removePID, err = writePID(vm.PIDFile); err != nil {
			return err
		}
		return becomeReady(func() error { return drop(vm) })
	}
	if vm.Preconfig {
		if err := ready(); err != nil {
			return 0, err
		}
		if status, err = s.preconfigure(ctx); err != nil || s.machine == nil {
			return status, err
		}
	} else {
		if err := s.build(ctx); err != nil {
			return 0, err
		}
		if err := s.start(); err != nil {
			return 0, err
		}
		if err := ready(); err != nil {
			return 0, err
		}
	}
	s.releaseMonitors()
	select {
	case cause := <-s.machine.VM.Exit():
		if cause == mainloop.CauseGuestPanic && s.machine.VM.OnPanic == mainloop.PanicExitFailure {
			status = 1
		}
	case status = <-s.exit:
	}
	if s.migration.IncomingFailed() {
		status = 1
	}
	return status, nil
}

// start begins to execute the CPUs and, unless -S is given, the machine, or to wait for the machine that -incoming promises.
func (s *session) start() error {
	s.machine.Start()
	if s.vm.LoadVM != "" {
		s.mon.shell.Begin()
		s.mon.settle()
		if err := s.migration.LoadSnapshot(migration.Snapshot{Name: s.vm.LoadVM}); err != nil {
			return err
		}
	}
	if s.vm.Incoming != "" {
		return s.awaitMigration()
	}
	if !s.vm.Paused {
		mainloop.Lock.Lock()
		s.machine.VM.Start()
		mainloop.Lock.Unlock()
	}
	return nil
}

// session is everything that belongs to one running machine.
type session struct {
	vm        *config.VM
	typ       *pc.Type
	host      backends
	machine   *pc.Machine
	config    *pc.Config
	unmovable string // why the CPUs cannot be migrated, "" if they can
	// What the accelerator tells about itself; nil if it has nothing to tell.
	stats      func(cpu int) ([]accel.Stat, error)
	translator func(w io.Writer)
	processor  *x86.Host // that executes the guest; nil: a translator does
	numa       *numaMap
	mon        monitors
	migration  *migration.Engine
	qtest      *qtest.Server // nil without -qtest
	gdb        *gdbstub.Server
	log        *os.File        // of the conversation with it, nil for none or stderr
	curses     *curses.Display // nil without
	texts      []*textcon.Console
	removePID  func()
	exit       chan int // exit status asked for by a debug device
}

// open makes the back ends and the monitors.
func (s *session) open(ctx context.Context) (err error) {
	if s.config, err = s.machineConfig(); err != nil {
		return err
	}
	if err := s.host.open(s); err != nil {
		return err
	}
	block.StepThrottles()
	s.config.Serials, s.config.Parallels = s.host.serials, s.host.parallels
	if s.config.Floppies, err = s.floppies(); err != nil {
		return err
	}
	if err := s.chooseFirmware(); err != nil {
		return err
	}
	if err := s.readNUMA(); err != nil {
		return err
	}
	s.makeMonitors(ctx)
	if err := s.openMonitors(); err != nil {
		return err
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return s.openQTest()
}

// build makes the machine with its devices.
func (s *session) build(ctx context.Context) error {
	if err := s.chooseMemory(); err != nil {
		return err
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	m, err := pc.New(*s.config)
	if err != nil {
		return err
	}
	s.machine = m
	s.connectMigration(m)
	if s.unmovable != "" {
		if err := s.migration.AddBlocker(s.unmovable); err != nil {
			return err
		}
	}
	s.plantBackends()
	s.announceMachine()
	runcmd.Forward(m.VM, s.mon.server.Emit)
	s.mon.run.KVM = s.processor != nil
	s.mon.run.SetVM(m.VM)
	if err := s.addDevices(); err != nil {
		return err
	}
	if err := m.Ready(ctx); err != nil {
		return err
	}
	s.showTexts()
	if err := s.openVNC(ctx); err != nil {
		return err
	}
	if err := s.openCurses(ctx); err != nil {
		return err
	}
	s.checkNetwork()
	if err := s.serveGDB(s.vm.GDB); err != nil {
		return err
	}
	s.serveQTest()
	return nil
}

// close ends what build began.
func (s *session) close() {
	if s.migration != nil {
		s.migration.Close()
	}
	s.closeDisplays()
	s.quiesceMonitors()
	if s.removePID != nil {
		defer s.removePID()
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	s.closeQTest()
	s.closeGDB()
	if s.machine != nil {
		if err := s.machine.Close(); err != nil {
			warn(err.Error())
		}
	}
	s.host.closeDisks()
	s.closeMonitors()
	s.host.close()
}

// requestExit ends the emulator with a status, as a debug device wants it.
func (s *session) requestExit(status int) {
	select {
	case s.exit <- status:
	default:
	}
}

// requestQuit ends the emulator as the user wants it.
func (s *session) requestQuit() {
	if s.machine == nil {
		os.Exit(0)
	}
	s.requestExit(0)
}
