package xhci

import "goemu/hw/usb"

// present tells whether there is a device of the port's kind.
func (p *port) present() bool { return p.con.Present() && p.speeds.Has(p.con.Device().Speed()) }

// change notes a change and tells the driver.
func (p *port) change(bits uint32) {
	if p.status&bits == bits {
		return
	}
	p.status |= bits
	if p.c.running() {
		p.c.event(0, event{typ: erPort, code: ccSuccess, pointer: uint64(p.number) << 24})
	}
}

func (p *port) setLink(v uint32) { p.status = p.status&^portLink | v<<portLinkAt }

// speedCodes are the numbers of the speeds (section 7.2.2.1.1).
var speedCodes = map[usb.Speed]uint32{usb.Full: 1, usb.Low: 2, usb.High: 3, usb.Super: 4}

// update looks at the device; gone says that it is about to go.
func (p *port) update(gone bool) {
	p.status = portPower
	p.setLink(linkDetect)
	if !gone && p.present() {
		s := p.con.Device().Speed()
		p.status |= portConnected | speedCodes[s]<<portSpeedAt
		if p.setLink(linkPolling); s == usb.Super {
			p.status |= portEnabled
			p.setLink(linkU0)
		}
	}
	p.change(portConnectCh)
}

func (p *port) reset(warm bool) {
	if !p.present() {
		return
	}
	d := p.con.Device()
	d.PortReset()
	if warm && d.Speed() == usb.Super {
		p.status |= portWarmCh
	}
	p.setLink(linkU0)
	p.status = p.status&^portReset | portEnabled
	p.change(portResetCh)
}

// write is a write to the port's status register.
func (p *port) write(v uint32) {
	if v&(portWarm|portReset) != 0 {
		p.reset(v&portWarm != 0)
		return
	}
	p.status &^= v & portClearOnes
	changed := false
	if v&portWriteLink != 0 {
		switch old, now := p.status>>portLinkAt&15, v>>portLinkAt&15; {
		case now == linkU0 && old != linkU0:
			p.setLink(linkU0)
			changed = true
		case now == linkU3 && old < linkU3:
			p.setLink(linkU3)
		}
	}
	p.status = p.status&^portWritable | v&portWritable
	if changed {
		p.change(portLinkCh)
	}
}

// resume is a device that wakes a suspended port.
func (p *port) resume() {
	if p.status>>portLinkAt&15 == linkU3 {
		p.setLink(linkResume)
		p.change(portLinkCh)
	}
}
