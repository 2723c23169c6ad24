package usb

import (
	"errors"
	"fmt"

	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/migration/vmstate"
)

// Requests of hubs (USB 2.0, section 11.24.2).
const (
	hubClearFeature   = 0x2001
	hubSetFeature     = 0x2003
	hubClearPort      = 0x2301
	hubSetPort        = 0x2303
	hubGetStatus      = 0xa000
	hubGetPortStatus  = 0xa300
	hubGetDescriptor  = 0xa006
	hubDescriptorType = 0x29
)

// Features of a port (table 11-17); the numbers of the first ones are those of the bits of a port's status and changes.
const (
	portConnection  = 0
	portEnable      = 1
	portSuspend     = 2
	portOverCurrent = 3
	portReset       = 4
	portPower       = 8
	portLowSpeed    = 9
	portChanges     = 16 // portChanges + n: the change of n
	portChangeBits  = 0x1f
)

const (
	maxHubPorts = 8
	maxHubs     = 5
	// powerDelay is how long devices take to be seen after their port has got power.
	powerDelay = 5_000_000
)

// hubPort is a port of a hub.
type hubPort struct {
	Port
	status, change uint16
}

// Hub is the device type usb-hub.
type Hub struct {
	Device
	Ports     uint32 `prop:"ports,default=8"`
	PortPower bool   `prop:"port-power,default=false"`

	ports    [maxHubPorts]hubPort
	powered  *clock.Timer
	interval *Endpoint
}

// HubClass is the type usb-hub.
var HubClass = &qdev.Class{Name: "usb-hub", Bus: BusType, Category: qdev.Bridge, New: func() qdev.Device { return new(Hub) }, State: qdev.State(&hubState)}

var hubDesc = &Desc{Vendor: 0x0409, Product: 0x55aa, Version: 0x0101, Manufacturer: 1, ProductName: 2, Serial: 3,
	Strings: map[uint8]string{1: "QEMU", 2: "QEMU USB Hub", 3: "314159"},
	Full: &DescDevice{USB: 0x0110, Class: classHub, MaxPacket0: 8, Configs: []DescConfig{{Value: 1, Attributes: AttrAlways | AttrSelfPowered | AttrWakeup,
		Interfaces: []DescInterface{{Class: classHub, Endpoints: []DescEndpoint{{Address: dirIn | 1, Attributes: TransferInterrupt, MaxPacket: 1 + maxHubPorts/8, Interval: 0xff}}}}}}}}

const classHub = 9

// Info implements Model.
func (h *Hub) Info() Info { return Info{Product: "QEMU USB Hub", Desc: hubDesc, Name: "hub"} }

// Realize implements qdev.Device.
func (h *Hub) Realize() error {
	if h.Ports < 1 || h.Ports > maxHubPorts {
		return fmt.Errorf("num_ports (%d) out of range (1..%d)", int32(h.Ports), maxHubPorts)
	}
	if h.port.hubs == maxHubs {
		return errors.New("usb hub chain too deep")
	}
	h.interval = h.Endpoint(In, 1)
	h.powered = mainloop.NewTimer(clock.Virtual, h.lookAtPorts)
	for i := range h.ports[:h.Ports] {
		p := &h.ports[i]
		p.Index, p.Speeds = i, Speeds(Low, Full)
		p.Attach = func() { p.update(); h.Wakeup(h.interval) }
		p.Detach = func() { h.detached(p) }
		p.ChildDetach = func(d *Device) { h.port.ChildDetach(d) }
		p.Wakeup = func() {
			if p.clear(1 << portSuspend) {
				h.Wakeup(h.interval)
			}
		}
		h.port.bus.addHubPort(&p.Port, h.port)
	}
	h.PortReset()
	return nil
}

// Unrealize implements qdev.Device.
func (h *Hub) Unrealize() {
	for i := range h.ports[:h.Ports] {
		h.port.bus.dropPort(&h.ports[i].Port)
	}
	h.powered.Del()
}

func (h *Hub) lookAtPorts() {
	changed := false
	for i := range h.ports[:h.Ports] {
		changed = h.ports[i].update() || changed
	}
	if changed {
		h.Wakeup(h.interval)
	}
}

// set and clear change bits of a port's status; they return true for a change that the host is to hear of.
func (p *hubPort) set(bits uint16) bool {
	if p.status&bits != 0 {
		return false
	}
	p.status |= bits
	return p.note(bits)
}

func (p *hubPort) clear(bits uint16) bool {
	if p.status&bits == 0 {
		return false
	}
	p.status &^= bits
	return p.note(bits)
}

func (p *hubPort) note(bits uint16) bool {
	if bits&portChangeBits == 0 {
		return false
	}
	p.change |= bits
	return true
}

// update looks whether there is a device.
func (p *hubPort) update() (changed bool) {
	if !p.Present() {
		return false
	}
	changed = p.set(1 << portConnection)
	if p.dev.speed == Low {
		p.set(1 << portLowSpeed)
	} else {
		p.clear(1 << portLowSpeed)
	}
	return changed
}

func (h *Hub) detached(p *hubPort) {
	h.port.ChildDetach(p.dev)
	for _, bit := range []int{portConnection, portEnable, portSuspend} {
		p.clear(1 << bit)
	}
	h.Wakeup(h.interval)
}

func (h *Hub) find(addr uint8) *Device {
	for i := range h.ports[:h.Ports] {
		if p := &h.ports[i]; p.status&(1<<portEnable) != 0 {
			if d := p.Port.find(addr); d != nil {
				return d
			}
		}
	}
	return nil
}

// PortReset implements Resetter.
func (h *Hub) PortReset() {
	for i := range h.ports[:h.Ports] {
		p := &h.ports[i]
		p.status, p.change = 0, 0
		p.set(1 << portPower)
		p.update()
	}
}

// Control implements Model.
func (h *Hub) Control(request, value, index int, data []byte) (int, bool) {
	n := index - 1
	if request == hubGetPortStatus || request == hubSetPort || request == hubClearPort {
		if n < 0 || n >= int(h.Ports) {
			return 0, false
		}
	}
	switch request {
	case ReqClearEndpointFeature:
		return 0, value != 0 || index == dirIn|1
	case hubGetStatus:
		return copy(data, make([]byte, 4)), true
	case hubGetPortStatus:
		p := &h.ports[n]
		return copy(data, []byte{byte(p.status), byte(p.status >> 8), byte(p.change), byte(p.change >> 8)}), true
	case hubSetFeature, hubClearFeature:
		return 0, value == 0 || value == 1
	case hubSetPort:
		return 0, h.setPort(&h.ports[n], value)
	case hubClearPort:
		return 0, h.clearPort(&h.ports[n], value)
	case hubGetDescriptor:
		return copy(data, h.hubDescriptor()), true
	}
	return 0, false
}

func (h *Hub) setPort(p *hubPort, feature int) bool {
	switch feature {
	case portSuspend:
		p.status |= 1 << portSuspend
	case portReset:
		p.set(1 << portReset)
		p.clear(1 << portReset)
		if p.Present() {
			p.dev.PortReset()
			p.set(1 << portEnable)
		}
		h.Wakeup(h.interval)
	case portPower:
		if h.PortPower {
			p.set(1 << portPower)
			h.powered.Mod(clock.Virtual.Now() + powerDelay)
		}
	default:
		return false
	}
	return true
}

func (h *Hub) clearPort(p *hubPort, feature int) bool {
	switch feature {
	case portEnable:
		p.status &^= 1 << portEnable
	case portSuspend:
		p.clear(1 << portSuspend)
	case portChanges + portConnection, portChanges + portEnable, portChanges + portSuspend, portChanges + portOverCurrent, portChanges + portReset:
		p.change &^= 1 << (feature - portChanges)
	case portPower:
		if h.PortPower {
			p.status &^= 1<<portPower | 1<<portConnection | 1<<portEnable | 1<<portSuspend
			p.change = 0
		}
	default:
		return false
	}
	return true
}

// hubDescriptor is the hub descriptor (section 11.23.2.1).
func (h *Hub) hubDescriptor() []byte {
	const perPortOverCurrent, noSwitching, perPortSwitching = 0x08, 0x02, 0x01
	flags := byte(perPortOverCurrent | noSwitching)
	if h.PortPower {
		flags = perPortOverCurrent | perPortSwitching
	}
	b := []byte{0, hubDescriptorType, byte(h.Ports), flags, 0, 1, 0}
	b = append(b, make([]byte, (h.Ports+8)/8)...)
	for range (h.Ports + 7) / 8 {
		b = append(b, 0xff)
	}
	b[0] = byte(len(b))
	return b
}

// Data implements Model: a bit map of the ports that have changed.
func (h *Hub) Data(p *Packet) {
	if p.PID != In || p.EP.Number != 1 {
		p.Status = Stall
		return
	}
	n := int(h.Ports+8) / 8
	if p.Size == 1 {
		n = 1 // FreeBSD asks for no more
	} else if n > p.Size {
		p.Status = Babble
		return
	}
	bits := uint16(0)
	for i := range h.ports[:h.Ports] {
		if h.ports[i].change != 0 {
			bits |= 2 << i
		}
	}
	if bits == 0 {
		p.Status = NAK
		return
	}
	p.Move([]byte{byte(bits), byte(bits >> 8)}[:n])
}

var hubPortState = vmstate.Description[hubPort]{Name: "usb-hub-port", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[hubPort]{
		vmstate.Of("wPortStatus", func(p *hubPort) *uint16 { return &p.status }),
		vmstate.Of("wPortChange", func(p *hubPort) *uint16 { return &p.change }),
	}}

var hubState = vmstate.Description[Hub]{Name: "usb-hub", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Hub]{
		Saved(func(h *Hub) *Device { return &h.Device }),
		vmstate.Structs("ports", &hubPortState, func(h *Hub) []hubPort { return h.ports[:] }),
	},
	Subsections: []*vmstate.Description[Hub]{{Name: "usb-hub/port-timer", Version: 1, MinVersion: 1, Needed: func(h *Hub) bool { return h.PortPower },
		Fields: []vmstate.Field[Hub]{vmstate.Timer("port_timer", func(h *Hub) vmstate.TimerState { return h.powered })}}},
}
