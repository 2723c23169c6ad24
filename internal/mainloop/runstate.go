package mainloop

// RunState is what the machine as a whole is doing, under QEMU's names.
type RunState string

// The run states.
const (
	StateDebug         RunState = "debug"
	StateInMigrate     RunState = "inmigrate"
	StateInternalError RunState = "internal-error"
	StateIOError       RunState = "io-error"
	StatePaused        RunState = "paused"
	StatePostMigrate   RunState = "postmigrate"
	StatePrelaunch     RunState = "prelaunch"
	StateFinishMigrate RunState = "finish-migrate"
	StateRestoreVM     RunState = "restore-vm"
	StateRunning       RunState = "running"
	StateSaveVM        RunState = "save-vm"
	StateShutdown      RunState = "shutdown"
	StateSuspended     RunState = "suspended"
	StateWatchdog      RunState = "watchdog"
	StateGuestPanicked RunState = "guest-panicked"
	StateColo          RunState = "colo"
)

// transitions lists where each state may go.
var transitions = map[RunState][]RunState{
	StatePrelaunch: {StateRunning, StateFinishMigrate, StateInMigrate, StateSuspended},
	StateDebug:     {StateRunning, StateFinishMigrate, StatePrelaunch},
	StateInMigrate: {StateInternalError, StateIOError, StatePaused, StateRunning, StateShutdown, StateSuspended, StateWatchdog,
		StateGuestPanicked, StateFinishMigrate, StatePrelaunch, StatePostMigrate, StateColo},
	StateInternalError: {StatePaused, StateFinishMigrate, StatePrelaunch},
	StateIOError:       {StateRunning, StateFinishMigrate, StatePrelaunch},
	StatePaused:        {StateRunning, StateFinishMigrate, StatePostMigrate, StatePrelaunch, StateColo},
	StatePostMigrate:   {StateRunning, StateFinishMigrate, StatePrelaunch},
	StateFinishMigrate: {StateRunning, StatePaused, StatePostMigrate, StatePrelaunch, StateColo, StateInternalError, StateIOError,
		StateShutdown, StateSuspended, StateWatchdog, StateGuestPanicked},
	StateRestoreVM: {StateRunning, StatePrelaunch},
	StateColo:      {StateRunning, StatePrelaunch, StateShutdown},
	StateRunning: {StateDebug, StateInternalError, StateIOError, StatePaused, StateFinishMigrate, StateRestoreVM, StateSaveVM,
		StateShutdown, StateWatchdog, StateGuestPanicked, StateColo, StateSuspended},
	StateSaveVM:        {StateRunning, StatePaused},
	StateShutdown:      {StatePaused, StateFinishMigrate, StatePrelaunch, StateColo},
	StateSuspended:     {StateRunning, StateFinishMigrate, StatePrelaunch, StateColo},
	StateWatchdog:      {StateRunning, StateFinishMigrate, StatePrelaunch, StateColo},
	StateGuestPanicked: {StateRunning, StateFinishMigrate, StatePrelaunch},
}

// ShutdownCause says who asked for a reset or shutdown, under QEMU's names.
type ShutdownCause string

// The causes.
const (
	CauseNone            ShutdownCause = "none"
	CauseHostError       ShutdownCause = "host-error"
	CauseHostQMPQuit     ShutdownCause = "host-qmp-quit"
	CauseHostSystemReset ShutdownCause = "host-qmp-system-reset"
	CauseHostSignal      ShutdownCause = "host-signal"
	CauseHostUI          ShutdownCause = "host-ui"
	CauseGuestShutdown   ShutdownCause = "guest-shutdown"
	CauseGuestReset      ShutdownCause = "guest-reset"
	CauseGuestPanic      ShutdownCause = "guest-panic"
	CauseSubsystemReset  ShutdownCause = "subsystem-reset"
	CauseSnapshotLoad    ShutdownCause = "snapshot-load"
)

// FromGuest tells whether the guest itself is the cause.
func (c ShutdownCause) FromGuest() bool {
	return c == CauseGuestShutdown || c == CauseGuestReset || c == CauseGuestPanic
}

// PanicAction is what is done when the guest says that it has crashed.
type PanicAction string

// The panic actions.
const (
	PanicPause       PanicAction = "pause"
	PanicShutdown    PanicAction = "shutdown"
	PanicExitFailure PanicAction = "exit-failure"
	PanicNone        PanicAction = "none"
)

// WatchdogAction is what is done when a watchdog has run out.
type WatchdogAction string

// The watchdog actions.
const (
	WatchdogReset     WatchdogAction = "reset"
	WatchdogShutdown  WatchdogAction = "shutdown"
	WatchdogPoweroff  WatchdogAction = "poweroff"
	WatchdogPause     WatchdogAction = "pause"
	WatchdogDebug     WatchdogAction = "debug"
	WatchdogNone      WatchdogAction = "none"
	WatchdogInjectNMI WatchdogAction = "inject-nmi"
)

// Valid tells whether a state of that name exists.
func (s RunState) Valid() bool {
	_, ok := transitions[s]
	return ok
}
