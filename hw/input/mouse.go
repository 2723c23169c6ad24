package input

import (
	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// Commands to the mouse.
const (
	mouseScale11, mouseScale21, mouseSetResolution  = 0xe6, 0xe7, 0xe8
	mouseGetScale, mouseSetStream, mousePoll        = 0xe9, 0xea, 0xeb
	mouseResetWrap, mouseSetWrap, mouseSetRemote    = 0xec, 0xee, 0xf0
	mouseGetType, mouseSetSample                    = 0xf2, 0xf3
	mouseEnable, mouseDisable, mouseSetDefault      = 0xf4, 0xf5, 0xf6
	mouseReset                                      = 0xff
	mouseStatusRemote, mouseStatusOn, mouseStatus21 = 0x40, 0x20, 0x10

	typePS2, typeIMPS2, typeIMEX  = 0, 3, 4
	defaultSample, defaultResolve = 100, 2
)

// Mouse is the device type ps2-mouse.
type Mouse struct {
	ps2
	status, resolution, sampleRate, wrapMode, kind, detect uint8
	dx, dy, dz                                             int32
	dw                                                     int32 // of the sideways wheel; not migrated
	buttons                                                uint8
}

// MouseClass is the type ps2-mouse.
var MouseClass = qdev.Class{Name: "ps2-mouse", Category: qdev.Input, Internal: true, New: func() qdev.Device { return new(Mouse) }, State: qdev.State(&mouseState)}

// Reset implements qdev.Device.
func (m *Mouse) Reset() {
	m.reset()
	m.status, m.resolution, m.sampleRate, m.wrapMode, m.kind, m.detect = 0, 0, 0, 0, 0, 0
	m.dx, m.dy, m.dz, m.dw, m.buttons = 0, 0, 0, 0, 0
}

// Nudge moves the mouse a little, which makes drivers of VMware's mouse look for its events.
func (m *Mouse) Nudge() {
	m.dx++
	m.Sync()
}

// write takes a byte from the controller.
func (m *Mouse) write(v uint8) {
	switch {
	case m.writeCmd == mouseSetSample:
		m.writeCmd = noCommand
		m.setSample(v)
		m.queueAll(replyACK)
	case m.writeCmd == mouseSetResolution:
		m.writeCmd = noCommand
		m.resolution = v
		m.queueAll(replyACK)
	case m.wrapMode != 0 && v == mouseResetWrap:
		m.wrapMode = 0
		m.queueAll(replyACK)
	case m.wrapMode != 0 && v != mouseReset:
		m.queueAll(v)
	default:
		m.command(v)
	}
}

// command carries out a command; unknown ones are not answered.
func (m *Mouse) command(v uint8) {
	reply := []uint8{replyACK}
	switch v {
	case mouseScale11:
		m.status &^= mouseStatus21
	case mouseScale21:
		m.status |= mouseStatus21
	case mouseSetStream:
		m.status &^= mouseStatusRemote
	case mouseSetRemote:
		m.status |= mouseStatusRemote
	case mouseSetWrap:
		m.wrapMode = 1
	case mouseGetType:
		reply = append(reply, m.kind)
	case mouseSetResolution, mouseSetSample:
		m.writeCmd = int32(v)
	case mouseGetScale:
		reply = append(reply, m.status, m.resolution, m.sampleRate)
	case mousePoll:
		m.queueAll(replyACK)
		m.packet()
		return
	case mouseEnable:
		m.status |= mouseStatusOn
	case mouseDisable:
		m.status &^= mouseStatusOn
	case mouseSetDefault:
		m.sampleRate, m.resolution, m.status = defaultSample, defaultResolve, 0
	case mouseReset:
		m.sampleRate, m.resolution, m.status, m.kind = defaultSample, defaultResolve, 0, typePS2
		m.resetQueue()
		reply = append(reply, replyPassed, m.kind)
	default:
		return
	}
	m.queueAll(reply...)
}

// setSample sets the sample rate; the rates 200, 100, 80 and 200, 200, 80 switch to the protocols with a wheel.
func (m *Mouse) setSample(v uint8) {
	m.sampleRate = v
	switch {
	case m.detect == 0 && v == 200:
		m.detect = 1
	case m.detect == 1 && v == 100:
		m.detect = 2
	case m.detect == 1 && v == 200:
		m.detect = 3
	case m.detect == 2 && v == 80:
		m.kind, m.detect = typeIMPS2, 0
	case m.detect == 3 && v == 80:
		m.kind, m.detect = typeIMEX, 0
	default:
		m.detect = 0
	}
}

// Bits of a movement packet's first byte.
const (
	packetAlways, packetXSign, packetYSign = 0x08, 0x10, 0x20
	packetButtons                          = 0x07
	packetSideways                         = 0x40 // of the fourth byte
)

// packet queues the movement since the last one; it returns false if there is no room.
func (m *Mouse) packet() bool {
	p := make([]uint8, 3, 4)
	if m.kind != typePS2 {
		p = p[:4]
	}
	if queueInput-int(m.count) < len(p) {
		return false
	}
	clamp := func(v, limit int32) int32 { return max(-limit, min(limit, v)) }
	dx, dy := clamp(m.dx, 127), clamp(m.dy, 127)
	p[0], p[1], p[2] = packetAlways|m.buttons&packetButtons, uint8(dx), uint8(dy)
	if dx < 0 {
		p[0] |= packetXSign
	}
	if dy < 0 {
		p[0] |= packetYSign
	}
	switch {
	case m.kind == typeIMPS2:
		dz := clamp(m.dz, 127)
		p[3] = uint8(dz)
		m.dz, m.dw = m.dz-dz, 0
	case m.kind == typeIMEX && m.dw != 0:
		dw := clamp(m.dw, 31)
		p[3] = uint8(dw)&0x3f | packetSideways
		m.dw -= dw
	case m.kind == typeIMEX:
		dz := clamp(m.dz, 7)
		p[3] = uint8(dz)&0x0f | m.buttons&0x18<<1
		m.dz -= dz
	default: // no wheel
		m.dz, m.dw = 0, 0
	}
	m.queueAll(p...)
	m.dx -= dx
	m.dy -= dy
	return true
}

var mouseState = vmstate.Description[Mouse]{Name: "ps2mouse", Version: 2, MinVersion: 2,
	PreLoad:  func(m *Mouse) { m.cwptr = noReplies },
	PostLoad: func(m *Mouse, _ int) error { return m.loaded() },
	Fields: []vmstate.Field[Mouse]{
		vmstate.Struct("parent_obj", &ps2State, func(m *Mouse) *ps2 { return &m.ps2 }),
		vmstate.Of("mouse_status", func(m *Mouse) *uint8 { return &m.status }),
		vmstate.Of("mouse_resolution", func(m *Mouse) *uint8 { return &m.resolution }),
		vmstate.Of("mouse_sample_rate", func(m *Mouse) *uint8 { return &m.sampleRate }),
		vmstate.Of("mouse_wrap", func(m *Mouse) *uint8 { return &m.wrapMode }),
		vmstate.Of("mouse_type", func(m *Mouse) *uint8 { return &m.kind }),
		vmstate.Of("mouse_detect_state", func(m *Mouse) *uint8 { return &m.detect }),
		vmstate.Of("mouse_dx", func(m *Mouse) *int32 { return &m.dx }),
		vmstate.Of("mouse_dy", func(m *Mouse) *int32 { return &m.dy }),
		vmstate.Of("mouse_dz", func(m *Mouse) *int32 { return &m.dz }),
		vmstate.Of("mouse_buttons", func(m *Mouse) *uint8 { return &m.buttons }),
	},
}
