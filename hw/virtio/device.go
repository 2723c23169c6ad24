package virtio

import (
	"encoding/binary"
	"sync/atomic"

	"goemu/block"
	"goemu/hw/virtio/ring"
	"goemu/internal/memory"
)

// Device is the part of a virtio device that is the same for all types. Its methods need the machine lock unless they say otherwise.
type Device struct {
	Name string // of the type, as in messages
	ID   uint16

	model     Model
	transport Transport
	mem       *memory.AddressSpace
	props     *Props

	transportFeatures uint64
	started           bool // queues are served
	running           bool // the machine runs
	kicked            bool // in use by a driver that has not said that it is ready
	startOnKick       bool // a driver that does so may come

	// Driver-visible state.
	status       atomic.Uint32
	isr          atomic.Uint32
	guest        atomic.Uint64 // accepted features
	QueueSel     uint16
	configVector atomic.Uint32
	config       []byte
	broken       atomic.Bool
	generation   uint32

	disabled bool

	queues  []*Queue
	outside *Outside // who may serve some of them; nil: nobody
	loading []place  // while a state is loaded

	// Log gets guest errors; nil drops them.
	Log func(text string)
}

// Init makes the device ready for AddQueue and Plug.
func (d *Device) Init(name string, id uint16, model Model, props *Props, configSize int) {
	d.Name, d.ID, d.model, d.props = name, id, model, props
	d.config = make([]byte, configSize)
	d.configVector.Store(NoVector)
	d.running = true
}

// Options are the device's.
func (d *Device) Options() *Props { return d.props }

// Disabled tells whether the transport cannot reach memory since the driver has switched bus mastering off.
func (d *Device) Disabled() bool { return d.disabled }

// SetDisabled hears of the driver's switch of bus mastering, without which no queue is served.
func (d *Device) SetDisabled(on bool) {
	d.disabled = on && d.props.UseDisabled
	if s := d.Status(); on && s&StatusDriverOK != 0 {
		d.SetStatus(s &^ StatusDriverOK)
	}
	d.update()
}

// Model is the device type.
func (d *Device) Model() Model { return d.model }

// Plug connects the device with its transport. extra are feature bits that the transport adds.
func (d *Device) Plug(t Transport, mem *memory.AddressSpace, extra uint64) {
	d.transport, d.mem, d.transportFeatures = t, mem, extra
	for _, q := range d.queues {
		q.ring.SetMemory(mem)
	}
	enlist(d)
}

// Memory is the address space that the driver's addresses refer to.
func (d *Device) Memory() *memory.AddressSpace { return d.mem }

// HostFeatures are the features that the device offers.
func (d *Device) HostFeatures() uint64 {
	return d.model.Features(d.props.features() | d.transportFeatures)
}

// WouldOffer tells whether the device offers a feature if its transport does.
func (d *Device) WouldOffer(bit int) bool {
	return d.model.Features(d.props.features()|1<<bit)>>bit&1 != 0
}

// GuestFeatures are the features that the driver has accepted. It needs no lock.
func (d *Device) GuestFeatures() uint64 { return d.guest.Load() }

// Has tells whether the driver accepted a feature. It needs no lock.
func (d *Device) Has(bit int) bool { return d.guest.Load()>>bit&1 != 0 }

// SetFeatures takes the driver's choice; bits that were not offered are dropped. After FEATURES_OK the choice is final.
func (d *Device) SetFeatures(f uint64) {
	if d.Status()&StatusFeaturesOK != 0 {
		return
	}
	host := d.HostFeatures()
	d.guest.Store(f & host)
	d.featuresSet()
	if f&^host == 0 && !d.InUse() && !d.Has(FeatureVersion1) {
		d.startOnKick = true
	}
}

func (d *Device) featuresSet() {
	if m, ok := d.model.(FeatureModel); ok {
		m.FeaturesSet(d.guest.Load())
	}
}

// Status is the device status. It needs no lock.
func (d *Device) Status() uint8 { return uint8(d.status.Load()) }

// SetStatus takes a new device status; zero is a reset.
func (d *Device) SetStatus(v uint8) {
	if v == 0 {
		d.Reset()
		return
	}
	if d.Has(FeatureVersion1) && v&StatusFeaturesOK != 0 && d.Status()&StatusFeaturesOK == 0 && !d.featuresValid() {
		return
	}
	d.model.SetStatus(v)
	if ready := v&StatusDriverOK != 0; ready != d.driverOK() {
		d.kicked, d.startOnKick = false, d.startOnKick && !ready
	}
	d.status.Store(uint32(v))
	d.update()
}

// featuresValid checks what the driver accepted as a whole: a device that must go through the IOMMU cannot be driven without.
func (d *Device) featuresValid() bool {
	const iommu = uint64(1) << FeatureIOMMUPlatform
	return d.HostFeatures()&iommu == 0 || d.guest.Load()&iommu != 0
}

// Active tells whether the queues are served: the driver is ready and the machine runs.
func (d *Device) Active() bool { return d.started }

// SetRunning hears that the machine starts or stops running: requests are only taken while it runs.
func (d *Device) SetRunning(on bool) {
	if t, ok := d.transport.(RunningTransport); ok && on {
		t.Running()
	}
	d.running = on
	d.update()
}

// update starts or stops the queues as status, run state and health ask.
func (d *Device) update() {
	on := d.running && d.Status()&StatusDriverOK != 0 && !d.Broken() && !d.disabled
	if on != d.started {
		d.setStarted(on)
	}
}

func (d *Device) setStarted(on bool) {
	d.started = on
	if on {
		for _, q := range d.queues {
			q.start()
		}
	} else {
		d.stop(d.queues)
	}
	if s, ok := d.model.(Starter); ok && on {
		s.Started()
	}
	if d.outside != nil && !on {
		d.outside.Update(false)
	}
}

// stop ends the serving of queues and waits for the requests that are under way. Limits of their speed do not hold meanwhile.
func (d *Device) stop(queues []*Queue) {
	if b, ok := d.model.(Backed); ok {
		defer block.Unthrottle(b.Backends()...)()
	}
	for _, q := range queues {
		q.stop()
	}
}

// Reset is the reset of the whole device, from the driver or the machine.
func (d *Device) Reset() {
	if p, ok := d.model.(Patient); ok {
		p.GiveUp()
	}
	if d.started {
		d.setStarted(false)
	}
	d.model.Reset()
	d.status.Store(0)
	d.guest.Store(0)
	d.featuresSet()
	d.isr.Store(0)
	d.QueueSel, d.disabled, d.kicked, d.startOnKick = 0, false, false, false
	d.configVector.Store(NoVector)
	d.broken.Store(false)
	for _, q := range d.queues {
		q.reset()
	}
}

// Broken tells whether the driver has made a mistake that only a reset heals. It needs no lock.
func (d *Device) Broken() bool { return d.broken.Load() }

// Fail marks the device as broken by a mistake of the driver. It may be called from any goroutine.
func (d *Device) Fail(err error) {
	if d.broken.Swap(true) {
		return
	}
	if d.Log != nil {
		d.Log(d.Name + ": " + err.Error())
	}
	if d.Has(FeatureVersion1) {
		d.status.Or(StatusNeedsReset)
		d.notifyConfig()
	}
}

// ISR is the interrupt status; AckISR reads and clears it. They need no lock.
func (d *Device) ISR() uint8 { return uint8(d.isr.Load()) }

// AckISR returns the interrupt status and clears the given bits of it.
func (d *Device) AckISR(bits uint8) uint8 { return uint8(d.isr.And(^uint32(bits))) }

// RaiseISR sets bits of the interrupt status. It needs no lock.
func (d *Device) RaiseISR(bits uint8) { d.isr.Or(uint32(bits)) }

// ConfigVector is the MSI-X vector of configuration changes. It needs no lock.
func (d *Device) ConfigVector() uint16 { return uint16(d.configVector.Load()) }

// SetConfigVector changes the vector of configuration changes.
func (d *Device) SetConfigVector(v uint16) { d.configVector.Store(uint32(v)) }

// Generation counts configuration changes.
func (d *Device) Generation() uint32 { return d.generation }

// ConfigChanged tells the driver to read the configuration space again.
func (d *Device) ConfigChanged() {
	if d.Status()&StatusDriverOK == 0 {
		return
	}
	d.generation++
	d.notifyConfig()
	if t, ok := d.transport.(LineTransport); ok {
		t.UpdateLine()
	}
}

func (d *Device) notifyConfig() {
	d.RaiseISR(ISRConfig)
	if d.transport != nil {
		d.transport.ConfigInterrupt()
	}
}

// ConfigSize is the size of the configuration space.
func (d *Device) ConfigSize() int { return len(d.config) }

// ReadConfig reads 1, 2, 4 or 8 bytes of the configuration space; outside it all bits are set.
func (d *Device) ReadConfig(off uint64, size int) uint64 {
	if off >= uint64(len(d.config)) || uint64(size) > uint64(len(d.config))-off {
		return ^uint64(0) >> (64 - 8*uint(size))
	}
	d.model.ReadConfig(d.config)
	var b [8]byte
	copy(b[:size], d.config[off:])
	return binary.LittleEndian.Uint64(b[:])
}

// WriteConfig writes 1, 2, 4 or 8 bytes of the configuration space.
func (d *Device) WriteConfig(off uint64, size int, v uint64) {
	if off >= uint64(len(d.config)) || uint64(size) > uint64(len(d.config))-off {
		return
	}
	d.model.ReadConfig(d.config)
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	copy(d.config[off:], b[:size])
	d.model.WriteConfig(d.config)
}

// Notify is the driver's notification of a queue through a transport that holds the machine lock. A legacy driver may use the device
// before it says that it is ready.
func (d *Device) Notify(n int) {
	q := d.Queue(n)
	if q == nil || q.Desc == 0 {
		return
	}
	if !d.started && !q.outside && d.running && !d.Has(FeatureVersion1) && !d.Broken() {
		d.setStarted(true)
		d.kicked, d.startOnKick = true, false
	}
	q.Wake()
}

// Queue returns the queue with the index, nil if there is none.
func (d *Device) Queue(n int) *Queue {
	if n < 0 || n >= len(d.queues) {
		return nil
	}
	return d.queues[n]
}

// Queues is the number of queues.
func (d *Device) Queues() int { return len(d.queues) }

// AddQueue adds a queue of the given size. handle is called with the queue whenever it may have new chains: on a goroutine of the
// queue without the machine lock, or under it on the main loop if onLoop is set.
func (d *Device) AddQueue(size uint16, onLoop bool, handle Handler) *Queue {
	q := &Queue{dev: d, Index: len(d.queues), defaultNum: size, handle: handle, onLoop: onLoop, ring: ring.New(d.mem)}
	q.kick = make(chan struct{}, 1)
	q.reset()
	d.queues = append(d.queues, q)
	return q
}

// DropQueues takes queues away, the one with the index n and all after it.
func (d *Device) DropQueues(n int) {
	d.stop(d.queues[n:])
	clear(d.queues[n:])
	d.queues = d.queues[:n]
}

// Close ends the goroutines of all queues.
func (d *Device) Close() {
	delist(d)
	if d.outside != nil {
		d.outside.Update(false)
	}
	d.stop(d.queues)
	d.started = false
}
