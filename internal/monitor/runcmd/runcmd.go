// Package runcmd has the commands about the run of the machine as a whole: start and stop, reset, power, what happens when the guest
// reboots or crashes, names. It hands what the machine does to clients as events.
package runcmd

import (
	"context"
	"sync/atomic"

	"goemu/block"
	"goemu/internal/mainloop"
	"goemu/qapi"
)

// Service carries the commands out.
type Service struct {
	Name, UUID string
	Graph      *block.Graph
	Registry   *qapi.Registry
	Policy     *qapi.CompatPolicy // nil if everything may be used
	Version    *qapi.VersionInfo
	// Options are the command line options with parameters.
	Options []*qapi.CommandLineOptionInfo
	// End ends the emulator when there is no machine to shut down.
	End func()
	// AwaitEnd, if set, is called by quit when the machine is about to end, and returns when its disks are closed: what they tell of that
	// comes before the answer.
	AwaitEnd func()
	// ExitPreconfig makes the machine; nil if it is made already.
	ExitPreconfig func(context.Context) error
	// CanWake tells whether the machine can be woken up.
	CanWake func() bool
	// Obstacles are asked before the machine runs: one that returns an error keeps it from running.
	Obstacles []func() error
	// BeforeRun is called before the machine runs.
	BeforeRun []func()
	// Preset holds actions set before there is a machine.
	Preset Actions

	// SingleStep tells whether each instruction is translated on its own; SetSingleStep, if not nil, follows its changes.
	SingleStep    atomic.Bool
	SetSingleStep func(bool)
	// GDB makes gdb's server wait on a device, or end for "none"; called under the machine lock.
	GDB func(device string) error

	// KVM tells whether the host's processor executes the guest.
	KVM bool

	vm atomic.Pointer[mainloop.VM]
}

// Actions are what is done when something happens to the guest.
type Actions struct {
	Reboot, Shutdown bool // reboot shuts down, shutdown pauses
	Panic            mainloop.PanicAction
	Watchdog         mainloop.WatchdogAction
}

// NewService returns a service with QEMU's default actions.
func NewService() *Service {
	return &Service{Preset: Actions{Panic: mainloop.PanicShutdown, Watchdog: mainloop.WatchdogReset}}
}

// SetVM tells the service of the machine. Preconditions: the machine lock is held.
func (s *Service) SetVM(vm *mainloop.VM) {
	vm.NoReboot, vm.NoShutdown, vm.OnPanic, vm.OnWatchdog = s.Preset.Reboot, s.Preset.Shutdown, s.Preset.Panic, s.Preset.Watchdog
	s.vm.Store(vm)
}

// Ready tells whether there is a machine.
func (s *Service) Ready() bool { return s.vm.Load() != nil }

// settle waits until the main loop has served what was asked of it so far.
func settle(ctx context.Context) {
	done := make(chan struct{})
	mainloop.Post(func() { close(done) })
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// QueryVersion implements qapi.ControlCommands.
func (s *Service) QueryVersion(context.Context) (*qapi.VersionInfo, error) { return s.Version, nil }

// QmpCapabilities implements qapi.ControlCommands; sessions see to the negotiation themselves.
func (s *Service) QmpCapabilities(context.Context, *qapi.QmpCapabilitiesArg) error {
	return &qapi.Error{Class: qapi.QapiErrorClassCommandNotFound, Desc: "Capabilities negotiation is already complete, command ignored"}
}

// QueryCommands implements qapi.ControlCommands.
func (s *Service) QueryCommands(context.Context) (list []*qapi.CommandInfo, err error) {
	for c := range s.Registry.All() {
		list = append(list, &qapi.CommandInfo{Name: c.Name})
	}
	return list, nil
}

// Quit implements qapi.ControlCommands: it ends the emulator whatever the action for a shutdown is.
func (s *Service) Quit(ctx context.Context) error {
	vm := s.vm.Load()
	if vm == nil {
		s.End()
		return nil
	}
	mainloop.Lock.Lock()
	vm.NoShutdown = false
	vm.RequestShutdown(mainloop.CauseHostQMPQuit)
	mainloop.Lock.Unlock()
	settle(ctx)
	if s.AwaitEnd != nil {
		s.AwaitEnd()
	}
	return nil
}

// QueryQmpSchema implements qapi.IntrospectCommands.
func (s *Service) QueryQmpSchema(context.Context) (any, error) { return s.Policy.Introspect(), nil }

// QueryStatus implements qapi.RunStateCommands.
func (s *Service) QueryStatus(context.Context) (*qapi.StatusInfo, error) {
	info := &qapi.StatusInfo{Status: qapi.RunStatePrelaunch, Singlestep: s.SingleStep.Load()}
	if vm := s.vm.Load(); vm != nil {
		state := vm.State()
		info.Status, info.Running = qapi.RunState(state), state == mainloop.StateRunning
	}
	return info, nil
}

// WatchdogSetAction implements qapi.RunStateCommands.
func (s *Service) WatchdogSetAction(ctx context.Context, arg *qapi.WatchdogSetActionArg) error {
	return s.SetAction(ctx, &qapi.SetActionArg{Watchdog: &arg.Action})
}

// SetAction implements qapi.RunStateCommands.
func (s *Service) SetAction(_ context.Context, arg *qapi.SetActionArg) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	a := &s.Preset
	if arg.Reboot != nil {
		a.Reboot = *arg.Reboot == qapi.RebootActionShutdown
	}
	if arg.Panic != nil {
		a.Panic = mainloop.PanicAction(*arg.Panic)
	}
	if arg.Watchdog != nil {
		a.Watchdog = mainloop.WatchdogAction(*arg.Watchdog)
	}
	if arg.Shutdown != nil {
		a.Shutdown = *arg.Shutdown == qapi.ShutdownActionPause
	}
	if vm := s.vm.Load(); vm != nil {
		s.SetVM(vm)
	}
	return nil
}

// QueryName implements qapi.MiscCommands.
func (s *Service) QueryName(context.Context) (*qapi.NameInfo, error) {
	if s.Name == "" {
		return &qapi.NameInfo{}, nil
	}
	return &qapi.NameInfo{Name: &s.Name}, nil
}

// zeroUUID is the UUID of a machine that was given none.
const zeroUUID = "00000000-0000-0000-0000-000000000000"

// QueryUuid implements qapi.MachineCommands.
func (s *Service) QueryUuid(context.Context) (*qapi.UuidInfo, error) {
	if s.UUID == "" {
		return &qapi.UuidInfo{UUID: zeroUUID}, nil
	}
	return &qapi.UuidInfo{UUID: s.UUID}, nil
}

// QueryKvm implements qapi.MachineCommands.
func (s *Service) QueryKvm(context.Context) (*qapi.KvmInfo, error) {
	return &qapi.KvmInfo{Enabled: s.KVM, Present: true}, nil
}

// XExitPreconfig implements qapi.MiscCommands.
func (s *Service) XExitPreconfig(ctx context.Context) error {
	if s.Ready() || s.ExitPreconfig == nil {
		return qapi.Errorf("The command is permitted only before machine initialization")
	}
	return s.ExitPreconfig(ctx)
}

// SystemReset implements qapi.MachineCommands.
func (s *Service) SystemReset(ctx context.Context) error {
	s.vm.Load().RequestReset(mainloop.CauseHostSystemReset)
	settle(ctx)
	return nil
}

// SystemPowerdown implements qapi.MachineCommands.
func (s *Service) SystemPowerdown(ctx context.Context) error {
	s.vm.Load().RequestPowerdown()
	settle(ctx)
	return nil
}

// SystemWakeup implements qapi.MachineCommands.
func (s *Service) SystemWakeup(ctx context.Context) error {
	vm := s.vm.Load()
	switch {
	case s.CanWake != nil && !s.CanWake():
		return qapi.Errorf("wake-up from suspend is not supported by this guest")
	case vm.State() != mainloop.StateSuspended:
		return qapi.Errorf("Unable to wake up: guest is not in suspended state")
	}
	vm.RequestWakeup()
	settle(ctx)
	return nil
}

// Stop implements qapi.MiscCommands.
func (s *Service) Stop(ctx context.Context) error {
	vm := s.vm.Load()
	mainloop.Lock.Lock()
	if vm.State() == mainloop.StateInMigrate {
		vm.Autostart = false
		mainloop.Lock.Unlock()
		return nil
	}
	vm.Stop(mainloop.StatePaused)
	mainloop.Lock.Unlock()
	s.writeOut(ctx)
	return nil
}

// writeOut brings what guests have written to the images.
func (s *Service) writeOut(ctx context.Context) {
	if s.Graph == nil {
		return
	}
	s.Graph.Lock()
	defer s.Graph.Unlock()
	s.Graph.DrainAll()
	for _, b := range s.Graph.Backends() {
		if b.Node() != nil {
			_ = b.Flush(ctx) // devices report failures of their own flushes
		}
	}
}

// Cont implements qapi.MiscCommands. The images must be this process's own and the rights of guest devices applied before the machine
// runs; otherwise it stays as it is and the client may try again.
func (s *Service) Cont(ctx context.Context) error {
	for _, f := range s.Obstacles {
		if err := f(); err != nil {
			return err
		}
	}
	vm := s.vm.Load()
	switch vm.State() {
	case mainloop.StateInternalError, mainloop.StateShutdown:
		return qapi.Errorf("Resetting the Virtual Machine is required")
	case mainloop.StateSuspended:
		return nil
	case mainloop.StateFinishMigrate:
		return qapi.Errorf("Migration is not finalized yet")
	}
	for _, f := range s.BeforeRun {
		f()
	}
	incoming := vm.State() == mainloop.StateInMigrate
	if err := s.activate(ctx, incoming); err != nil {
		return err
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if incoming && vm.State() == mainloop.StateInMigrate {
		vm.Autostart = true
		return nil
	}
	vm.Start()
	return nil
}

// activate makes the images this process's own. For a machine that is still coming in it only finds out whether that will succeed.
func (s *Service) activate(ctx context.Context, incoming bool) error {
	if s.Graph == nil {
		return nil
	}
	s.Graph.Lock()
	defer s.Graph.Unlock()
	if incoming {
		return s.Graph.CheckResume(ctx)
	}
	err := s.Graph.Resume(ctx)
	if err == nil && !s.vm.Load().Running() {
		for _, conflict := range s.Graph.Deny() {
			s.Graph.Messagef("%s", conflict)
		}
	}
	return err
}
