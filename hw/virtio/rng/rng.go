// Package rng is the virtio entropy device (virtio 1.2, section 5.4) and its sources of randomness.
package rng

import (
	"errors"
	"math"
	"sync"

	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/transport"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

const (
	queueSize     = 8
	pciDevice     = 0x1005
	pciClass      = 0x00ff
	maxChunk      = 64 << 10 // taken from the source at once
	nsPerMilli    = 1000000
	defaultSource = "default-backend"
)

// Props are the options of -device virtio-rng-…
type Props struct {
	Source   *Source `prop:"rng"`
	MaxBytes uint64  `prop:"max-bytes,default=9223372036854775807"`
	Period   uint32  `prop:"period,default=65536"`
}

// Model is the device type virtio-rng-device without its transport.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"virtio-rng-device"`

	own   *Source // made for this device
	queue *virtio.Queue
	timer *clock.Timer

	mu    sync.Mutex
	quota uint64 // guarded by mu: bytes left in this period
	armed bool   // guarded by mu: the timer ends the period
}

// TypeInfo implements virtio.Type.
func (*Model) TypeInfo() virtio.TypeInfo {
	return virtio.TypeInfo{Name: "rng", ID: virtio.IDRNG, PCIDevice: pciDevice, PCIClass: pciClass, Category: qdev.Misc,
		StateName: "virtio-rng", StateVersion: 1}
}

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// Vectors implements virtio.Type.
func (m *Model) Vectors() int { return 2 }

// Setup implements virtio.Type.
func (m *Model) Setup(qdev.Device, int) error {
	switch {
	case m.Props.Period == 0:
		return errors.New("'period' parameter expects a positive integer")
	case m.Props.MaxBytes > math.MaxInt64:
		return errors.New("'max-bytes' parameter must be non-negative, and less than 2^63")
	}
	if m.Props.Source == nil {
		m.own = NewBuiltin(defaultSource)
		m.Props.Source = m.own
	}
	m.quota = m.Props.MaxBytes
	m.Init("virtio-rng", virtio.IDRNG, m, &m.Common, 0)
	m.queue = m.AddQueue(queueSize, false, m.handle)
	m.timer = mainloop.NewTimer(clock.Virtual, m.refill)
	return nil
}

// Teardown implements virtio.Type.
func (m *Model) Teardown() {
	m.Close()
	m.timer.Del()
	if m.own != nil {
		m.own.Close()
	}
}

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 { return f }

// ReadConfig implements virtio.Model: there is no configuration.
func (m *Model) ReadConfig([]byte) {}

// WriteConfig implements virtio.Model.
func (m *Model) WriteConfig([]byte) {}

// SetStatus implements virtio.Model.
func (m *Model) SetStatus(uint8) {}

// Reset implements virtio.Model.
func (m *Model) Reset() {}

// handle fills buffers as long as the quota lasts.
func (m *Model) handle(q *virtio.Queue) bool {
	for {
		e := q.Pop()
		if e == nil {
			return true
		}
		n := m.take(e.InLen())
		if n == 0 && e.InLen() > 0 {
			q.Unpop(e) // until the period is over
			q.Stall()
			return true
		}
		got, err := m.fill(e, n)
		if err != nil && m.Log != nil {
			m.Log("virtio-rng: " + err.Error())
		}
		q.Push(e, uint32(got))
	}
}

// take gets up to want bytes of the quota.
func (m *Model) take(want uint64) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(want, m.quota, math.MaxUint32)
	m.quota -= n
	if m.Props.MaxBytes != math.MaxInt64 && !m.armed {
		m.armed = true
		m.timer.Mod(clock.Virtual.Now() + int64(m.Props.Period)*nsPerMilli)
	}
	return n
}

// refill begins a new period.
func (m *Model) refill() {
	m.mu.Lock()
	m.quota, m.armed = m.Props.MaxBytes, false
	m.mu.Unlock()
	m.queue.Kick()
}

// fill writes n random bytes to the chain and returns how many it got.
func (m *Model) fill(e *ring.Element, n uint64) (got uint64, err error) {
	for _, b := range e.In {
		for len(b) > 0 && got < n {
			part := b[:min(uint64(len(b)), n-got, maxChunk)]
			if err := m.Props.Source.Read(part); err != nil {
				return got, err
			}
			got += uint64(len(part))
			b = b[len(part):]
		}
	}
	return got, nil
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return append(transport.PCIClasses[Model, *Model, transport.NoExtra](), transport.DeviceClass[Model]())
}
