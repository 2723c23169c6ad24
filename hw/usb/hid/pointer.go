package hid

import (
	"goemu/hw/usb"
	"goemu/migration/vmstate"
	"goemu/ui/input"
)

type state = vmstate.State

// movement is an entry of a pointing device's queue: positions of a tablet, movements of a mouse.
type movement struct{ x, y, wheel, buttons int32 }

// pointer is what mouse and tablet share.
type pointer struct {
	device
	versionProps
	queue   [queueLength]movement
	grabbed bool
}

// Mouse is the device type usb-mouse.
type Mouse struct{ pointer }

// Tablet is the device type usb-tablet.
type Tablet struct {
	pointer
	displayProps
	Head uint32 `prop:"head,default=0"`
}

// Info implements usb.Model.
func (m *Mouse) Info() usb.Info { return m.info(mouse) }

// Info implements usb.Model.
func (t *Tablet) Info() usb.Info { return t.info(tablet) }

// Realize implements qdev.Device.
func (m *Mouse) Realize() error {
	return m.start(mouse, "QEMU HID Mouse", input.Of(input.KindButton, input.KindRel), "", 0)
}

// Realize implements qdev.Device.
func (t *Tablet) Realize() error {
	return t.start(tablet, "QEMU HID Tablet", input.Of(input.KindButton, input.KindAbs), t.Display, t.Head)
}

func (p *pointer) start(k kind, name string, mask input.Mask, display string, head uint32) error {
	p.report = p.poll
	return p.realize(k, p.Version, p, name, mask, display, head)
}

// Unrealize implements qdev.Device.
func (p *pointer) Unrealize() { p.unrealize(p) }

// PortReset implements usb.Resetter.
func (p *pointer) PortReset() {
	p.queue = [queueLength]movement{}
	p.reset()
}

// Control implements usb.Model.
func (p *pointer) Control(request, value, index int, data []byte) (int, bool) {
	n, ok := p.device.Control(request, value, index, data)
	if ok && request == setIdle {
		p.activate()
	}
	return n, ok
}

// Data implements usb.Model.
func (p *pointer) Data(k *usb.Packet) {
	if k.PID == usb.In && k.EP.Number == 1 {
		p.activate()
	}
	p.device.Data(k)
}

// activate makes users' events come here: the driver listens.
func (p *pointer) activate() {
	if !p.grabbed {
		p.grabbed = true
		input.Main.Activate(p)
	}
}

// slot is an entry of the queue, counted from the oldest one.
func (p *pointer) slot(n uint32) *movement { return &p.queue[(p.head+n)%queueLength] }

var buttonBits = map[input.Button]int32{input.Left: 1, input.Right: 2, input.Middle: 4, input.Side: 8, input.Extra: 16}

// Input implements input.Device.
func (p *pointer) Input(e input.Event) {
	m := p.slot(p.n)
	at := &m.x
	if e.Axis == input.AxisY {
		at = &m.y
	}
	switch e.Kind {
	case input.KindRel:
		*at += int32(e.Value)
	case input.KindAbs:
		*at = int32(e.Value)
	case input.KindButton:
		switch {
		case !e.Down:
			m.buttons &^= buttonBits[e.Button]
			return
		case e.Button == input.WheelUp:
			m.wheel--
		case e.Button == input.WheelDown:
			m.wheel++
		}
		m.buttons |= buttonBits[e.Button]
	}
}

// Sync implements input.Device: what has come since the last time is one movement, or a part of the last one if no button has changed.
func (p *pointer) Sync() {
	if p.n == queueLength-1 {
		return
	}
	now := p.slot(p.n)
	if p.n > 0 {
		if last := p.slot(p.n - 1); last.buttons == now.buttons {
			if p.kind == mouse {
				last.x, last.y = last.x+now.x, last.y+now.y
				now.x, now.y = 0, 0
			} else {
				last.x, last.y = now.x, now.y
			}
			last.wheel += now.wheel
			now.wheel = 0
			return
		}
	}
	next := p.slot(p.n + 1)
	*next = movement{buttons: now.buttons}
	if p.kind == tablet {
		next.x, next.y = now.x, now.y
	}
	p.n++
	p.Wakeup(p.endpoint)
}

func clamp(v int32) int32 { return max(-127, min(v, 127)) }

// poll makes a report of the oldest movement.
func (p *pointer) poll(b []byte) int {
	p.due = false
	p.activate()
	m := p.slot(0)
	if p.n == 0 {
		m = p.slot(queueLength - 1)
	}
	x, y, wheel := m.x, m.y, clamp(m.wheel)
	if p.kind == mouse {
		x, y = clamp(x), clamp(y)
		m.x, m.y = m.x-x, m.y-y
	}
	m.wheel -= wheel
	if p.n > 0 && m.wheel == 0 && (p.kind == tablet || m.x == 0 && m.y == 0) {
		p.head, p.n = (p.head+1)%queueLength, p.n-1
	}
	wheel = -wheel // positive is away from the user
	if p.kind == mouse {
		return copy(b, []byte{byte(m.buttons), byte(x), byte(y), byte(wheel)})
	}
	return copy(b, []byte{byte(m.buttons), byte(x), byte(x >> 8), byte(y), byte(y >> 8), byte(wheel)})
}

var movementState = vmstate.Description[movement]{Name: "HIDPointerEventQueue", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[movement]{
		vmstate.Of("xdx", func(m *movement) *int32 { return &m.x }),
		vmstate.Of("ydy", func(m *movement) *int32 { return &m.y }),
		vmstate.Of("dz", func(m *movement) *int32 { return &m.wheel }),
		vmstate.Of("buttons_state", func(m *movement) *int32 { return &m.buttons }),
	}}

var pointerDeviceState = vmstate.Description[pointer]{Name: "HIDPointerDevice", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[pointer]{
		vmstate.Structs("ptr.queue", &movementState, func(p *pointer) []movement { return p.queue[:] }),
		vmstate.Of("head", func(p *pointer) *uint32 { return &p.head }),
		vmstate.Of("n", func(p *pointer) *uint32 { return &p.n }),
		vmstate.Of("protocol", func(p *pointer) *int32 { return &p.protocol }),
		vmstate.Of("idle", func(p *pointer) *uint8 { return &p.idle }),
	},
	PostLoad: func(p *pointer, _ int) error { return p.loaded(queueLength - 1) }}

var pointerState = vmstate.Description[pointer]{Name: "usb-ptr", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[pointer]{
		usb.Saved(func(p *pointer) *usb.Device { return &p.Device }),
		vmstate.Struct("hid", &pointerDeviceState, func(p *pointer) *pointer { return p }),
	},
	PostLoad: func(p *pointer, _ int) error {
		if p.Awake() {
			p.activate()
		}
		return nil
	}}

// loaded checks the queue, of which limit entries may be in use, and goes on with idle reports.
func (d *device) loaded(limit uint32) error {
	if d.head %= queueLength; d.n > limit {
		d.n = limit
	}
	d.nextIdle()
	return nil
}
