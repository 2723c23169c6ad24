package transport

import (
	"goemu/hw/virtio"
	"goemu/migration/vmstate"
)

// SaveConfig implements virtio.TransportState.
func (t *MMIO) SaveConfig(w *vmstate.Writer) {
	w.U32(t.hostSel)
	w.U32(t.guestSel)
	w.U32(t.pageShift)
}

// LoadConfig implements virtio.TransportState.
func (t *MMIO) LoadConfig(r *vmstate.Reader) error {
	t.hostSel, t.guestSel, t.pageShift = min(r.U32(), 1), min(r.U32(), 1), r.U32()&31
	return r.Err()
}

// SaveQueue implements virtio.TransportState.
func (t *MMIO) SaveQueue(*virtio.Queue, *vmstate.Writer) {}

// LoadQueue implements virtio.TransportState.
func (t *MMIO) LoadQueue(*virtio.Queue, *vmstate.Reader) error { return nil }

// VariableAlign implements virtio.TransportState.
func (t *MMIO) VariableAlign() bool { return true }

// Extra implements virtio.TransportState.
func (t *MMIO) Extra() vmstate.State {
	if t.ForceLegacy {
		return nil
	}
	return mmioState.Bind(t)
}

// mmioState is the state of a modern MMIO transport.
var mmioState = vmstate.Description[MMIO]{
	Name: "virtio_mmio", Version: 1, MinVersion: 1,
	Subsections: []*vmstate.Description[MMIO]{{
		Name: "virtio_mmio/state", Version: 1, MinVersion: 1,
		Fields: []vmstate.Field[MMIO]{
			vmstate.Array("guest_features", func(t *MMIO) []uint32 { return t.guestFeatures[:] }),
			virtio.PerQueue("vqs", func(t *MMIO) *virtio.Device { return t.dev },
				func(q *virtio.Queue, w *vmstate.Writer) { saveQueueRegisters(q, w, false) },
				func(q *virtio.Queue, r *vmstate.Reader) { loadQueueRegisters(q, r, false) }),
		},
	}},
}
