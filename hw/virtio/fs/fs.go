// Package fs is the virtio file system device (virtio 1.2, section 5.11), whose requests a process at the other end of a unix socket answers
// (virtiofsd). It knows nothing of the requests.
package fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/transport"
	"goemu/internal/chardev"
	"goemu/internal/mainloop"
	"goemu/internal/vhostuser"
)

// Warn gets texts for the user; nil drops them.
var Warn func(text string)

const (
	pciClass = 0x0180 // another mass storage controller

	// Configuration space: u8 tag[36], le32 number of request queues.
	tagSize    = 36
	configSize = tagSize + 4

	// connectTime is how long the server may take to connect and to say what it can do.
	connectTime = 20 * time.Second
)

// serverFeatures are those of which the server decides.
const serverFeatures = 1<<virtio.FeatureNotifyOnEmpty | 1<<virtio.FeatureIndirectDesc | 1<<virtio.FeatureEventIdx | 1<<virtio.FeatureVersion1

// Props are the options of -device vhost-user-fs-…
type Props struct {
	Chardev   *chardev.Backend `prop:"chardev" help:"ID of a chardev to use as a backend"`
	Tag       string           `prop:"tag"`
	Requests  uint16           `prop:"num-request-queues,default=1"`
	QueueSize uint16           `prop:"queue-size,default=128"`
	BootIndex qdev.BootIndex   `prop:"bootindex"`
}

// Model is the device type vhost-user-fs-device without its transport.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"vhost-user-fs-device"`

	line    *vhostuser.Line
	session atomic.Pointer[vhostuser.Session] // nil when the server is gone, for good: another would know nothing of open files
	ready   chan error                        // what came of the connection
	outside *virtio.Outside
}

// TypeInfo implements virtio.Type.
func (*Model) TypeInfo() virtio.TypeInfo {
	return virtio.TypeInfo{Family: "vhost-user", Name: "fs", ID: virtio.IDFS, PCIClass: pciClass, Category: qdev.Storage, Modern: true}
}

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// Vectors implements virtio.Type: the configuration and the queue of urgent requests have theirs, too.
func (m *Model) Vectors() int { return int(m.Props.Requests) + 2 }

// check checks the options.
func (p *Props) check() error {
	switch {
	case p.Chardev == nil:
		return errors.New("missing chardev")
	case p.Tag == "":
		return errors.New("missing tag property")
	case len(p.Tag) > tagSize:
		return fmt.Errorf("tag property must be %d bytes or less", tagSize)
	case p.Requests == 0:
		return errors.New("num-request-queues property must be larger than 0")
	case p.Requests >= virtio.MaxQueues:
		return fmt.Errorf("num-request-queues property must be smaller than %d", virtio.MaxQueues)
	case p.QueueSize == 0 || p.QueueSize&(p.QueueSize-1) != 0:
		return errors.New("queue-size property must be a power of 2")
	case p.QueueSize > ring.MaxSize:
		return fmt.Errorf("queue-size property must be %d or smaller", ring.MaxSize)
	case !p.Chardev.IsSocket() || !p.Chardev.PassesFDs():
		return fmt.Errorf("chardev \"%s\" does not support FD passing", p.Chardev.ID)
	}
	return nil
}

// Setup implements virtio.Type.
func (m *Model) Setup(qdev.Device, int) error {
	if err := m.Props.check(); err != nil {
		return err
	}
	if err := m.connect(); err != nil {
		return err
	}
	m.Init("vhost-user-fs", virtio.IDFS, m, &m.Common, configSize)
	m.outside = &virtio.Outside{Server: m, Offers: serverFeatures, Warn: warn, Enabled: func(*virtio.Queue) bool { return true }}
	m.SetOutside(m.outside)
	for range int(m.Props.Requests) + 1 {
		m.AddQueue(m.Props.QueueSize, false, func(*virtio.Queue) bool { return false }).HandOver()
	}
	return nil
}

func warn(text string) {
	if Warn != nil {
		Warn(text)
	}
}

// connect takes the character device and greets the server.
func (m *Model) connect() (err error) {
	m.ready = make(chan error, 1)
	if m.line, err = vhostuser.Attach(m.Props.Chardev, m.opened, m.closed); err != nil {
		return err
	}
	select {
	case err = <-m.ready:
	case <-time.After(connectTime):
		err = errors.New("no server has connected")
	}
	if err != nil {
		m.line.Close()
		return fmt.Errorf("vhost_dev_init failed: %w", err)
	}
	return nil
}

// opened greets the first server that connects. Others are not listened to.
func (m *Model) opened(l *vhostuser.Line, n int) {
	if n > 1 {
		return
	}
	s, err := l.Begin(n)
	if err == nil {
		m.session.Store(s)
	}
	m.ready <- err
}

// closed notes that the server is gone.
func (m *Model) closed(*vhostuser.Line, int) {
	mainloop.Post(func() {
		if m.session.Swap(nil) != nil && m.outside != nil {
			m.outside.Update(false)
			warn("vhost-user-fs: the server of '" + m.Props.Tag + "' is gone")
		}
	})
}

// Session implements virtio.Server.
func (m *Model) Session() *vhostuser.Session { return m.session.Load() }

// Accepted implements virtio.Server.
func (*Model) Accepted(uint64) {}

// Teardown implements virtio.Type.
func (m *Model) Teardown() {
	m.Close()
	m.session.Store(nil)
	m.line.Close()
}

// BootPlace implements transport.Bootable.
func (m *Model) BootPlace() (index int32, suffix string, ok bool) {
	return m.Props.BootIndex.N, "/filesystem@0", m.Props.BootIndex.Set
}

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 { return m.outside.Limit(f) }

// ReadConfig implements virtio.Model.
func (m *Model) ReadConfig(b []byte) {
	var c [configSize]byte
	copy(c[:tagSize], m.Props.Tag)
	binary.LittleEndian.PutUint32(c[tagSize:], uint32(m.Props.Requests))
	copy(b, c[:])
}

// WriteConfig implements virtio.Model: nothing can be written.
func (*Model) WriteConfig([]byte) {}

// SetStatus implements virtio.Model.
func (*Model) SetStatus(uint8) {}

// Started implements virtio.Starter.
func (m *Model) Started() { m.outside.Update(m.Active()) }

// Reset implements virtio.Model.
func (*Model) Reset() {}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	list := []*qdev.Class{transport.PCIFixedModern[Model, *Model, transport.Doorbells](), transport.DeviceClass[Model]()}
	for _, c := range list {
		c.State, c.Unmigratable, c.StateName = nil, true, "vhost-user-fs"
	}
	return list
}
