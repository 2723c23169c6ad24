package transport

import (
	"errors"
	"fmt"
	"math/bits"

	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// VirtioBus is the type of the bus that an MMIO transport provides for one virtio-…-device.
const VirtioBus = "virtio-bus"

// MMIO is the device virtio-mmio: the transport without its device, which sits on its bus.
type MMIO struct {
	qdev.Base
	ForceLegacy     bool `prop:"force-legacy,default=true"`
	FormatTransport bool `prop:"format_transport_address,default=true"`
	IOEventFD       bool `prop:"ioeventfd,default=on" help:"on/off"`

	index  int
	mem    *memory.AddressSpace
	irq    *qdev.IRQ
	region *memory.Region
	notify *memory.Region
	bus    mmioBus
	dev    *virtio.Device // nil while the bus is empty

	hostSel, guestSel uint32
	guestFeatures     [2]uint32
	pageShift         uint32
}

// mmioBus is the place for the device.
type mmioBus struct {
	qdev.Bus
	t *MMIO
}

// DevicePath implements qdev.PathBus: the address tells transports apart.
func (b *mmioBus) DevicePath(qdev.Device) string {
	if !b.t.FormatTransport {
		return ""
	}
	return fmt.Sprintf("virtio-mmio@%016x", b.t.region.Offset())
}

// MMIOClass is the class of virtio-mmio; machines make such devices with NewMMIO.
var MMIOClass = &qdev.Class{
	Name: "virtio-mmio", Bus: "System", Category: qdev.Misc, Internal: true,
	Parents: []string{"sys-bus-device", "device"},
	New:     func() qdev.Device { return new(MMIO) },
}

// NewMMIO makes transport number index of a machine: irq is its interrupt line and mem what its device reads and writes. The machine
// maps Region.
func NewMMIO(tree *qdev.Tree, index int, mem *memory.AddressSpace, irq *qdev.IRQ) (*MMIO, error) {
	d, err := tree.New(MMIOClass)
	if err != nil {
		return nil, err
	}
	t := d.(*MMIO)
	t.index, t.mem, t.irq = index, mem, irq
	return t, qdev.Realize(t, tree.Root())
}

// Region is the register block.
func (t *MMIO) Region() *memory.Region { return t.region }

// Present tells whether there is a device behind the transport.
func (t *MMIO) Present() bool { return t.dev != nil }

// Realize implements qdev.Device.
func (t *MMIO) Realize() error {
	t.region = memory.NewContainer("virtio-mmio", MMIOSize)
	t.region.Add(memory.NewIO("virtio-mmio", MMIOSize, (*mmioOps)(t)), 0, 0)
	t.renotify(nil)
	t.bus.t = t
	qdev.InitBus(&t.bus, t, VirtioBus, fmt.Sprintf("virtio-mmio-bus.%d", t.index), 1)
	return nil
}

// Reset implements qdev.Device.
func (t *MMIO) Reset() {
	if t.dev != nil {
		t.dev.Reset()
	}
	t.hostSel, t.guestSel, t.guestFeatures, t.pageShift = 0, 0, [2]uint32{}, 0
	t.updateIRQ()
}

// resetDevice is a reset by the driver: the page size, which a legacy driver gives before it, stays.
func (t *MMIO) resetDevice() {
	t.dev.Reset()
	if !t.ForceLegacy {
		t.hostSel, t.guestSel, t.guestFeatures = 0, 0, [2]uint32{}
	}
	t.updateIRQ()
}

func (t *MMIO) plug(d *virtio.Device) {
	extra := uint64(0)
	if !t.ForceLegacy {
		extra = 1 << virtio.FeatureVersion1
	}
	t.dev = d
	d.Plug(t, t.mem, extra)
	if t.IOEventFD {
		t.renotify(postedOf(d, func(queue uint64) memory.Posted {
			return memory.Posted{Size: sizeNotify, Match: true, Data: queue}
		}))
	}
}

const sizeNotify = 4

// renotify makes the register that notifies queues.
func (t *MMIO) renotify(posted []memory.Posted) {
	if t.notify != nil {
		t.region.Remove(t.notify)
	}
	t.notify = memory.NewIO("virtio-mmio-notify", sizeNotify, (*mmioNotifyOps)(t))
	t.notify.Unlocked, t.notify.Posted = true, posted
	t.region.Add(t.notify, mmioQueueNotify, 1)
}

// QueueInterrupt implements virtio.Transport.
func (t *MMIO) QueueInterrupt(*virtio.Queue) { underLock(t.updateIRQ) }

// ConfigInterrupt implements virtio.Transport.
func (t *MMIO) ConfigInterrupt() { underLock(t.updateIRQ) }

// UpdateLine implements virtio.LineTransport.
func (t *MMIO) UpdateLine() { t.updateIRQ() }

func (t *MMIO) updateIRQ() { t.irq.Set(t.dev != nil && t.dev.ISR() != 0) }

func (t *MMIO) queue() *virtio.Queue { return t.dev.Queue(int(t.dev.QueueSel)) }

// mmioOps are the registers.
type mmioOps MMIO

// Read implements memory.Ops.
func (o *mmioOps) Read(off uint64, size int) uint64 {
	t := (*MMIO)(o)
	switch {
	case off >= mmioConfig && t.dev != nil:
		return t.dev.ReadConfig(off-mmioConfig, size)
	case size != 4:
		return 0
	}
	switch off {
	case mmioMagic:
		return magicValue
	case mmioVersion:
		if t.ForceLegacy {
			return versionLegacy
		}
		return versionModern
	case mmioVendorID:
		return vendorValue
	}
	if t.dev == nil {
		return 0
	}
	return t.read(off)
}

func (t *MMIO) read(off uint64) uint64 {
	d, q := t.dev, t.queue()
	switch off {
	case mmioDeviceID:
		return uint64(d.ID)
	case mmioHostFeat:
		switch {
		case !t.ForceLegacy:
			return modernFeatures(d) >> (32 * t.hostSel) & 0xffffffff
		case t.hostSel == 0:
			return d.HostFeatures() & 0xffffffff
		}
	case mmioQueueNumMax:
		if q != nil {
			return ring.MaxSize
		}
	case mmioQueuePFN:
		if q != nil && t.ForceLegacy {
			return q.Desc >> t.pageShift
		}
	case mmioQueueReady:
		if q != nil && !t.ForceLegacy && q.Enabled {
			return 1
		}
	case mmioISR:
		return uint64(d.ISR())
	case mmioStatus:
		return uint64(d.Status())
	case mmioGeneration:
		if !t.ForceLegacy {
			return uint64(d.Generation())
		}
	case mmioSHMLenLo, mmioSHMLenHi: // no shared memory
		return 0xffffffff
	}
	return 0
}

// Write implements memory.Ops.
func (o *mmioOps) Write(off uint64, size int, v uint64) {
	t := (*MMIO)(o)
	switch {
	case t.dev == nil:
	case off >= mmioConfig:
		t.dev.WriteConfig(off-mmioConfig, size, v)
	case size == 4:
		t.write(off, uint32(v))
	}
}

func (t *MMIO) write(off uint64, v uint32) {
	d := t.dev
	switch off {
	case mmioHostFeatSel:
		t.hostSel = min(v, 1)
	case mmioGuestFeatSel:
		t.guestSel = min(v, 1)
	case mmioGuestFeat:
		t.guestFeatures[t.guestSel] = v
		if t.ForceLegacy && t.guestSel == 0 {
			d.SetFeatures(uint64(v))
		}
	case mmioPageSize:
		if t.pageShift = uint32(bits.TrailingZeros32(v)); t.pageShift > 31 {
			t.pageShift = 0
		}
	case mmioQueueSel:
		if v < virtio.MaxQueues {
			d.QueueSel = uint16(v)
		}
	case mmioISRAck:
		d.AckISR(uint8(v))
		t.updateIRQ()
	case mmioStatus:
		t.setStatus(uint8(v))
	default:
		if q := t.queue(); q != nil {
			t.writeQueue(q, off, v)
		}
	}
}

func (t *MMIO) setStatus(v uint8) {
	if !t.ForceLegacy && v&virtio.StatusFeaturesOK != 0 {
		t.dev.SetFeatures(uint64(t.guestFeatures[1])<<32 | uint64(t.guestFeatures[0]))
	}
	if v == 0 {
		t.resetDevice()
		return
	}
	t.dev.SetStatus(v)
}

func (t *MMIO) writeQueue(q *virtio.Queue, off uint64, v uint32) {
	half := func(a *uint64, shift uint) { *a = *a&^(0xffffffff<<shift) | uint64(v)<<shift }
	switch off {
	case mmioQueueNum:
		q.SetNum(uint16(min(v, 0xffff)))
		if t.ForceLegacy && q.Desc != 0 {
			q.SetAddress(q.Desc)
		}
	case mmioQueueAlign:
		if t.ForceLegacy && v != 0 {
			q.Align = v
		}
	case mmioQueuePFN:
		if !t.ForceLegacy {
			return
		}
		if v == 0 {
			t.resetDevice()
			return
		}
		q.SetAddress(uint64(v) << t.pageShift)
	case mmioQueueReady:
		if t.ForceLegacy {
			return
		}
		if q.Enabled = v != 0; q.Enabled {
			q.Setup()
			q.Enable()
		}
	case mmioDescLo:
		half(&q.Desc, 0)
	case mmioDescHi:
		half(&q.Desc, 32)
	case mmioAvailLo:
		half(&q.Avail, 0)
	case mmioAvailHi:
		half(&q.Avail, 32)
	case mmioUsedLo:
		half(&q.Used, 0)
	case mmioUsedHi:
		half(&q.Used, 32)
	}
}

// mmioNotifyOps takes notifications; it is called without the machine lock.
type mmioNotifyOps MMIO

// Read implements memory.Ops: the register is write-only.
func (o *mmioNotifyOps) Read(uint64, int) uint64 { return 0 }

// Write implements memory.Ops.
func (o *mmioNotifyOps) Write(_ uint64, size int, v uint64) {
	if size != 4 || o.dev == nil || v >= virtio.MaxQueues {
		return
	}
	q := o.dev.Queue(int(v))
	if q == nil || q.Kick() || o.dev.Has(virtio.FeatureVersion1) {
		return
	}
	// A legacy driver that does not wait for its own DRIVER_OK.
	mainloop.Post(func() { o.dev.Notify(int(v)) })
}

// backend is a complete virtio-…-device.
type backend[T any, P pointer[T]] struct {
	qdev.Base
	Type T
}

// VirtioDevice is the device type itself.
func (b *backend[T, P]) VirtioDevice() P { return &b.Type }

// VirtioCommon is the common part of the device type.
func (b *backend[T, P]) VirtioCommon() *virtio.Device { return P(&b.Type).Virtio() }

// Realize implements qdev.Device.
func (b *backend[T, P]) Realize() error {
	bus, ok := b.Parent().(*mmioBus)
	if !ok {
		return errors.New("No 'virtio-bus' bus found for device '" + b.Class().Name + "'")
	}
	if err := P(&b.Type).Setup(b, 1); err != nil {
		return err
	}
	bus.t.plug(P(&b.Type).Virtio())
	return nil
}

// Unrealize implements qdev.Device.
func (b *backend[T, P]) Unrealize() {
	P(&b.Type).Teardown()
	t := b.Parent().(*mmioBus).t
	t.dev = nil
	t.renotify(nil)
}

// DeviceClass returns the class virtio-X-device of a device type, for the bus of an MMIO transport.
func DeviceClass[T any, P pointer[T]]() *qdev.Class {
	info := P(new(T)).TypeInfo()
	return &qdev.Class{
		Name: info.TypeName() + "-device", Bus: VirtioBus, Category: info.Category,
		Parents: []string{"virtio-device", "device"},
		New:     func() qdev.Device { return new(backend[T, P]) },
		State:   StateOf[T, P](info),
	}
}
