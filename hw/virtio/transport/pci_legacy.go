package transport

import (
	"goemu/hw/pci"
	"goemu/hw/virtio"
)

// legacyOps is the legacy interface: a header of registers, then the device type's configuration space.
type legacyOps PCIBase

// config splits off accesses to the configuration space, whose place depends on MSI-X being enabled.
func (p *PCIBase) legacyConfig(off uint64) (uint64, bool) {
	base := uint64(legConfigNoMSIX)
	if p.MSIXEnabled() {
		base = legConfigMSIX
	}
	return off - base, off >= base
}

// Read implements memory.Ops.
func (o *legacyOps) Read(off uint64, size int) uint64 {
	p := (*PCIBase)(o)
	d := p.dev
	if at, ok := p.legacyConfig(off); ok {
		return d.ReadConfig(at, size)
	}
	q := p.queue()
	switch off {
	case legHostFeatures:
		return d.HostFeatures() & 0xffffffff
	case legGuestFeatures:
		return d.GuestFeatures() & 0xffffffff
	case legQueuePFN:
		if q == nil {
			return 0
		}
		return q.Desc >> legPFNShift
	case legQueueNum:
		if q == nil {
			return 0
		}
		return uint64(q.Num)
	case legQueueSel:
		return uint64(d.QueueSel)
	case legStatus:
		return uint64(d.Status())
	case legISR:
		return p.readISR()
	case legConfigVector:
		return uint64(d.ConfigVector())
	case legQueueVector:
		if q == nil {
			return virtio.NoVector
		}
		return uint64(q.Vector())
	}
	return 0xffffffff
}

// legacyNotifyOps is the register in it that notifies queues, the only one that drivers use while they work: it is called without the machine
// lock, so that small requests are served at once.
type legacyNotifyOps PCIBase

// Read implements memory.Ops.
func (o *legacyNotifyOps) Read(uint64, int) uint64 { return 0xffffffff }

// Write implements memory.Ops.
func (o *legacyNotifyOps) Write(_ uint64, _ int, v uint64) {
	n := int(v & 0xffff)
	if q := o.dev.Queue(n); q == nil || !q.Kick() {
		underLock(func() { o.dev.Notify(n) })
	}
}

// Write implements memory.Ops.
func (o *legacyOps) Write(off uint64, size int, v uint64) {
	p := (*PCIBase)(o)
	d := p.dev
	if at, ok := p.legacyConfig(off); ok {
		d.WriteConfig(at, size, v)
		return
	}
	switch off {
	case legGuestFeatures:
		if v>>virtio.FeatureBadFeature&1 != 0 { // a driver that accepts what it does not know
			v = 0
		}
		d.SetFeatures(v)
	case legQueuePFN:
		if v == 0 {
			p.resetDevice()
		} else if q := p.queue(); q != nil {
			q.SetAddress(v << legPFNShift)
		}
	case legQueueSel:
		if v < virtio.MaxQueues {
			d.QueueSel = uint16(v)
		}
	case legStatus:
		p.setStatus(uint8(v))
		// Linux before 2.6.34 does not enable bus mastering.
		if uint8(v) == virtio.StatusAcknowledge|virtio.StatusDriver {
			p.DefaultWriteConfig(pci.RegCommand, 1, uint32(p.Config[pci.RegCommand])|pci.CommandMaster)
		}
	case legConfigVector:
		p.setConfigVector(uint16(v))
	case legQueueVector:
		p.setQueueVector(uint16(v))
	}
}
