package disk

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// ErrorAction is a policy for failed requests.
type ErrorAction string

// The policies. Stop halts the machine until the user resumes it, and then tries again; enospc does so when the host is out of space.
const (
	ErrorAuto   ErrorAction = "auto"
	ErrorIgnore ErrorAction = "ignore"
	ErrorReport ErrorAction = "report"
	ErrorStop   ErrorAction = "stop"
	ErrorENOSPC ErrorAction = "enospc"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *ErrorAction) UnmarshalText(b []byte) error {
	v := ErrorAction(b)
	if !slices.Contains([]ErrorAction{ErrorAuto, ErrorIgnore, ErrorReport, ErrorStop, ErrorENOSPC}, v) {
		return fmt.Errorf("unknown policy %s", b)
	}
	*a = v
	return nil
}

// PropertyType implements qdev.TypeNamer.
func (ErrorAction) PropertyType() string { return "BlockdevOnError" }

// StopMachine halts the machine because of an input or output error; it is set by the machine, does not block and may be called without
// any lock. While it is nil, devices report such errors to the driver instead.
var StopMachine func()

// Policy decides about failed requests.
type Policy struct{ read, write ErrorAction }

// Policy combines the options of the device and of the drive.
func (p *Props) Policy() Policy {
	pick := func(dev ErrorAction, drive string, def ErrorAction) ErrorAction {
		switch {
		case dev != ErrorAuto:
			return dev
		case drive != "" && drive != string(ErrorAuto):
			return ErrorAction(drive)
		}
		return def
	}
	return Policy{read: pick(p.RError, p.Drive.RError, ErrorReport), write: pick(p.WError, p.Drive.WError, ErrorENOSPC)}
}

// Action is what to do about an error: ignore, report or stop.
func (p Policy) Action(write bool, err error) ErrorAction {
	a := p.read
	if write {
		a = p.write
	}
	if a == ErrorENOSPC {
		a = ErrorReport
		if errors.Is(err, unix.ENOSPC) {
			a = ErrorStop
		}
	}
	if a == ErrorStop && StopMachine == nil {
		a = ErrorReport
	}
	return a
}
