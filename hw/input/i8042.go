// Package input has the PS/2 keyboard controller of a PC with its keyboard and mouse.
package input

import (
	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/migration/vmstate"
	"goemu/ui/input"
)

// Ports of the controller.
const (
	portData    = 0x60
	portCommand = 0x64 // status when read
)

// Commands to the controller.
const (
	cmdReadMode, cmdWriteMode                           = 0x20, 0x60
	cmdMouseDisable, cmdMouseEnable, cmdTestMouse       = 0xa7, 0xa8, 0xa9
	cmdSelfTest, cmdTestKeyboard                        = 0xaa, 0xab
	cmdKeyboardDisable, cmdKeyboardEnable               = 0xad, 0xae
	cmdReadInput, cmdReadOutput, cmdWriteOutput         = 0xc0, 0xd0, 0xd1
	cmdWriteKeyboardBuffer, cmdWriteMouseBuffer         = 0xd2, 0xd3
	cmdWriteMouse                                       = 0xd4
	cmdDisableA20, cmdEnableA20                         = 0xdd, 0xdf
	cmdPulse                                      uint8 = 0xf0 // 0xf0..0xff: output bits whose number is clear are pulsed low
	replySelfTest, replyTestOK, inputPort               = 0x55, 0x00, 0x80
)

// Bits of the status, of the mode (command byte) and of the output port.
const (
	stsOBF, stsSelfTest, stsCommand, stsUnlocked, stsMouseOBF = 0x01, 0x04, 0x08, 0x10, 0x20

	modeKeyboardInt, modeMouseInt         = 0x01, 0x02
	modeDisableKeyboard, modeDisableMouse = 0x10, 0x20
	modeTranslate                         = 0x40

	outReset, outA20, outOBF, outMouseOBF, outOnes = 0x01, 0x02, 0x10, 0x20, 0xcc
)

// What waits to be read, and where the byte in the output buffer came from.
const (
	pendKeyboardOld, pendMouseOld = 0x01, 0x02 // as older versions migrate it
	pendCtrl, pendCtrlMouse       = 0x04, 0x08 // a reply of the controller, in the keyboard's or the mouse's name
	pendKeyboard                  = modeDisableKeyboard
	pendMouse                     = modeDisableMouse

	srcKeyboard, srcMouse, srcCtrl = 1, 2, 4
)

// controllerRegs is the guest-visible state.
type controllerRegs struct {
	writeCmd, status, mode, outport, pending, obdata, cbdata uint8
	obsrc                                                    uint32
}

// I8042 is the device type i8042.
type I8042 struct {
	isa.Device
	KeyboardIRQ   uint8 `prop:"kbd-irq,default=1"`
	MouseIRQ      uint8 `prop:"mouse-irq,default=12"`
	ExtendedState bool  `prop:"extended-state,default=true"`
	Throttle      bool  `prop:"kbd-throttle,default=false"`

	// Keyboard and Mouse are the devices on the two ports.
	Keyboard *Keyboard
	Mouse    *Mouse

	a20  *qdev.IRQ
	tree *qdev.Tree
	vm   *mainloop.VM
	controllerRegs
	keyboardIRQ, mouseIRQ *qdev.IRQ
	saved                 uint8  // pending, in the form of the stream
	flags                 uint32 // of the stream
}

// I8042Class is the type i8042.
var I8042Class = qdev.Class{Name: "i8042", Bus: isa.BusType, Category: qdev.Input, Internal: true, New: func() qdev.Device { return new(I8042) }, State: qdev.State(&i8042State)}

// NewI8042 puts the controller with a keyboard and a mouse on the bus; a20 is driven with the gate of address line 20.
func NewI8042(tree *qdev.Tree, bus *isa.Bus, a20 *qdev.IRQ, vm *mainloop.VM) (*I8042, error) {
	d, err := tree.New(&I8042Class)
	if err != nil {
		return nil, err
	}
	c := d.(*I8042)
	c.a20, c.tree, c.vm = a20, tree, vm
	return c, qdev.Realize(c, bus)
}

// Realize implements qdev.Device.
func (c *I8042) Realize() (err error) {
	if c.keyboardIRQ, err = c.Bus().IRQ(uint32(c.KeyboardIRQ)); err != nil {
		return err
	}
	if c.mouseIRQ, err = c.Bus().IRQ(uint32(c.MouseIRQ)); err != nil {
		return err
	}
	if err := c.addDevices(); err != nil {
		return err
	}
	c.MapPorts("i8042-data", portData, 1, dataPort{c})
	c.MapPorts("i8042-cmd", portCommand, 1, commandPort{c})
	return nil
}

// addDevices makes the keyboard and the mouse, which reset and migrate on their own.
func (c *I8042) addDevices() error {
	k, err := c.tree.New(&KeyboardClass)
	if err != nil {
		return err
	}
	m, err := c.tree.New(&MouseClass)
	if err != nil {
		return err
	}
	c.Keyboard, c.Mouse = k.(*Keyboard), m.(*Mouse)
	wake := func() {
		if c.vm.State() == mainloop.StateSuspended {
			c.vm.RequestWakeup()
		}
	}
	c.Keyboard.wake, c.Mouse.wake = wake, wake
	c.Keyboard.irq = qdev.NewIRQ(func(_ int, level bool) { c.device(pendKeyboard, level) }, 0)
	c.Mouse.irq = qdev.NewIRQ(func(_ int, level bool) { c.device(pendMouse, level) }, 0)
	if err := qdev.Realize(k, c.tree.Root()); err != nil {
		return err
	}
	if err := qdev.Realize(m, c.tree.Root()); err != nil {
		return err
	}
	input.Main.Add(c.Keyboard, "QEMU PS/2 Keyboard", input.Of(input.KindKey))
	input.Main.Add(c.Mouse, "QEMU PS/2 Mouse", input.Of(input.KindButton, input.KindRel))
	return nil
}

// Unrealize implements qdev.Device.
func (c *I8042) Unrealize() {
	input.Main.Remove(c.Keyboard)
	input.Main.Remove(c.Mouse)
	c.UnmapPorts()
}

// Reset implements qdev.Device. The keyboard and the mouse are reset on their own.
func (c *I8042) Reset() {
	c.controllerRegs = controllerRegs{mode: modeKeyboardInt | modeMouseInt, status: stsCommand | stsUnlocked, outport: outReset | outA20 | outOnes}
	c.updateLines()
}

// dataPort and commandPort answer the two ports.
type (
	dataPort    struct{ c *I8042 }
	commandPort struct{ c *I8042 }
)

// Read implements memory.Ops.
func (p commandPort) Read(uint64, int) uint64 { return uint64(p.c.status) }

// Write implements memory.Ops.
func (p commandPort) Write(_ uint64, _ int, v uint64) { p.c.command(uint8(v)) }

// Read implements memory.Ops.
func (p dataPort) Read(uint64, int) uint64 { return uint64(p.c.readData()) }

// Write implements memory.Ops.
func (p dataPort) Write(_ uint64, _ int, v uint64) { p.c.writeData(uint8(v)) }

// waiting is what may be read now: a disabled device keeps its bytes.
func (c *I8042) waiting() uint8 {
	if c.ExtendedState {
		return c.pending & (^c.mode | ^uint8(pendKeyboard|pendMouse))
	}
	return c.pending
}

// updateLines drives the interrupt lines.
func (c *I8042) updateLines() {
	full := c.status&stsOBF != 0
	mouse := c.status&stsMouseOBF != 0
	c.keyboardIRQ.Set(full && !mouse && c.mode&modeKeyboardInt != 0 && c.mode&modeDisableKeyboard == 0)
	c.mouseIRQ.Set(full && mouse && c.mode&modeMouseInt != 0)
}

func (c *I8042) emptyBuffer() {
	c.status &^= stsOBF | stsMouseOBF
	c.outport &^= outOBF | outMouseOBF
}

// fill moves the next waiting source to the output buffer.
func (c *I8042) fill() {
	c.emptyBuffer()
	if w := c.waiting(); w != 0 {
		c.status |= stsOBF
		c.outport |= outOBF
		c.obsrc = srcMouse
		switch {
		case w&(pendCtrl|pendCtrlMouse) != 0:
			c.obsrc = srcCtrl
		case w&pendKeyboard != 0:
			c.obsrc = srcKeyboard
		}
		if w&pendCtrl == 0 && (w&pendCtrlMouse != 0 || c.obsrc == srcMouse) {
			c.status |= stsMouseOBF
			c.outport |= outMouseOBF
		}
	}
	c.updateLines()
}

// refill fills the output buffer if it is empty.
func (c *I8042) refill() {
	if c.status&stsOBF == 0 && c.waiting() != 0 {
		c.fill()
	}
}

// device hears that the keyboard or the mouse has a byte, or has none.
func (c *I8042) device(which uint8, level bool) {
	c.pending &^= which
	if level {
		c.pending |= which
	}
	c.refill()
}

// reply queues a byte of the controller's own.
func (c *I8042) reply(b uint8, asMouse bool) {
	if !c.ExtendedState {
		if asMouse {
			c.Mouse.queueByte(b)
		} else {
			c.Keyboard.queueByte(b)
		}
		return
	}
	c.cbdata = b
	c.pending &^= pendCtrl | pendCtrlMouse
	if asMouse {
		c.pending |= pendCtrlMouse
	} else {
		c.pending |= pendCtrl
	}
	c.refill()
}

func (c *I8042) readData() uint8 {
	if c.status&stsOBF == 0 {
		return c.obdata
	}
	c.emptyBuffer()
	c.updateLines()
	switch {
	case c.obsrc&srcKeyboard != 0:
		c.obdata = c.Keyboard.readByte()
	case c.obsrc&srcMouse != 0:
		c.obdata = c.Mouse.readByte()
	case c.obsrc&srcCtrl != 0:
		c.obdata = c.cbdata
		c.pending &^= pendCtrl | pendCtrlMouse
		if c.waiting() != 0 {
			c.fill()
		}
	}
	return c.obdata
}

// simpleReplies are commands that only answer.
var simpleReplies = map[uint8]uint8{cmdTestMouse: replyTestOK, cmdTestKeyboard: replyTestOK, cmdReadInput: inputPort}

// command carries out what is written to the command port.
func (c *I8042) command(v uint8) {
	if v&cmdPulse == cmdPulse {
		if v&outReset == 0 {
			c.reset()
		}
		return
	}
	if b, ok := simpleReplies[v]; ok {
		c.reply(b, false)
		return
	}
	switch v {
	case cmdReadMode:
		c.reply(c.mode, false)
	case cmdReadOutput:
		c.reply(c.outport, false)
	case cmdWriteMode, cmdWriteKeyboardBuffer, cmdWriteMouseBuffer, cmdWriteMouse, cmdWriteOutput:
		c.writeCmd = v
	case cmdMouseDisable:
		c.mode |= modeDisableMouse
	case cmdMouseEnable:
		c.mode &^= modeDisableMouse
		c.refill()
	case cmdKeyboardDisable:
		c.mode |= modeDisableKeyboard
	case cmdKeyboardEnable:
		c.mode &^= modeDisableKeyboard
		c.refill()
	case cmdSelfTest:
		c.status |= stsSelfTest
		c.reply(replySelfTest, false)
	case cmdDisableA20:
		c.outport &^= outA20
		c.a20.Set(false)
	case cmdEnableA20:
		c.outport |= outA20
		c.a20.Set(true)
	}
}

func (c *I8042) reset() {
	c.vm.RequestReset(mainloop.CauseGuestReset)
}

// writeData carries out what is written to the data port: the argument of a command, or a byte for the keyboard.
func (c *I8042) writeData(v uint8) {
	cmd := c.writeCmd
	c.writeCmd = 0
	switch cmd {
	case 0:
		c.Keyboard.write(v)
		c.mode &^= modeDisableKeyboard // talking to a device enables it
		c.refill()
	case cmdWriteMode:
		c.mode = v
		c.Keyboard.translate = 0
		if v&modeTranslate != 0 {
			c.Keyboard.translate = 1
		}
		c.updateLines()
		c.refill()
	case cmdWriteKeyboardBuffer:
		c.reply(v, false)
	case cmdWriteMouseBuffer:
		c.reply(v, true)
	case cmdWriteOutput:
		c.outport = v
		c.a20.Set(v&outA20 != 0)
		if v&outReset == 0 {
			c.reset()
		}
	case cmdWriteMouse:
		c.Mouse.write(v)
		c.mode &^= modeDisableMouse
		c.refill()
	}
}

// Classes are the device types of this package.
var Classes = []*qdev.Class{&I8042Class, &KeyboardClass, &MouseClass}

var controllerState = vmstate.Description[I8042]{Name: "pckbd", Version: 3, MinVersion: 3,
	PreSave:  func(c *I8042) { c.saved, c.flags = c.savedPending(), 0 },
	PreLoad:  func(c *I8042) { c.outport = outReset | outA20 | outOnes; c.obsrc = 0 },
	PostLoad: func(c *I8042, _ int) error { c.loaded(); return nil },
	Fields: []vmstate.Field[I8042]{
		vmstate.Of("write_cmd", func(c *I8042) *uint8 { return &c.writeCmd }),
		vmstate.Of("status", func(c *I8042) *uint8 { return &c.status }),
		vmstate.Of("mode", func(c *I8042) *uint8 { return &c.mode }),
		vmstate.Of("pending_tmp", func(c *I8042) *uint8 { return &c.saved }),
	},
	Subsections: []*vmstate.Description[I8042]{
		{Name: "pckbd_outport", Version: 1, MinVersion: 1, Needed: func(c *I8042) bool { return c.outport != c.usualOutport() },
			Fields: []vmstate.Field[I8042]{vmstate.Of("outport", func(c *I8042) *uint8 { return &c.outport })}},
		{Name: "pckbd/extended_state", Version: 0, MinVersion: 0, Needed: func(c *I8042) bool { return c.ExtendedState },
			Fields: []vmstate.Field[I8042]{
				vmstate.Of("migration_flags", func(c *I8042) *uint32 { return &c.flags }),
				vmstate.Of("obsrc", func(c *I8042) *uint32 { return &c.obsrc }),
				vmstate.Of("obdata", func(c *I8042) *uint8 { return &c.obdata }),
				vmstate.Of("cbdata", func(c *I8042) *uint8 { return &c.cbdata }),
			}},
	},
}

var i8042State = vmstate.Description[I8042]{Name: "pckbd", Version: 3, MinVersion: 3,
	Fields: []vmstate.Field[I8042]{vmstate.Struct("kbd", &controllerState, func(c *I8042) *I8042 { return c })}}

// usualOutport is the output port that follows from the status.
func (c *I8042) usualOutport() uint8 {
	v := uint8(outReset | outA20 | outOnes)
	if c.status&stsOBF != 0 {
		v |= outOBF
	}
	if c.status&stsMouseOBF != 0 {
		v |= outMouseOBF
	}
	return v
}

// savedPending is pending with the devices' bits where older versions have them.
func (c *I8042) savedPending() uint8 {
	v := c.pending & (pendCtrl | pendCtrlMouse)
	if c.pending&pendKeyboard != 0 {
		v |= pendKeyboardOld
	}
	if c.pending&pendMouse != 0 {
		v |= pendMouseOld
	}
	return v
}

// loaded takes over a loaded state.
func (c *I8042) loaded() {
	c.pending = c.saved & (pendCtrl | pendCtrlMouse)
	if c.saved&pendKeyboardOld != 0 {
		c.pending |= pendKeyboard
	}
	if c.saved&pendMouseOld != 0 {
		c.pending |= pendMouse
	}
	if c.outport == outReset|outA20|outOnes {
		c.outport = c.usualOutport()
	}
	if c.obsrc == 0 && c.status&stsOBF != 0 { // a stream without the extended state
		c.obsrc = srcKeyboard
		if c.status&stsMouseOBF != 0 {
			c.obsrc = srcMouse
		}
	}
}
