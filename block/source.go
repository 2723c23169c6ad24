package block

import "errors"

// Source is a disk that a user can give to a device by name (a property of type *Source). It has one user at a time.
type Source struct {
	Name string
	// WError and RError say what to do about failed writes and reads: ignore, stop, report, enospc or auto. The device's own options
	// come first.
	WError, RError string
	CD             bool // is meant for a CD-ROM drive
	// Claim hands out the disk to a device, which user names in messages. Release takes it back. Unplug does so from a
	// device that leaves the machine: a disk that was only made for it goes, too.
	Claim           func(user string) (*Backend, error)
	Release, Unplug func()
	// InUse, if set, tells why the disk cannot be claimed, nil if it can.
	InUse func() error
	// Replace gives the device, while it is in operation, another node by its name.
	Replace func(node string) error
}

// ReplaceBy gives the device, while it is in operation, another node by its name.
func (s *Source) ReplaceBy(node string) error {
	if s.Replace == nil {
		return errors.New("Cannot replace drive '" + s.Name + "'")
	}
	if err := s.Replace(node); err != nil {
		return err
	}
	s.Name = node
	return nil
}

// Taken tells why the disk cannot be given to a device, nil if it can.
func (s *Source) Taken() error {
	if s.InUse == nil {
		return nil
	}
	return s.InUse()
}

// ID is the source's name.
func (s *Source) ID() string { return s.Name }

// SourceOf makes a source of a single backend, for programs and tests.
func SourceOf(name string, b *Backend) *Source {
	used := false
	release := func() {
		used = false
		b.graph.Lock()
		defer b.graph.Unlock()
		b.DetachDevice()
	}
	return &Source{
		Name: name, WError: "auto", RError: "auto",
		Claim: func(user string) (*Backend, error) {
			if used {
				return nil, errors.New("Drive '" + name + "' is already in use by another device")
			}
			used = true
			b.graph.Lock()
			defer b.graph.Unlock()
			b.AttachDevice(&Device{Name: user})
			return b, nil
		},
		Release: release, Unplug: release,
	}
}
