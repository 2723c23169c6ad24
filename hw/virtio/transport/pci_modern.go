package transport

import "goemu/hw/virtio"

// legacyFeatures are not offered through the modern interface.
const legacyFeatures = 1<<virtio.FeatureBadFeature | 1<<virtio.FeatureNotifyOnEmpty | 1<<virtio.FeatureAnyLayout

// modernFeatures are the device's features as a modern driver sees them.
func modernFeatures(d *virtio.Device) uint64 {
	f := d.HostFeatures() &^ legacyFeatures
	if m, ok := d.Model().(virtio.LegacyModel); ok {
		f &^= m.LegacyFeatures()
	}
	return f
}

// commonOps is the common configuration structure.
type commonOps PCIBase

// Read implements memory.Ops.
func (o *commonOps) Read(off uint64, size int) uint64 {
	p := (*PCIBase)(o)
	d := p.dev
	switch off {
	case comDFSelect:
		return uint64(p.dfSelect)
	case comDF:
		if p.dfSelect <= 1 {
			return modernFeatures(d) >> (32 * p.dfSelect) & 0xffffffff
		}
	case comGFSelect:
		return uint64(p.gfSelect)
	case comGF:
		if p.gfSelect <= 1 {
			return uint64(p.guestFeatures[p.gfSelect])
		}
	case comMSIX:
		return uint64(d.ConfigVector())
	case comNumQueues:
		return uint64(d.Queues())
	case comStatus:
		return uint64(d.Status())
	case comGeneration:
		return uint64(d.Generation() & 0xff)
	case comQSelect:
		return uint64(d.QueueSel)
	case comQNotifyOff:
		return uint64(d.QueueSel)
	default:
		if q := p.queue(); q != nil {
			return p.readQueue(q, off)
		}
		if off == comQMSIX {
			return virtio.NoVector
		}
	}
	return 0
}

// readQueue reads a register of the selected queue; its reset register always tells that a reset has ended.
func (p *PCIBase) readQueue(q *virtio.Queue, off uint64) uint64 {
	switch off {
	case comQSize:
		return uint64(q.Num)
	case comQMSIX:
		return uint64(q.Vector())
	case comQEnable:
		if q.Enabled {
			return 1
		}
	case comQDescLo, comQDescHi, comQAvailLo, comQAvailHi, comQUsedLo, comQUsedHi:
		a, shift := queueAddress(q, off)
		return *a >> shift & 0xffffffff
	}
	return 0
}

// queueAddress finds the half of a ring's address that a register holds.
func queueAddress(q *virtio.Queue, off uint64) (a *uint64, shift uint) {
	ring := []*uint64{&q.Desc, &q.Avail, &q.Used}[(off-comQDescLo)/8]
	return ring, uint(off%8) * 8
}

// Write implements memory.Ops.
func (o *commonOps) Write(off uint64, size int, v uint64) {
	p := (*PCIBase)(o)
	d := p.dev
	switch off {
	case comDFSelect:
		p.dfSelect = uint32(v)
	case comGFSelect:
		p.gfSelect = uint32(v)
	case comGF:
		if p.gfSelect <= 1 {
			p.guestFeatures[p.gfSelect] = uint32(v)
			d.SetFeatures(uint64(p.guestFeatures[1])<<32 | uint64(p.guestFeatures[0]))
		}
	case comMSIX:
		p.setConfigVector(uint16(v))
	case comStatus:
		p.setStatus(uint8(v))
	case comQSelect:
		if v < virtio.MaxQueues {
			d.QueueSel = uint16(v)
		}
	case comQMSIX:
		p.setQueueVector(uint16(v))
	default:
		if q := p.queue(); q != nil {
			p.writeQueue(q, off, v)
		}
	}
}

func (p *PCIBase) writeQueue(q *virtio.Queue, off uint64, v uint64) {
	switch off {
	case comQSize:
		q.SetNum(uint16(v))
	case comQEnable:
		if v != 1 {
			p.dev.Fail(virtio.Errorf("wrong value for queue_enable %x", v))
			return
		}
		q.Enabled = true
		q.Setup()
		q.Enable()
	case comQReset:
		if v == 1 {
			q.ResetQueue()
		}
	case comQDescLo, comQDescHi, comQAvailLo, comQAvailHi, comQUsedLo, comQUsedHi:
		a, shift := queueAddress(q, off)
		*a = *a&^(0xffffffff<<shift) | v&0xffffffff<<shift
	}
}

// isrOps is the interrupt status.
type isrOps PCIBase

// Read implements memory.Ops.
func (o *isrOps) Read(uint64, int) uint64 { return (*PCIBase)(o).readISR() }

// Write implements memory.Ops.
func (o *isrOps) Write(uint64, int, uint64) {}

// deviceOps is the device type's configuration space.
type deviceOps PCIBase

// Read implements memory.Ops.
func (o *deviceOps) Read(off uint64, size int) uint64 { return o.dev.ReadConfig(off, size) }

// Write implements memory.Ops.
func (o *deviceOps) Write(off uint64, size int, v uint64) { o.dev.WriteConfig(off, size, v) }

// notifyOps takes notifications; it is called without the machine lock.
type notifyOps struct {
	p    *PCIBase
	mult uint64
}

// Read implements memory.Ops.
func (o *notifyOps) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops: the place says which queue is meant.
func (o *notifyOps) Write(off uint64, _ int, _ uint64) { o.p.kick(off / o.mult) }

// pioNotifyOps is the same in the port space; the value says which queue is meant.
type pioNotifyOps PCIBase

// Read implements memory.Ops.
func (o *pioNotifyOps) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops.
func (o *pioNotifyOps) Write(_ uint64, _ int, v uint64) { (*PCIBase)(o).kick(v & 0xffff) }

func (p *PCIBase) kick(n uint64) {
	if n >= virtio.MaxQueues {
		return
	}
	if q := p.dev.Queue(int(n)); q != nil {
		q.Kick()
	}
}
