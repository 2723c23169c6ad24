package mainloop

import (
	"fmt"
	"os"
	"sync/atomic"

	"goemu/internal/clock"
	"goemu/internal/trace"
)

// VM is the machine's run state and the requests to change it. Requests may be made from any goroutine; everything else runs under
// the machine lock.
type VM struct {
	// NoReboot turns a reset asked for by the guest or a user into a shutdown, NoShutdown a shutdown into a stop.
	NoReboot, NoShutdown bool
	// OnPanic is what is done when the guest says that it has crashed, OnWatchdog when a watchdog has run out.
	OnPanic    PanicAction
	OnWatchdog WatchdogAction
	// Autostart tells whether a machine that comes in will run at once.
	Autostart bool
	// InjectNMI raises a nonmaskable interrupt; it may be nil.
	InjectNMI func()
	// Pause stops all virtual CPUs and calls stopped as soon as none executes; Resume lets them go on. Both are called under the machine
	// lock, which Pause may drop meanwhile, and during stopped. PauseCPUs and ResumeCPUs are for callers.
	Pause  func(stopped func())
	Resume func()
	// Reset puts all devices and CPUs into their power-on state; called with the CPUs paused.
	Reset func(ShutdownCause)
	// Wake does what happens to devices and CPUs when a suspension to RAM ends; called with the CPUs paused.
	Wake func()

	loop    *Loop
	state   atomic.Value // RunState
	notify  []func(running bool, s RunState)
	events  []func(Event)
	pauses  int         // who wants the CPUs to stand still, guarded by the machine lock
	held    int         // see Hold, guarded by the machine lock
	pending atomic.Bool // service is posted
	reset   atomic.Value
	down    atomic.Value
	power   atomic.Bool
	suspend atomic.Bool
	wakeup  atomic.Bool
	stop    atomic.Value // RunState, "" if none
	panics  atomic.Bool
	exited  atomic.Bool
	exit    chan ShutdownCause
}

// Event is something that happened to the whole machine, as QMP reports it.
type Event struct {
	Name   string // RESET, SHUTDOWN, POWERDOWN, STOP, RESUME, SUSPEND, WAKEUP, WATCHDOG, GUEST_PANICKED, GUEST_CRASHLOADED, SUSPEND_DISK, RTC_CHANGE
	Cause  ShutdownCause
	Action string // of WATCHDOG and GUEST_…
	Offset int64  // of RTC_CHANGE, in seconds
	Path   string // of RTC_CHANGE, of the clock
}

// NewVM returns a machine in state prelaunch, with the virtual clock stopped, whose requests are served on loop.
func NewVM(loop *Loop) *VM {
	v := &VM{loop: loop, OnPanic: PanicShutdown, OnWatchdog: WatchdogReset, Autostart: true, exit: make(chan ShutdownCause, 1)}
	v.state.Store(StatePrelaunch)
	v.reset.Store(CauseNone)
	v.down.Store(CauseNone)
	v.stop.Store(RunState(""))
	return v
}

// State returns the run state.
func (v *VM) State() RunState { return v.state.Load().(RunState) }

// Running tells whether the virtual CPUs may execute.
func (v *VM) Running() bool { return v.State() == StateRunning }

// Exit delivers the cause once when the emulator has to end.
func (v *VM) Exit() <-chan ShutdownCause { return v.exit }

// OnChange registers a function that is called under the machine lock when the machine starts or stops running.
func (v *VM) OnChange(f func(running bool, s RunState)) { v.notify = append(v.notify, f) }

// OnEvent registers a function that hears of machine-wide events under the machine lock.
func (v *VM) OnEvent(f func(Event)) { v.events = append(v.events, f) }

// SetState changes the run state without starting or stopping anything. An impossible transition is a bug of ours.
func (v *VM) SetState(s RunState) {
	old := v.State()
	if old == s {
		return
	}
	for _, to := range transitions[old] {
		if to == s {
			trace.RunStateSet.Log("current_run_state %s new_state %s", old, s)
			v.state.Store(s)
			return
		}
	}
	panic(fmt.Sprintf("BUG: invalid runstate transition: '%s' -> '%s'", old, s))
}

// PauseCPUs stops the virtual CPUs until ResumeCPUs; such pairs nest. The machine lock may be dropped meanwhile: whatever the caller knows of the
// run state it must look at again.
func (v *VM) PauseCPUs() { v.pauseCPUs(func() {}) }

func (v *VM) pauseCPUs(stopped func()) {
	v.pauses++
	if v.Pause != nil {
		v.Pause(stopped)
	} else {
		stopped()
	}
}

// ResumeCPUs undoes PauseCPUs: the CPUs of a machine that runs go on when nobody else wants them to stand still.
func (v *VM) ResumeCPUs() {
	v.pauses--
	v.goOn()
}

func (v *VM) goOn() {
	if v.pauses == 0 && v.Running() && v.Resume != nil {
		v.Resume()
	}
}

// Hold makes requests wait until Release: the machine's state is being saved or replaced. Such pairs nest.
func (v *VM) Hold() { v.held++ }

// Release undoes Hold.
func (v *VM) Release() {
	if v.held--; v.held == 0 {
		v.post()
	}
}

// Forget drops what the guest has asked for: another one takes its place.
func (v *VM) Forget() {
	v.panics.Store(false)
	v.suspend.Store(false)
	for _, r := range []*atomic.Value{&v.reset, &v.down} {
		if c := r.Load().(ShutdownCause); c.FromGuest() {
			r.CompareAndSwap(c, CauseNone)
		}
	}
}

// Start makes the machine run.
func (v *VM) Start() {
	if v.Running() || v.State() == StateShutdown || v.State() == StateInternalError {
		return
	}
	v.emit("RESUME", CauseNone)
	v.SetState(StateRunning)
	v.changed(true)
	clock.Virtual.Start() // at the moment when the CPUs' counters go on
	v.goOn()
}

// Stop makes the machine stop running, in state s. A machine that has stopped already keeps its state.
func (v *VM) Stop(s RunState) {
	if !v.Running() {
		return
	}
	v.pauseCPUs(clock.Virtual.Stop)
	defer v.ResumeCPUs()
	if !v.Running() { // somebody else was faster
		return
	}
	v.SetState(s)
	v.changed(false)
	v.emit("STOP", CauseNone)
}

func (v *VM) changed(running bool) {
	trace.VMStateNotify.Log("running %v state %s", running, v.State())
	for _, f := range v.notify {
		f(running, v.State())
	}
}

func (v *VM) emit(name string, cause ShutdownCause) {
	v.tell(Event{Name: name, Cause: cause})
}

func (v *VM) tell(e Event) {
	for _, f := range v.events {
		f(e)
	}
}

// RequestReset asks for a reset of the whole machine.
func (v *VM) RequestReset(cause ShutdownCause) {
	if v.NoReboot && cause != CauseSubsystemReset {
		v.RequestShutdown(cause)
		return
	}
	v.reset.Store(cause)
	v.post()
}

// RequestShutdown asks for the end of the machine.
func (v *VM) RequestShutdown(cause ShutdownCause) { v.down.Store(cause); v.post() }

// RequestPowerdown presses the power button.
func (v *VM) RequestPowerdown() { v.power.Store(true); v.post() }

// RequestSuspend asks for suspension to RAM.
func (v *VM) RequestSuspend() { v.suspend.Store(true); v.post() }

// RequestWakeup ends a suspension; it does nothing in any other state.
func (v *VM) RequestWakeup() {
	trace.SystemWakeup.Log("state %s", v.State())
	v.wakeup.Store(true)
	v.post()
}

// RequestPanic tells that the guest has crashed.
func (v *VM) RequestPanic() { v.panics.Store(true); v.post() }

// CrashLoaded tells that the guest has crashed and handles that itself. Preconditions: the machine lock is held.
func (v *VM) CrashLoaded() { v.tell(Event{Name: "GUEST_CRASHLOADED", Action: "run"}) }

// SuspendDisk ends the machine, whose guest has saved itself to its disk. Preconditions: the machine lock is held.
func (v *VM) SuspendDisk() {
	v.tell(Event{Name: "SUSPEND_DISK"})
	v.RequestShutdown(CauseGuestShutdown)
}

// TimeSet tells that the guest has set its clock, by how many seconds. Preconditions: the machine lock is held.
func (v *VM) TimeSet(path string, seconds int64) {
	v.tell(Event{Name: "RTC_CHANGE", Path: path, Offset: seconds})
}

// Watchdog does what is to be done when a watchdog has run out. Preconditions: the machine lock is held.
func (v *VM) Watchdog() {
	v.tell(Event{Name: "WATCHDOG", Action: string(v.OnWatchdog)})
	switch v.OnWatchdog {
	case WatchdogReset:
		v.RequestReset(CauseGuestReset)
	case WatchdogShutdown:
		v.RequestPowerdown()
	case WatchdogPoweroff:
		v.end(CauseNone)
	case WatchdogPause:
		v.RequestStop(StateWatchdog)
	case WatchdogDebug:
		fmt.Fprintln(os.Stderr, "watchdog: timer fired")
	case WatchdogInjectNMI:
		if v.InjectNMI != nil {
			v.InjectNMI()
		}
	}
}

// Stopping tells whether a reset, a shutdown or a suspension has been asked for and not been served.
func (v *VM) Stopping() bool {
	return v.suspend.Load() || v.reset.Load() != CauseNone || v.down.Load() != CauseNone
}

// RequestStop asks for a stop in state s (an I/O error, a watchdog, an internal error).
func (v *VM) RequestStop(s RunState) { v.stop.Store(s); v.post() }

func (v *VM) post() {
	if v.pending.CompareAndSwap(false, true) {
		v.loop.Post(v.service)
	}
}

// service acts on the requests, in QEMU's order.
func (v *VM) service() {
	v.pending.Store(false)
	if v.held > 0 {
		return
	}
	if v.panics.Swap(false) {
		v.servePanic()
	}
	if v.suspend.Swap(false) && v.Running() {
		v.serveSuspend()
	}
	if cause := v.down.Swap(CauseNone).(ShutdownCause); cause != CauseNone {
		v.serveShutdown(cause)
	}
	if cause := v.reset.Swap(CauseNone).(ShutdownCause); cause != CauseNone {
		v.serveReset(cause)
	}
	if v.wakeup.Swap(false) && v.State() == StateSuspended {
		v.SetState(StateRunning)
		if v.Wake != nil {
			v.Wake()
		}
		v.goOn()
		v.emit("WAKEUP", CauseNone)
	}
	if v.power.Swap(false) {
		v.emit("POWERDOWN", CauseNone)
	}
	if s := v.stop.Swap(RunState("")).(RunState); s != "" {
		v.Stop(s)
	}
}

// serveSuspend suspends to RAM. Time goes on: an alarm may end the suspension.
func (v *VM) serveSuspend() {
	v.PauseCPUs()
	if v.Running() {
		v.SetState(StateSuspended)
		v.emit("SUSPEND", CauseNone)
	}
	v.ResumeCPUs()
}

func (v *VM) serveShutdown(cause ShutdownCause) {
	v.emit("SHUTDOWN", cause)
	if v.NoShutdown {
		v.Stop(StateShutdown)
		return
	}
	v.end(cause)
}

// end makes the emulator end.
func (v *VM) end(cause ShutdownCause) {
	if !v.exited.Swap(true) {
		v.exit <- cause
	}
}

func (v *VM) servePanic() {
	switch {
	case v.OnPanic == PanicPause || v.OnPanic == PanicShutdown && v.NoShutdown:
		v.tell(Event{Name: "GUEST_PANICKED", Action: "pause"})
		v.Stop(StateGuestPanicked)
	case v.OnPanic == PanicNone:
		v.tell(Event{Name: "GUEST_PANICKED", Action: "run"})
	default:
		v.tell(Event{Name: "GUEST_PANICKED", Action: "poweroff"})
		v.Stop(StateGuestPanicked)
		v.down.Store(CauseGuestPanic) // served next
	}
}

// ResetStopped resets a machine that does not run, at once; its state stays.
func (v *VM) ResetStopped(cause ShutdownCause) {
	if v.Reset != nil {
		v.Reset(cause)
	}
	if cause != CauseSubsystemReset && cause != CauseSnapshotLoad {
		v.emit("RESET", cause)
	}
}

func (v *VM) serveReset(cause ShutdownCause) {
	if v.Running() {
		v.PauseCPUs()
		defer v.ResumeCPUs()
	}
	if v.held > 0 { // since the CPUs were paused
		v.reset.CompareAndSwap(CauseNone, cause)
		return
	}
	v.ResetStopped(cause)
	switch v.State() {
	case StateRunning, StateInMigrate, StateFinishMigrate, StateSaveVM: // it goes on from there
	default:
		v.SetState(StatePrelaunch)
	}
}
