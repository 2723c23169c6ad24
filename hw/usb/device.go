package usb

import (
	"strconv"
	"strings"

	"goemu/hw/qdev"
)

// Device states (USB 2.0, section 9.1.1), numbered as in migration streams.
const (
	stateNotAttached = 0
	stateAttached    = 1
	stateDefault     = 3
)

// Props are the options of every device on the bus.
type Props struct {
	Port     string              `prop:"port"`
	Serial   string              `prop:"serial"`
	MSOS     bool                `prop:"msos-desc,default=true" help:"on/off"`
	Capture  string              `prop:"pcap"` // file
	Attached qdev.ReadOnly[bool] `prop:"attached"`
}

const (
	endpoints     = 15
	maxInterfaces = 16
	controlBytes  = 4096
)

// Model is a device model: a struct with Device embedded.
type Model interface {
	qdev.Device
	USB() *Device
	// Info tells what the device is.
	Info() Info
	// Control does a request that is none of the standard ones: it takes or fills data and returns how much it has filled; ok is false
	// for a request that is not there.
	Control(request, value, index int, data []byte) (n int, ok bool)
	// Data moves data of a packet that is not the control pipe's and sets its status if that is not OK.
	Data(p *Packet)
}

// Info describes a type of device.
type Info struct {
	Product string // for people
	Desc    *Desc
	Name    string // for firmware; the type's name if empty
}

// Resetter hears of a reset of the device by its port.
type Resetter interface{ PortReset() }

// Canceller hears of packets that are taken back after it has answered Async.
type Canceller interface{ CancelPacket(p *Packet) }

// finder is a hub: it looks for a device behind its ports.
type finder interface{ find(addr uint8) *Device }

// Device is the part common to all devices; embed it.
type Device struct {
	qdev.Base
	Props
	model Model
	port  *Port
	desc  *Desc

	attached  bool
	manual    bool // is attached by setting a property
	speed     Speed
	speedMask Mask
	regs
	data          [controlBytes]byte
	control       Endpoint
	in, out       [endpoints]Endpoint
	serialNumber  string
	device        *DescDevice
	config        *DescConfig
	configuration uint8
	alternate     [maxInterfaces]uint8
	interfaces    [maxInterfaces]*DescInterface
	capture       *capture // nil: packets are not recorded
}

// regs is the state that migrates.
type regs struct {
	addr         uint8
	state        int32
	remoteWakeup int32
	stage        int32
	length       int32 // of the data stage
	index        int32 // in the data stage
	setup        [8]uint8
}

// USB implements Model.
func (d *Device) USB() *Device { return d }

// Speed is the speed at which the device is connected.
func (d *Device) Speed() Speed { return d.speed }

// Supports tells whether the device can work at a speed.
func (d *Device) Supports(s Speed) bool { return d.speedMask.Has(s) }

// Address is the address that the host has given the device.
func (d *Device) Address() uint8 { return d.addr }

// SetAddress gives the device an address, for controllers that do so themselves.
func (d *Device) SetAddress(a uint8) { d.addr = a }

// Awake tells whether the host lets the device wake it.
func (d *Device) Awake() bool { return d.remoteWakeup != 0 }

// Port is the port the device is in.
func (d *Device) Port() *Port { return d.port }

// RootPort is the index of the port of the host controller that the device is at or behind.
func (d *Device) RootPort() int {
	if d.port == nil {
		return -1
	}
	first, _, _ := strings.Cut(d.port.path, ".")
	n, _ := strconv.Atoi(first)
	return n - 1
}

// Ready tells whether the device takes packets: it is attached and has been reset.
func (d *Device) Ready() bool { return d.attached && d.state == stateDefault }

// AttachByHand keeps a device that is hot-plugged from being seen until its property attached is set.
func (d *Device) AttachByHand() { d.manual = true }

// Describe makes a device have the descriptors, for types with several versions. Call it first in Realize.
func (d *Device) Describe(desc *Desc) {
	d.desc = desc
	d.serialNumber = d.Serial
	if d.serialNumber == "" {
		d.serialNumber = desc.Strings[desc.Serial]
		if path := qdev.StatePath(d.port.bus.Owner()); path != "" {
			d.serialNumber += "-" + path
		}
		d.serialNumber += "-" + d.port.path
	}
	d.speed, d.speedMask = Full, 0
	for s, dev := range map[Speed]*DescDevice{Full: desc.Full, High: desc.High, Super: desc.Super} {
		if dev != nil {
			d.speedMask |= Speeds(s)
		}
	}
	d.defaults()
}

// PortReset is a reset by the port: the device is back at address 0.
func (d *Device) PortReset() {
	if !d.attached {
		return
	}
	if r, ok := d.model.(Resetter); ok {
		r.PortReset()
	}
	d.remoteWakeup, d.addr, d.state = 0, 0, stateDefault
}

// Wakeup tells the host that an endpoint has something new.
func (d *Device) Wakeup(e *Endpoint) { d.WakeupStream(e, 0) }

// WakeupStream is Wakeup for a stream of the endpoint.
func (d *Device) WakeupStream(e *Endpoint, stream uint16) {
	if d.port == nil || !d.Realized() {
		return
	}
	if d.remoteWakeup != 0 && d.port.Wakeup != nil {
		d.port.Wakeup()
	}
	if f := d.port.bus.WakeupEndpoint; f != nil {
		f(e, stream)
	}
}

// resetEndpoints makes all endpoints but the control pipe unknown.
func (d *Device) resetEndpoints() {
	d.control.Number, d.control.Type, d.control.MaxPacket, d.control.dev = 0, TransferControl, 64, d
	for i := range endpoints {
		for e, pid := range map[*Endpoint]PID{&d.in[i]: In, &d.out[i]: Out} {
			e.Number, e.PID, e.Type, e.MaxPacket, e.dev = uint8(i+1), pid, transferInvalid, 0, d
		}
	}
}

// find returns the device with an address behind a port, nil if there is none.
func (p *Port) find(addr uint8) *Device {
	d := p.dev
	if d == nil || !d.Ready() {
		return nil
	}
	if d.addr == addr {
		return d
	}
	if f, ok := d.model.(finder); ok {
		return f.find(addr)
	}
	return nil
}

// Find returns the device with an address at or behind the port, nil if there is none that is ready.
func (p *Port) Find(addr uint8) *Device { return p.find(addr) }
