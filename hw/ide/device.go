package ide

import (
	"context"
	"errors"
	"fmt"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
)

// Limits of the geometry.
const maxCyls, maxHeads, maxSecs = 65535, 16, 255

// autoUnit asks for the first free position.
const autoUnit = 0xffffffff

// Device is a drive as the user adds it: the part that all kinds share.
type Device struct {
	qdev.Base
	disk.Props
	Unit     uint32 `prop:"unit,default=4294967295"`
	Serial   string `prop:"serial"`
	Model    string `prop:"model"`
	Version  string `prop:"ver"`
	WWN      uint64 `prop:"wwn,default=0"`
	Rotation uint16

	// TrayMoved, if set, hears when the guest opens or closes the tray.
	TrayMoved func(open bool)

	drive *Drive
}

// HD is the device type ide-hd.
type HD struct {
	Device
	disk.CHS
	Translation  disk.Translation `prop:"bios-chs-trans,default=auto" help:"Logical CHS translation algorithm, auto/none/lba/large/rechs"`
	RotationRate uint16           `prop:"rotation_rate,default=0"`
}

// CD is the device type ide-cd.
type CD struct{ Device }

// Classes are the drives.
func Classes() []*qdev.Class {
	return []*qdev.Class{
		{Name: "ide-hd", Bus: BusType, Desc: "virtual IDE disk", Category: qdev.Storage, New: func() qdev.Device { return new(HD) }},
		{Name: "ide-cd", Bus: BusType, Desc: "virtual IDE CD-ROM", Category: qdev.Storage, New: func() qdev.Device { return new(CD) }},
	}
}

// BootPlace implements qdev.Bootable.
func (d *Device) BootPlace() (index int32, suffix string, ok bool) {
	return d.BootIndex.N, fmt.Sprintf("/disk@%d", d.Unit), d.BootIndex.Set
}

// Realize implements qdev.Device.
func (h *HD) Realize() error {
	if h.Drive == nil {
		return errors.New("No drive specified")
	}
	h.Rotation = h.RotationRate
	return h.realize(Disk, func(b *block.Backend) (disk.Geometry, disk.Translation, error) {
		n, err := b.Length(context.Background())
		if err != nil {
			n = 0
		}
		g, t, err := h.CHS.Geometry(b, n, maxCyls, maxHeads, maxSecs)
		if h.Translation != disk.TranslateAuto {
			t = h.Translation
		}
		return g, t, err
	})
}

// Realize implements qdev.Device.
func (c *CD) Realize() error { return c.realize(CDROM, nil) }

// realize checks the options and takes a position on the bus.
func (d *Device) realize(kind Kind, geometry func(*block.Backend) (disk.Geometry, disk.Translation, error)) error {
	bus := d.Parent().(*Bus)
	drive, err := bus.place(d.Unit)
	if err != nil {
		return err
	}
	switch d.DiscardGrain {
	case disk.DefaultDiscardGrain:
		d.DiscardGrain = SectorSize
	case 0, SectorSize:
	default:
		return errors.New("discard_granularity must be 512 for ide")
	}
	if err := d.CheckSizes(); err != nil {
		return err
	}
	if d.LogicalBlock != SectorSize {
		return errors.New("logical_block_size must be 512 for IDE")
	}
	b, err := d.claim(kind)
	if err != nil {
		return err
	}
	*drive = Drive{bus: bus, unit: drive.unit, serialAuto: drive.serialAuto, buf: drive.buf, ncq: drive.ncq, dev: d, Kind: kind, backend: b, wwn: d.WWN,
		smart: smart{enabled: true, autosave: true}, serial: d.Serial, model: d.Model, version: d.Version}
	if d.Drive != nil {
		drive.policy = d.Policy()
	}
	b.EnableIOStatus()
	drive.setDefaults()
	if geometry != nil {
		if drive.geo, drive.trans, err = geometry(b); err != nil {
			d.release()
			return err
		}
		drive.heads, drive.sectors = drive.geo.Heads, drive.geo.Secs
	}
	d.Unit, d.Serial, d.Version = uint32(drive.unit), drive.serial, drive.version
	d.drive = drive
	drive.measure()
	drive.reset()
	b.OnResize = func() { drive.resized() }
	return nil
}

// claim takes the medium. A CD-ROM drive does without.
func (d *Device) claim(kind Kind) (*block.Backend, error) {
	if kind == CDROM {
		b, err := d.ClaimRemovable(d.IDOrPath(), true, false, tray{d})
		if err == nil {
			d.TrayMoved = b.TrayMoved
		}
		return b, err
	}
	b, err := d.Props.Claim(d.IDOrPath(), false, true)
	switch {
	case err != nil:
		return nil, err
	case b.Node() == nil:
		d.Drive.Release()
		return nil, errors.New("Device needs media, but drive is empty")
	case b.ReadOnly():
		d.Drive.Release()
		return nil, errors.New("Block node is read-only")
	}
	return b, nil
}

// setDefaults fills in the names that the user left out.
func (d *Drive) setDefaults() {
	if d.serial == "" {
		d.serial = d.serialAuto
	}
	if d.version == "" {
		d.version = "2.5+"
	}
	if d.model == "" {
		d.model = map[Kind]string{Disk: "QEMU HARDDISK", CDROM: "QEMU DVD-ROM"}[d.Kind]
	}
}

// resized hears that the medium has another length.
func (d *Drive) resized() {
	d.measure()
	if d.identified != 0 && d.Kind == Disk {
		d.sizes()
	}
}

// Unrealize implements qdev.Device.
func (d *Device) Unrealize() {
	if d.drive == nil {
		return
	}
	bus, unit := d.drive.bus, d.drive.unit
	bus.jobs.Drain()
	d.drive.backend.OnResize = nil
	_ = d.drive.backend.Flush(context.Background()) // nobody is left to hear of a failure
	d.release()
	old := bus.Drives[unit]
	*old = Drive{bus: bus, unit: unit, serialAuto: old.serialAuto, buf: old.buf, ncq: old.ncq, smart: smart{enabled: true, autosave: true}}
	old.reset()
	d.drive = nil
}

func (d *Device) release() {
	if d.Drive != nil {
		d.Drive.Release()
	}
}

// tray is a CD-ROM drive as those see it who change its disc; they hold the machine lock.
type tray struct{ d *Device }

// HasTray implements block.Media.
func (tray) HasTray() bool { return true }

// TrayOpen implements block.Media.
func (t tray) TrayOpen() bool { return t.d.drive != nil && t.d.drive.trayOpen }

// Locked implements block.Media.
func (t tray) Locked() bool { return t.d.drive != nil && t.d.drive.trayLocked }

// EjectRequest implements block.Media: it asks the guest to let go of the disc; force unlocks the tray.
func (t tray) EjectRequest(force bool) {
	d := t.d.drive
	d.ejectRequest = true
	if force {
		d.trayLocked = false
	}
	d.bus.raise()
}

// MediumChanged implements block.Media: a disc came (loaded) or went.
func (t tray) MediumChanged(loaded bool) error {
	d := t.d.drive
	d.measure()
	d.trayOpen, d.changed, d.newMedia, d.ejectRequest = !loaded, 1, true, false
	d.bus.raise()
	return nil
}
