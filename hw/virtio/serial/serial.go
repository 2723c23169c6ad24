// Package serial is the virtio console device (virtio 1.2, section 5.3) with its bus of ports: virtconsole and virtserialport. All of it
// runs on the main loop under the machine lock.
package serial

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"goemu/block"
	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/transport"
)

var le = binary.LittleEndian

// Feature bits (section 5.3.3).
const (
	featureMultiport = 1
	featureEmergency = 2
)

// Configuration space (section 5.3.4).
const (
	cfgCols      = 0
	cfgRows      = 2
	cfgMaxPorts  = 4
	cfgEmergency = 8
	cfgSize      = 12
)

// Control messages (section 5.3.6.2): le32 port, le16 event, le16 value.
const (
	ctlSize   = 8
	ctlEvent  = 4
	ctlValue  = 6
	ctlMaxLen = 4096 // of a message from the driver that we look at

	evDeviceReady = 0
	evPortAdd     = 1
	evPortRemove  = 2
	evPortReady   = 3
	evConsole     = 4
	evPortOpen    = 6
	evPortName    = 7
)

const (
	dataQueueSize    = 128
	controlQueueSize = 32
	maxPortsLimit    = virtio.MaxQueues/2 - 1
	pciDevice        = 0x1003
	pciClass         = 0x0780
	defaultVectors   = 2
)

// Props are the options of -device virtio-serial-…
type Props struct {
	MaxPorts  uint32 `prop:"max_ports,default=31"`
	Emergency bool   `prop:"emergency-write,default=on" help:"on/off"`
}

// Model is the device type virtio-serial-device without its transport.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"virtio-serial-device"`

	bus      bus
	ports    []*port // by ID; nil where there is none
	ctlIn    *virtio.Queue
	ctlOut   *virtio.Queue
	held     []heldOutput // while a state is loaded
	reopened []*port      // the same

	pending [][]byte // control messages for which the driver has no buffer yet
}

// bus is the virtio-serial-bus that ports sit on.
type bus struct {
	qdev.Bus
	m *Model
}

// HotplugHandler implements qdev.Hotplugger.
func (*bus) HotplugHandler() qdev.HotplugHandler { return qdev.Direct{} }

// busCount numbers buses of devices without an identifier; it is guarded by the machine lock.
var busCount int

// TypeInfo implements virtio.Type.
func (*Model) TypeInfo() virtio.TypeInfo {
	return virtio.TypeInfo{Name: "serial", ID: virtio.IDConsole, PCIDevice: pciDevice, PCIClass: pciClass, Category: qdev.Input,
		StateName: "virtio-console", StateVersion: 3}
}

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// Vectors implements virtio.Type.
func (m *Model) Vectors() int { return defaultVectors }

// Setup implements virtio.Type.
func (m *Model) Setup(owner qdev.Device, _ int) error {
	switch {
	case m.Props.MaxPorts == 0:
		return errors.New("Maximum number of serial ports not specified")
	case m.Props.MaxPorts > maxPortsLimit:
		return fmt.Errorf("maximum ports supported: %d", maxPortsLimit)
	}
	m.Init("virtio-console", virtio.IDConsole, m, &m.Common, m.configSize())
	m.ports = make([]*port, m.Props.MaxPorts)
	for i := range m.ports {
		m.AddQueue(dataQueueSize, true, func(q *virtio.Queue) bool { return m.inputReady(i, q) })
		m.AddQueue(dataQueueSize, true, func(q *virtio.Queue) bool { return m.output(i, q) })
		if i == 0 {
			m.ctlIn = m.AddQueue(controlQueueSize, true, func(q *virtio.Queue) bool {
				m.sendPending()
				q.Stall() // the other buffers are for later messages
				return true
			})
			m.ctlOut = m.AddQueue(controlQueueSize, true, m.control)
		}
	}
	name := owner.Dev().ID() + ".0"
	if owner.Dev().ID() == "" {
		name = fmt.Sprintf("virtio-serial-bus.%d", busCount)
		busCount++
	}
	m.bus.m = m
	qdev.InitBus(&m.bus, owner, busType, name, 0)
	return nil
}

// configSize is the size of the configuration space: all of it only if the last member is offered.
func (m *Model) configSize() int {
	if m.Props.Emergency {
		return cfgSize
	}
	return cfgEmergency
}

// Teardown implements virtio.Type.
func (m *Model) Teardown() { m.Close() }

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 {
	if m.Props.MaxPorts > 1 {
		f |= 1 << featureMultiport
	}
	if m.Props.Emergency {
		f |= 1 << featureEmergency
	}
	return f
}

// ReadConfig implements virtio.Model: the console has no size of its own.
func (m *Model) ReadConfig(b []byte) {
	clear(b)
	le.PutUint32(b[cfgMaxPorts:], m.Props.MaxPorts)
}

// WriteConfig implements virtio.Model: one character from a driver in distress.
func (m *Model) WriteConfig(b []byte) {
	if len(b) < cfgSize || le.Uint32(b[cfgEmergency:]) == 0 {
		return
	}
	if i := slices.IndexFunc(m.ports, func(p *port) bool { return p != nil && p.console }); i >= 0 {
		m.ports[i].write(b[cfgEmergency : cfgEmergency+1])
	}
}

// SetStatus implements virtio.Model.
func (m *Model) SetStatus(status uint8) {
	switch p := m.ports[0]; {
	case status&virtio.StatusDriverOK == 0:
		m.forget()
	case p != nil && !m.Has(featureMultiport): // this driver cannot tell that it has opened the port
		p.guestOpen = true
	}
}

// Started implements virtio.Starter: input may have waited for the driver.
func (m *Model) Started() {
	for _, p := range m.ports {
		if p != nil {
			p.accept()
		}
	}
}

// Reset implements virtio.Model.
func (m *Model) Reset() { m.forget() }

// forget drops what the driver has told us.
func (m *Model) forget() {
	m.pending = nil
	for _, p := range m.ports {
		if p != nil {
			p.guestOpen, p.out, p.throttled = false, nil, false
		}
	}
}

// queues are the receive and transmit queues of a port.
func (m *Model) queues(id int) (in, out *virtio.Queue) {
	n := 2 * id
	if id > 0 {
		n += 2 // the control queues lie in between
	}
	return m.Queue(n), m.Queue(n + 1)
}

// control takes the driver's control messages.
func (m *Model) control(q *virtio.Queue) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		msg := make([]byte, min(e.OutLen(), ctlMaxLen))
		block.IovGather(msg, e.Out)
		q.Push(e, 0)
		if len(msg) >= ctlSize {
			m.message(le.Uint32(msg), le.Uint16(msg[ctlEvent:]), le.Uint16(msg[ctlValue:]))
		}
	}
}

// message acts on a control message.
func (m *Model) message(id uint32, event, value uint16) {
	if event == evDeviceReady {
		for _, p := range m.ports {
			if p != nil && value != 0 {
				m.send(p.Nr, evPortAdd, 1, "")
			}
		}
		return
	}
	if id >= uint32(len(m.ports)) || m.ports[id] == nil {
		return
	}
	p := m.ports[id]
	switch event {
	case evPortReady:
		if value != 0 {
			m.introduce(p)
		}
	case evPortOpen:
		p.guestOpen = value != 0
		p.accept()
	}
}

// introduce tells the driver what it must know about a port.
func (m *Model) introduce(p *port) {
	if p.console {
		m.send(p.Nr, evConsole, 1, "")
	}
	if p.Label != "" {
		m.send(p.Nr, evPortName, 1, p.Label+"\x00")
	}
	if p.hostOpen {
		m.send(p.Nr, evPortOpen, 1, "")
	}
}

// send queues a control message for the driver.
func (m *Model) send(id uint32, event, value uint16, text string) {
	if !m.Has(featureMultiport) {
		return
	}
	b := le.AppendUint16(le.AppendUint16(le.AppendUint32(nil, id), event), value)
	m.pending = append(m.pending, append(b, text...))
	m.sendPending()
}

// sendPending puts control messages into the driver's buffers.
func (m *Model) sendPending() {
	for len(m.pending) > 0 {
		e := m.ctlIn.Pop()
		if e == nil {
			return
		}
		n := block.IovScatter(e.In, m.pending[0])
		m.pending = m.pending[1:]
		m.ctlIn.Push(e, uint32(n))
	}
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	all := append(transport.PCIClasses[Model, *Model, transport.WithTwoVectors](), transport.DeviceClass[Model]())
	return append(all, &consoleClass, &portClass)
}
