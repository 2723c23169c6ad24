package generic

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/scsi"
)

// Operation codes that something is done about.
const (
	opModeSelect      = 0x15
	opModeSense       = 0x1a
	opReadCapacity    = 0x25
	opModeSense10     = 0x5a
	opServiceActionIn = 0x9e
	readCapacity16    = 0x10
)

// maxData limits the data of a command.
const maxData = 16 << 20

// What Linux says beside the status of a device (scsi/sg.h): of the adapter, of the driver.
const (
	hostNoLUN, hostBusy, hostTimeout, hostBad, hostAborted       = 1, 2, 3, 4, 5
	hostReset, hostDisrupted, hostTarget, hostReservation        = 8, 0x0e, 0x10, 0x11
	hostAllocation, hostMedium                                   = 0x12, 0x13
	driverTimeout, driverSense                                   = 0x06, 0x08
	statusBusy, statusReservationConflict                  uint8 = 0x08, 0x18
)

// hostSenses are the reasons of failures of the host's adapter.
var hostSenses = map[uint16]scsi.Sense{
	hostNoLUN: {Key: 0xb, ASC: 0x05}, hostTimeout: {Key: 0xb, ASC: 0x2e, ASCQ: 2}, hostBad: {Key: 0xb, ASC: 0x08},
	hostAborted: {Key: 0xb, ASC: 0x2f, ASCQ: 2}, hostReset: scsi.SenseReset, hostDisrupted: {Key: 6, ASC: 0x29, ASCQ: 7},
	hostTarget: scsi.SenseTargetFailure, hostAllocation: scsi.SenseSpace, hostMedium: {Key: 3, ASC: 0x11},
}

// Execute implements scsi.Unit.
func (d *Device) Execute(c *scsi.Command) {
	n := cdbLength(c.CDB[0])
	in, out := block.IovLen(c.In), block.IovLen(c.Out)
	switch {
	case n == 0:
		c.Fail(scsi.SenseInvalidOpcode)
		return
	case in > maxData || out > maxData || in > 0 && out > 0:
		c.Fail(scsi.SenseInvalidField)
		return
	}
	r := &block.SCSIRequest{CDB: c.CDB[:n], Timeout: d.timeout()}
	if out > 0 {
		r.Out = make([]byte, out)
		block.IovGather(r.Out, c.Out)
	} else if in > 0 {
		r.In = make([]byte, in)
	}
	if err := d.Backend.ExecuteSCSI(context.Background(), r); err != nil {
		d.failed(c, err)
		return
	}
	moved := max(len(r.In)+len(r.Out)-max(r.Residue, 0), 0)
	switch {
	case (r.Driver&driverSense != 0 || r.Status == uint16(scsi.StatusCheckCondition)) && len(r.Sense) > 0:
		c.Sense = parseSense(r.Sense)
		if d.limitsAsked(c.CDB) && c.Sense.Key == scsi.SenseInvalidField.Key {
			c.Sense = scsi.Sense{}
			c.Reply(d.limitsPage(), int(in))
			return
		}
	case r.Host != 0:
		d.adapterFailed(c, r.Host)
		return
	case r.Driver&0xf == driverTimeout:
		c.Status = statusBusy
		return
	}
	if c.Status = uint8(r.Status); c.Status != scsi.StatusGood {
		d.refused(c)
		return
	}
	if len(r.In) > 0 {
		moved = d.learn(c.CDB, r.In, min(moved, len(r.In)))
		c.Reply(r.In[:moved], moved)
		return
	}
	d.sent(c.CDB, r.Out)
	c.Moved = int64(moved)
}

// failed ends a command that the host did not execute.
func (d *Device) failed(c *scsi.Command, err error) {
	if d.held(c, err) {
		return
	}
	switch {
	case errors.Is(err, unix.EBADE):
		c.Status = statusReservationConflict
	case errors.Is(err, unix.EDOM):
		c.Status = scsi.StatusTaskSetFull
	default:
		c.FailFor(err)
	}
}

// adapterFailed ends a command with which the host's adapter has failed.
func (d *Device) adapterFailed(c *scsi.Command, host uint16) {
	switch s, ok := hostSenses[host]; {
	case host == hostBusy:
		c.Status = statusBusy
	case host == hostReservation:
		c.Status = statusReservationConflict
	case ok:
		c.Fail(s)
	default:
		c.Fail(scsi.SenseIOError)
	}
}

// refused is a command that the device has ended with a status; those that move blocks may stop the machine.
func (d *Device) refused(c *scsi.Command) {
	if c.Status != scsi.StatusCheckCondition || !movesBlocks(c.CDB[0]) {
		return
	}
	const mediumError, hardwareError, dataProtect = 3, 4, 7
	switch c.Sense.Key {
	case mediumError, hardwareError:
		d.held(c, unix.EIO)
	case dataProtect:
		if c.Sense == scsi.SenseSpace {
			d.held(c, unix.ENOSPC)
		}
	}
}

// held stops the machine, if the options say so, until the command can be tried again.
func (d *Device) held(c *scsi.Command, err error) bool {
	if d.policy == (disk.Policy{}) { // scsi-generic reports everything
		return false
	}
	if d.policy.Action(len(c.Out) > 0, err) != disk.ErrorStop {
		return false
	}
	c.Hold = true
	return true
}

// cdbLength is the length of commands by their group (SPC-3, §4.3), 0 for one that is not known.
func cdbLength(op uint8) int { return [8]int{6, 10, 10, 0, 16, 12, 0, 0}[op>>5] }

// movesBlocks tells whether a command reads or writes blocks.
func movesBlocks(op uint8) bool {
	switch op {
	case 0x08, 0x28, 0xa8, 0x88, 0x0a, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e:
		return true
	}
	return false
}

// parseSense reads sense data of either format (SPC-3, §4.5).
func parseSense(b []byte) (s scsi.Sense) {
	at := func(i int) uint8 {
		if i < len(b) {
			return b[i]
		}
		return 0
	}
	if at(0)&0x7f >= 0x72 {
		return scsi.Sense{Key: at(1) & 15, ASC: at(2), ASCQ: at(3)}
	}
	return scsi.Sense{Key: at(2) & 15, ASC: at(12), ASCQ: at(13)}
}

// Transfer implements scsi.Unit.
func (d *Device) Transfer(cdb []byte) (n int64, out bool) {
	op := cdb[0]
	blocks := int64(d.blockSize.Load())
	switch op >> 5 {
	case 0:
		n = int64(cdb[4])
	case 1, 2:
		n = int64(be.Uint16(cdb[7:]))
	case 4:
		n = int64(be.Uint32(cdb[10:]))
	case 5:
		n = int64(be.Uint32(cdb[6:]))
	}
	t, ok := transfers[op]
	switch {
	case movesBlocks(op):
		if n == 0 && op>>5 == 0 {
			n = 256
		}
		n *= blocks
	case ok && t.length != nil:
		n = t.length(cdb, blocks)
	}
	return min(n, maxData), t.out
}

// transfer is a row of the table of commands whose length does not stand where it usually does, or whose data goes to the device.
type transfer struct {
	length func(cdb []byte, blockSize int64) int64 // nil: where it usually does
	out    bool
}

func nothing([]byte, int64) int64      { return 0 }
func eight([]byte, int64) int64        { return 8 }
func six([]byte, int64) int64          { return 6 }
func len34(cdb []byte, _ int64) int64  { return int64(be.Uint16(cdb[3:])) }
func len678(cdb []byte, _ int64) int64 { return int64(be.Uint32(cdb[5:]) & 0xffffff) }
func len8(cdb []byte, _ int64) int64   { return int64(be.Uint16(cdb[8:])) }
func len5(cdb []byte, _ int64) int64   { return int64(be.Uint32(cdb[5:])) }
func oneBlock(cdb []byte, b int64) int64 {
	if cdb[1]&1 != 0 {
		return 0
	}
	return b
}

func verified(cdb []byte, b int64) int64 {
	switch {
	case cdb[1]&2 == 0:
		return 0
	case cdb[1]&4 != 0:
		return b
	case cdb[0] == 0x2f:
		return int64(be.Uint16(cdb[7:])) * b
	case cdb[0] == 0xaf:
		return int64(be.Uint32(cdb[6:])) * b
	}
	return int64(be.Uint32(cdb[10:])) * b
}

var transfers = map[uint8]transfer{
	0x00: {nothing, false}, 0x01: {nothing, false}, 0x1b: {nothing, false}, 0x1e: {nothing, false}, 0x16: {nothing, false}, 0x17: {nothing, false},
	0x10: {nothing, false}, 0x80: {nothing, false}, 0x11: {nothing, false}, 0x19: {nothing, false}, 0x2b: {nothing, false}, 0x35: {nothing, false}, 0x91: {nothing, false},
	0x92: {nothing, false}, 0x36: {nothing, false}, 0xbb: {nothing, false}, 0x33: {nothing, false}, 0x34: {nothing, false}, 0x90: {nothing, false}, 0x53: {nothing, false},
	0x05: {six, false}, 0x25: {eight, false}, 0x12: {len34, false}, 0x1c: {len34, false}, 0x1d: {len34, true},
	0x3c: {len678, false}, 0xbe: {len678, false}, 0x3b: {len678, true}, 0x5d: {len678, true}, 0x5f: {len5, true},
	0xbd: {len8, false}, 0xad: {len8, false}, 0xbf: {len8, true}, 0xa4: {nil, false}, 0xa3: {nil, false},
	0x2f: {verified, true}, 0xaf: {verified, true}, 0x8f: {verified, true}, 0x41: {oneBlock, true}, 0x93: {oneBlock, true},
	0x0a: {nil, true}, 0x2a: {nil, true}, 0xaa: {nil, true}, 0x8a: {nil, true}, 0x2e: {nil, true}, 0xae: {nil, true}, 0x8e: {nil, true},
	0x15: {nil, true}, 0x55: {nil, true}, 0x42: {nil, true}, 0x54: {nil, true}, 0x4c: {nil, true}, 0xb5: {nil, true},
}
