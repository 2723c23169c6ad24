package usb

import "encoding/binary"

var le = binary.LittleEndian

// Stages of a control transfer, numbered as in migration streams.
const (
	stageIdle  = 0
	stageData  = 2
	stageAck   = 3
	stageWhole = 4
)

func (d *Device) toHost() bool { return d.setup[0]&dirIn != 0 }

// setupToken begins a control transfer.
func (d *Device) setupToken(p *Packet) {
	if p.Size != len(d.setup) || int(lengthOf(p)) > len(d.data) {
		p.Status = Stall
		return
	}
	p.Actual = 0
	p.Move(d.setup[:])
	d.index, d.length = 0, int32(le.Uint16(d.setup[6:]))
	switch {
	case d.toHost():
		d.capture.control(p, true)
		n, ok := d.request(d.data[:d.length])
		if !ok {
			p.Status = Stall
			return
		}
		d.length, d.stage = min(d.length, int32(n)), stageData
	case d.length == 0:
		d.stage = stageAck
	default:
		d.stage = stageData
	}
}

// lengthOf is the length of the data stage that a setup packet announces.
func lengthOf(p *Packet) uint16 {
	var b [8]byte
	q := *p
	q.Actual = 0
	q.Move(b[:])
	return le.Uint16(b[6:])
}

// inToken is data to the host, or the status of a transfer to the device, which is done now.
func (d *Device) inToken(p *Packet) {
	switch {
	case d.stage == stageAck && !d.toHost():
		d.capture.control(p, true)
		if _, ok := d.request(d.data[:d.length]); !ok {
			p.Status = Stall
		} else {
			d.stage, p.Actual = stageIdle, 0
		}
		d.capture.control(p, false)
	case d.stage == stageAck:
	case d.stage == stageData && d.toHost():
		d.moveData(p)
	default:
		d.breakOff(p)
	}
}

// outToken is data to the device, or the end of a transfer to the host.
func (d *Device) outToken(p *Packet) {
	switch {
	case d.stage == stageAck && d.toHost():
		d.stage = stageIdle
		d.capture.control(p, false)
	case d.stage == stageAck: // more than was announced
	case d.stage == stageData && !d.toHost():
		d.moveData(p)
	default:
		d.breakOff(p)
	}
}

// breakOff ends a control transfer in which the packet has no place.
func (d *Device) breakOff(p *Packet) {
	if d.stage != stageIdle {
		d.capture.control(p, false)
	}
	d.stage, p.Status = stageIdle, Stall
}

func (d *Device) moveData(p *Packet) {
	if d.index < 0 || d.length > controlBytes || d.index > d.length { // only a hostile migration stream does so
		d.breakOff(p)
		return
	}
	d.index += int32(p.Move(d.data[d.index:d.length]))
	if d.index >= d.length {
		d.stage = stageAck
	}
}

// wholeRequest does a control transfer in one piece.
func (d *Device) wholeRequest(p *Packet) {
	d.setup, d.stage, d.index = *p.Whole, stageWhole, 0
	n := int(le.Uint16(d.setup[6:]))
	if n > len(d.data) {
		p.Status = Stall
		return
	}
	d.length = int32(n)
	if p.PID == Out {
		clear(d.data[:n])
		p.Move(d.data[:n])
	}
	d.capture.control(p, true)
	n, ok := d.request(d.data[:n])
	if !ok {
		p.Status = Stall
		d.capture.control(p, false)
		return
	}
	d.length = min(d.length, int32(n))
	if p.PID == In {
		p.Actual = 0
		p.Move(d.data[:d.length])
	}
	d.capture.control(p, false)
}

// request does the request in setup.
func (d *Device) request(data []byte) (n int, ok bool) {
	request := int(d.setup[0])<<8 | int(d.setup[1])
	value, index := int(le.Uint16(d.setup[2:])), int(le.Uint16(d.setup[4:]))
	if n, ok := d.standard(request, value, index, data); ok {
		return n, true
	}
	return d.model.Control(request, value, index, data)
}

// Features (USB 2.0, table 9-6).
const (
	featureSelfPowered  = 0
	featureRemoteWakeup = 1
)

// standard does a standard request (USB 2.0, section 9.4); ok is false if it is none.
func (d *Device) standard(request, value, index int, data []byte) (n int, ok bool) {
	switch request {
	case ReqSetAddress:
		d.addr = uint8(value)
		return 0, true
	case ReqGetDescriptor:
		return d.descriptor(uint8(value>>8), uint8(value), data)
	case ReqGetConfiguration:
		v := uint8(0)
		if d.config != nil {
			v = d.config.Value
		}
		return copy(data, []byte{v}), true
	case ReqSetConfiguration:
		return 0, d.setConfiguration(uint8(value))
	case ReqGetStatus:
		return copy(data, []byte{d.status(), 0}), true
	case ReqClearFeature, ReqSetFeature:
		if value == featureRemoteWakeup {
			d.remoteWakeup = 0
			if request == ReqSetFeature {
				d.remoteWakeup = 1
			}
			return 0, true
		}
	case ReqSetSEL, ReqSetIsochDelay:
		return 0, d.speed == Super
	case ReqGetInterface:
		if d.config != nil && index < len(d.config.Interfaces) {
			return copy(data, []byte{d.alternate[index&(maxInterfaces-1)]}), true
		}
	case ReqSetInterface:
		return 0, d.setInterface(index, uint8(value))
	case reqVendorDevice, reqVendorInterface:
		if d.microsoft() {
			return copy(data, d.desc.microsoft(index)), true
		}
	}
	return 0, false
}

func (d *Device) status() (v uint8) {
	c := d.config
	if c == nil && d.device != nil {
		c = &d.device.Configs[0]
	}
	if c != nil && c.Attributes&AttrSelfPowered != 0 {
		v |= 1 << featureSelfPowered
	}
	if d.remoteWakeup != 0 {
		v |= 1 << featureRemoteWakeup
	}
	return v
}

// defaults makes the device unconfigured, with the descriptors of its speed.
func (d *Device) defaults() {
	if d.desc == nil {
		return
	}
	switch d.speed {
	case High:
		d.device = d.desc.High
	case Super:
		d.device = d.desc.Super
	default:
		d.device = d.desc.Full
	}
	d.setConfiguration(0)
}

func (d *Device) setConfiguration(v uint8) bool {
	var c *DescConfig
	if v != 0 {
		for i := range d.device.Configs {
			if d.device.Configs[i].Value == v {
				c = &d.device.Configs[i]
			}
		}
		if c == nil { // QEMU does not tell the driver
			return true
		}
	}
	d.config, d.configuration = c, v
	clear(d.alternate[:])
	clear(d.interfaces[:])
	if c != nil {
		for i := range c.Interfaces {
			if c.Interfaces[i].Alternate == 0 {
				d.interfaces[c.Interfaces[i].Number] = &c.Interfaces[i]
			}
		}
	}
	d.configureEndpoints()
	return true
}

func (d *Device) setInterface(n int, alternate uint8) bool {
	if d.config == nil || n >= maxInterfaces {
		return false
	}
	for i := range d.config.Interfaces {
		if f := &d.config.Interfaces[i]; int(f.Number) == n && f.Alternate == alternate {
			d.interfaces[n], d.alternate[n] = f, alternate
			d.configureEndpoints()
			return true
		}
	}
	return false
}

// configureEndpoints takes the endpoints' types and sizes from the interfaces in use.
func (d *Device) configureEndpoints() {
	d.resetEndpoints()
	for _, f := range d.interfaces {
		if f == nil {
			continue
		}
		for _, x := range f.Endpoints {
			pid := Out
			if x.Address&dirIn != 0 {
				pid = In
			}
			e := d.Endpoint(pid, x.Address&15)
			e.Type = x.Attributes & 3
			e.MaxPacket = int(x.MaxPacket&0x7ff) * (1 + min(int(x.MaxPacket>>11&3), 2))
		}
	}
}
