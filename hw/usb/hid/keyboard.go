package hid

import (
	"goemu/hw/usb"
	"goemu/migration/vmstate"
	"goemu/ui/input"
)

// usages are the numbers of keys in HID (HID Usage Tables, section 10) by their code in scan code set 1; keys with the prefix e0 are in the
// second half, as are those of the sequence e1 1d.
var usages = [256]uint8{
	0x00, 0x29, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, 0x2a, 0x2b,
	0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30, 0x28, 0xe0, 0x04, 0x16,
	0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x35, 0xe1, 0x31, 0x1d, 0x1b, 0x06, 0x19,
	0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xe5, 0x55, 0xe2, 0x2c, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e,
	0x3f, 0x40, 0x41, 0x42, 0x43, 0x53, 0x47, 0x5f, 0x60, 0x61, 0x56, 0x5c, 0x5d, 0x5e, 0x57, 0x59,
	0x5a, 0x5b, 0x62, 0x63, 0x46, 0x00, 0x64, 0x44, 0x45, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e,
	prefixE0, prefixE1, 0x71, 0x72, 0x73, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x85, 0x00, 0x00, 0x00, 0x00,
	0x88, 0x00, 0x00, 0x87, 0x00, 0x00, 0x00, 0x00, 0x00, 0x8a, 0x00, 0x8b, 0x00, 0x89, 0xe7, 0x65,

	0x80 + 0x1c: 0x58, 0x80 + 0x1d: 0xe4, 0x80 + 0x20: 0x7f, 0x80 + 0x2e: 0x81, 0x80 + 0x30: 0x80, 0x80 + 0x35: 0x54, 0x80 + 0x37: 0x46,
	0x80 + 0x38: 0xe6, 0x80 + 0x45: 0x48, 0x80 + 0x46: 0x48, 0x80 + 0x47: 0x4a, 0x80 + 0x48: 0x52, 0x80 + 0x49: 0x4b, 0x80 + 0x4b: 0x50,
	0x80 + 0x4d: 0x4f, 0x80 + 0x4f: 0x4d, 0x80 + 0x50: 0x51, 0x80 + 0x51: 0x4e, 0x80 + 0x52: 0x49, 0x80 + 0x53: 0x4c,
	0x80 + 0x5b: 0xe3, 0x80 + 0x5c: 0xe7, 0x80 + 0x5d: 0x65, 0x80 + 0x5e: 0x66,
}

// Prefixes stand in the table as if they were modifiers, and are bits 8 and 9 of the modifiers until the code that follows.
const (
	prefixE0, prefixE1 = 0xe8, 0xe9
	afterE0, afterE1   = 1 << 8, 1 << 9

	codeUp       = 0x80
	codeCtrl     = 0x1d
	firstControl = 0xe0

	errorRollOver = 1
	reportKeys    = 6
	keyBytes      = 16
)

// Keyboard is the device type usb-kbd.
type Keyboard struct {
	device
	versionProps
	displayProps
	codes     [queueLength]uint32
	modifiers uint16
	leds      uint8
	keys      [keyBytes]uint8
	pressed   int32
}

// Info implements usb.Model.
func (k *Keyboard) Info() usb.Info { return k.info(keyboard) }

// Realize implements qdev.Device.
func (k *Keyboard) Realize() error {
	k.report = k.poll
	err := k.realize(keyboard, k.Version, k, "QEMU HID Keyboard", input.Of(input.KindKey), k.Display, 0)
	if err == nil {
		input.Main.Activate(k)
	}
	return err
}

// Unrealize implements qdev.Device.
func (k *Keyboard) Unrealize() { k.unrealize(k) }

// PortReset implements usb.Resetter.
func (k *Keyboard) PortReset() {
	k.codes, k.keys, k.pressed, k.modifiers = [queueLength]uint32{}, [keyBytes]uint8{}, 0, 0
	k.reset()
}

// Control implements usb.Model.
func (k *Keyboard) Control(request, value, index int, data []byte) (int, bool) {
	if request != setReport {
		return k.device.Control(request, value, index, data)
	}
	if len(data) > 0 {
		k.light(data[0])
	}
	return 0, true
}

// light sets the lights (HID Usage Tables, section 11).
func (k *Keyboard) light(v uint8) {
	k.leds = v
	var l input.LEDs
	for i, x := range []input.LEDs{input.NumLED, input.CapsLED, input.ScrollLED} {
		if v&(1<<i) != 0 {
			l |= x
		}
	}
	input.Main.SetLEDs(l)
}

// Input implements input.Device: the key's codes in scan code set 1 are queued.
func (k *Keyboard) Input(e input.Event) {
	up := uint32(0)
	if !e.Down {
		up = codeUp
	}
	var codes []uint32
	switch n := uint32(e.Key.Num()); {
	case e.Key == input.KeyPause:
		codes = []uint32{0xe1, codeCtrl | up, 0x45 | up}
	case n&codeUp != 0:
		codes = []uint32{0xe0, n&^codeUp | up}
	default:
		codes = []uint32{n | up}
	}
	if int(k.n)+len(codes) > queueLength {
		return
	}
	for _, c := range codes {
		k.codes[(k.head+k.n)%queueLength] = c
		k.n++
	}
	k.Wakeup(k.endpoint)
}

// Sync implements input.Device.
func (k *Keyboard) Sync() {}

// next takes a code from the queue.
func (k *Keyboard) next() {
	if k.n == 0 {
		return
	}
	code := uint8(k.codes[k.head%queueLength])
	k.head, k.n = (k.head+1)%queueLength, k.n-1
	at := code & 0x7f
	if k.modifiers&afterE0 != 0 {
		at |= 0x80
	}
	key := usages[at]
	k.modifiers &^= afterE0
	switch {
	case key == 0:
	case key == firstControl && k.modifiers&afterE1 != 0:
		k.modifiers ^= afterE0 | afterE1 // what comes after e1 1d is in the second half
	case key >= prefixE0:
		k.modifiers |= 1 << (key & 15)
	case key >= firstControl && code&codeUp != 0:
		k.modifiers &^= 1 << (key & 15)
	case key >= firstControl:
		k.modifiers |= 1 << (key & 15)
	default:
		k.press(key, code&codeUp == 0)
	}
}

func (k *Keyboard) press(key uint8, down bool) {
	for i := range k.keys[:k.pressed] {
		if k.keys[i] == key {
			if !down {
				k.pressed--
				k.keys[i], k.keys[k.pressed] = k.keys[k.pressed], 0
			}
			return
		}
	}
	if down && int(k.pressed) < len(k.keys) {
		k.keys[k.pressed] = key
		k.pressed++
	}
}

// poll makes a report after the next code.
func (k *Keyboard) poll(b []byte) int {
	k.due = false
	if len(b) < 2 {
		return 0
	}
	k.next()
	r := [2 + reportKeys]byte{0: byte(k.modifiers)}
	copy(r[2:], k.keys[:])
	if k.pressed > reportKeys {
		for i := range reportKeys {
			r[2+i] = errorRollOver
		}
	}
	return copy(b, r[:])
}

var keyboardDeviceState = vmstate.Description[Keyboard]{Name: "HIDKeyboardDevice", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Keyboard]{
		vmstate.Array("kbd.keycodes", func(k *Keyboard) []uint32 { return k.codes[:] }),
		vmstate.Of("head", func(k *Keyboard) *uint32 { return &k.head }),
		vmstate.Of("n", func(k *Keyboard) *uint32 { return &k.n }),
		vmstate.Of("kbd.modifiers", func(k *Keyboard) *uint16 { return &k.modifiers }),
		vmstate.Of("kbd.leds", func(k *Keyboard) *uint8 { return &k.leds }),
		vmstate.Array("kbd.key", func(k *Keyboard) []uint8 { return k.keys[:] }),
		vmstate.Of("kbd.keys", func(k *Keyboard) *int32 { return &k.pressed }),
		vmstate.Of("protocol", func(k *Keyboard) *int32 { return &k.protocol }),
		vmstate.Of("idle", func(k *Keyboard) *uint8 { return &k.idle }),
	},
	PostLoad: func(k *Keyboard, _ int) error {
		k.pressed = max(0, min(k.pressed, keyBytes))
		return k.loaded(queueLength)
	}}

var keyboardState = vmstate.Description[Keyboard]{Name: "usb-kbd", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Keyboard]{
		usb.Saved(func(k *Keyboard) *usb.Device { return &k.Device }),
		vmstate.Struct("hid", &keyboardDeviceState, func(k *Keyboard) *Keyboard { return k }),
	}}
