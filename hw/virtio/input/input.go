// Package input is the virtio input device (virtio 1.2, section 5.8) as keyboard, mouse and tablet.
package input

import (
	"encoding/binary"

	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/transport"
	"goemu/ui"
	"goemu/ui/input"
)

// Names of the devices, for the driver and for people.
const (
	keyboardName = "QEMU Virtio Keyboard"
	mouseName    = "QEMU Virtio Mouse"
	tabletName   = "QEMU Virtio Tablet"
)

// Props are the options of all kinds.
type Props struct {
	Display string `prop:"display"`
	Head    uint32 `prop:"head,default=0"`
	Serial  string `prop:"serial"`
}

// wheelProps is the option of pointers: whether the wheel is an axis or two buttons.
type wheelProps struct {
	WheelAxis bool `prop:"wheel-axis,default=true"`
}

// Model is the part that the kinds of devices share.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"virtio-input-device"`

	wheel    bool // the wheel is an axis
	config   []entry
	selector uint8
	sub      uint8
	active   bool // the driver takes events
	leds     input.LEDs
	events   *virtio.Queue
	lights   *virtio.Queue
	report   []event   // until it is complete
	reports  [][]event // complete ones that the driver has not got yet
}

// event is one of the driver's.
type event struct {
	typ, code uint16
	value     int32
}

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// Vectors implements virtio.Type.
func (m *Model) Vectors() int { return vectors }

// info describes a kind of device.
func info(kind string, class uint16) virtio.TypeInfo {
	return virtio.TypeInfo{Name: kind, ID: virtio.IDInput, PCIDevice: pciDevice, PCIClass: class, Category: qdev.Input, Modern: true,
		StateName: "virtio-input", StateVersion: 1}
}

// setup readies a device with a configuration; label is for people, mask what it takes.
func (m *Model) setup(owner qdev.Device, config []entry, label string, mask input.Mask) error {
	m.config = config
	if m.Props.Serial != "" {
		m.config = append(m.config, entry{cfgSerial, 0, []byte(m.Props.Serial), len(m.Props.Serial)})
	}
	size := 0
	for _, e := range m.config {
		size = max(size, e.size)
	}
	m.Init("virtio-input", virtio.IDInput, m, &m.Common, configHeader+size)
	m.events = m.AddQueue(queueSize, true, m.deliver)
	m.lights = m.AddQueue(queueSize, true, m.setLights)
	input.Main.Add(m, label, mask)
	if tree := owner.Dev().Tree(); tree != nil {
		if d := tree.Find(m.Props.Display); d != nil { // QEMU lets a device that finds no screen serve all of them
			if c := ui.Main.Find(d, int(m.Props.Head)); c != nil {
				input.Main.Bind(m, c)
			}
		}
	}
	return nil
}

// Teardown implements virtio.Type.
func (m *Model) Teardown() {
	input.Main.Remove(m)
	m.Close()
}

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 { return f }

// ReadConfig implements virtio.Model.
func (m *Model) ReadConfig(b []byte) {
	clear(b)
	b[0], b[1] = m.selector, m.sub
	for _, e := range m.config {
		if e.selector == m.selector && e.sub == m.sub {
			b[2] = uint8(e.size)
			copy(b[configHeader:], e.data)
			return
		}
	}
}

// WriteConfig implements virtio.Model.
func (m *Model) WriteConfig(b []byte) {
	m.selector, m.sub = b[0], b[1]
	m.ConfigChanged()
}

// SetStatus implements virtio.Model.
func (m *Model) SetStatus(status uint8) {
	if status&virtio.StatusDriverOK != 0 {
		m.Started()
	}
}

// Started implements virtio.Starter: from now on the driver gets the events.
func (m *Model) Started() {
	if !m.active {
		m.active = true
		input.Main.Activate(m)
	}
}

// Reset implements virtio.Model.
func (m *Model) Reset() {
	m.report, m.reports = nil, nil
	if m.active {
		m.active = false
		input.Main.Deactivate(m)
	}
}

// Input implements input.Device.
func (m *Model) Input(e input.Event) {
	switch e.Kind {
	case input.KindKey:
		if code := e.Key.Linux(); code != 0 {
			m.add(evKey, code, pressed(e.Down))
		}
	case input.KindButton:
		m.button(e.Button, e.Down)
	case input.KindRel:
		m.add(evRel, [...]uint16{input.AxisX: relX, input.AxisY: relY}[e.Axis], int32(e.Value))
	case input.KindAbs:
		m.add(evAbs, [...]uint16{input.AxisX: absX, input.AxisY: absY}[e.Axis], int32(e.Value))
	}
}

// button is for a button or the wheel.
func (m *Model) button(b input.Button, down bool) {
	switch {
	case m.wheel && b == input.WheelUp && down:
		m.add(evRel, relWheel, 1)
	case m.wheel && b == input.WheelDown && down:
		m.add(evRel, relWheel, -1)
	case buttonCodes[b] != 0:
		m.add(evKey, buttonCodes[b], pressed(down))
	}
}

func pressed(down bool) int32 {
	if down {
		return 1
	}
	return 0
}

func (m *Model) add(typ, code uint16, value int32) {
	if m.active && len(m.report) < queueSize {
		m.report = append(m.report, event{typ, code, value})
	}
}

// Sync implements input.Device: the report is complete.
func (m *Model) Sync() {
	if !m.active {
		return
	}
	if len(m.reports) < queueSize {
		m.reports = append(m.reports, append(m.report, event{typ: evSyn}))
	}
	m.report = nil
	m.events.Wake()
}

// deliver hands reports to the driver. One for which there are too few buffers is lost, as in QEMU.
func (m *Model) deliver(q *virtio.Queue) bool {
	reports := m.reports
	m.reports = nil
	for _, r := range reports {
		var chains []*ring.Element
		for range r {
			e := q.Pop()
			if e == nil {
				break
			}
			chains = append(chains, e)
		}
		if len(chains) < len(r) {
			for i := len(chains) - 1; i >= 0; i-- {
				q.Unpop(chains[i])
			}
			continue
		}
		for i, e := range chains {
			q.Push(e, store(e.In, r[i].bytes()))
		}
	}
	q.Stall() // buffers without an event stay where they are
	return true
}

// bytes is an event as the driver gets it.
func (e event) bytes() []byte {
	b := binary.LittleEndian.AppendUint16(nil, e.typ)
	b = binary.LittleEndian.AppendUint16(b, e.code)
	return binary.LittleEndian.AppendUint32(b, uint32(e.value))
}

// ledBits are the keyboard's lights by their codes.
var ledBits = map[uint16]input.LEDs{ledNum: input.NumLED, ledCaps: input.CapsLED, ledScroll: input.ScrollLED}

// setLights takes the driver's events, which switch lights.
func (m *Model) setLights(q *virtio.Queue) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		var b [eventSize]byte
		n := load(b[:], e.Out)
		typ, code, value := binary.LittleEndian.Uint16(b[:]), binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])
		if typ == evLED {
			m.leds &^= ledBits[code]
			if value != 0 {
				m.leds |= ledBits[code]
			}
			input.Main.SetLEDs(m.leds)
		}
		q.Push(e, n)
	}
}

// store copies p to a chain's buffers, load from there; they return how much fitted.
func store(to [][]byte, p []byte) (n uint32) {
	for _, b := range to {
		n += uint32(copy(b, p[n:]))
	}
	return n
}

func load(p []byte, from [][]byte) (n uint32) {
	for _, b := range from {
		n += uint32(copy(p[n:], b))
	}
	return n
}

// Keyboard, Mouse and Tablet are the device types virtio-keyboard-device, virtio-mouse-device and virtio-tablet-device without their
// transports.
type (
	Keyboard struct{ Model }
	Mouse    struct {
		Model
		wheelProps
	}
	Tablet struct {
		Model
		wheelProps
	}
)

// TypeInfo implements virtio.Type.
func (*Keyboard) TypeInfo() virtio.TypeInfo { return info("keyboard", classKeyboard) }

// TypeInfo implements virtio.Type.
func (*Mouse) TypeInfo() virtio.TypeInfo { return info("mouse", classMouse) }

// TypeInfo implements virtio.Type.
func (*Tablet) TypeInfo() virtio.TypeInfo { return info("tablet", classOther) }

// Setup implements virtio.Type.
func (k *Keyboard) Setup(owner qdev.Device, _ int) error {
	return k.setup(owner, keyboardConfig(), keyboardName, input.Of(input.KindKey))
}

// Setup implements virtio.Type.
func (m *Mouse) Setup(owner qdev.Device, _ int) error {
	m.wheel = m.WheelAxis
	return m.setup(owner, mouseConfig(), mouseName, input.Of(input.KindButton, input.KindRel))
}

// Setup implements virtio.Type.
func (t *Tablet) Setup(owner qdev.Device, _ int) error {
	t.wheel = t.WheelAxis
	return t.setup(owner, tabletConfig(), tabletName, input.Of(input.KindButton, input.KindAbs))
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{
		transport.PCIModern[Keyboard, *Keyboard, transport.PlainVectors](), transport.DeviceClass[Keyboard](),
		transport.PCIModern[Mouse, *Mouse, transport.PlainVectors](), transport.DeviceClass[Mouse](),
		transport.PCIModern[Tablet, *Tablet, transport.PlainVectors](), transport.DeviceClass[Tablet](),
	}
}
