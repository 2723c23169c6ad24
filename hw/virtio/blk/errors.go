package blk

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
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

// errorPolicy decides about failed requests and keeps those that are tried again.
type errorPolicy struct {
	read, write ErrorAction

	mu   sync.Mutex
	held []heldRequest // guarded by mu
}

type heldRequest struct {
	q *virtio.Queue
	e *ring.Element
	r request
}

// setErrorPolicy combines the options of the device and of the drive.
func (m *Model) setErrorPolicy() {
	pick := func(dev ErrorAction, drive string, def ErrorAction) ErrorAction {
		switch {
		case dev != ErrorAuto:
			return dev
		case drive != "" && drive != string(ErrorAuto):
			return ErrorAction(drive)
		}
		return def
	}
	m.errs.read = pick(m.Props.RError, m.Props.Drive.RError, ErrorReport)
	m.errs.write = pick(m.Props.WError, m.Props.Drive.WError, ErrorENOSPC)
}

// action is what to do about an error.
func (p *errorPolicy) action(write bool, err error) ErrorAction {
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
	if a == ErrorStop && virtio.StopMachine == nil {
		a = ErrorReport
	}
	return a
}

// hold keeps a request until the machine runs again.
func (p *errorPolicy) hold(h heldRequest) {
	p.mu.Lock()
	p.held = append(p.held, h)
	p.mu.Unlock()
	virtio.StopMachine()
}

// take returns the requests to be tried again.
func (p *errorPolicy) take() []heldRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held
	p.held = nil
	return h
}

// drop forgets all requests.
func (p *errorPolicy) drop() { p.take() }

// Started implements virtio.Starter: requests that failed before the machine stopped are tried again.
func (m *Model) Started() {
	for _, h := range m.errs.take() {
		h.q.Go(func() { m.serve(h.q, h.e, &h.r) })
	}
}
