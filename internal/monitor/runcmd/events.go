package runcmd

import (
	"goemu/internal/mainloop"
	"goemu/qapi"
)

// Forward hands what happens to the machine to emit. Preconditions: the machine lock is held.
func Forward(vm *mainloop.VM, emit func(qapi.Event)) {
	vm.OnEvent(func(e mainloop.Event) {
		if ev := eventOf(e); ev != nil {
			emit(ev)
		}
	})
}

func eventOf(e mainloop.Event) qapi.Event {
	guest, reason := e.Cause.FromGuest(), qapi.ShutdownCause(e.Cause)
	switch e.Name {
	case "SHUTDOWN":
		return &qapi.ShutdownEvent{Guest: guest, Reason: reason}
	case "RESET":
		return &qapi.ResetEvent{Guest: guest, Reason: reason}
	case "POWERDOWN":
		return &qapi.PowerdownEvent{}
	case "STOP":
		return &qapi.StopEvent{}
	case "RESUME":
		return &qapi.ResumeEvent{}
	case "SUSPEND":
		return &qapi.SuspendEvent{}
	case "SUSPEND_DISK":
		return &qapi.SuspendDiskEvent{}
	case "RTC_CHANGE":
		return &qapi.RtcChangeEvent{Offset: e.Offset, QomPath: e.Path}
	case "WAKEUP":
		return &qapi.WakeupEvent{}
	case "WATCHDOG":
		return &qapi.WatchdogEvent{Action: qapi.WatchdogAction(e.Action)}
	case "GUEST_PANICKED":
		return &qapi.GuestPanickedEvent{Action: qapi.GuestPanicAction(e.Action)}
	case "GUEST_CRASHLOADED":
		return &qapi.GuestCrashloadedEvent{Action: qapi.GuestPanicAction(e.Action)}
	}
	return nil
}
