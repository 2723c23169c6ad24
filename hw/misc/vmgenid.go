package misc

import (
	"encoding/binary"
	"errors"

	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// GenerationID is the device type vmgenid: an identifier in guest memory that is another one whenever the machine is a copy or goes back in
// time, and an event that tells of the change
// (QEMU's docs/specs/vmgenid.txt).
type GenerationID struct {
	qdev.Base
	GUID qdev.UUID `prop:"guid,default=auto" help:"UUID (aka GUID) or \"auto\" for random value (default)"`

	addr    [8]byte // where firmware has put the identifier, little endian; 0 for nowhere yet
	mem     *memory.AddressSpace
	changed func()
}

var generationIDClass = qdev.Class{Name: "vmgenid", Category: qdev.Misc, NoHotplug: true, New: func() qdev.Device { return new(GenerationID) },
	State: qdev.State(&vmstate.Description[GenerationID]{Name: "vmgenid", Version: 1, MinVersion: 1,
		PostLoad: func(g *GenerationID, _ int) error { g.update(); return nil },
		Fields:   []vmstate.Field[GenerationID]{vmstate.Array("vmgenid_addr_le", func(g *GenerationID) []byte { return g.addr[:] })},
	})}

// FindGenerationID returns the device, nil if there is none.
func FindGenerationID(t *qdev.Tree) *GenerationID {
	for _, d := range t.Devices() {
		if g, ok := d.(*GenerationID); ok {
			return g
		}
	}
	return nil
}

// Realize implements qdev.Device.
func (g *GenerationID) Realize() error {
	if FindGenerationID(g.Tree()) != nil {
		return errors.New("at most one vmgenid device is permitted")
	}
	return nil
}

// Connect tells the device where guest memory is, and whom to tell of a change.
func (g *GenerationID) Connect(mem *memory.AddressSpace, changed func()) {
	g.mem, g.changed = mem, changed
}

// Address are the bytes that firmware writes the identifier's address to.
func (g *GenerationID) Address() []byte { return g.addr[:] }

// Place says where the identifier is, as firmware does.
func (g *GenerationID) Place(addr uint64) { binary.LittleEndian.PutUint64(g.addr[:], addr) }

// Reset implements qdev.Device.
func (g *GenerationID) Reset() { clear(g.addr[:]) }

// update puts the identifier into guest memory that has come in, and tells the guest.
func (g *GenerationID) update() {
	addr := uint64(binary.LittleEndian.Uint32(g.addr[:]))
	if addr == 0 || g.mem == nil {
		return
	}
	guid := g.GUID.LittleEndian()
	g.mem.Write(addr, guid[:])
	g.changed()
}
