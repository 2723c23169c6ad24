// Package balloon is the virtio memory balloon (virtio 1.2, section 5.5): the driver gives pages back to the host, and takes them again.
package balloon

import (
	"encoding/binary"
	"errors"
	"sync/atomic"

	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/transport"
	"goemu/internal/clock"
	"goemu/internal/iothread"
	"goemu/internal/mainloop"
)

var le = binary.LittleEndian

const (
	pciDevice = 0x1002
	pciClass  = 0x00ff
	queueSize = 128
	// reportQueueSize is the size of the queue of free pages.
	reportQueueSize = 32

	pageBits = 12
	pageSize = 1 << pageBits
)

// Feature bits (section 5.5.3).
const (
	featureStats     = 1
	featureDeflate   = 2
	featureHint      = 3
	featurePoison    = 4
	featureReporting = 5
)

// Configuration space (section 5.5.4).
const (
	cfgPages     = 0
	cfgActual    = 4
	cfgHint      = 8
	cfgPoison    = 12
	cfgSize      = 16
	cfgSizeHint  = 12 // without page poisoning
	cfgSizeBasic = 8  // and without hints
)

// Props are the options of -device virtio-balloon-…
type Props struct {
	DeflateOnOOM bool             `prop:"deflate-on-oom,default=off" help:"on/off"`
	Hints        bool             `prop:"free-page-hint,default=off" help:"on/off"`
	PagePoison   bool             `prop:"page-poison,default=on" help:"on/off"`
	Reporting    bool             `prop:"free-page-reporting,default=off" help:"on/off"`
	WholeConfig  bool             `prop:"qemu-4-0-config-size,default=off"`
	IOThread     *iothread.Thread `prop:"iothread"` // hints are taken on a goroutine, whatever it is
	Interval     interval         `prop:"guest-stats-polling-interval"`
	Stats        stats            `prop:"guest-stats"`
}

// Model is the device type virtio-balloon-device without its transport.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"virtio-balloon-device"`

	pages  uint32        // that the driver is asked to give back
	actual uint32        // that it has given back
	poison atomic.Uint32 // what the driver fills free pages with

	hints hints

	statsQueue *virtio.Queue
	held       *ring.Element // with which the driver will be asked for statistics
	timer      *clock.Timer  // asks
}

// Set by the machine, under the machine lock.
var (
	// RAM is the size of the machine's memory.
	RAM uint64
	// Changed hears how much memory the guest has left; it may be nil.
	Changed func(actual uint64)
)

// active is the only balloon, nil if there is none; guarded by the machine lock.
var active *Model

// Active returns the machine's balloon. Preconditions: the machine lock is held.
func Active() *Model { return active }

// TypeInfo implements virtio.Type.
func (*Model) TypeInfo() virtio.TypeInfo {
	return virtio.TypeInfo{Name: "balloon", ID: virtio.IDBalloon, PCIDevice: pciDevice, PCIClass: pciClass, Category: qdev.Misc,
		StateName: "virtio-balloon", StateVersion: 1}
}

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// Vectors implements virtio.Type.
func (m *Model) Vectors() int { return 0 }

// Setup implements virtio.Type.
func (m *Model) Setup(owner qdev.Device, _ int) error {
	if active != nil {
		return errors.New("Only one balloon device is supported")
	}
	if err := m.Props.checkHints(); err != nil {
		return err
	}
	active = m
	size := cfgSizeBasic
	switch {
	case m.Props.PagePoison || m.Props.WholeConfig:
		size = cfgSize
	case m.Props.Hints:
		size = cfgSizeHint
	}
	m.hints.id = cmdFirst
	m.Init("virtio-balloon", virtio.IDBalloon, m, &m.Common, size)
	m.AddQueue(queueSize, false, m.inflate)
	m.AddQueue(queueSize, false, m.deflate)
	m.statsQueue = m.AddQueue(queueSize, true, m.receiveStats)
	if m.Props.Hints {
		m.AddQueue(hintQueueSize, false, m.hint)
	}
	if m.Props.Reporting {
		m.AddQueue(reportQueueSize, false, m.report)
	}
	m.timer = mainloop.NewTimer(clock.Virtual, m.askForStats)
	m.Props.Stats.clear()
	m.showStats(owner.Dev().QOM())
	if m.Props.Interval > 0 {
		m.timer.Mod(clock.Virtual.Now())
	}
	return nil
}

// Teardown implements virtio.Type.
func (m *Model) Teardown() {
	m.Close()
	m.timer.Del()
	active = nil
}

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 {
	f |= 1 << featureStats
	for bit, on := range map[int]bool{featureDeflate: m.Props.DeflateOnOOM, featurePoison: m.Props.PagePoison, featureReporting: m.Props.Reporting, featureHint: m.Props.Hints} {
		if on {
			f |= 1 << bit
		}
	}
	return f
}

// ReadConfig implements virtio.Model.
func (m *Model) ReadConfig(b []byte) {
	le.PutUint32(b[cfgPages:], m.pages)
	le.PutUint32(b[cfgActual:], m.actual)
	if len(b) >= cfgSizeHint {
		le.PutUint32(b[cfgHint:], m.hints.command())
	}
	if len(b) == cfgSize {
		le.PutUint32(b[cfgPoison:], m.poison.Load())
	}
}

// WriteConfig implements virtio.Model: the driver tells how many pages it has given back.
func (m *Model) WriteConfig(b []byte) {
	old := m.actual
	m.actual = le.Uint32(b[cfgActual:])
	if m.actual != old && Changed != nil {
		Changed(m.Actual())
	}
	m.poison.Store(0)
	if m.Has(featurePoison) && len(b) == cfgSize {
		m.poison.Store(le.Uint32(b[cfgPoison:]))
	}
}

// Actual is how much memory the guest has left.
func (m *Model) Actual() uint64 { return RAM - uint64(m.actual)<<pageBits }

// SetTarget asks the driver to make do with so much memory.
func (m *Model) SetTarget(size uint64) {
	if size = min(size, RAM); size != 0 {
		m.pages = uint32((RAM - size) >> pageBits)
		m.ConfigChanged()
	}
}

// SetStatus implements virtio.Model.
func (m *Model) SetStatus(uint8) {}

// Reset implements virtio.Model.
func (m *Model) Reset() {
	m.held = nil
	m.poison.Store(0)
	m.hints.reset()
}

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return append(transport.PCIClasses[Model, *Model, transport.NoVectors](), transport.DeviceClass[Model]())
}
