package input

import (
	"goemu/ui/input"
)

// keyUp is the code before that of a key that goes up in the scan code sets 2 and 3; set 1 adds setOneUp to the key's code.
const (
	keyUp    = 0xf0
	setOneUp = 0x80
)

// translation is what the controller makes of the codes of set 2.
var translation = [...]uint8{
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
	0x80, 0x81, 0x82, 0x41, 0x54, // what follows stays as it is
}

func translate(b uint8) uint8 {
	if int(b) < len(translation) {
		return translation[b]
	}
	return b
}

// modifier keys that change what Pause and Print Screen send.
const (
	modCtrl = 1 << iota
	modShift
	modAlt
	modCtrlR
	modShiftR
	modAltR
)

var modifierOf = map[input.Key]uint8{input.KeyCtrl: modCtrl, input.KeyShift: modShift, input.KeyAlt: modAlt,
	input.KeyCtrlR: modCtrlR, input.KeyShiftR: modShiftR, input.KeyAltR: modAltR}

// special is what a key sends that depends on the modifiers, in the sets 1 and 2; the first row with one of its modifiers counts.
type special struct {
	modifiers uint8 // 0: always
	down, up  [2]string
}

var pauseKey = []special{
	{modCtrl | modCtrlR, [2]string{"\xe0\x46\xe0\xc6", "\xe0\x7e\xe0\xf0\x7e"}, [2]string{}},
	{0, [2]string{"\xe1\x1d\x45\xe1\x9d\xc5", "\xe1\x14\x77\xe1\xf0\x14\xf0\x77"}, [2]string{}},
}

var printKey = []special{
	{modAlt, [2]string{"\xb8\x38\x54", "\xf0\x11\x11\x84"}, [2]string{"\xd4\xb8\x38", "\xf0\x84\xf0\x11\x11"}},
	{modAltR, [2]string{"\xe0\xb8\xe0\x38\x54", "\xe0\xf0\x11\xe0\x11\x84"}, [2]string{"\xd4\xe0\xb8\xe0\x38", "\xf0\x84\xe0\xf0\x11\xe0\x11"}},
	{modShift | modCtrl | modShiftR | modCtrlR, [2]string{"\xe0\x37", "\xe0\x7c"}, [2]string{"\xe0\xb7", "\xe0\xf0\x7c"}},
	{0, [2]string{"\xe0\x2a\xe0\x37", "\xe0\x12\xe0\x7c"}, [2]string{"\xe0\xb7\xe0\xaa", "\xe0\xf0\x7c\xe0\xf0\x12"}},
}

// Input implements input.Device.
func (k *Keyboard) Input(e input.Event) {
	if k.scanEnabled == 0 {
		return
	}
	k.wake()
	m := modifierOf[e.Key]
	k.modifiers &^= m
	if e.Down {
		k.modifiers |= m
	}
	set := int(k.scancodeSet)
	if set == 1 || set == 2 {
		switch e.Key {
		case input.KeyPause:
			k.putSpecial(pauseKey, set, e.Down)
			return
		case input.KeyPrint:
			k.putSpecial(printKey, set, e.Down)
			return
		}
	}
	code := e.Key.Scancode(set)
	if code == 0 {
		return
	}
	if code > 0xff && set != 3 {
		k.put(uint8(code >> 8))
	}
	switch {
	case !e.Down && set == 1:
		code |= setOneUp
	case !e.Down:
		k.put(keyUp)
	}
	k.put(uint8(code))
}

// Sync implements input.Device.
func (k *Keyboard) Sync() {}

func (k *Keyboard) putSpecial(rows []special, set int, down bool) {
	for _, r := range rows {
		if r.modifiers != 0 && r.modifiers&k.modifiers == 0 {
			continue
		}
		codes := r.up[set-1]
		if down {
			codes = r.down[set-1]
		}
		for i := range len(codes) {
			k.put(codes[i])
		}
		return
	}
}

// put queues a byte, translated if the controller does that.
func (k *Keyboard) put(b uint8) {
	switch {
	case k.translate == 0:
		k.queueByte(b)
	case b == keyUp:
		k.needHighBit = true
	case k.needHighBit:
		k.queueByte(translate(b) | setOneUp)
		k.needHighBit = false
	default:
		k.queueByte(translate(b))
	}
}

// setLEDs changes the lights.
func (k *Keyboard) setLEDs(v int32) {
	k.leds = v
	input.Main.SetLEDs(input.LEDs(v))
}

// mouseButtons are the buttons' places in a packet.
var mouseButtons = map[input.Button]uint8{input.Left: 1, input.Right: 2, input.Middle: 4, input.Side: 8, input.Extra: 16}

// Input implements input.Device.
func (m *Mouse) Input(e input.Event) {
	if m.status&mouseStatusOn == 0 {
		return
	}
	switch {
	case e.Kind == input.KindRel && e.Axis == input.AxisX:
		m.dx += int32(e.Value)
	case e.Kind == input.KindRel:
		m.dy -= int32(e.Value)
	case e.Kind == input.KindButton && !e.Down:
		m.buttons &^= mouseButtons[e.Button]
	case e.Kind == input.KindButton:
		m.buttons |= mouseButtons[e.Button]
		switch e.Button {
		case input.WheelUp:
			m.dz--
		case input.WheelDown:
			m.dz++
		case input.WheelRight:
			m.dw--
		case input.WheelLeft:
			m.dw++
		}
	}
}

// Sync implements input.Device: it sends packets until all movement is told, or the queue is full.
func (m *Mouse) Sync() {
	if m.status&mouseStatusOn == 0 {
		return
	}
	if m.buttons != 0 {
		m.wake()
	}
	if m.status&mouseStatusRemote != 0 {
		return
	}
	for m.packet() && (m.dx != 0 || m.dy != 0 || m.dz != 0 || m.dw != 0) {
	}
}
