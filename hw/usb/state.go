package usb

import "goemu/migration/vmstate"

// State is the state of every device on the bus; device descriptions begin with it.
var State = vmstate.Description[Device]{Name: "USBDevice", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Device]{
		vmstate.Of("addr", func(d *Device) *uint8 { return &d.addr }),
		vmstate.Of("state", func(d *Device) *int32 { return &d.state }),
		vmstate.Of("remote_wakeup", func(d *Device) *int32 { return &d.remoteWakeup }),
		vmstate.Of("setup_state", func(d *Device) *int32 { return &d.stage }),
		vmstate.Of("setup_len", func(d *Device) *int32 { return &d.length }),
		vmstate.Of("setup_index", func(d *Device) *int32 { return &d.index }),
		vmstate.Array("setup_buf", func(d *Device) []uint8 { return d.setup[:] }),
	},
	PostLoad: func(d *Device, _ int) error {
		d.attached = d.state != stateNotAttached
		if d.length < 0 || d.length > controlBytes || d.index < 0 || d.index > d.length {
			d.length, d.index, d.stage = 0, 0, stageIdle
		}
		return nil
	}}

// Saved returns the field that a device's description begins with.
func Saved[T any](at func(*T) *Device) vmstate.Field[T] { return vmstate.Struct("dev", &State, at) }
