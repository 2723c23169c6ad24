// Package scsi is the virtio SCSI host adapter (virtio 1.2, section 5.6).
package scsi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/hw/scsi"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/internal/iothread"
)

var le = binary.LittleEndian

const (
	pciDevice, pciClass = 0x1004, 0x0100
	autoQueues          = 0xffffffff
	fixedQueues         = 2 // control and events, before the request queues
	maxTarget, maxLUN   = 255, 16383
)

// Feature bits (section 5.6.3).
const (
	featureInOut   = 0
	featureHotplug = 1
	featureChange  = 2
)

// Configuration space (section 5.6.4).
const (
	cfgQueues, cfgSegMax, cfgMaxSectors, cfgPerLUN = 0, 4, 8, 12
	cfgEventSize, cfgSenseSize, cfgCDBSize         = 16, 20, 24
	cfgMaxChannel, cfgMaxTarget, cfgMaxLUN         = 28, 30, 32
	cfgSize                                        = 36

	defaultSense, defaultCDB = 96, 32
	maxSense, maxCDB         = 65536, 256
	eventBytes               = 16
)

// Props are the options of -device virtio-scsi-…
type Props struct {
	NumQueues    uint32           `prop:"num_queues,default=4294967295"`
	QueueSize    uint32           `prop:"virtqueue_size,default=256"`
	SegMaxAdjust bool             `prop:"seg_max_adjust,default=true"`
	MaxSectors   uint32           `prop:"max_sectors,default=65535"`
	PerLUN       uint32           `prop:"cmd_per_lun,default=128"`
	IOThread     *iothread.Thread `prop:"iothread"` // requests run on goroutines, but disks are bound to it
	Hotplug      bool             `prop:"hotplug,default=true" help:"on/off"`
	ParamChange  bool             `prop:"param_change,default=true" help:"on/off"`
}

// Model is the device type virtio-scsi-device without its transport.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"virtio-scsi-device"`
	Bus    scsi.Bus

	queues         int
	sense, cdbSize uint32 // chosen by the driver
	events         *virtio.Queue

	mu      sync.Mutex
	held    []held  // guarded by mu: commands to be tried again when the machine runs
	missed  bool    // guarded by mu: an event found no buffer
	pending []event // guarded by mu
}

// held is a command that an error has stopped.
type held struct {
	q *virtio.Queue
	e *ring.Element
}

// busCount numbers the buses of adapters without identifier. Guarded by the machine lock.
var busCount int

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// TypeInfo implements virtio.Type.
func (*Model) TypeInfo() virtio.TypeInfo {
	return virtio.TypeInfo{Name: "scsi", ID: virtio.IDSCSI, PCIDevice: pciDevice, PCIClass: pciClass, Category: qdev.Storage,
		StateName: "virtio-scsi", StateVersion: 1}
}

// Setup implements virtio.Type.
func (m *Model) Setup(owner qdev.Device, queues int) error {
	p := &m.Props
	if p.NumQueues == autoQueues {
		p.NumQueues = uint32(queues)
	}
	switch {
	case p.NumQueues == 0 || p.NumQueues > virtio.MaxQueues-fixedQueues:
		return fmt.Errorf("Invalid number of queues (= %d), must be a positive integer less than %d.", p.NumQueues, virtio.MaxQueues-fixedQueues)
	case p.QueueSize <= 2:
		return fmt.Errorf("invalid virtqueue_size property (= %d), must be > 2", p.QueueSize)
	case p.QueueSize > ring.MaxSize || p.QueueSize&(p.QueueSize-1) != 0:
		return fmt.Errorf("invalid virtqueue_size property (= %d), must be a power of 2 (max %d)", p.QueueSize, ring.MaxSize)
	}
	m.queues, m.sense, m.cdbSize = int(p.NumQueues), defaultSense, defaultCDB
	m.Init("virtio-scsi", virtio.IDSCSI, m, &m.Common, cfgSize)
	size := uint16(p.QueueSize)
	m.AddQueue(size, false, m.control)
	m.events = m.AddQueue(size, false, m.eventBuffers)
	for range m.queues {
		m.AddQueue(size, false, m.requests)
	}
	name := owner.Dev().ID() + ".0"
	if owner.Dev().ID() == "" {
		name = fmt.Sprintf("scsi.%d", busCount)
		busCount++
	}
	scsi.NewBus(&m.Bus, owner, name, maxTarget, maxLUN)
	m.Bus.Handler = qdev.Direct{}
	m.Bus.Plugged = func(u scsi.Unit) { m.notify(featureHotplug, u, eventTransport, reasonRescan) }
	m.Bus.Admit = func(u scsi.Unit) error { return m.bind(u, true) }
	m.Bus.Unplugged = func(u scsi.Unit) {
		m.notify(featureHotplug, u, eventTransport, reasonRemoved)
		_ = m.bind(u, false) // others may still need the thread
	}
	m.Bus.Changed = func(u scsi.Unit, s scsi.Sense) {
		m.notify(featureChange, u, eventParameter, uint32(s.ASC)|uint32(s.ASCQ)<<8)
	}
	return nil
}

// bind binds a disk to the adapter's thread, or to none.
func (m *Model) bind(u scsi.Unit, on bool) error {
	d, ok := u.(interface{ SetIOThread(name string) error })
	switch {
	case !ok || m.Props.IOThread == nil:
		return nil
	case on:
		return d.SetIOThread(m.Props.IOThread.ID())
	}
	return d.SetIOThread("")
}

// Vectors implements virtio.Type: one interrupt for each queue and one for the configuration.
func (m *Model) Vectors() int { return m.queues + fixedQueues + 1 }

// Teardown implements virtio.Type.
func (m *Model) Teardown() { m.Close() }

// Backends implements virtio.Backed.
func (m *Model) Backends() []*block.Backend { return m.Bus.Backends() }

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 {
	if m.Props.Hotplug {
		f |= 1 << featureHotplug
	}
	if m.Props.ParamChange {
		f |= 1 << featureChange
	}
	return f
}

// ReadConfig implements virtio.Model.
func (m *Model) ReadConfig(b []byte) {
	segMax := uint32(128 - 2)
	if m.Props.SegMaxAdjust {
		segMax = m.Props.QueueSize - 2
	}
	for at, v := range map[int]uint32{cfgQueues: uint32(m.queues), cfgSegMax: segMax, cfgMaxSectors: m.Props.MaxSectors, cfgPerLUN: m.Props.PerLUN,
		cfgEventSize: eventBytes, cfgSenseSize: m.sense, cfgCDBSize: m.cdbSize, cfgMaxLUN: maxLUN} {
		le.PutUint32(b[at:], v)
	}
	le.PutUint16(b[cfgMaxChannel:], 0)
	le.PutUint16(b[cfgMaxTarget:], maxTarget)
}

// WriteConfig implements virtio.Model: the driver chooses the sizes of sense data and commands.
func (m *Model) WriteConfig(b []byte) {
	sense, cdb := le.Uint32(b[cfgSenseSize:]), le.Uint32(b[cfgCDBSize:])
	if sense >= maxSense || cdb >= maxCDB {
		m.Fail(errors.New("bad data written to virtio-scsi configuration space"))
		return
	}
	m.sense, m.cdbSize = sense, cdb
}

// SetStatus implements virtio.Model.
func (m *Model) SetStatus(uint8) {}

// Reset implements virtio.Model.
func (m *Model) Reset() {
	m.mu.Lock()
	m.held, m.missed, m.pending = nil, false, nil
	m.mu.Unlock()
	m.sense, m.cdbSize = defaultSense, defaultCDB
	for _, d := range m.Bus.Devices() {
		d.Reset()
	}
}

// Started implements virtio.Starter: commands that failed before the machine stopped are tried again.
func (m *Model) Started() {
	m.mu.Lock()
	list := m.held
	m.held = nil
	m.mu.Unlock()
	for _, h := range list {
		h.q.Go(func() { m.serve(h.q, h.e) })
	}
}

// hold keeps a command until the machine runs again, which is stopped now.
func (m *Model) hold(q *virtio.Queue, e *ring.Element) {
	m.mu.Lock()
	m.held = append(m.held, held{q, e})
	m.mu.Unlock()
	disk.StopMachine()
}
