package uas

import (
	"fmt"
	"os"
	"slices"

	"goemu/hw/disk"
	"goemu/hw/scsi"
	"goemu/hw/usb"
)

// request is a command on its way.
type request struct {
	tag, lun uint16
	cdb      []byte
	toDevice bool
	size     int64       // of the data, at most
	data     []byte      // what came, or what goes
	at       int         // what of it has gone
	packet   *usb.Packet // waits for data
	ready    bool        // the host has been told to move the data
	job      *disk.Job   // while the command runs
	held     bool        // is tried again when the machine runs
	over     bool        // has been executed, but not all data has gone
	status   uint8
	sense    scsi.Sense
}

// unit takes an information unit.
func (u *UAS) unit(p *usb.Packet) bool {
	var b [unitBytes]byte
	p.Move(b[:min(p.Size, len(b))])
	if len(u.replies) >= maxReplies { // the host does not ask for them
		return false
	}
	tag, lun := be.Uint16(b[atTag:]), be.Uint64(b[atLUN:])
	usable := !u.streams() || tag != 0 && tag <= maxStreams
	switch b[0] {
	case unitCommand:
		if !usable { // there is no stream for an answer
			return false
		}
		u.command(tag, lun, b[atCDB:], b[atMore] != 0)
	case unitTask:
		if !usable {
			return false
		}
		u.task(tag, lun, b[atFunction], be.Uint16(b[atTaskTag:]))
	default:
		return false
	}
	return true
}

// find is the request with a tag, nil if there is none.
func (u *UAS) find(tag uint16) *request {
	i := slices.IndexFunc(u.requests, func(r *request) bool { return r.tag == tag })
	if i < 0 {
		return nil
	}
	return u.requests[i]
}

// target is the logical unit number in lun; ok is false if nobody answers for it.
func (u *UAS) target(lun uint64) (n uint16, ok bool) {
	n = uint16(lun >> 48)
	return n, n <= maxLUN && len(u.bus.Units(0)) > 0
}

// command begins a command; more says that its CDB is longer than the unit.
func (u *UAS) command(tag uint16, lun64 uint64, cdb []byte, more bool) {
	lun, ok := u.target(lun64)
	refuse := func(s scsi.Sense) { u.sense(tag, scsi.StatusCheckCondition, s) }
	switch {
	case more:
		refuse(scsi.SenseInvalidValue)
		return
	case u.find(tag) != nil:
		refuse(scsi.SenseOverlapped)
		return
	case !ok:
		refuse(scsi.SenseNoLUN)
		return
	}
	r := &request{tag: tag, lun: lun, cdb: slices.Clone(cdb)}
	r.size, r.toDevice = u.bus.Transfer(0, uint32(lun), r.cdb)
	switch {
	case r.size > maxData:
		refuse(scsi.SenseInvalidField)
		return
	case len(u.requests) >= maxRequests || u.data+r.size > maxData:
		u.sense(tag, scsi.StatusTaskSetFull, scsi.SenseNone)
		return
	}
	if u.LogRequests != 0 {
		u.log(r)
	}
	u.requests = append(u.requests, r)
	u.data += r.size
	if p := u.waiting(tag); p != nil {
		if r.packet = p; r.size > 0 && r.toDevice != (p.PID == usb.Out) {
			r.packet = nil
			u.end(p, usb.Stall)
		}
	}
	switch {
	case !r.toDevice || r.size == 0:
		u.execute(r)
	case r.packet != nil:
		if p := r.packet; !u.take(r, p) {
			r.packet = nil
			u.end(p, usb.OK)
		}
	default:
		u.next()
	}
}

// waiting is a data packet that has come before the command of its stream, nil if there is none; it waits no longer.
func (u *UAS) waiting(tag uint16) (p *usb.Packet) {
	if u.streams() {
		p, u.dataPackets[tag] = u.dataPackets[tag], nil
	}
	return p
}

// log tells of a command in QEMU's words.
func (u *UAS) log(r *request) {
	s := fmt.Sprintf("[%s id=0] %s", u.bus.Name(), scsi.CommandName(r.cdb[0]))
	for _, b := range r.cdb[1:scsi.CDBLength(r.cdb[0])] {
		s += fmt.Sprintf(" 0x%02x", b)
	}
	switch {
	case r.size == 0:
		s += " - none"
	case r.toDevice:
		s += fmt.Sprintf(" - to-dev len=%d", r.size)
	default:
		s += fmt.Sprintf(" - from-dev len=%d", r.size)
	}
	fmt.Fprintln(os.Stderr, s)
}

// execute does a command; all data for the device is there.
func (u *UAS) execute(r *request) {
	c := &scsi.Command{CDB: r.cdb, LUN: r.lun}
	switch {
	case r.size == 0:
	case r.toDevice:
		c.Out = [][]byte{r.data}
	default:
		r.data = make([]byte, r.size)
		c.In = [][]byte{r.data}
	}
	found := false
	r.job = u.jobs.Go(func() error {
		found = u.bus.Execute(0, uint32(r.lun), c)
		return nil
	}, func(error) { u.executed(r, c, found) })
}

func (u *UAS) executed(r *request, c *scsi.Command, found bool) {
	if r.job = nil; c.Hold {
		r.held = true
		disk.StopMachine()
		return
	}
	r.over, r.status, r.sense = true, c.Status, c.Sense
	if !found {
		r.status, r.sense = scsi.StatusCheckCondition, scsi.SenseNoLUN
	}
	if x := u.bus.Unit(0, uint32(r.lun)); x != nil {
		x.SCSI().KeepSense(r.sense)
	}
	if r.toDevice {
		r.data = nil
	} else {
		r.data = r.data[:min(c.Moved, int64(len(r.data)))]
	}
	if p := r.packet; p != nil {
		r.packet = nil
		r.give(p)
		u.end(p, usb.OK)
	}
	u.proceed(r)
}

// Started goes on with commands that errors had stopped.
func (u *UAS) Started() {
	for _, r := range u.requests {
		if r.held {
			r.held = false
			u.execute(r)
		}
	}
}

// proceed ends a command whose data has gone.
func (u *UAS) proceed(r *request) {
	if r.at < len(r.data) {
		u.next()
		return
	}
	u.forget(r)
	u.sense(r.tag, r.status, r.sense)
	u.next()
}

// forget takes a request off the list.
func (u *UAS) forget(r *request) {
	u.requests = slices.DeleteFunc(u.requests, func(x *request) bool { return x == r })
	u.data -= r.size
	if u.in == r {
		u.in = nil
	}
	if u.out == r {
		u.out = nil
	}
}

// next tells the host which data to move next on pipes without streams.
func (u *UAS) next() {
	if u.streams() {
		return
	}
	for _, r := range u.requests {
		pipe, unit := &u.in, uint8(unitReadReady)
		if r.toDevice {
			pipe, unit = &u.out, unitWriteReady
		}
		wants := r.over && r.at < len(r.data) || r.toDevice && int64(len(r.data)) < r.size && !r.over
		if *pipe == nil && !r.ready && wants {
			*pipe, r.ready = r, true
			u.reply(r.tag, []byte{unit, headBytes - 1: 0})
		}
	}
}

// move moves data of the request that a packet of a data pipe belongs to.
func (u *UAS) move(p *usb.Packet) bool {
	r := u.find(p.Stream)
	if p.Stream == 0 {
		if r = u.out; p.PID == usb.In {
			r = u.in
		}
	}
	switch {
	case r == nil:
		return p.Stream != 0 && wait(&u.dataPackets[p.Stream], p)
	case r.toDevice != (p.PID == usb.Out) || r.packet != nil:
		return false
	case r.toDevice:
		if u.take(r, p) {
			return wait(&r.packet, p)
		}
	case !r.over:
		return wait(&r.packet, p)
	default:
		r.give(p)
		u.proceed(r)
	}
	return true
}

// give moves data to the host.
func (r *request) give(p *usb.Packet) {
	n := min(p.Room(), len(r.data)-r.at)
	p.Move(r.data[r.at : r.at+n])
	r.at += n
}

// take moves data from the host and executes the command when all is there; it returns whether the packet, which has room for more data than
// there is, has to wait for that.
func (u *UAS) take(r *request, p *usb.Packet) bool {
	if int64(len(r.data)) == r.size {
		return true
	}
	have := len(r.data)
	n := int(min(int64(p.Room()), r.size-int64(have)))
	r.data = slices.Grow(r.data, n)[:have+n]
	p.Move(r.data[have:])
	if int64(len(r.data)) < r.size {
		return false
	}
	u.execute(r)
	return p.Room() > 0
}
