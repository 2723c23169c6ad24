package blockcmd

import (
	"context"
	"errors"

	"goemu/block"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// Reasons why a tray was not opened that not every command minds.
var (
	errNoTray     = errors.New("no tray")
	errInProgress = errors.New("the guest was asked")
)

// trayError is the text of a reason.
type trayError struct {
	error
	text string
}

func (e trayError) Error() string { return e.text }

// Unwrap gives the reason to errors.Is.
func (e trayError) Unwrap() error { return e.error }

// openTray opens the tray of a drive; if the guest has locked it, it is asked to open it.
// Preconditions: the graph lock is held.
func (s *Service) openTray(device, id *string, force bool) error {
	b, err := s.backend(device, id)
	if err != nil {
		return err
	}
	name := called(device, id)
	switch {
	case !b.Removable():
		return block.Errorf(unix.ENOTSUP, "Device '%s' is not removable", name)
	case !b.HasTray():
		return trayError{errNoTray, "Device '" + name + "' does not have a tray"}
	case b.TrayOpen():
		return nil
	}
	locked := b.MediumLocked()
	if locked {
		b.EjectRequest(force)
	}
	if !locked || force {
		return b.ChangeMedium(false)
	}
	return trayError{errInProgress, "Device '" + name + "' is locked and force was not specified, wait for tray to open and try again"}
}

// called is how the user called a drive.
func called(device, id *string) string { return deref(id, deref(device, "")) }

// BlockdevOpenTray implements qapi.BlockCommands.
func (s *Service) BlockdevOpenTray(_ context.Context, a *qapi.BlockdevOpenTrayArg) error {
	return s.withMachine(func() error {
		err := s.openTray(a.Device, a.Id, deref(a.Force, false))
		if errors.Is(err, errNoTray) || errors.Is(err, errInProgress) {
			return nil
		}
		return err
	})
}

// BlockdevCloseTray implements qapi.BlockCommands.
func (s *Service) BlockdevCloseTray(_ context.Context, a *qapi.BlockdevCloseTrayArg) error {
	return s.withMachine(func() error { return s.closeTray(a.Device, a.Id) })
}

// closeTray closes the tray of a drive that has one.
// Preconditions: the graph lock is held.
func (s *Service) closeTray(device, id *string) error {
	b, err := s.backend(device, id)
	switch {
	case err != nil:
		return err
	case !b.Removable():
		return block.Errorf(unix.ENOTSUP, "Device '%s' is not removable", deref(device, deref(id, "")))
	case !b.HasTray() || !b.TrayOpen():
		return nil
	}
	return b.ChangeMedium(true)
}

// removeMedium takes the medium out.
// Preconditions: the graph lock is held.
func (s *Service) removeMedium(device, id *string) error {
	b, err := s.backend(device, id)
	if err != nil {
		return err
	}
	name := deref(device, deref(id, ""))
	switch used := b.AttachedDevice() != nil; {
	case used && !b.Removable():
		return block.Errorf(unix.ENOTSUP, "Device '%s' is not removable", name)
	case used && b.HasTray() && !b.TrayOpen():
		return block.Errorf(unix.EBUSY, "Tray of device '%s' is not open", name)
	case b.Node() == nil:
		return nil
	}
	if err := b.Node().Blocked(block.OpEject); err != nil {
		return err
	}
	s.ejected(b)
	b.Remove()
	if b.HasTray() {
		return nil
	}
	return b.ChangeMedium(false)
}

// BlockdevRemoveMedium implements qapi.BlockCommands.
func (s *Service) BlockdevRemoveMedium(_ context.Context, a *qapi.BlockdevRemoveMediumArg) error {
	return s.withMachine(func() error { return s.removeMedium(nil, &a.Id) })
}

// insertMedium puts a medium into a drive.
// Preconditions: the graph lock is held.
func insertMedium(b *block.Backend, n *block.Node) error {
	switch used := b.AttachedDevice() != nil; {
	case used && !b.Removable():
		return block.Errorf(unix.ENOTSUP, "Device is not removable")
	case used && b.HasTray() && !b.TrayOpen():
		return block.Errorf(unix.EBUSY, "Tray of the device is not open")
	case b.Node() != nil:
		return block.Errorf(unix.EBUSY, "There already is a medium in the device")
	}
	if err := b.Insert(n); err != nil {
		return err
	}
	if b.HasTray() {
		return nil
	}
	err := b.ChangeMedium(true)
	if err != nil {
		b.Remove()
	}
	return err
}

// BlockdevInsertMedium implements qapi.BlockCommands.
func (s *Service) BlockdevInsertMedium(_ context.Context, a *qapi.BlockdevInsertMediumArg) error {
	return s.withMachine(func() error {
		b, err := s.backend(nil, &a.Id)
		if err != nil {
			return err
		}
		n := s.Graph.Find(a.NodeName)
		if n == nil {
			return block.Errorf(unix.ENOENT, "Node '%s' not found", a.NodeName)
		}
		if n.HasBackend() {
			return block.Errorf(unix.EBUSY, "Node '%s' is already in use", a.NodeName)
		}
		return insertMedium(b, n)
	})
}

// BlockdevChangeMedium implements qapi.BlockCommands.
func (s *Service) BlockdevChangeMedium(ctx context.Context, a *qapi.BlockdevChangeMediumArg) error {
	return s.withMachine(func() error {
		b, err := s.backend(a.Device, a.Id)
		if err != nil {
			return err
		}
		m := b.MediumMode()
		switch deref(a.ReadOnlyMode, qapi.BlockdevChangeReadOnlyModeRetain) {
		case qapi.BlockdevChangeReadOnlyModeReadOnly:
			m.ReadOnly = true
		case qapi.BlockdevChangeReadOnlyModeReadWrite:
			m.ReadOnly = false
		}
		detect := "off"
		if m.DetectZeroes != block.DetectOff {
			detect = "on"
		}
		o := block.OptionsOf("detect-zeroes", detect)
		if a.Format != nil {
			o.Set("driver", *a.Format)
		}
		n, err := s.Graph.Open(ctx, a.Filename, o, m)
		if err != nil {
			return err
		}
		defer s.Graph.Unref(n)
		if err := s.openTray(a.Device, a.Id, deref(a.Force, false)); err != nil && !errors.Is(err, errNoTray) {
			return err
		}
		if err := s.removeMedium(a.Device, a.Id); err != nil {
			return err
		}
		if err := insertMedium(b, n); err != nil {
			return err
		}
		return s.closeTray(a.Device, a.Id)
	})
}

// Eject implements qapi.BlockCommands.
func (s *Service) Eject(_ context.Context, a *qapi.EjectArg) error {
	return s.withMachine(func() error { return s.eject(a.Device, a.Id, deref(a.Force, false)) })
}

// eject opens the tray and takes the medium out.
// Preconditions: the graph lock is held.
func (s *Service) eject(device, id *string, force bool) error {
	if err := s.openTray(device, id, force); err != nil && !errors.Is(err, errNoTray) {
		return err
	}
	return s.removeMedium(device, id)
}
