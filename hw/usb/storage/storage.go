// Package storage is USB mass storage with bulk-only transport: usb-storage, which has a disk or CD-ROM drive of its own, and usb-bot, which
// takes up to 16 SCSI devices.
package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/hw/scsi"
	"goemu/hw/usb"
	"goemu/migration/vmstate"
)

var le = binary.LittleEndian

// The wrappers of commands and their status (sections 5.1 and 5.2).
const (
	commandSignature = 0x43425355
	statusSignature  = 0x53425355
	commandBytes     = 31
	statusBytes      = 13
	flagIn           = 0x80
	lunMask          = 15
	cdbBytes         = 16

	// maxData limits what a command may move, as all of it is kept; drivers ask for far less at once.
	maxData = 64 << 20
)

// Requests of the class (section 3).
const (
	requestReset  = 0x21ff
	requestMaxLUN = 0xa1fe
)

// mode is what the device waits for, numbered as in migration streams.
type mode = uint32

const (
	modeCommand mode = iota
	modeOut
	modeIn
	modeStatus
)

const maxBotLUN = 15

// regs is the state that migrates.
type regs struct {
	mode       uint32
	scsiLength uint32 // of a part of the data that a host adapter holds; nothing here
	scsiOffset uint32
	left       uint32 // data that has yet to go over the bus
	signature  uint32 // of the status that is ready, 0 if none is
	tag        uint32
	residue    uint32
	failed     uint8
}

// transport is what both types share.
type transport struct {
	usb.Device
	bus scsi.Bus
	regs
	stuck   bool        // the driver has made a mistake: only a reset helps
	packet  *usb.Packet // waits for data or status
	lun     uint32
	command *scsi.Command
	held    *scsi.Command // is tried again when the machine runs
	cdb     []byte        // of a command whose data is still coming
	buffer  []byte        // data that came, or that goes
	at      int           // what of it has gone
	jobs    disk.Queue
	log     bool // people want to see the commands
}

// Storage is the device type usb-storage.
type Storage struct {
	transport
	disk.Props
	Removable   bool `prop:"removable,default=false"`
	LogCommands bool `prop:"commandlog,default=false"`

	unit qdev.Device
}

// Bot is the device type usb-bot.
type Bot struct{ transport }

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	parents := []string{"usb-storage-dev", "usb-device", "device"}
	return []*qdev.Class{
		{Name: "usb-storage", Bus: usb.BusType, Category: qdev.Storage, Parents: parents, New: func() qdev.Device { return new(Storage) },
			State: func(d qdev.Device) vmstate.State { return state.Bind(&d.(*Storage).transport) }},
		{Name: "usb-bot", Bus: usb.BusType, Category: qdev.Storage, Parents: parents, New: func() qdev.Device { return new(Bot) },
			State: func(d qdev.Device) vmstate.State { return state.Bind(&d.(*Bot).transport) }},
	}
}

// Info implements usb.Model.
func (*transport) Info() usb.Info {
	return usb.Info{Product: "QEMU USB MSD", Desc: desc, Name: "storage"}
}

// Realize implements qdev.Device.
func (b *Bot) Realize() error {
	b.AttachByHand()
	b.bus.Handler = qdev.Direct{}
	b.initBus(b, maxBotLUN)
	return nil
}

// initBus makes the bus that owner, the device, provides.
func (t *transport) initBus(owner qdev.Device, maxLUN uint32) {
	t.bus.NoQueue = true
	scsi.NewBus(&t.bus, owner, "", 0, maxLUN)
	t.jobs.Backends = t.bus.Backends
}

// Realize implements qdev.Device: the device makes the drive that is to be behind it.
func (s *Storage) Realize() error {
	if s.Drive == nil {
		return errors.New("drive property not set")
	}
	if err := s.CheckSizes(); err != nil {
		return err
	}
	s.initBus(s, 0)
	s.log = s.LogCommands
	t := s.Tree()
	name := "scsi-hd"
	if s.Drive.CD {
		name = "scsi-cd"
	}
	set := []qdev.Setting{{Name: "scsi-id", Value: "0"}}
	if s.BootIndex.Set {
		set = append(set, qdev.Setting{Name: "bootindex", Value: fmt.Sprint(s.BootIndex.N)})
	}
	if !s.Drive.CD {
		set = append(set, qdev.Setting{Name: "removable", Value: fmt.Sprint(s.Removable)})
	}
	for _, p := range []string{"drive", "share-rw", "rerror", "werror", "serial"} {
		v, err := qdev.Get(s, p)
		if err != nil {
			return err
		}
		if v != "" {
			set = append(set, qdev.Setting{Name: p, Value: v})
		}
	}
	unit, err := t.CreateAt(s.bus.QOM(), "legacy[0]", t.Registry.Lookup(name), &s.bus, set...)
	if err != nil {
		return err
	}
	s.unit = unit
	return nil
}

// Unrealize implements qdev.Device.
func (t *transport) Unrealize() { t.giveUp() }

// Unrealize implements qdev.Device.
func (s *Storage) Unrealize() {
	s.giveUp()
	if s.unit != nil {
		qdev.Unrealize(s.unit)
	}
}

// giveUp waits for a command, of which nobody hears any more.
func (t *transport) giveUp() {
	t.jobs.Drop()
	t.command, t.held, t.cdb, t.buffer, t.at = nil, nil, nil, nil, 0
}

// PortReset implements usb.Resetter.
func (t *transport) PortReset() {
	t.giveUp()
	t.answer(usb.Stall)
	t.regs = regs{}
	t.stuck = false
}

// answer ends the packet that waits.
func (t *transport) answer(s usb.Status) {
	if p := t.packet; p != nil {
		t.packet, p.Status = nil, s
		t.Complete(p)
	}
}

// CancelPacket implements usb.Canceller: the command ends with an error.
func (t *transport) CancelPacket(*usb.Packet) {
	t.packet = nil
	if t.command != nil || t.held != nil {
		t.giveUp()
		t.signature, t.residue, t.failed = statusSignature, t.left, 1
	}
}

// Control implements usb.Model.
func (t *transport) Control(request, _, _ int, data []byte) (int, bool) {
	switch request {
	case usb.ReqClearEndpointFeature:
		return 0, true
	case requestReset:
		t.giveUp()
		t.mode, t.signature = modeCommand, 0
		return 0, true
	case requestMaxLUN:
		n := uint32(0)
		for t.bus.Unit(0, n+1) != nil {
			n++
		}
		return copy(data, []byte{byte(n)}), true
	}
	return 0, false
}

// Data implements usb.Model.
func (t *transport) Data(p *usb.Packet) {
	ok := !t.stuck
	switch {
	case !ok:
	case p.PID == usb.Out && p.EP.Number == endpointOut:
		ok = t.out(p)
	case p.PID == usb.In && p.EP.Number == endpointIn:
		ok = t.in(p)
	default:
		ok = false
	}
	if !ok {
		p.Status = usb.Stall
	}
}

// out takes a command or data for it.
func (t *transport) out(p *usb.Packet) bool {
	switch t.mode {
	case modeCommand:
		return p.Size == commandBytes && t.begin(p)
	case modeOut:
		if uint32(p.Size) > t.left || t.left == 0 || t.cdb == nil {
			return false
		}
		n := len(t.buffer)
		t.buffer = slices.Grow(t.buffer, p.Size)[:n+p.Size]
		p.Move(t.buffer[n:])
		if t.left -= uint32(p.Size); t.left == 0 {
			c := &scsi.Command{CDB: t.cdb, LUN: uint16(t.lun), Out: [][]byte{t.buffer}}
			t.cdb = nil
			t.execute(c)
		}
		return true
	}
	return false
}

// begin takes a command.
func (t *transport) begin(p *usb.Packet) bool {
	var b [commandBytes]byte
	p.Move(b[:])
	if le.Uint32(b[:]) != commandSignature || t.bus.Unit(0, uint32(b[13]&lunMask)) == nil || b[13] > lunMask {
		return false
	}
	t.tag, t.left, t.lun = le.Uint32(b[4:]), le.Uint32(b[8:]), uint32(b[13])
	t.buffer, t.at, t.signature = nil, 0, 0
	if t.left > maxData {
		t.stuck = true
		return false
	}
	cdb := make([]byte, cdbBytes)
	copy(cdb, b[15:15+min(int(b[14]), cdbBytes)])
	c := &scsi.Command{CDB: cdb, LUN: uint16(t.lun)}
	switch {
	case t.left == 0:
		t.mode = modeStatus
	case b[12]&flagIn != 0:
		t.mode = modeIn
		t.buffer = make([]byte, t.left)
		c.In = [][]byte{t.buffer}
	default:
		t.mode, t.cdb = modeOut, cdb
		return true
	}
	t.execute(c)
	return true
}

// execute does a command; all its data for the device is there.
func (t *transport) execute(c *scsi.Command) {
	if t.log && Log != nil {
		Log(t.describe(c))
	}
	t.command = c
	found := false
	t.jobs.Go(func() error {
		found = t.bus.Execute(0, t.lun, c)
		return nil
	}, func(error) { t.executed(c, found) })
}

// Log gets a line for each command of devices that are to tell; nil drops them.
var Log func(text string)

// describe is a command for people to read.
func (t *transport) describe(c *scsi.Command) string {
	s := fmt.Sprintf("[%s id=0] %s", t.bus.Name(), scsi.CommandName(c.CDB[0]))
	for _, b := range c.CDB[1:scsi.CDBLength(c.CDB[0])] {
		s += fmt.Sprintf(" 0x%02x", b)
	}
	switch {
	case len(c.Out) > 0:
		return fmt.Sprintf("%s - to-dev len=%d", s, len(t.buffer))
	case len(c.In) > 0:
		return fmt.Sprintf("%s - from-dev len=%d", s, len(t.buffer))
	}
	return s + " - none"
}

func (t *transport) executed(c *scsi.Command, found bool) {
	if t.command = nil; c.Hold {
		t.held = c
		disk.StopMachine()
		return
	}
	total := uint32(0)
	for _, b := range append(c.In, c.Out...) {
		total += uint32(len(b))
	}
	t.signature, t.residue, t.failed = statusSignature, total-uint32(c.Moved), 0
	if !found || c.Status != scsi.StatusGood {
		t.failed = 1
	}
	if u := t.bus.Unit(0, t.lun); u != nil { // REQUEST SENSE may ask for it next
		u.SCSI().KeepSense(c.Sense)
	}
	if t.mode == modeOut {
		t.mode, t.buffer = modeStatus, nil
	}
	if p := t.packet; p != nil {
		t.packet, p.Status = nil, usb.OK
		if !t.in(p) {
			p.Status = usb.Stall
		}
		t.Complete(p)
	}
}

// Started goes on with a command that an error had stopped.
func (t *transport) Started() {
	if c := t.held; c != nil {
		t.held = nil
		c.Status, c.Sense, c.Moved, c.Hold = 0, scsi.Sense{}, 0, false
		t.execute(c)
	}
}

// in gives data or status to the host; the packet waits until there is some.
func (t *transport) in(p *usb.Packet) bool {
	switch t.mode {
	case modeIn:
		if t.busy() {
			return t.wait(p)
		}
		t.give(p)
		return true
	case modeOut:
		if t.left != 0 || p.Size < statusBytes {
			return false
		}
		return t.wait(p)
	case modeStatus:
		if p.Size < statusBytes {
			return false
		}
		if t.busy() {
			return t.wait(p)
		}
		b := le.AppendUint32(nil, t.signature)
		b = le.AppendUint32(b, t.tag)
		b = le.AppendUint32(b, t.residue)
		p.Move(append(b, t.failed))
		t.mode, t.signature, t.tag, t.residue, t.failed = modeCommand, 0, 0, 0, 0
		return true
	}
	return false
}

func (t *transport) busy() bool { return t.command != nil || t.held != nil }

func (t *transport) wait(p *usb.Packet) bool {
	t.packet, p.Status = p, usb.Async
	return true
}

// give moves data to the host; zeroes stand for what the command has not made.
func (t *transport) give(p *usb.Packet) {
	n := min(p.Room(), int(t.left))
	k := min(n, len(t.buffer)-t.at)
	p.Move(t.buffer[t.at : t.at+k])
	p.Skip(n - k)
	t.at += k
	if t.left -= uint32(n); t.left == 0 {
		t.mode, t.buffer, t.at = modeStatus, nil, 0
	}
}

// again is the command that was stopped by an error before the machine came here.
func (t *transport) again() *scsi.Command {
	c := &scsi.Command{CDB: t.cdb, LUN: uint16(t.lun)}
	switch t.mode {
	case modeIn:
		c.In = [][]byte{t.buffer}
	case modeOut:
		c.Out = [][]byte{t.buffer}
	}
	return c
}
