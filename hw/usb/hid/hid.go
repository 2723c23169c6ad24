// Package hid holds the USB keyboard, mouse and tablet (Device Class Definition for Human Interface Devices 1.11).
package hid

import (
	"fmt"

	"goemu/hw/qdev"
	"goemu/hw/usb"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/ui"
	"goemu/ui/input"
)

// Requests of the class (section 7.2).
const (
	getReport   = 0xa101
	getIdle     = 0xa102
	getProtocol = 0xa103
	setReport   = 0x2109
	setIdle     = 0x210a
	setProtocol = 0x210b
)

const (
	queueLength = 16
	idleUnit    = 4_000_000 // nanoseconds

	protocolReport = 1
)

// device is what all kinds share. The queue's place and length are those of the pointer's movements or the keyboard's codes.
type device struct {
	usb.Device
	kind     kind
	report   func(b []byte) int // makes a report of up to len(b) bytes
	head, n  uint32
	protocol int32
	idle     uint8
	due      bool // a report is due although nothing has happened
	timer    *clock.Timer
	endpoint *usb.Endpoint
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	parents := []string{"usb-hid", "usb-device", "device"}
	return []*qdev.Class{
		{Name: "usb-mouse", Bus: usb.BusType, Category: qdev.Input, Parents: parents, New: func() qdev.Device { return new(Mouse) },
			State: func(d qdev.Device) state { return pointerState.Bind(&d.(*Mouse).pointer) }},
		{Name: "usb-tablet", Bus: usb.BusType, Category: qdev.Input, Parents: parents, New: func() qdev.Device { return new(Tablet) },
			State: func(d qdev.Device) state { return pointerState.Bind(&d.(*Tablet).pointer) }},
		{Name: "usb-kbd", Bus: usb.BusType, Category: qdev.Input, Parents: parents, New: func() qdev.Device { return new(Keyboard) }, State: qdev.State(&keyboardState)},
	}
}

// versionProps is the option of all kinds.
type versionProps struct {
	Version uint32 `prop:"usb_version,default=2"`
}

// displayProps is the option of devices that may belong to one screen.
type displayProps struct {
	Display string `prop:"display"`
}

// Info implements usb.Model.
func (d *device) info(k kind) usb.Info { return usb.Info{Product: models[k].product} }

// realize readies a device of a kind.
func (d *device) realize(k kind, version uint32, in input.Device, name string, mask input.Mask, display string, head uint32) error {
	if version != 1 && version != 2 {
		return fmt.Errorf("Invalid usb version %d for usb hid device", int32(version))
	}
	d.kind = k
	d.Describe(describe(k, version))
	d.endpoint = d.Endpoint(usb.In, 1)
	d.timer = mainloop.NewTimer(clock.Virtual, func() { d.due = true; d.Wakeup(d.endpoint) })
	input.Main.Add(in, name, mask)
	if owner := d.Tree().Find(display); owner != nil { // QEMU lets a device that finds no screen serve all of them
		if c := ui.Main.Find(owner, int(head)); c != nil {
			input.Main.Bind(in, c)
		}
	}
	return nil
}

func (d *device) unrealize(in input.Device) {
	input.Main.Remove(in)
	d.timer.Del()
}

func (d *device) reset() {
	d.head, d.n, d.protocol, d.idle, d.due = 0, 0, protocolReport, 0, false
	d.timer.Del()
}

// nextIdle sets the time of the next report that comes even if nothing happens.
func (d *device) nextIdle() {
	if d.idle == 0 {
		d.timer.Del()
		return
	}
	d.timer.Mod(clock.Virtual.Now() + int64(d.idle)*idleUnit)
}

// Control implements usb.Model for all kinds.
func (d *device) Control(request, value, _ int, data []byte) (int, bool) {
	boot := d.kind != tablet
	switch request {
	case usb.ReqGetInterfaceDescriptor:
		if value>>8 == descReport {
			return copy(data, models[d.kind].report), true
		}
	case getReport:
		return d.report(data), true
	case getProtocol:
		return copy(data, []byte{byte(d.protocol)}), boot
	case setProtocol:
		if boot {
			d.protocol = int32(value)
		}
		return 0, boot
	case getIdle:
		return copy(data, []byte{d.idle}), true
	case setIdle:
		d.idle = uint8(value >> 8)
		d.nextIdle()
		return 0, true
	}
	return 0, false
}

// Data implements usb.Model: the next report.
func (d *device) Data(p *usb.Packet) {
	switch {
	case p.PID != usb.In || p.EP.Number != 1:
		p.Status = usb.Stall
	case d.n == 0 && !d.due:
		p.Status = usb.NAK
	default:
		d.nextIdle()
		b := make([]byte, min(p.Size, maxReport))
		p.Move(b[:d.report(b)])
	}
}

const maxReport = 8
