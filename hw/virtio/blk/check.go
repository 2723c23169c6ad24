package blk

import (
	"context"
	"errors"
	"fmt"

	"goemu/hw/qdev"
	"goemu/hw/virtio/ring"
)

// Limits of the options.
const maxCyls, maxHeads, maxSecs = 65535, 255, 255

// backendName is the path of the device in the object tree, which messages name it by; empty for a device outside the tree.
func backendName(owner *qdev.Base) string {
	n := owner.QOM()
	if n == nil {
		return ""
	}
	return n.Path() + "/virtio-backend"
}

// claim takes the disk with the permissions that the options ask for.
func (m *Model) claim(owner *qdev.Base) error {
	b, err := m.Props.Claim(backendName(owner), false, true)
	if err != nil {
		return err
	}
	if b.Node() == nil {
		m.Props.Drive.Release()
		return errors.New("Device needs media, but drive is empty")
	}
	m.backend = b
	return nil
}

// release gives the disk back.
func (m *Model) release(back func()) {
	if m.backend != nil {
		_ = m.backend.Flush(context.Background()) // nobody is left to hear of a failure
		m.backend.OnResize = nil
		back()
		m.backend = nil
	}
}

// BootPlace implements qdev.Bootable.
func (m *Model) BootPlace() (index int32, suffix string, ok bool) {
	return m.Props.BootIndex.N, "/disk@0,0", m.Props.BootIndex.Set
}

// BIOSGeometry implements qdev.Shaped.
func (m *Model) BIOSGeometry() (cyls, heads, secs uint32, ok bool) { return m.Props.BIOSGeometry() }

// check checks the options, in QEMU's order and words.
func (m *Model) check() error {
	for _, f := range []func() error{m.checkQueues, m.Props.CheckSizes, m.checkLimits} {
		if err := f(); err != nil {
			return err
		}
	}
	m.errs.Policy = m.Props.Policy()
	geo, _, err := m.Props.Geometry(m.backend, int64(m.capacity())<<sectorBits, maxCyls, maxHeads, maxSecs)
	m.geo = geo
	return err
}

func (m *Model) checkQueues() error {
	p := &m.Props
	switch {
	case p.NumQueues == 0:
		return errors.New("num-queues property must be larger than 0")
	case p.QueueSize <= 2:
		return fmt.Errorf("invalid queue-size property (%d), must be > 2", p.QueueSize)
	case p.QueueSize&(p.QueueSize-1) != 0 || p.QueueSize > ring.MaxSize:
		return fmt.Errorf("invalid queue-size property (%d), must be a power of 2 (max %d)", p.QueueSize, ring.MaxSize)
	case p.NumQueues > ring.MaxSize:
		return fmt.Errorf("invalid number of queues %d, must be at most %d", p.NumQueues, ring.MaxSize)
	}
	return nil
}

func (m *Model) checkLimits() error {
	p := &m.Props
	if p.Discard && (p.MaxDiscard == 0 || p.MaxDiscard > maxDiscardSectors) {
		return fmt.Errorf("invalid max-discard-sectors property (%d), must be between 1 and %d", p.MaxDiscard, maxDiscardSectors)
	}
	if p.WriteZeroes && (p.MaxZeroes == 0 || p.MaxZeroes > maxDiscardSectors) {
		return fmt.Errorf("invalid max-write-zeroes-sectors property (%d), must be between 1 and %d", p.MaxZeroes, maxDiscardSectors)
	}
	return nil
}
