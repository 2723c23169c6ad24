// Package generic hands commands to SCSI devices of the host: scsi-generic to any kind of device, scsi-block to disks and drives.
package generic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/hw/scsi"
	"goemu/migration/vmstate"
)

var be = binary.BigEndian

// Device types (SPC-3, §6.4.2).
const (
	typeDisk      = 0x00
	typeTape      = 0x01
	typeWriteOnce = 0x04
	typeCDROM     = 0x05
	typeZoned     = 0x14
)

// minInterface is the version of Linux' interface from which on it is as needed.
const minInterface = 30000

const diskBlock, cdBlock = 512, 2048

// Device is the device type scsi-generic.
type Device struct {
	scsi.Device
	Drive     *block.Source  `prop:"drive" help:"Node name or ID of a block device to use as a backend"`
	ShareRW   bool           `prop:"share-rw,default=false"`
	IOTimeout uint32         `prop:"io_timeout,default=30"`
	BootIndex qdev.BootIndex `prop:"bootindex"`

	kind      uint8
	blockSize atomic.Uint32 // guessed until the driver asks for the capacity
	addLimits bool          // the device lacks the page of block limits
	policy    disk.Policy
}

// Block is the device type scsi-block.
type Block struct {
	Device
	MaxIO     uint64           `prop:"max_io_size,default=2147483647"`
	MaxUnmap  uint64           `prop:"max_unmap_size,default=1073741824"`
	RError    disk.ErrorAction `prop:"rerror,default=auto" help:"Error handling policy, report/ignore/enospc/stop/auto"`
	WError    disk.ErrorAction `prop:"werror,default=auto" help:"Error handling policy, report/ignore/enospc/stop/auto"`
	Rotation  uint16           `prop:"rotation_rate,default=0"`
	SCSILevel int32            `prop:"scsi_version,default=-1"`

	media [5]bool // of the stream; the host's device keeps such states itself
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{
		{Name: "scsi-generic", Bus: scsi.BusType, Desc: "pass through generic scsi device (/dev/sg*)", Category: qdev.Storage,
			New:   func() qdev.Device { return new(Device) },
			State: func(d qdev.Device) vmstate.State { return scsi.State.Bind(&d.(*Device).Device) }},
		{Name: "scsi-block", Bus: scsi.BusType, Desc: "SCSI block device passthrough", Category: qdev.Storage,
			New: func() qdev.Device { return new(Block) }, State: qdev.State(&blockState)},
	}
}

// Realize implements qdev.Device.
func (d *Device) Realize() error {
	if d.Drive == nil {
		return errors.New("drive property not set")
	}
	switch d.Drive.WError {
	case "", "auto", "enospc", "report":
	default:
		return errors.New("Device doesn't support drive option werror")
	}
	switch d.Drive.RError {
	case "", "auto", "report":
	default:
		return errors.New("Device doesn't support drive option rerror")
	}
	if err := d.take(); err != nil {
		return err
	}
	var err error
	if d.kind, err = d.Backend.SCSI().SCSIType(); err != nil {
		d.release()
		return errors.New("SG_GET_SCSI_ID ioctl failed")
	}
	d.look()
	return nil
}

// Realize implements qdev.Device.
func (b *Block) Realize() error {
	if b.Drive == nil {
		return errors.New("drive property not set")
	}
	if err := b.take(); err != nil {
		return err
	}
	b.policy = (&disk.Props{Options: disk.Options{Backing: disk.Backing{Drive: b.Drive}}, RError: b.RError, WError: b.WError}).Policy()
	p, ok := b.ask([]byte{scsi.OpInquiry, 0, 0, 0, inquiryLength, 0}, inquiryLength)
	if !ok {
		b.release()
		return errors.New("INQUIRY failed")
	}
	b.kind = p[0]
	b.look()
	return nil
}

// take takes the medium, which must be a SCSI device of the host.
func (d *Device) take() error {
	o := disk.Backing{Drive: d.Drive, ShareRW: d.ShareRW}
	b, err := o.Claim(d.Dev().IDOrPath(), false, true)
	if err != nil {
		return err
	}
	d.Backend = b
	v, err := b.SCSI().SCSIVersion()
	switch {
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("cannot get SG_IO version number: %s", block.Strerror(block.Errno(err)))
	case err != nil:
		err = fmt.Errorf("cannot get SG_IO version number: %s\nIs this a SCSI device?", block.Strerror(block.Errno(err)))
	case v < minInterface:
		err = errors.New("scsi generic interface too old")
	}
	if err != nil {
		d.release()
	}
	return err
}

// look asks the device for what it must be known for.
func (d *Device) look() {
	switch d.kind {
	case typeCDROM, typeWriteOnce:
		d.blockSize.Store(cdBlock)
	case typeTape:
		const length = 12
		d.blockSize.Store(0)
		if p, ok := d.ask([]byte{opModeSense, 0, 0, 0, length, 0}, length); ok {
			d.blockSize.Store(be.Uint32(p[8:]) & 0xffffff)
		}
	default:
		d.blockSize.Store(diskBlock)
	}
	d.addLimits = d.isDisk() && d.lacksLimits()
}

func (d *Device) isDisk() bool { return d.kind == typeDisk || d.kind == typeZoned }

// ask executes a command of the device model itself, which returns up to n bytes.
func (d *Device) ask(cdb []byte, n int) (p []byte, ok bool) {
	r := &block.SCSIRequest{CDB: cdb, In: make([]byte, n), Timeout: d.timeout()}
	err := d.Backend.ExecuteSCSI(context.Background(), r)
	return r.In, err == nil && r.Status|r.Host|r.Driver == 0
}

func (d *Device) timeout() time.Duration { return time.Duration(d.IOTimeout) * time.Second }

func (d *Device) release() {
	d.Drive.Release()
	d.Backend = nil
}

// Unrealize implements qdev.Device.
func (d *Device) Unrealize() {
	if d.Backend != nil {
		d.Drive.Unplug()
		d.Backend = nil
	}
}

// SetIOThread binds the medium to an iothread, or to none if the name is empty.
func (d *Device) SetIOThread(name string) error {
	return disk.SetIOThread(d.Backend, name)
}

// Reset implements qdev.Device.
func (d *Device) Reset() {
	d.Wait()
	d.SetAttention(scsi.SenseReset)
}

// BootPlace implements qdev.Bootable.
func (d *Device) BootPlace() (index int32, suffix string, ok bool) {
	return d.BootIndex.N, "", d.BootIndex.Set
}

var blockState = vmstate.Description[Block]{Name: "scsi-disk", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Block]{
		vmstate.Struct("qdev", &scsi.State, func(b *Block) *scsi.Device { return &b.Device.Device }),
		vmstate.Of("media_changed", func(b *Block) *bool { return &b.media[0] }),
		vmstate.Of("media_event", func(b *Block) *bool { return &b.media[1] }),
		vmstate.Of("eject_request", func(b *Block) *bool { return &b.media[2] }),
		vmstate.Of("tray_open", func(b *Block) *bool { return &b.media[3] }),
		vmstate.Of("tray_locked", func(b *Block) *bool { return &b.media[4] }),
	}}
