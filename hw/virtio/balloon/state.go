package balloon

import (
	"goemu/hw/virtio"
	"goemu/migration/vmstate"
)

var state = vmstate.Description[Model]{
	Name: "virtio-balloon-device", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Model]{
		vmstate.Of("num_pages", func(m *Model) *uint32 { return &m.pages }),
		vmstate.Of("actual", func(m *Model) *uint32 { return &m.actual }),
	},
	Subsections: []*vmstate.Description[Model]{&hintState, {
		Name: "virtio-balloon-device/page-poison", Version: 1, MinVersion: 1,
		Needed: func(m *Model) bool { return m.Has(featurePoison) },
		Fields: []vmstate.Field[Model]{vmstate.Computed("poison_val", func(m *Model) uint32 { return m.poison.Load() },
			func(m *Model, v uint32) { m.poison.Store(v) })},
	}},
}

// SaveDevice implements virtio.ModelState.
func (m *Model) SaveDevice(w *vmstate.Writer) { state.Save(m, w) }

// LoadDevice implements virtio.ModelState.
func (m *Model) LoadDevice(r *vmstate.Reader) error { return state.Load(m, r, state.Version) }

// Loaded goes on with the questions for statistics. The chain that the other side held is taken again: it is in the queue still.
func (m *Model) Loaded() error {
	m.held = nil
	m.statsQueue.Rewind(1)
	m.arm()
	return nil
}

var _ virtio.ModelState = (*Model)(nil)
