package fdc

import (
	"context"
	"errors"
	"fmt"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
)

// BusType is the bus between the controller and its drives.
const BusType = "floppy-bus"

// autoUnit asks for the first free place.
const autoUnit = 1<<32 - 1

// bus is the controller's.
type bus struct {
	qdev.Bus
	ctl *Controller
}

// Floppy is the device type floppy.
type Floppy struct {
	qdev.Base
	Unit uint32 `prop:"unit,default=4294967295"`
	disk.Backing
	Kind DriveType `prop:"drive-type,default=auto" help:"FDC drive type, 144/288/120/none/auto"`

	drive *drive
}

// FloppyClass is the device type.
var FloppyClass = qdev.Class{Name: "floppy", Bus: BusType, Desc: "virtual floppy drive", Category: qdev.Storage, New: func() qdev.Device { return new(Floppy) }}

// Realize implements qdev.Device.
func (f *Floppy) Realize() error {
	ctl := f.Parent().(*bus).ctl
	if f.Unit == autoUnit {
		for f.Unit = 0; f.Unit < MaxDrives && ctl.drive(f.Unit).there(); f.Unit++ {
		}
	}
	if f.Unit >= MaxDrives {
		return fmt.Errorf("Can't create floppy unit %d, bus supports only %d units", f.Unit, MaxDrives)
	}
	d := ctl.drive(f.Unit)
	if d.there() {
		return fmt.Errorf("Floppy unit %d is in use", f.Unit)
	}
	if err := f.check(); err != nil {
		return err
	}
	b, err := f.ClaimRemovable(f.IDOrPath(), false, false, media{f})
	if err != nil {
		return err
	}
	f.drive, d.backend, d.known, d.kind = d, b, false, f.Kind
	d.clear()
	d.identify()
	f.Kind = d.kind
	d.revalidate()
	return nil
}

// check checks the options.
func (f *Floppy) check() error {
	if err := f.CheckSizes(); err != nil {
		return err
	}
	if f.LogicalBlock != sectorSize || f.PhysicalBlock != sectorSize {
		return errors.New("Physical and logical block size must be 512 for floppy")
	}
	if f.Drive == nil {
		return nil
	}
	switch {
	case f.Drive.WError == "stop" || f.Drive.WError == "ignore":
		return errors.New("fdc doesn't support drive option werror")
	case f.Drive.RError == "stop" || f.Drive.RError == "ignore":
		return errors.New("fdc doesn't support drive option rerror")
	}
	return nil
}

// Unrealize implements qdev.Device.
func (f *Floppy) Unrealize() {
	d := f.drive
	if d == nil {
		return
	}
	_ = d.backend.Flush(context.Background()) // nobody is left to hear of a failure
	if f.Drive != nil {
		f.Drive.Release()
	}
	*d = drive{ctl: d.ctl}
	d.clear()
	d.revalidate()
	f.drive = nil
}

// media is a drive as those see it who change its medium; they hold the machine lock.
type media struct{ f *Floppy }

// HasTray implements block.Media: a floppy disk is there or not.
func (media) HasTray() bool { return false }

// TrayOpen implements block.Media.
func (media) TrayOpen() bool { return false }

// Locked implements block.Media.
func (media) Locked() bool { return false }

// EjectRequest implements block.Media.
func (media) EjectRequest(bool) {}

// MediumChanged implements block.Media.
func (m media) MediumChanged(loaded bool) error {
	d := m.f.drive
	if err := m.f.Backing.MediumChanged(d.backend, loaded, false); err != nil {
		return err
	}
	d.changed, d.known = 1, false
	d.revalidate()
	return nil
}

var _ block.Media = media{}
