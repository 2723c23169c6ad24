package vmport

import (
	"errors"
	"fmt"

	"goemu/hw/isa"
	"goemu/hw/qdev"
	"goemu/migration/vmstate"
	"goemu/target/x86"
	"goemu/ui/input"
)

// What EBX has in MouseCommand.
const (
	mouseReadID   = 0x45414552
	mouseDisable  = 0xf5
	mouseRelative = 0x4c455252
	mouseAbsolute = 0x53424152
)

const (
	mouseQueue   = 1024 // words
	mouseEvent   = 4    // words of an event
	mouseVersion = 0x3442554a
	mouseOff     = 0xffff // status
)

// mouseRegisters take the words that are read, in their order.
var mouseRegisters = [...]int{x86.RAX, x86.RBX, x86.RCX, x86.RDX, x86.RSI, x86.RDI}

// I8042 is the controller of the PS/2 mouse, as the property i8042 names it by its path.
type I8042 struct {
	Path  string
	Nudge func() // moves the mouse, which makes drivers look for events
}

// PropertyType implements qdev.TypeNamer.
func (*I8042) PropertyType() string { return "link<i8042>" }

// ID is the controller's name.
func (c *I8042) ID() string { return c.Path }

// Mouse is the device type vmmouse: a pointing device whose events are read by calls of the VMware port, while the PS/2 mouse tells that
// there are some (QEMU's hw/i386/vmmouse.c).
type Mouse struct {
	isa.Device

	I8042 *I8042 `prop:"i8042"`

	port      *Port
	queue     [mouseQueue]uint32
	queueSize int32
	count     uint16 // words in the queue
	status    uint16
	absolute  bool
	handler   *pointer // nil unless it gets events
}

// MouseClass is the device type.
var MouseClass = qdev.Class{Name: "vmmouse", Bus: isa.BusType, Category: qdev.Input, New: func() qdev.Device { return new(Mouse) }, State: qdev.State(&mouseState)}

// NewMouse puts the device on the bus.
func NewMouse(tree *qdev.Tree, bus *isa.Bus, c *I8042) (*Mouse, error) {
	d, err := tree.New(&MouseClass)
	if err != nil {
		return nil, err
	}
	v := d.(*Mouse)
	v.I8042 = c
	return v, qdev.Realize(v, bus)
}

// Realize implements qdev.Device.
func (v *Mouse) Realize() error {
	if v.I8042 == nil {
		return errors.New("'i8042' link is not set")
	}
	for _, d := range v.Bus().Devices() {
		if p, ok := d.(*Port); ok {
			v.port = p
		}
	}
	if v.port == nil {
		return errors.New("vmmouse needs a machine with vmport")
	}
	for _, c := range []Command{MouseStatus, MouseCommand, MouseData} {
		v.port.Register(c, v.call)
	}
	return nil
}

// Unrealize implements qdev.Device.
func (v *Mouse) Unrealize() { v.remove() }

// Reset implements qdev.Device.
func (v *Mouse) Reset() {
	v.queueSize, v.count = mouseQueue, 0
	v.disable()
}

// call is a call of the port. It leaves the lower halves of six registers, whatever it does; of the command 16 bits count.
func (v *Mouse) call(r *Registers) uint32 {
	var data [len(mouseRegisters)]uint32
	for i, n := range mouseRegisters {
		data[i] = uint32(r[n])
	}
	switch command, operand := uint16(data[2]), data[1]; command {
	case uint16(MouseStatus):
		data[0] = uint32(v.status)<<16 | uint32(v.count)
	case uint16(MouseCommand):
		v.command(operand)
	case uint16(MouseData):
		v.read(data[:], operand)
	}
	for i, n := range mouseRegisters {
		r[n] = uint64(data[i])
	}
	return data[0]
}

func (v *Mouse) command(c uint32) {
	switch c {
	case mouseDisable:
		v.disable()
	case mouseReadID:
		if v.count < mouseQueue {
			v.put(mouseVersion)
			v.status = 0
			v.update(v.absolute)
		}
	case mouseRelative:
		v.update(false)
	case mouseAbsolute:
		v.update(true)
	}
}

func (v *Mouse) put(words ...uint32) {
	v.count += uint16(copy(v.queue[v.count:], words))
}

// read takes n words from the queue; a wish for more than there are, or than fit in the registers, disables the device.
func (v *Mouse) read(data []uint32, n uint32) {
	if n == 0 || n > uint32(len(data)) || n > uint32(v.count) {
		v.disable()
		return
	}
	copy(data, v.queue[:n])
	copy(v.queue[:], v.queue[n:v.count])
	v.count -= uint16(n)
}

func (v *Mouse) disable() {
	v.status = mouseOff
	v.remove()
}

func (v *Mouse) remove() {
	if v.handler != nil {
		input.Main.Remove(v.handler)
		v.handler = nil
	}
}

// update makes the device get positions or movements, before all others, unless it is disabled.
func (v *Mouse) update(absolute bool) {
	if v.status != 0 {
		return
	}
	if v.absolute != absolute {
		v.absolute = absolute
		v.remove()
	}
	if v.handler == nil {
		v.handler = &pointer{v: v}
		kind := input.KindRel
		if absolute {
			kind = input.KindAbs
		}
		input.Main.Add(v.handler, "vmmouse", input.Of(input.KindButton, kind))
		input.Main.Activate(v.handler)
	}
}

// pointer collects the events of a registration.
type pointer struct {
	v       *Mouse
	axis    [2]int32
	buttons uint32
}

// mouseButtons are the buttons' bits in an event, mouseWheel what a wheel's steps are.
var (
	mouseButtons = map[input.Button]uint32{input.Left: 0x20, input.Right: 0x10, input.Middle: 0x08}
	mouseWheel   = map[input.Button]int32{input.WheelUp: -1, input.WheelDown: 1, input.WheelRight: -2, input.WheelLeft: 2}
)

// Input implements input.Device.
func (p *pointer) Input(e input.Event) {
	switch e.Kind {
	case input.KindAbs:
		p.axis[e.Axis] = int32(e.Value)
	case input.KindRel:
		p.axis[e.Axis] += int32(e.Value)
	case input.KindButton:
		if !e.Down {
			p.buttons &^= mouseButtons[e.Button]
			return
		}
		p.buttons |= mouseButtons[e.Button]
		if step := mouseWheel[e.Button]; step != 0 {
			p.event(step)
		}
	}
}

// Sync implements input.Device.
func (p *pointer) Sync() {
	p.event(0)
	if !p.v.absolute {
		p.axis = [2]int32{}
	}
}

// event queues the state of the pointer, unless there is no room, and announces it.
func (p *pointer) event(wheel int32) {
	v := p.v
	if v.count > mouseQueue-mouseEvent {
		return
	}
	x, y := p.axis[0], p.axis[1]
	if v.absolute { // positions have 16 bits
		x, y = x<<1, y<<1
	}
	v.put(p.buttons, uint32(x), uint32(y), uint32(wheel))
	v.I8042.Nudge()
}

var mouseState = vmstate.Description[Mouse]{Name: "vmmouse",
	PostLoad: func(v *Mouse, _ int) error {
		if v.queueSize != mouseQueue || v.count > mouseQueue {
			err := fmt.Errorf("vmmouse: a queue of %d words with %d in it", v.queueSize, v.count)
			v.Reset()
			return err
		}
		v.remove()
		v.update(v.absolute)
		return nil
	},
	Fields: []vmstate.Field[Mouse]{
		vmstate.Of("queue_size", func(v *Mouse) *int32 { return &v.queueSize }).As("int32 equal"),
		vmstate.Array("queue", func(v *Mouse) []uint32 { return v.queue[:] }),
		vmstate.Of("nb_queue", func(v *Mouse) *uint16 { return &v.count }),
		vmstate.Of("status", func(v *Mouse) *uint16 { return &v.status }),
		vmstate.Of("absolute", func(v *Mouse) *bool { return &v.absolute }).As("uint8"),
	}}
