package ahci

import "goemu/hw/ide"

// frame writes a frame to the memory for received frames; it returns false while the guest takes none.
func (p *port) frame(at uint64, b []byte) bool {
	if p.cmd&cmdReceiving == 0 || p.cmd&cmdReceive == 0 {
		return false
	}
	p.a.DMA().Write(p.receivedAddr()+at, b)
	return true
}

// registersOf is the part that register and PIO frames share.
func registersOf(kind, flags uint8, f ide.Frame) []byte {
	return []byte{kind, flags, f.Status, f.Error, f.LBA[0], f.LBA[1], f.LBA[2], f.Device, f.PrevLBA[0], f.PrevLBA[1], f.PrevLBA[2], 0,
		uint8(f.Count), uint8(f.Count >> 8), 0, 0, 0, 0, 0, 0}
}

func flag(interrupt bool) uint8 {
	if interrupt {
		return frameInterrupt
	}
	return 0
}

// shadow copies the task file into the port's register.
func (p *port) shadow(f ide.Frame) {
	p.tfd = uint32(f.Error)<<8 | uint32(f.Status)
	if f.Status&ide.StatusERR != 0 {
		p.raise(intTaskFile)
	}
}

// frameToHost sends the registers.
func (p *port) frameToHost(interrupt bool) bool {
	f := p.drive().Frame()
	if !p.frame(rcvFrame, registersOf(frameToHost, flag(interrupt), f)) {
		return false
	}
	p.shadow(f)
	if interrupt {
		p.raise(intFrame)
	}
	return true
}

// framePIO announces n bytes of data.
func (p *port) framePIO(n int, interrupt bool) {
	f := p.drive().Frame()
	b := registersOf(framePIO, flag(interrupt), f)
	b[15] = f.Status
	le.PutUint16(b[16:], uint16(n))
	if p.frame(rcvPIO, b) {
		p.shadow(f)
	}
}

// frameBits says which queued commands have ended.
func (p *port) frameBits() {
	f := p.drive().Frame()
	const shown = 0x77
	b := []byte{frameBits, frameInterrupt, f.Status & shown, f.Error, 0, 0, 0, 0}
	le.PutUint32(b[4:], p.finished)
	if !p.frame(rcvBits, b) {
		return
	}
	p.tfd = uint32(f.Error)<<8 | uint32(f.Status&shown) | p.tfd&0x88
	p.sact &^= p.finished
	p.finished = 0
	if f.Status&ide.StatusERR != 0 {
		p.raise(intTaskFile)
	} else {
		p.raise(intDeviceBits)
	}
}

// greet sends the first frame after a reset, which carries the drive's signature.
func (p *port) greet() {
	if p.greeted || !p.frameToHost(true) {
		return
	}
	p.greeted = true
	f := p.drive().Frame()
	p.sig = uint32(f.LBA[2])<<24 | uint32(f.LBA[1])<<16 | uint32(f.LBA[0])<<8 | uint32(uint8(f.Count))
}
