package nvme

import (
	"goemu/block"
	"goemu/internal/clock"
)

// Sizes of log pages (section 5.14.1).
const (
	errorLogBytes, smartLogBytes, firmwareLogBytes = 64, 512, 512
	changedLogBytes, effectsLogBytes               = 4096, 4096
	effectsIO                                      = 1024
)

// getLog sends a part of a log page.
func (c *Controller) getLog(r *request) status {
	dw := r.dw(10)
	n := (uint64(r.dw(11)&0xffff)<<16|uint64(dw>>16))*4 + 4
	off := uint64(r.dw(13))<<32 | uint64(r.dw(12))
	keep := dw>>15&1 != 0
	if off&3 != 0 {
		return invalidField
	}
	if s := c.checkLimit(n); s != success {
		return s
	}
	var b []byte
	clears := -1
	switch uint8(dw) {
	case logErrors: // nothing is recorded
		b, clears = make([]byte, errorLogBytes), eventError
	case logSmart:
		var s status
		if b, s = c.smartLog(r.nsid()); s != success {
			return s
		}
		clears = eventSmart
	case logFirmware:
		b = make([]byte, firmwareLogBytes)
		b[0] = 1
		copy(b[8:16], "1.0     ")
	case logChanged:
		if off >= changedLogBytes {
			return invalidField
		}
		b, clears = c.changedLog(), eventNotice
	case logEffects:
		b = c.effectsLog(uint8(r.dw(14) >> 24))
	default:
		return invalidField
	}
	if off >= uint64(len(b)) {
		return invalidField
	}
	if clears >= 0 && !keep {
		c.clearEvents(uint8(clears))
	}
	b = b[off:]
	return c.reply(r, b[:min(n, uint64(len(b)))])
}

// smartLog is the health of a namespace, or of all.
func (c *Controller) smartLog(id uint32) ([]byte, status) {
	if id != allNamespaces && c.ns(id) == nil {
		return nil, invalidNSID
	}
	var read, written, reads, writes uint64
	for _, n := range c.namespaces {
		if n == nil || id != allNamespaces && n.NSID != id {
			continue
		}
		s := &n.backend.Stats
		read += s.Kinds[block.AcctRead].Bytes.Load() >> 9
		written += s.Kinds[block.AcctWrite].Bytes.Load() >> 9
		reads += s.Kinds[block.AcctRead].Ops.Load()
		writes += s.Kinds[block.AcctWrite].Ops.Load()
	}
	b := make([]byte, smartLogBytes)
	b[0] = uint8(c.Health)
	if c.tooWarm() {
		b[0] |= uint8(smartTemperature)
	}
	le.PutUint16(b[1:], temperature)
	const unit = 1000 // of 512 bytes
	le.PutUint64(b[32:], (read+unit-1)/unit)
	le.PutUint64(b[48:], (written+unit-1)/unit)
	le.PutUint64(b[64:], reads)
	le.PutUint64(b[80:], writes)
	const milliPerHour = 3600 * 1000
	le.PutUint64(b[128:], uint64(clock.Virtual.Now()/nsPerMilli-c.started)/milliPerHour)
	return b, success
}

// effectsLog lists the commands there are.
func (c *Controller) effectsLog(csi uint8) []byte {
	b := make([]byte, effectsLogBytes)
	for op, e := range adminEffects {
		le.PutUint32(b[4*int(op):], e)
	}
	for op, e := range c.effects(csi) {
		le.PutUint32(b[effectsIO+4*int(op):], e)
	}
	return b
}
