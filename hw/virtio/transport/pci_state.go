package transport

import (
	"goemu/hw/pci"
	"goemu/hw/virtio"
	"goemu/migration/vmstate"
)

// SaveConfig implements virtio.TransportState: the PCI header, MSI-X and the vector of configuration changes.
func (p *PCIBase) SaveConfig(w *vmstate.Writer) {
	pci.State.Save(&p.Device, w)
	if p.MSIXEntries() > 0 {
		p.SaveMSIX(w)
		w.U16(p.dev.ConfigVector())
	}
}

// LoadConfig implements virtio.TransportState.
func (p *PCIBase) LoadConfig(r *vmstate.Reader) error {
	if err := pci.State.Load(&p.Device, r, pci.State.Version); err != nil {
		return err
	}
	if p.MSIXEntries() > 0 {
		if err := p.LoadMSIX(r); err != nil {
			return err
		}
		p.setConfigVector(r.U16())
	}
	return r.Err()
}

// SaveQueue implements virtio.TransportState.
func (p *PCIBase) SaveQueue(q *virtio.Queue, w *vmstate.Writer) {
	if p.MSIXEntries() > 0 {
		w.U16(q.Vector())
	}
}

// LoadQueue implements virtio.TransportState.
func (p *PCIBase) LoadQueue(q *virtio.Queue, r *vmstate.Reader) error {
	if p.MSIXEntries() > 0 {
		p.unuse(q.Vector())
		q.SetVector(p.use(r.U16()))
	}
	return r.Err()
}

// VariableAlign implements virtio.TransportState.
func (p *PCIBase) VariableAlign() bool { return false }

// Extra implements virtio.TransportState.
func (p *PCIBase) Extra() vmstate.State {
	if !p.MigrateExtra {
		return nil
	}
	return pciState.Bind(p)
}

// pciState is the state of the modern interface.
var pciState = vmstate.Description[PCIBase]{
	Name: "virtio_pci", Version: 1, MinVersion: 1,
	Subsections: []*vmstate.Description[PCIBase]{{
		Name: "virtio_pci/modern_state", Version: 1, MinVersion: 1,
		Needed: func(p *PCIBase) bool { return p.modern },
		Fields: []vmstate.Field[PCIBase]{
			vmstate.Of("dfselect", func(p *PCIBase) *uint32 { return &p.dfSelect }),
			vmstate.Of("gfselect", func(p *PCIBase) *uint32 { return &p.gfSelect }),
			vmstate.Array("guest_features", func(p *PCIBase) []uint32 { return p.guestFeatures[:] }),
			virtio.PerQueue("vqs", func(p *PCIBase) *virtio.Device { return p.dev },
				func(q *virtio.Queue, w *vmstate.Writer) { saveQueueRegisters(q, w, true) },
				func(q *virtio.Queue, r *vmstate.Reader) { loadQueueRegisters(q, r, true) }),
		},
	}},
}

// saveQueueRegisters writes a queue as a modern driver has set it up. In the PCI transport's state a byte is left over from a time
// when the enable flag was two bytes.
func saveQueueRegisters(q *virtio.Queue, w *vmstate.Writer, pad bool) {
	w.U16(q.Chosen)
	if pad {
		w.U8(0)
	}
	if q.Enabled {
		w.U8(1)
	} else {
		w.U8(0)
	}
	for _, a := range []uint64{q.Written(0), q.Written(1), q.Written(2)} {
		w.U32(uint32(a))
		w.U32(uint32(a >> 32))
	}
}

func loadQueueRegisters(q *virtio.Queue, r *vmstate.Reader, pad bool) {
	q.Chosen = r.U16()
	if pad {
		r.U8()
	}
	q.Enabled = r.Bool()
	for _, a := range []*uint64{&q.Desc, &q.Avail, &q.Used} {
		lo := r.U32()
		if v := uint64(r.U32())<<32 | uint64(lo); !q.Enabled && v != 0 {
			*a = v
		}
	}
}
