// Package gpu is the virtio graphics adapter in two dimensions (virtio 1.2, section 5.7), alone and as a VGA.
package gpu

import (
	"encoding/binary"
	"fmt"

	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/transport"
	"goemu/internal/memory"
)

var le = binary.LittleEndian

const (
	controlQueueSize = 64
	cursorQueueSize  = 16
	classOther       = 0x0380
)

// Props are the options of -device virtio-gpu-… and virtio-vga.
type Props struct {
	MaxOutputs uint32    `prop:"max_outputs,default=1"`
	XRes       uint32    `prop:"xres,default=1280"`
	YRes       uint32    `prop:"yres,default=800"`
	EDID       bool      `prop:"edid,default=on" help:"on/off"`
	MaxHostMem qdev.Size `prop:"max_hostmem,default=268435456"`
}

// Model is the device type virtio-gpu-device without its transport. Everything happens on the main loop, under the machine lock.
type Model struct {
	virtio.Device
	Common virtio.Props
	Props  Props `owner:"virtio-gpu-device"`

	heads     []*head
	resources map[uint32]*resource
	order     []uint32 // identifiers of resources, the last one made first
	hostMem   uint64   // bytes of all pictures
	tables    uint64   // bytes of all descriptions of resources
	events    uint32
	enabled   bool // a driver has shown something since reset
}

// TypeInfo implements virtio.Type.
func (*Model) TypeInfo() virtio.TypeInfo {
	return virtio.TypeInfo{Name: "gpu", ID: virtio.IDGPU, PCIClass: classOther, Category: qdev.Display, Modern: true, NoHotplug: true,
		StateName: "virtio-gpu", StateVersion: 1}
}

// Virtio implements virtio.Type.
func (m *Model) Virtio() *virtio.Device { return &m.Device }

// Vectors implements virtio.Type.
func (m *Model) Vectors() int { return 3 }

// Setup implements virtio.Type.
func (m *Model) Setup(owner qdev.Device, _ int) error {
	if m.Props.MaxOutputs > maxScanouts {
		return fmt.Errorf("invalid max_outputs > %d", maxScanouts)
	}
	m.Init("virtio-gpu", virtio.IDGPU, m, &m.Common, configSize)
	m.AddQueue(controlQueueSize, true, m.handleControl)
	m.AddQueue(cursorQueueSize, true, m.handleCursor)
	m.resources = map[uint32]*resource{}
	for i := range int(m.Props.MaxOutputs) {
		m.heads = append(m.heads, newHead(m, owner, i))
	}
	if len(m.heads) > 0 {
		m.heads[0].wanted = size{m.Props.XRes, m.Props.YRes}
		m.heads[0].on = true
	}
	return nil
}

// Teardown implements virtio.Type.
func (m *Model) Teardown() {
	m.Close()
	for _, h := range m.heads {
		h.con.Close()
	}
}

// Features implements virtio.Model.
func (m *Model) Features(f uint64) uint64 {
	if m.Props.EDID {
		f |= 1 << featureEDID
	}
	return f
}

// ReadConfig implements virtio.Model.
func (m *Model) ReadConfig(b []byte) {
	clear(b)
	le.PutUint32(b[configEvents:], m.events)
	le.PutUint32(b[configScanouts:], m.Props.MaxOutputs)
}

// WriteConfig implements virtio.Model.
func (m *Model) WriteConfig(b []byte) { m.events &^= le.Uint32(b[configClear:]) }

// SetStatus implements virtio.Model.
func (m *Model) SetStatus(uint8) {}

// Reset implements virtio.Model.
func (m *Model) Reset() {
	for _, r := range m.resources {
		m.destroy(r)
	}
	was := m.enabled
	m.enabled = false
	for _, h := range m.heads {
		h.reset(was)
	}
}

// Memory is where the driver's addresses lead.
func (m *Model) memory() *memory.AddressSpace { return m.Device.Memory() }

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{transport.PCIModern[Model, *Model, transport.ThreeVectors](), transport.DeviceClass[Model](), vgaClass()}
}
