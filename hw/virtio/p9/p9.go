// Package p9 is the virtio 9P transport with a server of 9P2000.L: a directory of the host in the guest.
package p9

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/transport"
	"goemu/internal/fsdev"
)

const (
	pciDevice, pciClass = 0x1009, 0x0002
	queueSize           = 128
	maxTag              = 31
	featureTag          = 0
)

// Props are the options of -device virtio-9p-…
type Props struct {
	Tag string `prop:"mount_tag"`
	Dev string `prop:"fsdev"`
}

// FindDevice returns what -fsdev has described under an identifier, nil if nothing has.
var FindDevice = func(id string) *fsdev.Device { return nil }

// Block keeps the machine from migrating as long as a guest has a file system mounted, Unblock takes that back. Either may be nil.
var (
	Block   func(reason string) error
	Unblock func(reason string)
)

// Model is the device type virtio-9p-device without its transport.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"virtio-9p-device"`

	dev    *fsdev.Device
	server *server
}

// TypeInfo implements virtio.Type.
func (*Model) TypeInfo() virtio.TypeInfo {
	return virtio.TypeInfo{Name: "9p", ID: virtio.ID9P, PCIDevice: pciDevice, PCIClass: pciClass, Category: qdev.Storage, StateName: "virtio-9p", StateVersion: 1}
}

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// Vectors implements virtio.Type.
func (m *Model) Vectors() int { return 2 }

// Setup implements virtio.Type.
func (m *Model) Setup(qdev.Device, int) error {
	id := m.Props.Dev
	if m.dev = FindDevice(id); m.dev == nil {
		if id == "" {
			id = "NULL"
		}
		return fmt.Errorf("9pfs device couldn't find fsdev with the id = %s", id)
	}
	switch n := len(m.Props.Tag); {
	case n == 0:
		return fmt.Errorf("fsdev with id %s needs mount_tag arguments", id)
	case n > maxTag:
		return fmt.Errorf("mount tag '%s' (%d bytes) is longer than maximum (%d bytes)", m.Props.Tag, n, maxTag)
	}
	fs, err := m.dev.Open()
	if err != nil {
		return fmt.Errorf("cannot initialize fsdev '%s': %w", id, err)
	}
	if m.server, err = newServer(fs, m.dev); err != nil {
		fs.Close()
		return err
	}
	m.server.attached = m.attached
	m.Init("virtio-9p", virtio.ID9P, m, &m.Common, 2+len(m.Props.Tag))
	m.AddQueue(queueSize, false, m.handle)
	return nil
}

// Teardown implements virtio.Type.
func (m *Model) Teardown() {
	m.server.giveUp()
	m.Close()
	m.server.reset()
	m.server.fs.Close()
	m.unblock()
}

func (m *Model) reason() string {
	path := m.dev.Path
	if path == "" {
		path = "NULL"
	}
	return fmt.Sprintf("Migration is disabled when VirtFS export path '%s' is mounted in the guest using mount_tag '%s'", path, m.Props.Tag)
}

// attached hears of the first attachment since the last reset.
func (m *Model) attached() error {
	if Block == nil {
		return nil
	}
	if Block(m.reason()) != nil {
		return unix.EBUSY
	}
	return nil
}

func (m *Model) unblock() {
	if m.server.takeMounted() && Unblock != nil {
		Unblock(m.reason())
	}
}

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 { return f | 1<<featureTag }

// ReadConfig implements virtio.Model.
func (m *Model) ReadConfig(b []byte) {
	le.PutUint16(b, uint16(len(m.Props.Tag)))
	copy(b[2:], m.Props.Tag)
}

// WriteConfig implements virtio.Model.
func (m *Model) WriteConfig([]byte) {}

// SetStatus implements virtio.Model.
func (m *Model) SetStatus(uint8) {}

// Reset implements virtio.Model: the driver's files are closed.
func (m *Model) Reset() {
	m.server.reset()
	m.server.renew()
	m.unblock()
}

// GiveUp implements virtio.Patient.
func (m *Model) GiveUp() { m.server.giveUp() }

// Driver's mistakes that break the device, in QEMU's words.
const (
	errNoReply = ring.Error("The guest sent a VirtFS request without space for the reply")
	errHeader  = ring.Error("The guest sent a malformed VirtFS request: header size is %d, should be 7")
)

// handle serves the queue.
func (m *Model) handle(q *virtio.Queue) bool { return q.Each(m.serve) }

func (m *Model) serve(q *virtio.Queue, e *ring.Element) {
	if e.InLen() < headerBytes {
		q.Detach(e)
		m.Fail(errNoReply)
		return
	}
	var h [headerBytes]byte
	if n := block.IovGather(h[:], e.Out); n != headerBytes {
		q.Detach(e)
		m.Fail(virtio.Errorf(string(errHeader), n))
		return
	}
	typ, tag := h[4], le.Uint16(h[5:])
	limit := maxSmall
	if typ == tWrite {
		limit = writeHeader
	}
	msg := gather(e.Out, limit)
	op := &operation{request: request{b: msg, at: headerBytes}, typ: typ, tag: tag, in: block.IovSlice(nil, e.In, 0, 1<<30), out: e.Out}
	n := m.server.do(op)
	q.Push(e, uint32(n))
	close(op.done) // only now, as the reply to a flush comes after
}

// operation is a request under way.
type operation struct {
	request
	reply
	typ     uint8
	tag     uint16
	in, out [][]byte
	moved   int // data behind the reply that is in place already
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return append(transport.PCIClasses[Model, *Model, transport.TwoVectors](), transport.DeviceClass[Model]())
}
