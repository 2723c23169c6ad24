package pci

import (
	"fmt"

	"goemu/migration/vmstate"
)

// busState is the migrated state of a bus: how many functions drive each line.
var busState = vmstate.Description[Bus]{
	Name: "PCIBUS", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Bus]{
		vmstate.Custom("nirq", 4, func(b *Bus, w *vmstate.Writer) { w.U32(uint32(len(b.counts))) }, func(b *Bus, r *vmstate.Reader) error {
			if n := r.U32(); r.Err() == nil && int(n) != len(b.counts) {
				return fmt.Errorf("%d interrupt lines, want %d", n, len(b.counts))
			}
			return r.Err()
		}),
		vmstate.Array("irq_count", func(b *Bus) []int32 { return b.counts }),
	},
	PostLoad: func(b *Bus, _ int) error {
		for i := range b.counts {
			b.counts[i] = max(b.counts[i], 0)
		}
		return nil
	},
}

// BusState implements qdev.StateBus.
func (b *Bus) BusState() vmstate.State { return busState.Bind(b) }
