package main

import (
	"context"
	"os"
	"runtime"

	"goemu/accel/qtest"
	"goemu/hw/pc"
	"goemu/internal/config"
	"goemu/internal/mainloop"
)

// run builds the machine that vm describes, runs it to its end and returns the exit status.
func run(vm *config.VM) (status int, err error) {
	if vm.Daemonize && !isDaemon() {
		return daemonize()
	}
	closeLog, err := openLog(vm.Log)
	if err != nil {
		return 0, err
	}
	defer closeLog()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// Go must always have a free processor for the main loop while all virtual CPUs execute.
	runtime.GOMAXPROCS(vm.SMP.MaxCPUs + max(2, runtime.NumCPU()))

	s := &session{vm: vm}
	defer s.close()
	loop := make(chan error, 1)
	go func() { loop <- mainloop.Main.Run(ctx) }()
	defer func() { cancel(); <-loop }()
	if err := s.build(ctx); err != nil {
		return 0, err
	}
	stopSignals := s.handleSignals()
	defer stopSignals()
	removePID, err := writePID(vm.PIDFile)
	if err != nil {
		return 0, err
	}
	defer removePID()
	if err := reportReady(); err != nil {
		return 0, err
	}
	s.machine.Start()
	if !vm.Paused {
		mainloop.Lock.Lock()
		s.machine.VM.Start()
		mainloop.Lock.Unlock()
	}
	select {
	case <-s.machine.VM.Exit():
		return 0, nil
	case status = <-s.exit:
		return status, nil
	}
}

// session is everything that belongs to one running machine.
type session struct {
	vm      *config.VM
	typ     *pc.Type
	host    backends
	machine *pc.Machine
	qtest   *qtest.Server // nil without -qtest
	log     *os.File      // of the conversation with it, nil for none or stderr
	exit    chan int      // exit status asked for by a debug device
}

// build makes the back ends and the machine with its devices.
func (s *session) build(ctx context.Context) error {
	s.exit = make(chan int, 1)
	mc, err := s.machineConfig()
	if err != nil {
		return err
	}
	if err := s.host.open(s); err != nil {
		return err
	}
	mc.Serials = s.host.serials
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if s.machine, err = pc.New(*mc); err != nil {
		return err
	}
	s.plantBackends()
	vm := s.machine.VM
	vm.NoReboot, vm.NoShutdown = s.vm.NoReboot, s.vm.NoShutdown
	if err := s.addDevices(); err != nil {
		return err
	}
	if err := s.machine.Ready(ctx); err != nil {
		return err
	}
	return s.serveQTest()
}

// close ends what build began.
func (s *session) close() {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	s.closeQTest()
	if s.machine != nil {
		if err := s.machine.Close(); err != nil {
			warn(err.Error())
		}
	}
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
