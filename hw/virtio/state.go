package virtio

import (
	"encoding/binary"
	"fmt"

	"goemu/hw/virtio/ring"
	"goemu/migration/vmstate"
)

var le = binary.LittleEndian

// TransportState is the part of a transport that migrates. The first two pairs write and read in the middle of the device's state.
type TransportState interface {
	SaveConfig(w *vmstate.Writer)
	LoadConfig(r *vmstate.Reader) error
	SaveQueue(q *Queue, w *vmstate.Writer)
	LoadQueue(q *Queue, r *vmstate.Reader) error
	// VariableAlign tells whether the alignment of the used ring is a queue's own.
	VariableAlign() bool
	// Extra is what a modern transport adds, nil if there is nothing.
	Extra() vmstate.State
}

// ModelState is a Model with state of its own in the stream.
type ModelState interface {
	SaveDevice(w *vmstate.Writer)
	LoadDevice(r *vmstate.Reader) error
}

// LateState is a Model whose state comes after the common part, under the name of the whole.
type LateState interface {
	SaveAfter(w *vmstate.Writer)
	LoadAfter(r *vmstate.Reader) error
}

// State is the migrated state of a device with its transport, in the layout of QEMU's virtio devices; model is what it is or will be made of.
func State(name string, version int, d *Device, model any) vmstate.State {
	desc := vmstate.Description[Device]{
		Name: name, Version: version, MinVersion: version,
		Fields: []vmstate.Field[Device]{vmstate.Custom("virtio", 0, (*Device).save, (*Device).load)},
	}
	if m, ok := model.(LateState); ok {
		desc.Fields = append(desc.Fields, vmstate.Custom(name, 0,
			func(_ *Device, w *vmstate.Writer) { m.SaveAfter(w) },
			func(_ *Device, r *vmstate.Reader) error { return m.LoadAfter(r) }))
	}
	return desc.Bind(d)
}

func (d *Device) save(w *vmstate.Writer) {
	t := d.transport.(TransportState)
	t.SaveConfig(w)
	w.U8(d.Status())
	w.U8(d.ISR())
	w.U16(d.QueueSel)
	w.U32(uint32(d.guest.Load()))
	w.U32(uint32(len(d.config)))
	w.Raw(d.config)
	w.U32(uint32(len(d.queues)))
	for _, q := range d.queues {
		w.U32(uint32(q.Num))
		if t.VariableAlign() {
			w.U32(q.Align)
		}
		w.U64(q.inForce(q.Desc))
		w.U16(q.ring.Position().Avail.Index)
		t.SaveQueue(q, w)
	}
	if m, ok := d.model.(ModelState); ok {
		m.SaveDevice(w)
	}
	commonState.Save(d, w)
}

// inForce is an address of the queue if the queue uses it: those that a modern driver has written and not enabled do not count.
func (q *Queue) inForce(a uint64) uint64 {
	if q.dev.Has(FeatureVersion1) && !q.Enabled {
		return 0
	}
	return a
}

// maxConfig bounds the configuration space in a stream.
const maxConfig = 4096

func (d *Device) load(r *vmstate.Reader) error {
	t := d.transport.(TransportState)
	if err := t.LoadConfig(r); err != nil {
		return err
	}
	status := r.U8()
	d.isr.Store(uint32(r.U8()))
	if d.QueueSel = r.U16(); d.QueueSel >= MaxQueues {
		return fmt.Errorf("invalid queue selector %d", d.QueueSel)
	}
	d.guest.Store(uint64(r.U32()))
	n := int(r.U32())
	if n > maxConfig {
		return fmt.Errorf("configuration space of %d bytes", n)
	}
	copy(d.config, r.Raw(n))
	if len(d.config) > 0 {
		d.model.WriteConfig(d.config)
	}
	d.featuresSet()
	if n = int(r.U32()); n != len(d.queues) && r.Err() == nil {
		return fmt.Errorf("Invalid number of virtqueues: 0x%x", n)
	}
	d.loading = make([]place, len(d.queues))
	for i, q := range d.queues {
		var err error
		if d.loading[i].Avail.Index, err = q.load(t, r); err != nil {
			return err
		}
	}
	d.status.Store(uint32(status))
	if m, ok := d.model.(ModelState); ok && r.Err() == nil {
		if err := m.LoadDevice(r); err != nil {
			return err
		}
	}
	if err := commonState.Load(d, r, commonState.Version); err != nil {
		return err
	}
	if f := d.guest.Load(); f&^d.HostFeatures() != 0 {
		d.guest.Store(f & d.HostFeatures())
		return fmt.Errorf("Features 0x%x unsupported. Allowed features: 0x%x", f, d.HostFeatures())
	}
	return d.resume()
}

func (q *Queue) load(t TransportState, r *vmstate.Reader) (last uint16, err error) {
	num := r.U32()
	if num > ring.MaxSize {
		return 0, fmt.Errorf("VQ %d size 0x%x is too large", q.Index, num)
	}
	q.Num = uint16(num)
	if t.VariableAlign() {
		q.Align = r.U32()
	}
	q.Desc = r.U64()
	last = r.U16()
	if q.Desc == 0 && last != 0 {
		return 0, fmt.Errorf("VQ %d address 0x0 inconsistent with Host index 0x%x", q.Index, last)
	}
	return last, t.LoadQueue(q, r)
}

// resume puts the queues into force once everything is loaded.
func (d *Device) resume() error {
	for i, q := range d.queues {
		if q.inForce(q.Desc) == 0 {
			continue
		}
		if q.addressed = !d.Has(FeatureVersion1); q.addressed {
			q.Avail, q.Used = ring.LegacyLayout(q.Desc, uint32(q.Num), q.Align)
		}
		q.Setup()
		if err := q.ring.Restore(d.loading[i].Position, d.loading[i].inUse); err != nil {
			return fmt.Errorf("VQ %d %w", q.Index, err)
		}
	}
	d.loading = nil
	d.startOnKick = !d.InUse() && !d.Has(FeatureVersion1)
	if m, ok := d.model.(interface{ Loaded() error }); ok {
		if err := m.Loaded(); err != nil {
			return err
		}
	}
	d.update()
	return nil
}

// place is where a queue that is being loaded goes on.
type place struct {
	ring.Position
	inUse int
}

// savePlace writes where a packed queue has come to.
func (q *Queue) savePlace(w *vmstate.Writer) {
	p := q.ring.Position()
	for _, x := range [...]ring.Place{p.Avail, p.Used} {
		w.U16(x.Index)
		w.Bool(x.Wrap)
	}
	w.U32(uint32(q.ring.InUse()))
}

func (q *Queue) loadPlace(r *vmstate.Reader) {
	var p place
	for _, x := range [...]*ring.Place{&p.Avail, &p.Used} {
		x.Index, x.Wrap = r.U16(), r.Bool()
	}
	p.inUse = int(r.U32())
	if q.Index < len(q.dev.loading) {
		q.dev.loading[q.Index] = p
	}
}

// perQueue makes a field with an entry for each of the queues that QEMU has room for.
func perQueue(name string, save func(q *Queue, w *vmstate.Writer), load func(q *Queue, r *vmstate.Reader)) vmstate.Field[Device] {
	blank := &Queue{dev: &Device{}, ring: ring.New(nil)}
	return vmstate.Custom(name, 0,
		func(d *Device, w *vmstate.Writer) {
			for i := range MaxQueues {
				if q := d.Queue(i); q != nil {
					save(q, w)
				} else {
					save(blank, w)
				}
			}
		},
		func(d *Device, r *vmstate.Reader) error {
			for i := range MaxQueues {
				q := d.Queue(i)
				if q == nil {
					q = blank
				}
				load(q, r)
			}
			return r.Err()
		})
}

// PerQueue is a field of a transport's state with an entry for each possible queue; absent queues are saved as a blank one.
func PerQueue[T any](name string, dev func(*T) *Device, save func(q *Queue, w *vmstate.Writer), load func(q *Queue, r *vmstate.Reader)) vmstate.Field[T] {
	f := perQueue(name, save, load)
	d := vmstate.Description[Device]{Name: name, Fields: []vmstate.Field[Device]{f}}
	return vmstate.Custom(name, 0,
		func(t *T, w *vmstate.Writer) { d.Save(dev(t), w) },
		func(t *T, r *vmstate.Reader) error { return d.Load(dev(t), r, 0) })
}

// commonState is what newer versions of QEMU have added, each part only sent where it is needed.
var commonState = vmstate.Description[Device]{
	Name: "virtio", Version: 1, MinVersion: 1,
	Subsections: []*vmstate.Description[Device]{
		{
			Name: "virtio/64bit_features", Version: 1, MinVersion: 1,
			Needed: func(d *Device) bool { return d.HostFeatures()>>32 != 0 },
			Fields: []vmstate.Field[Device]{vmstate.Computed("guest_features", (*Device).GuestFeatures, func(d *Device, v uint64) { d.guest.Store(v) })},
		},
		{
			Name: "virtio/virtqueues", Version: 1, MinVersion: 1,
			Needed: func(d *Device) bool { return d.HostFeatures()>>FeatureVersion1&1 != 0 },
			Fields: []vmstate.Field[Device]{perQueue("vq",
				func(q *Queue, w *vmstate.Writer) { w.U64(q.inForce(q.Avail)); w.U64(q.inForce(q.Used)) },
				func(q *Queue, r *vmstate.Reader) { q.Avail, q.Used = r.U64(), r.U64() })},
		},
		{
			Name: "virtio/ringsize", Version: 1, MinVersion: 1,
			Needed: func(d *Device) bool {
				for _, q := range d.queues {
					if q.Num != q.defaultNum {
						return true
					}
				}
				return false
			},
			Fields: []vmstate.Field[Device]{perQueue("vq",
				func(q *Queue, w *vmstate.Writer) { w.U32(uint32(q.defaultNum)) },
				func(q *Queue, r *vmstate.Reader) { r.U32() })}, // ours is a matter of the options
		},
		{
			Name: "virtio/broken", Version: 1, MinVersion: 1,
			Needed: (*Device).Broken,
			Fields: []vmstate.Field[Device]{vmstate.Computed("broken", (*Device).Broken, func(d *Device, v bool) { d.broken.Store(v) })},
		},
		{
			Name: "virtio/extra_state", Version: 1, MinVersion: 1,
			Needed: func(d *Device) bool { return d.transport.(TransportState).Extra() != nil },
			Fields: []vmstate.Field[Device]{vmstate.Custom("extra_state", 0,
				func(d *Device, w *vmstate.Writer) { d.transport.(TransportState).Extra().Save(w) },
				func(d *Device, r *vmstate.Reader) error {
					if x := d.transport.(TransportState).Extra(); x != nil {
						return x.Load(r, 1)
					}
					return fmt.Errorf("unexpected state of a modern transport")
				})},
		},
		{
			Name: "virtio/started", Version: 1, MinVersion: 1,
			Needed: func(d *Device) bool { return d.props.UseStarted && d.driverOK() },
			Fields: []vmstate.Field[Device]{vmstate.Computed("started", (*Device).driverOK, func(*Device, bool) {})},
		},
		{
			Name: "virtio/packed_virtqueues", Version: 1, MinVersion: 1,
			Needed: (*Device).offersPacked,
			Fields: []vmstate.Field[Device]{perQueue("vq", (*Queue).savePlace, (*Queue).loadPlace)},
		},
		{
			Name: "virtio/disabled", Version: 1, MinVersion: 1,
			Needed: (*Device).Disabled,
			Fields: []vmstate.Field[Device]{vmstate.Of("disabled", func(d *Device) *bool { return &d.disabled })},
		},
	},
}

func (d *Device) offersPacked() bool { return d.HostFeatures()>>FeatureRingPacked&1 != 0 }

func (d *Device) driverOK() bool { return d.Status()&StatusDriverOK != 0 }

// Layout of a taken chain as older versions of QEMU had it in memory and all have it in the stream: le32 head, number of readable and
// writable buffers; le64 addresses of both kinds; {le64 unused, le64 length} of both kinds. A device that offers packed queues adds the
// number of descriptors, be32.
const (
	elementIn      = 16
	elementOut     = elementIn + 8*ring.MaxSize
	elementInVec   = elementOut + 8*ring.MaxSize
	elementOutVec  = elementInVec + 16*ring.MaxSize
	elementSize    = elementOutVec + 16*ring.MaxSize
	elementOutNum  = 4
	elementInNum   = 8
	elementVecSize = 16
	elementVecLen  = 8
)

// SaveElement writes a chain that the device holds.
func (q *Queue) SaveElement(e *ring.Element, w *vmstate.Writer) {
	b := make([]byte, elementSize)
	t := e.Taken()
	le.PutUint32(b, uint32(t.Head))
	put := func(count, addrs, vec int, list []ring.Span) {
		le.PutUint32(b[count:], uint32(len(list)))
		for i, s := range list {
			le.PutUint64(b[addrs+8*i:], s.Addr)
			le.PutUint64(b[vec+elementVecSize*i+elementVecLen:], s.Len)
		}
	}
	put(elementInNum, elementIn, elementInVec, t.In)
	put(elementOutNum, elementOut, elementOutVec, t.Out)
	w.Raw(b)
	if q.dev.offersPacked() {
		w.U32(uint32(t.Descs))
	}
}

// LoadElement reads a chain that the device held; Adopt takes it up once everything is loaded.
func (q *Queue) LoadElement(r *vmstate.Reader) (t ring.Taken, err error) {
	b := r.Raw(elementSize)
	if b == nil {
		return t, r.Err()
	}
	get := func(count, addrs, vec int) (list []ring.Span, err error) {
		n := int(le.Uint32(b[count:]))
		if n > ring.MaxSize {
			return nil, fmt.Errorf("a chain of %d buffers", n)
		}
		for i := range n {
			list = append(list, ring.Span{Addr: le.Uint64(b[addrs+8*i:]), Len: le.Uint64(b[vec+elementVecSize*i+elementVecLen:])})
		}
		return list, nil
	}
	t.Head = uint16(le.Uint32(b))
	if t.In, err = get(elementInNum, elementIn, elementInVec); err != nil {
		return t, err
	}
	if t.Out, err = get(elementOutNum, elementOut, elementOutVec); err != nil {
		return t, err
	}
	if q.dev.offersPacked() {
		t.Descs = int(r.U32())
	}
	return t, r.Err()
}

// Adopt takes up a chain that was taken before migration.
func (q *Queue) Adopt(t ring.Taken) (*ring.Element, error) { return q.ring.Adopt(t) }
