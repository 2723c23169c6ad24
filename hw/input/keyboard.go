package input

import (
	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// Commands to the keyboard.
const (
	keySetLEDs, keyEcho, keyScancode, keyGetID     = 0xed, 0xee, 0xf0, 0xf2
	keySetRate, keyEnable, keyDisable, keyDefaults = 0xf3, 0xf4, 0xf5, 0xf6
	keySetTypematic, keySetMakeBreak, keyReset     = 0xfa, 0xfc, 0xff
	keyNop, keyBad                                 = 0x00, 0x05
	keyIDFirst, keyIDPlain, keyIDTranslated        = 0xab, 0x83, 0x41
	defaultScancodeSet, maxScancodeSet             = 2, 3
)

// translatedSet is a scan code set's number after the controller's translation.
var translatedSet = [maxScancodeSet + 1]uint8{0, 0x43, 0x41, 0x3f}

// Keyboard is the device type ps2-kbd, an MF2 keyboard.
type Keyboard struct {
	ps2
	scanEnabled, translate, scancodeSet, leds int32
	needHighBit                               bool
	modifiers                                 uint8 // not migrated
}

// KeyboardClass is the type ps2-kbd.
var KeyboardClass = qdev.Class{Name: "ps2-kbd", Category: qdev.Input, Internal: true, New: func() qdev.Device { return new(Keyboard) }, State: qdev.State(&keyboardState)}

// Reset implements qdev.Device.
func (k *Keyboard) Reset() {
	k.reset()
	k.scanEnabled, k.translate, k.scancodeSet, k.needHighBit, k.modifiers = 1, 0, defaultScancodeSet, false, 0
	k.setLEDs(0)
}

// defaults is the state after the commands that reset the keyboard.
func (k *Keyboard) defaults(enabled int32) {
	k.scanEnabled, k.scancodeSet = enabled, defaultScancodeSet
	k.setLEDs(0)
	k.resetQueue()
}

// write takes a byte from the controller.
func (k *Keyboard) write(v uint8) {
	k.dropAnswers()
	if k.writeCmd != noCommand {
		k.argument(v)
		return
	}
	switch v {
	case keyNop, keySetTypematic:
		k.answer(replyACK)
	case keyGetID:
		id := uint8(keyIDPlain)
		if k.translate != 0 {
			id = keyIDTranslated
		}
		k.answer(replyACK, keyIDFirst, id)
	case keyEcho:
		k.answer(keyEcho)
	case keyEnable:
		k.scanEnabled = 1
		k.answer(replyACK)
	case keyScancode, keySetLEDs, keySetRate, keySetMakeBreak:
		k.writeCmd = int32(v)
		k.answer(replyACK)
	case keyDisable:
		k.defaults(0)
		k.answer(replyACK)
	case keyDefaults:
		k.defaults(1)
		k.answer(replyACK)
	case keyReset:
		k.defaults(1)
		k.answer(replyACK, replyPassed)
	default:
		k.answer(replyResend)
	}
}

// argument takes the byte after a command.
func (k *Keyboard) argument(v uint8) {
	cmd := k.writeCmd
	k.writeCmd = noCommand
	switch {
	case cmd == keyScancode && v == 0:
		set := uint8(k.scancodeSet)
		if k.translate != 0 && k.scancodeSet >= 1 && k.scancodeSet <= maxScancodeSet {
			set = translatedSet[k.scancodeSet]
		}
		k.answer(replyACK, set)
	case cmd == keyScancode && v > maxScancodeSet:
		k.answer(replyResend)
	default:
		switch cmd {
		case keyScancode:
			k.scancodeSet = int32(v)
		case keySetLEDs:
			k.setLEDs(int32(v))
		}
		k.answer(replyACK)
	}
}

var keyboardState = vmstate.Description[Keyboard]{Name: "ps2kbd", Version: 3, MinVersion: 2,
	PreLoad:  func(k *Keyboard) { k.leds, k.needHighBit, k.cwptr = 0, false, noReplies },
	PostLoad: func(k *Keyboard, version int) error { return k.loaded(version) },
	Fields: []vmstate.Field[Keyboard]{
		vmstate.Struct("parent_obj", &ps2State, func(k *Keyboard) *ps2 { return &k.ps2 }),
		vmstate.Of("scan_enabled", func(k *Keyboard) *int32 { return &k.scanEnabled }),
		vmstate.Of("translate", func(k *Keyboard) *int32 { return &k.translate }),
		vmstate.Of("scancode_set", func(k *Keyboard) *int32 { return &k.scancodeSet }).Since(3),
	},
	Subsections: []*vmstate.Description[Keyboard]{
		{Name: "ps2kbd/ledstate", Version: 3, MinVersion: 2, Needed: func(k *Keyboard) bool { return k.leds != 0 },
			Fields: []vmstate.Field[Keyboard]{vmstate.Of("ledstate", func(k *Keyboard) *int32 { return &k.leds })}},
		{Name: "ps2kbd/need_high_bit", Version: 1, MinVersion: 1, Needed: func(k *Keyboard) bool { return k.needHighBit },
			Fields: []vmstate.Field[Keyboard]{vmstate.Of("need_high_bit", func(k *Keyboard) *bool { return &k.needHighBit })}},
		{Name: "ps2kbd/command_reply_queue", Version: 0, MinVersion: 0, Needed: func(k *Keyboard) bool { return k.cwptr != noReplies },
			Fields: []vmstate.Field[Keyboard]{vmstate.Of("parent_obj.queue.cwptr", func(k *Keyboard) *int32 { return &k.cwptr })}},
	},
}

func (k *Keyboard) loaded(version int) error {
	if version < 3 {
		k.scancodeSet = defaultScancodeSet
	}
	if k.scancodeSet < 0 || k.scancodeSet > maxScancodeSet {
		k.scancodeSet = defaultScancodeSet
	}
	k.setLEDs(k.leds)
	return k.ps2.loaded()
}
