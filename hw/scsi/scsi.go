// Package scsi is the SCSI bus: addresses of logical units, commands with their data and sense (SPC-3), and what a target answers for
// logical units that are not there. Devices are packages of their own, as are host adapters.
package scsi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/hw/qdev"
)

// BusType is the type name of the bus.
const BusType = "SCSI"

// Status of a command (SAM-4, §5.3.1).
const (
	StatusGood           = 0x00
	StatusCheckCondition = 0x02
	StatusTaskSetFull    = 0x28
)

// Operation codes (SPC-3, SBC-3, MMC-5).
const (
	OpTestUnitReady  = 0x00
	OpRequestSense   = 0x03
	OpInquiry        = 0x12
	OpGetEventStatus = 0x4a
	OpReportLUNs     = 0xa0
)

// Sense says why a command failed: key, additional code and qualifier (SPC-3, §4.5).
type Sense struct{ Key, ASC, ASCQ uint8 }

// Reasons of failures.
var (
	SenseNone            = Sense{}
	SenseNotReady        = Sense{2, 0x04, 0x03}
	SenseNoMedium        = Sense{2, 0x3a, 0x00}
	SenseRemoval         = Sense{5, 0x53, 0x02}
	SenseRemovalNotReady = Sense{2, 0x53, 0x02}
	SenseTargetFailure   = Sense{4, 0x44, 0x00}
	SenseIOError         = Sense{0x0b, 0x00, 0x06}
	SenseSpace           = Sense{7, 0x27, 0x07}
	SenseInvalidOpcode   = Sense{5, 0x20, 0x00}
	SenseOutOfRange      = Sense{5, 0x21, 0x00}
	SenseInvalidField    = Sense{5, 0x24, 0x00}
	SenseNoLUN           = Sense{5, 0x25, 0x00}
	SenseInvalidParam    = Sense{5, 0x26, 0x00}
	SenseInvalidValue    = Sense{5, 0x26, 0x01}
	SenseOverlapped      = Sense{0x0b, 0x4e, 0x00}
	SenseParamLength     = Sense{5, 0x1a, 0x00}
	SenseIncompatible    = Sense{5, 0x30, 0x00}
	SenseNoSaving        = Sense{5, 0x39, 0x00}
	SenseWriteProtected  = Sense{7, 0x27, 0x00}
	SenseReset           = Sense{6, 0x29, 0x00}
	SenseMediumChanged   = Sense{6, 0x28, 0x00}
	SenseCapacityChanged = Sense{6, 0x2a, 0x09}
	SenseLUNsChanged     = Sense{6, 0x3f, 0x0e}
)

// senseLength is the length of fixed-format sense data.
const senseLength = 18

// Bytes is the sense in fixed format, for the last command.
func (s Sense) Bytes() []byte {
	return []byte{0: 0x70, 2: s.Key, 7: 10, 12: s.ASC, 13: s.ASCQ, senseLength - 1: 0}
}

// descriptor is the sense in descriptor format.
func (s Sense) descriptor() []byte { return []byte{0x72, s.Key, s.ASC, s.ASCQ, 0, 0, 0, 0} }

// Reply is what REQUEST SENSE returns; fixed says in which format.
func (s Sense) Reply(fixed bool) []byte {
	if fixed {
		return s.Bytes()
	}
	return s.descriptor()
}

// Command is a command on its way: the adapter fills in the first members, the device the result.
type Command struct {
	CDB []byte // at least 16 bytes
	LUN uint16
	In  [][]byte // the initiator's buffers for data from the device
	Out [][]byte // data to the device

	Status uint8
	Sense  Sense
	Moved  int64 // bytes of data that went either way
	Hold   bool  // an error stops the machine; the command is to be tried again
}

// Fail ends the command with a check condition.
func (c *Command) Fail(s Sense) { c.Status, c.Sense = StatusCheckCondition, s }

// FailFor ends the command with what the initiator is to know of the host's error.
func (c *Command) FailFor(err error) {
	switch {
	case errors.Is(err, unix.ENOMEDIUM):
		c.Fail(SenseNoMedium)
	case errors.Is(err, unix.ENOMEM):
		c.Fail(SenseTargetFailure)
	case errors.Is(err, unix.EINVAL):
		c.Fail(SenseInvalidField)
	case errors.Is(err, unix.ENOSPC):
		c.Fail(SenseSpace)
	default:
		c.Fail(SenseIOError)
	}
}

// Reply sends p, of which the initiator wants at most limit bytes.
func (c *Command) Reply(p []byte, limit int) {
	n := min(len(p), limit, int(min(block.IovLen(c.In), 1<<30)))
	block.IovScatter(c.In, p[:n])
	c.Moved = int64(n)
}

// Fill is Reply with zeroes behind p up to the limit.
func (c *Command) Fill(p []byte, limit int) {
	c.Reply(append(p, make([]byte, max(limit-len(p), 0))...), limit)
}

// Parameters reads a parameter list of n bytes; ok is false if the initiator sent fewer.
func (c *Command) Parameters(n int) (p []byte, ok bool) {
	if n > maxParameters || int64(n) > block.IovLen(c.Out) {
		return nil, false
	}
	p = make([]byte, n)
	block.IovGather(p, c.Out)
	c.Moved = int64(n)
	return p, true
}

// maxParameters limits parameter lists.
const maxParameters = 64 << 10

// Unit is a logical unit.
type Unit interface {
	qdev.Device
	SCSI() *Device
	// Execute does a command; it may block, runs without the machine lock, and several may run at once.
	Execute(c *Command)
	// Transfer is how many bytes of data go with a command, at most, and whether they go to the device.
	Transfer(cdb []byte) (n int64, out bool)
}

// Props are the options of every device on the bus.
type Props struct {
	Channel uint32 `prop:"channel,default=0"`
	Target  uint32 `prop:"scsi-id,default=4294967295"`
	LUN     uint32 `prop:"lun,default=4294967295"`
}

// auto asks for the first free address.
const auto = 0xffffffff

// Device is the part common to all logical units; embed it.
type Device struct {
	qdev.Base
	Props
	Backend *block.Backend // nil before the device is ready and when it is gone

	mu        sync.Mutex
	attention Sense        // guarded by mu: to be reported with the next command
	busy      sync.RWMutex // held for reading while a command runs
	saved     savedSense
}

// SCSI implements Unit.
func (d *Device) SCSI() *Device { return d }

// SetAttention makes the device report s with its next command. A more important condition stays.
func (d *Device) SetAttention(s Sense) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.attention == SenseNone || d.attention != SenseReset {
		d.attention = s
	}
}

// Report is SetAttention; adapters that can do so tell the driver at once.
func (d *Device) Report(u Unit, s Sense) {
	d.SetAttention(s)
	if b, ok := d.Parent().(*Bus); ok && b.Changed != nil {
		b.Changed(u, s)
	}
}

// TakeAttention returns what is to be reported, once.
func (d *Device) TakeAttention() Sense {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.attention
	d.attention = SenseNone
	return s
}

// KeepSense keeps the reason of a failure for the next REQUEST SENSE; for adapters that cannot hand it over with the status.
func (d *Device) KeepSense(s Sense) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.saved.length = 0; s != SenseNone {
		d.saved.length = uint32(copy(d.saved.sense[:], s.Bytes()))
	}
}

// takeSense is what REQUEST SENSE reports: what was kept, else a condition.
func (d *Device) takeSense() Sense {
	d.mu.Lock()
	kept, b := d.saved.length != 0, &d.saved.sense
	d.saved.length = 0
	s := Sense{b[2] & 15, b[12], b[13]}
	d.mu.Unlock()
	if !kept {
		s = d.TakeAttention()
	}
	return s
}

// Attention is what is to be reported.
func (d *Device) Attention() Sense {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.attention
}

// Wait returns when no command runs. Meanwhile limits of the backend's speed do not hold.
func (d *Device) Wait() {
	if d.Backend != nil {
		defer block.Unthrottle(d.Backend)()
	}
	d.busy.Lock()
	defer d.busy.Unlock()
}

// Bus is a SCSI bus. The list of its devices is guarded by mu, as commands come without the machine lock.
type Bus struct {
	qdev.Bus
	MaxTarget, MaxLUN uint32
	NoQueue           bool // one command at a time
	// Handler looks after the devices that come and go while the machine runs, nil if none may.
	Handler qdev.HotplugHandler
	// Admit, if set, may refuse a device that is ready.
	Admit func(Unit) error
	// Plugged and Unplugged, if set, hear of devices that come and go while the machine runs.
	Plugged, Unplugged func(Unit)
	// Changed, if set, hears of conditions that are to be reported with the next command.
	Changed func(Unit, Sense)

	mu    sync.RWMutex
	units []Unit // guarded by mu
}

// NewBus makes b a bus that parent provides.
func NewBus(b *Bus, parent qdev.Device, name string, maxTarget, maxLUN uint32) {
	b.MaxTarget, b.MaxLUN = maxTarget, maxLUN
	qdev.InitBus(b, parent, BusType, name, 0)
}

// Backends are those of the devices.
func (b *Bus) Backends() (list []*block.Backend) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, u := range b.units {
		if x := u.SCSI().Backend; x != nil {
			list = append(list, x)
		}
	}
	return list
}

// HotplugHandler implements qdev.Hotplugger.
func (b *Bus) HotplugHandler() qdev.HotplugHandler { return b.Handler }

// DevicePath implements qdev.PathBus.
func (b *Bus) DevicePath(d qdev.Device) string {
	u := d.(Unit).SCSI()
	path := fmt.Sprintf("%d:%d:%d", u.Channel, u.Target, u.LUN)
	if above := qdev.StatePath(b.Owner()); above != "" {
		path = above + "/" + path
	}
	return path
}

// FirmwareName implements qdev.FirmwareBus.
func (b *Bus) FirmwareName(d qdev.Device) string {
	u := d.(Unit).SCSI()
	return fmt.Sprintf("channel@%x/disk@%x,%x", u.Channel, u.Target, u.LUN)
}

// RealizeChild implements qdev.BusRealizer: it gives the device an address.
func (b *Bus) RealizeChild(dev qdev.Device) error {
	u, ok := dev.(Unit)
	if !ok {
		return errors.New("not a SCSI device")
	}
	if err := b.place(u.SCSI()); err != nil {
		return err
	}
	if err := dev.Realize(); err != nil {
		return err
	}
	if b.Admit != nil {
		if err := b.Admit(u); err != nil {
			dev.Unrealize()
			return err
		}
	}
	b.mu.Lock()
	b.units = append(b.units, u)
	b.mu.Unlock()
	if b.Plugged != nil {
		b.Plugged(u)
	}
	return nil
}

// UnrealizeChild implements qdev.BusRealizer.
func (b *Bus) UnrealizeChild(dev qdev.Device) {
	u := dev.(Unit)
	if b.Unplugged != nil {
		b.Unplugged(u)
	}
	b.mu.Lock()
	for i, x := range b.units {
		if x == u {
			b.units = append(b.units[:i:i], b.units[i+1:]...)
			break
		}
	}
	b.mu.Unlock()
	u.SCSI().Wait()
	dev.Unrealize()
}

// place checks the address or finds a free one.
func (b *Bus) place(d *Device) error {
	switch {
	case d.Channel != 0:
		return fmt.Errorf("bad scsi channel id: %d", d.Channel)
	case d.Target != auto && d.Target > b.MaxTarget:
		return fmt.Errorf("bad scsi device id: %d", d.Target)
	case d.LUN != auto && d.LUN > b.MaxLUN:
		return fmt.Errorf("bad scsi device lun: %d", d.LUN)
	}
	switch {
	case d.Target == auto:
		if d.LUN == auto {
			d.LUN = 0
		}
		for d.Target = 0; b.at(d.Target, d.LUN) != nil; d.Target++ {
			if d.Target == b.MaxTarget {
				return errors.New("no free target")
			}
		}
	case d.LUN == auto:
		for d.LUN = 0; b.at(d.Target, d.LUN) != nil; d.LUN++ {
			if d.LUN == b.MaxLUN {
				return errors.New("no free lun")
			}
		}
	case b.at(d.Target, d.LUN) != nil:
		return errors.New("lun already used by '" + b.at(d.Target, d.LUN).Dev().ID() + "'")
	}
	return nil
}

// at is the unit at an address, nil if there is none.
func (b *Bus) at(id, lun uint32) Unit {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, u := range b.units {
		if d := u.SCSI(); d.Target == id && d.LUN == lun {
			return u
		}
	}
	return nil
}

// target finds the unit for an address; exact is false if it is another one of the same target.
func (b *Bus) target(id, lun uint32) (u Unit, exact bool) {
	if u := b.at(id, lun); u != nil {
		return u, true
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, u := range b.units {
		if u.SCSI().Target == id {
			return u, false
		}
	}
	return nil, false
}

// Units lists the logical units of a target.
func (b *Bus) Units(id uint32) (out []Unit) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, u := range b.units {
		if u.SCSI().Target == id {
			out = append(out, u)
		}
	}
	return out
}

// Unit is the logical unit at an address, nil if there is none.
func (b *Bus) Unit(id, lun uint32) Unit { return b.at(id, lun) }

// Execute does a command for the logical unit at an address; it returns false if there is no such target.
func (b *Bus) Execute(id, lun uint32, c *Command) bool {
	u, exact := b.target(id, lun)
	if u == nil {
		return false
	}
	d := u.SCSI()
	d.busy.RLock()
	defer d.busy.RUnlock()
	switch op := c.CDB[0]; {
	case op == OpReportLUNs && lun == 0:
		b.reportLUNs(id, c)
	case !exact || op == OpReportLUNs:
		missing(lun, c)
	case op == OpRequestSense:
		s := d.takeSense()
		c.Reply(s.Reply(c.CDB[1]&1 == 0), int(c.CDB[4]))
	case op != OpInquiry && op != OpGetEventStatus && d.Attention() != SenseNone:
		c.Fail(d.TakeAttention())
	default:
		u.Execute(c)
	}
	return true
}

// Transfer is how many bytes of data go with a command for the logical unit at an address, at most, and whether they go to the device; for
// adapters whose drivers do not tell.
func (b *Bus) Transfer(id, lun uint32, cdb []byte) (n int64, out bool) {
	u, exact := b.target(id, lun)
	switch op := cdb[0]; {
	case op == OpReportLUNs:
		return int64(binary.BigEndian.Uint32(cdb[6:])), false
	case op == OpRequestSense:
		return int64(cdb[4]), false
	case op == OpInquiry:
		return int64(binary.BigEndian.Uint16(cdb[3:])), false
	case !exact:
		return 0, false
	}
	return u.Transfer(cdb)
}

// missing answers for a logical unit that is not there on a target that is.
func missing(lun uint32, c *Command) {
	const noUnit, inactive = 0x7f, 0x3f
	switch {
	case c.CDB[0] == OpInquiry && c.CDB[1]&3 == 0 && c.CDB[2] == 0:
		p := make([]byte, 36)
		if p[0] = noUnit; lun == 0 {
			copy(p, []byte{inactive, 0, 5, 0x12, uint8(len(p) - 5), 0, 0, 0x12})
			copy(p[8:], "QEMU    QEMU TARGET     2.5")
		}
		c.Reply(p, int(binary.BigEndian.Uint16(c.CDB[3:])))
	case c.CDB[0] == OpInquiry:
		c.Fail(SenseInvalidField)
	case c.CDB[0] == OpRequestSense:
		c.Reply(SenseNoLUN.Reply(c.CDB[1]&1 == 0), int(c.CDB[4]))
	case c.CDB[0] == OpTestUnitReady && lun == 0:
	case lun == 0:
		c.Fail(SenseInvalidOpcode)
	default:
		c.Fail(SenseNoLUN)
	}
}

// reportLUNs lists the logical units of a target (SPC-3, §6.21).
func (b *Bus) reportLUNs(id uint32, c *Command) {
	limit := binary.BigEndian.Uint32(c.CDB[6:])
	if limit < 16 || c.CDB[2] > 2 {
		c.Fail(SenseInvalidField)
		return
	}
	p := make([]byte, 16)
	for _, u := range b.Units(id) {
		if lun := u.SCSI().LUN; lun != 0 {
			p = append(p, PutLUN(lun)...)
		}
	}
	binary.BigEndian.PutUint32(p, uint32(len(p)-8))
	c.Reply(p, int(min(limit&^7, 1<<20)))
}

// flatSpace marks logical unit numbers from 256 on.
const flatSpace = 0x40

// PutLUN is a logical unit number in its 8-byte form (SAM-4, §4.6).
func PutLUN(lun uint32) []byte {
	p := make([]byte, 8)
	if lun < 256 {
		p[1] = uint8(lun)
		return p
	}
	p[0], p[1] = flatSpace|uint8(lun>>8), uint8(lun)
	return p
}
