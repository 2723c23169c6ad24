package blk

import (
	"context"
	"encoding/binary"
	"math/bits"
	"time"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/internal/iothread"
	"goemu/internal/mainloop"
)

var le = binary.LittleEndian

// autoQueues asks for as many queues as the transport likes.
const autoQueues = 0xffff

// Props are the options of -device virtio-blk-…
type Props struct {
	disk.Props
	disk.CHS

	Serial           string           `prop:"serial"`
	IOThread         *iothread.Thread `prop:"iothread"` // requests run on goroutines, whatever it is
	ConfigWCE        bool             `prop:"config-wce,default=on" help:"on/off"`
	SCSI             bool             `prop:"scsi,default=off" help:"on/off"`
	Merging          bool             `prop:"request-merging,default=on" help:"on/off"` // each request is served by itself, whatever it is
	NumQueues        uint16           `prop:"num-queues,default=65535"`
	QueueSize        uint16           `prop:"queue-size,default=256"`
	SegMaxAdjust     bool             `prop:"seg-max-adjust,default=true"`
	Discard          bool             `prop:"discard,default=on" help:"on/off"`
	ReportGrain      bool             `prop:"report-discard-granularity,default=true"`
	WriteZeroes      bool             `prop:"write-zeroes,default=on" help:"on/off"`
	MaxDiscard       uint32           `prop:"max-discard-sectors,default=4194303"`
	MaxZeroes        uint32           `prop:"max-write-zeroes-sectors,default=4194303"`
	WCEIfConfigurble bool             `prop:"x-enable-wce-if-config-wce,default=true"`
}

// Model is the device type virtio-blk-device without its transport.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"virtio-blk-device"`

	backend     *block.Backend
	geo         disk.Geometry
	originalWCE bool
	queues      int
	errs        errorPolicy
	pace        pace
	restored    []restored // while a state is loaded
}

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// TypeInfo implements virtio.Type.
func (*Model) TypeInfo() virtio.TypeInfo {
	return virtio.TypeInfo{Name: "blk", ID: virtio.IDBlock, PCIDevice: 0x1001, PCIClass: 0x0100, Category: qdev.Storage,
		StateName: "virtio-blk", StateVersion: 2}
}

// Setup implements virtio.Type: it checks the options and takes the disk.
func (m *Model) Setup(owner qdev.Device, queues int) error {
	if m.Props.NumQueues == autoQueues {
		m.Props.NumQueues = uint16(queues)
	}
	if err := m.claim(owner.Dev()); err != nil {
		return err
	}
	if err := m.check(); err != nil {
		m.release(m.Props.Drive.Release)
		return err
	}
	m.queues = int(m.Props.NumQueues)
	m.backend.EnableIOStatus()
	m.backend.OnResize = func() { mainloop.Post(m.resized) }
	m.originalWCE = m.backend.WriteCache()
	m.pace.start = time.Now()
	m.updatePace()
	m.Init("virtio-blk", virtio.IDBlock, m, &m.Common, m.configSize())
	for range m.queues {
		q := m.AddQueue(m.Props.QueueSize, false, m.handle)
		q.Try = m.try
	}
	return nil
}

// Backends implements virtio.Backed.
func (m *Model) Backends() []*block.Backend { return []*block.Backend{m.backend} }

// resized tells the driver that the disk has another size.
func (m *Model) resized() {
	if m.backend != nil {
		m.ConfigChanged()
	}
}

// Vectors implements virtio.Type: one interrupt for each queue and one for the configuration.
func (m *Model) Vectors() int { return int(m.Props.NumQueues) + 1 }

// Teardown implements virtio.Type.
func (m *Model) Teardown() {
	m.Close()
	m.release(m.Props.Drive.Unplug)
}

func (m *Model) configSize() int {
	switch {
	case m.Props.WriteZeroes:
		return cfgSizeZeroes
	case m.Props.Discard:
		return cfgSizeDiscard
	}
	return cfgSizeBase
}

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 {
	set := func(bit int, on bool) {
		if on {
			f |= 1 << bit
		}
	}
	set(featureSegMax, true)
	set(featureGeometry, true)
	set(featureTopology, true)
	set(featureBlkSize, true)
	set(featureConfigWCE, m.Props.ConfigWCE)
	set(featureDiscard, m.Props.Discard)
	set(featureWriteZeroes, m.Props.WriteZeroes)
	if f>>virtio.FeatureVersion1&1 == 0 {
		f &^= 1 << virtio.FeatureAnyLayout
		set(featureSCSI, true)
	}
	set(featureFlush, m.backend.WriteCache() || m.Props.WCEIfConfigurble && m.Props.ConfigWCE)
	set(featureRO, m.backend.ReadOnly())
	set(featureMQ, m.queues > 1)
	return f
}

// capacity is the size of the disk in sectors.
func (m *Model) capacity() uint64 {
	n, err := m.backend.Length(context.Background())
	if err != nil {
		return 0
	}
	return uint64(n) >> sectorBits
}

// ReadConfig implements virtio.Model.
func (m *Model) ReadConfig(b []byte) {
	clear(b)
	p := &m.Props
	blockSize := uint32(p.LogicalBlock)
	le.PutUint64(b[cfgCapacity:], m.capacity())
	segMax := uint32(128 - 2)
	if p.SegMaxAdjust {
		segMax = uint32(p.QueueSize) - 2
	}
	le.PutUint32(b[cfgSegMax:], segMax)
	le.PutUint16(b[cfgCylinders:], uint16(m.geo.Cyls))
	b[cfgHeads], b[cfgSectors] = uint8(m.geo.Heads), m.configSectors()
	le.PutUint32(b[cfgBlkSize:], blockSize)
	b[cfgPhysicalExp] = uint8(bits.Len32(uint32(p.PhysicalBlock)/blockSize) - 1)
	le.PutUint16(b[cfgMinIO:], uint16(uint32(p.MinIO)/blockSize))
	le.PutUint32(b[cfgOptIO:], uint32(p.OptIO)/blockSize)
	if m.backend.WriteCache() {
		b[cfgWCE] = 1
	}
	le.PutUint16(b[cfgNumQueues:], uint16(m.queues))
	if p.Discard && len(b) >= cfgSizeDiscard {
		grain := uint32(p.DiscardGrain)
		if grain == disk.DefaultDiscardGrain || !p.ReportGrain {
			grain = blockSize
		}
		le.PutUint32(b[cfgMaxDiscard:], p.MaxDiscard)
		le.PutUint32(b[cfgMaxDiscardSeg:], 1)
		le.PutUint32(b[cfgDiscardAlign:], grain>>sectorBits)
	}
	if p.WriteZeroes && len(b) >= cfgSizeZeroes {
		le.PutUint32(b[cfgMaxZeroes:], p.MaxZeroes)
		le.PutUint32(b[cfgMaxZeroesSeg:], 1)
		b[cfgZeroesMayUnmap] = 1
	}
}

// configSectors is the sectors per track in the configuration space: cut to whole logical blocks if the disk is not a whole number of
// cylinders of them.
func (m *Model) configSectors() uint8 {
	length := m.capacity() << sectorBits
	if length/uint64(m.geo.Heads)/uint64(m.geo.Secs)%uint64(m.Props.LogicalBlock) != 0 {
		mask := uint32(m.Props.LogicalBlock)/sectorSize - 1
		return uint8(m.geo.Secs &^ mask)
	}
	return uint8(m.geo.Secs)
}

// WriteConfig implements virtio.Model: only the write cache can be switched.
func (m *Model) WriteConfig(b []byte) {
	m.backend.SetWriteCache(b[cfgWCE] != 0)
	m.updatePace()
}

// SetStatus implements virtio.Model. A driver that cannot switch the write cache gets one only if it can flush it.
func (m *Model) SetStatus(status uint8) {
	if status&virtio.StatusDriverOK == 0 {
		return
	}
	if !m.Has(featureConfigWCE) {
		m.backend.SetWriteCache(m.Has(featureFlush))
	}
	m.updatePace()
}

// Reset implements virtio.Model.
func (m *Model) Reset() {
	m.errs.drop()
	m.backend.SetWriteCache(m.originalWCE)
	m.updatePace()
}
