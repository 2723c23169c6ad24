package block

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// SCSIRequest is a command for a SCSI device of the host. Data goes one way, or none.
type SCSIRequest struct {
	CDB     []byte
	In, Out []byte
	Timeout time.Duration

	Status, Host, Driver uint16 // as Linux gives them: of the device, of its adapter, of the driver
	Sense                []byte // what the device says of a failure
	Residue              int    // bytes of data that did not go
}

// SCSIDevice is a driver whose medium is a SCSI device of the host, or may be one.
type SCSIDevice interface {
	// SCSIVersion is the version of Linux' interface (SG_GET_VERSION_NUM), an error if the device is none for SCSI commands.
	SCSIVersion() (int, error)
	// SCSIType is the device's type (SPC-3, §6.4.2).
	SCSIType() (uint8, error)
	// Generic tells whether it is known by its character device, so that it can be accessed by commands only.
	Generic() bool
	// HardwareLimits are the most bytes of data and parts of memory that a command can have; zeroes: no limit is known.
	HardwareLimits() (bytes, parts int64)
	// SCSI executes a command.
	SCSI(ctx context.Context, r *SCSIRequest) error
}

// scsi finds the SCSI device under a node, nil if there is none: only drivers that change nothing let commands through.
func (n *Node) scsi() SCSIDevice {
	if t, ok := n.state.(interface{ SCSIChild() *Child }); ok {
		if c := t.SCSIChild(); c != nil {
			return c.node.scsi()
		}
		return nil
	}
	d, _ := n.state.(SCSIDevice)
	return d
}

// noSCSI is the device of a medium that is none.
type noSCSI struct{}

func (noSCSI) SCSIVersion() (int, error)                { return 0, unix.ENOTSUP }
func (noSCSI) SCSIType() (uint8, error)                 { return 0, unix.ENOTSUP }
func (noSCSI) Generic() bool                            { return false }
func (noSCSI) HardwareLimits() (bytes, parts int64)     { return 0, 0 }
func (noSCSI) SCSI(context.Context, *SCSIRequest) error { return unix.ENOTSUP }

// SCSI is the SCSI device that the medium is; its methods fail if it is none.
func (b *Backend) SCSI() SCSIDevice {
	if b.root != nil {
		if d := b.root.Node().scsi(); d != nil {
			return d
		}
	}
	return noSCSI{}
}

// ExecuteSCSI lets the SCSI device that the medium is execute a command.
func (b *Backend) ExecuteSCSI(ctx context.Context, r *SCSIRequest) error {
	b.gate.enter()
	defer b.gate.exit()
	if b.root == nil {
		return unix.ENOMEDIUM
	}
	return b.SCSI().SCSI(ctx, r)
}
