// Package disk holds the SCSI disk and CD-ROM drive: scsi-hd and scsi-cd (SBC-3, MMC-5).
package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/hw/scsi"
)

var be = binary.BigEndian

// Device types (SPC-3, §6.4.2).
const (
	typeDisk  = 0x00
	typeCDROM = 0x05
)

const (
	sectorSize  = 512
	cdBlock     = 2048
	maxCDSector = 80 * 60 * 75 * cdBlock / sectorSize // a disc with more is a DVD

	maxCyls, maxHeads, maxSecs = 65535, 255, 255
	defaultMaxUnmap            = 1 << 30
	unlimitedIO                = 1<<31 - 1
)

// common are the options that disks and CD-ROM drives share.
type common struct {
	disk.Props
	Vendor    string `prop:"vendor"`
	Product   string `prop:"product"`
	Version   string `prop:"ver"`
	Serial    string `prop:"serial"`
	DeviceID  string `prop:"device_id"`
	WWN       uint64 `prop:"wwn,default=0"`
	PortWWN   uint64 `prop:"port_wwn,default=0"`
	PortIndex uint16 `prop:"port_index,default=0"`
	MaxIO     uint64 `prop:"max_io_size,default=2147483647"`
	SCSILevel int32  `prop:"scsi_version,default=5"`
	AppleDisk bool   `prop:"quirk_mode_page_vendor_specific_apple,default=off" help:"on/off"` // has the mode page 0 of Apple's disks
}

// cdQuirks are options for MacOS, which expects of a CD-ROM drive what Apple's have.
type cdQuirks struct {
	AppleCD   bool `prop:"quirk_mode_page_apple_vendor,default=off" help:"on/off"` // has a mode page with Apple's name
	UseDBD    bool `prop:"quirk_mode_sense_rom_use_dbd,default=off" help:"on/off"` // has a block descriptor among its mode parameters
	Truncated bool `prop:"quirk_mode_page_truncated,default=off" help:"on/off"`    // takes mode pages of which the end is missing
}

// Drive is a logical unit with a medium.
type Drive struct {
	scsi.Device
	common

	kind      uint8
	removable bool
	fua       bool
	rotation  uint16
	maxUnmap  uint64
	policy    disk.Policy
	geo       disk.Geometry
	blockSize uint64
	quirks    *cdQuirks

	// TrayMoved, if set, hears when the guest opens or closes the tray.
	TrayMoved func(open bool)

	mu sync.Mutex
	// Guarded by mu.
	trayOpen, trayLocked                   bool
	mediaChanged, mediaEvent, ejectRequest bool
}

// HD is the device type scsi-hd.
type HD struct {
	Drive
	disk.CHS
	Removable bool   `prop:"removable,default=false" help:"on/off"`
	FUA       bool   `prop:"dpofua,default=false" help:"on/off"`
	Rotation  uint16 `prop:"rotation_rate,default=0"`
	MaxUnmap  uint64 `prop:"max_unmap_size,default=1073741824"`
}

// CD is the device type scsi-cd.
type CD struct {
	Drive
	Quirks cdQuirks
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{
		{Name: "scsi-hd", Bus: scsi.BusType, Desc: "virtual SCSI disk", Category: qdev.Storage, New: func() qdev.Device { return new(HD) },
			State: func(d qdev.Device) vmState { return driveState.Bind(&d.(*HD).Drive) }},
		{Name: "scsi-cd", Bus: scsi.BusType, Desc: "virtual SCSI CD-ROM", Category: qdev.Storage, New: func() qdev.Device { return new(CD) },
			State: func(d qdev.Device) vmState { return driveState.Bind(&d.(*CD).Drive) }},
	}
}

// Realize implements qdev.Device.
func (h *HD) Realize() error {
	if h.common.Drive == nil {
		return errors.New("drive property not set")
	}
	h.kind, h.removable, h.fua, h.rotation, h.maxUnmap, h.quirks = typeDisk, h.Removable, h.FUA, h.Rotation, h.MaxUnmap, new(cdQuirks)
	if err := h.realize(); err != nil {
		return err
	}
	n, err := h.Backend.Length(context.Background())
	if err != nil {
		n = 0
	}
	if h.geo, _, err = h.CHS.Geometry(h.Backend, n, maxCyls, maxHeads, maxSecs); err != nil {
		h.release()
	}
	return err
}

// Realize implements qdev.Device.
func (c *CD) Realize() error {
	c.kind, c.removable, c.maxUnmap, c.quirks = typeCDROM, true, defaultMaxUnmap, &c.Quirks
	return c.realize()
}

// realize checks the options and takes the medium.
func (d *Drive) realize() error {
	b, err := d.claim()
	if err != nil {
		return err
	}
	d.Backend = b
	if b.SCSI().Generic() {
		d.release()
		return errors.New("unwanted /dev/sg*")
	}
	b.EnableIOStatus()
	if d.kind == typeCDROM {
		d.LogicalBlock, d.PhysicalBlock = 0, 0
	}
	if err := d.CheckSizes(); err != nil {
		d.release()
		return err
	}
	d.blockSize = uint64(d.LogicalBlock)
	if d.kind == typeCDROM {
		d.blockSize = cdBlock
	}
	if d.DiscardGrain == disk.DefaultDiscardGrain {
		d.DiscardGrain = qdev.Size(max(uint64(d.blockSize), 4096))
	}
	if d.common.Drive != nil {
		d.policy = d.Policy()
	}
	d.setNames()
	b.OnResize = func() { d.Report(d, scsi.SenseCapacityChanged) }
	return nil
}

// setNames fills in what the user left out.
func (d *Drive) setNames() {
	pick := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	pick(&d.Version, "2.5+")
	pick(&d.Vendor, "QEMU")
	pick(&d.Product, map[uint8]string{typeDisk: "QEMU HARDDISK", typeCDROM: "QEMU CD-ROM"}[d.kind])
	if d.DeviceID == "" {
		switch {
		case d.Serial != "":
			d.DeviceID = d.Serial
			if len(d.DeviceID) > 20 {
				d.DeviceID = d.DeviceID[:20]
			}
		case d.Backend.Name() != "":
			d.DeviceID = d.Backend.Name()
		}
	}
}

// claim takes the medium. A CD-ROM drive does without.
func (d *Drive) claim() (*block.Backend, error) {
	if d.kind == typeCDROM || d.removable && d.common.Drive != nil {
		b, err := d.common.ClaimRemovable(d.Dev().IDOrPath(), d.kind == typeCDROM, d.kind == typeDisk, tray{d})
		if err == nil {
			d.TrayMoved = b.TrayMoved
		}
		return b, err
	}
	b, err := d.common.Props.Claim(d.Dev().IDOrPath(), false, true)
	switch {
	case err != nil:
		return nil, err
	case d.kind == typeDisk && !d.removable && b.Node() == nil:
		d.common.Drive.Release()
		return nil, errors.New("Device needs media, but drive is empty")
	}
	return b, nil
}

func (d *Drive) release() {
	if d.common.Drive != nil {
		d.common.Drive.Release()
	}
	d.Backend = nil
}

// Unrealize implements qdev.Device.
func (d *Drive) Unrealize() {
	if d.Backend == nil {
		return
	}
	d.Backend.OnResize = nil
	_ = d.Backend.Flush(context.Background()) // nobody is left to hear of a failure
	if d.common.Drive != nil {
		d.common.Drive.Unplug()
	}
	d.Backend = nil
}

// SetIOThread binds the disk to an iothread, or to none if the name is empty.
func (d *Drive) SetIOThread(name string) error {
	return disk.SetIOThread(d.Backend, name)
}

// Reset implements qdev.Device.
func (d *Drive) Reset() {
	d.Wait()
	d.SetAttention(scsi.SenseReset)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trayLocked, d.trayOpen = false, false
}

// BootPlace implements qdev.Bootable.
func (d *Drive) BootPlace() (index int32, suffix string, ok bool) {
	return d.BootIndex.N, "", d.BootIndex.Set
}

// sectors is the size of the medium in sectors of 512 bytes, 0 without medium.
func (d *Drive) sectors() uint64 {
	n, err := d.Backend.Length(context.Background())
	if err != nil {
		return 0
	}
	return uint64(n) / sectorSize
}

// blocks is the size of the medium in blocks.
func (d *Drive) blocks() uint64 { return d.sectors() / (d.blockSize / sectorSize) }

// inserted tells whether there is a medium, available whether it can be used.
func (d *Drive) inserted() bool { return d.Backend.Node() != nil }

func (d *Drive) available() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inserted() && !d.trayOpen
}

// tray is a drive as those see it who change its medium.
type tray struct{ d *Drive }

// HasTray implements block.Media.
func (tray) HasTray() bool { return true }

// TrayOpen implements block.Media.
func (t tray) TrayOpen() bool {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	return t.d.trayOpen
}

// Locked implements block.Media.
func (t tray) Locked() bool {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	return t.d.trayLocked
}

// EjectRequest implements block.Media: it asks the guest to let go of the medium; force unlocks the tray.
func (t tray) EjectRequest(force bool) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.d.ejectRequest = true
	if force {
		t.d.trayLocked = false
	}
}

// MediumChanged implements block.Media: a medium came (loaded) or went.
func (t tray) MediumChanged(loaded bool) error {
	d := t.d
	d.mu.Lock()
	d.trayOpen, d.mediaChanged, d.mediaEvent, d.ejectRequest = !loaded, loaded, loaded, false
	d.mu.Unlock()
	d.Report(d, scsi.SenseMediumChanged)
	return nil
}

// failed ends a command that the host could not do.
func (d *Drive) failed(c *scsi.Command, write bool, err error) {
	switch d.policy.Action(write, err) {
	case disk.ErrorIgnore:
		return
	case disk.ErrorStop:
		c.Hold = true
		return
	}
	c.FailFor(err)
}
