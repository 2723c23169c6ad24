// Package uas is USB Attached SCSI: usb-uas, a host adapter that takes many commands at once, each with a stream of its own at SuperSpeed.
package uas

import (
	"encoding/binary"
	"slices"

	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/hw/scsi"
	"goemu/hw/usb"
	"goemu/internal/mainloop"
	"goemu/migration/vmstate"
)

var be = binary.BigEndian

// Limits of what the device keeps.
const (
	maxLUN      = 255
	maxRequests = 256
	maxReplies  = 2 * maxRequests
	// maxData limits the data of all commands together; drivers ask for far less at once.
	maxData = 64 << 20
)

// UAS is the device type usb-uas.
type UAS struct {
	usb.Device
	LogRequests uint32 `prop:"log-scsi-req,default=0"`

	bus      scsi.Bus
	jobs     disk.Queue
	requests []*request // in the order in which they came
	replies  []reply    // for the status pipe
	data     int64      // of all requests
	posted   bool       // replies are about to go out

	// Packets that wait, by stream; 0 is the pipe itself. in and out are the requests whose data a pipe without streams moves.
	statusPackets, dataPackets [maxStreams + 1]*usb.Packet
	in, out                    *request
}

// reply is an information unit for the host.
type reply struct {
	stream uint16
	unit   []byte
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{{Name: "usb-uas", Bus: usb.BusType, Category: qdev.Storage, Parents: []string{"usb-device", "device"}, Unmigratable: true,
		New: func() qdev.Device { return new(UAS) }, State: func(d qdev.Device) vmstate.State { return state.Bind(d.(*UAS)) }}}
}

var state = vmstate.Description[UAS]{Name: "usb-uas", Version: 0, MinVersion: 0,
	Fields: []vmstate.Field[UAS]{usb.Saved(func(u *UAS) *usb.Device { return &u.Device })}}

// Info implements usb.Model.
func (*UAS) Info() usb.Info { return usb.Info{Product: desc.Strings[2], Desc: desc, Name: "storage"} }

// Realize implements qdev.Device.
func (u *UAS) Realize() error {
	u.AttachByHand()
	u.bus.Handler = qdev.Direct{}
	scsi.NewBus(&u.bus, u, "", 0, maxLUN)
	u.jobs.Backends = u.bus.Backends
	return nil
}

// Unrealize implements qdev.Device.
func (u *UAS) Unrealize() { u.giveUp() }

// streams tells whether commands have streams.
func (u *UAS) streams() bool { return u.Speed() == usb.Super }

// giveUp waits for the commands, of which nobody hears any more.
func (u *UAS) giveUp() {
	u.jobs.Drop()
	u.requests, u.replies, u.data, u.in, u.out = nil, nil, 0, nil, nil
}

// PortReset implements usb.Resetter.
func (u *UAS) PortReset() {
	var waiting []*usb.Packet
	for _, r := range u.requests {
		waiting = append(waiting, r.packet)
	}
	u.giveUp()
	waiting = slices.Concat(waiting, u.statusPackets[:], u.dataPackets[:])
	clear(u.statusPackets[:])
	clear(u.dataPackets[:])
	for _, p := range waiting {
		if p != nil {
			u.end(p, usb.Stall)
		}
	}
}

// end ends a packet that has waited.
func (u *UAS) end(p *usb.Packet, s usb.Status) {
	p.Status = s
	u.Complete(p)
}

// CancelPacket implements usb.Canceller.
func (u *UAS) CancelPacket(p *usb.Packet) {
	for i := range u.statusPackets {
		for _, w := range []**usb.Packet{&u.statusPackets[i], &u.dataPackets[i]} {
			if *w == p {
				*w = nil
			}
		}
	}
	for _, r := range u.requests {
		if r.packet == p {
			r.packet = nil
		}
	}
}

// Control implements usb.Model.
func (*UAS) Control(int, int, int, []byte) (int, bool) { return 0, false }

// Data implements usb.Model.
func (u *UAS) Data(p *usb.Packet) {
	ok := p.Stream <= maxStreams
	switch {
	case !ok:
	case p.PID == usb.Out && p.EP.Number == pipeCommand:
		ok = u.unit(p)
	case p.PID == usb.In && p.EP.Number == pipeStatus:
		ok = u.status(p)
	case p.PID == usb.In && p.EP.Number == pipeIn, p.PID == usb.Out && p.EP.Number == pipeOut:
		ok = u.move(p)
	default:
		ok = false
	}
	if !ok {
		p.Status = usb.Stall
	}
}

// wait keeps a packet in w until there is something for it; only one can wait there.
func wait(w **usb.Packet, p *usb.Packet) bool {
	if *w != nil {
		return false
	}
	*w, p.Status = p, usb.Async
	return true
}

// status gives the host a reply.
func (u *UAS) status(p *usb.Packet) bool {
	for i, r := range u.replies {
		if p.Stream == 0 || p.Stream == r.stream {
			u.replies = slices.Delete(u.replies, i, i+1)
			p.Move(r.unit[:min(len(r.unit), p.Size)])
			return true
		}
	}
	return wait(&u.statusPackets[p.Stream], p)
}

// reply sends a unit to the host: after what is being done now, so that data is there before its command has ended.
func (u *UAS) reply(tag uint16, unit []byte) {
	be.PutUint16(unit[atTag:], tag)
	r := reply{unit: unit}
	if u.streams() {
		r.stream = tag
	}
	u.replies = append(u.replies, r)
	if u.statusPackets[r.stream] == nil {
		u.WakeupStream(u.Endpoint(usb.In, pipeStatus), r.stream)
		return
	}
	if !u.posted {
		u.posted = true
		mainloop.Post(u.sendReplies)
	}
}

// sendReplies gives the packets that wait for replies what there is.
func (u *UAS) sendReplies() {
	u.posted = false
	for s := range u.statusPackets {
		p := u.statusPackets[s]
		if p == nil || !slices.ContainsFunc(u.replies, func(r reply) bool { return s == 0 || int(r.stream) == s }) {
			continue
		}
		u.statusPackets[s] = nil
		u.status(p)
		u.end(p, usb.OK)
	}
}

// sense tells how a command has ended.
func (u *UAS) sense(tag uint16, status uint8, s scsi.Sense) {
	b := make([]byte, senseBytes)
	b[0], b[atStatus] = unitSense, status
	if status == scsi.StatusCheckCondition {
		t := s.Bytes()
		be.PutUint16(b[atSenseLength:], uint16(len(t)))
		b = append(b, t...)
	}
	u.reply(tag, b)
}

// response tells how a function of task management has ended.
func (u *UAS) response(tag uint16, code uint8) {
	b := make([]byte, responseBytes)
	b[0], b[atResponse] = unitResponse, code
	u.reply(tag, b)
}
