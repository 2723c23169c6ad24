package pc

import (
	"goemu/hw/firmware"
	"goemu/hw/pci"
	"goemu/ui"
)

// hasVGA tells whether the first bus has an adapter that answers as a VGA.
func (m *Machine) hasVGA() bool {
	if m.pci == nil {
		return false
	}
	for devfn := range 256 {
		if f := m.pci.Function(uint8(devfn)); f != nil && f.PCIInfo().Class == pci.ClassDisplayVGA {
			return true
		}
	}
	return false
}

// startTextMode leaves the screen as firmware does.
func (m *Machine) startTextMode() {
	if m.hasVGA() {
		firmware.StartTextMode(vgaBus{m}, ui.Font())
	}
}

// vgaBus is how the machine's firmware reaches the adapter.
type vgaBus struct{ *Machine }

// In implements firmware.Bus.
func (b vgaBus) In(port uint16) uint8 {
	v, _ := b.ports.Load(uint64(port), 1)
	return uint8(v)
}

// Out implements firmware.Bus.
func (b vgaBus) Out(port uint16, v uint8) { b.ports.Store(uint64(port), 1, uint64(v)) }

// Write implements firmware.Bus.
func (b vgaBus) Write(addr uint64, p []byte) { b.memory.Write(addr, p) }
