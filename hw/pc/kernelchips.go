package pc

import (
	"goemu/accel"
	"goemu/hw/isa"
	"goemu/hw/qdev"
)

// kernelChips is the accelerator if it has interrupt controllers in the kernel, else nil. They work there while the machine runs; the
// devices here keep their state while not. all tells whether all are there, or only the local APICs.
func (m *Machine) kernelChips() (k accel.KernelChips, all bool) {
	if k, ok := m.accel.(accel.KernelChips); ok && k.Chips() != accel.ChipsNone {
		return k, k.Chips() == accel.ChipsAll
	}
	return nil, false
}

// kernelPIT is the accelerator if it does the 8254's work, else nil: it does where it has all interrupt controllers.
func (m *Machine) kernelPIT() accel.KernelPIT {
	if k, all := m.kernelChips(); all {
		return k.(accel.KernelPIT)
	}
	return nil
}

// offloadLines puts the kernel's controllers before the inputs of ours.
func (m *Machine) offloadLines(k accel.KernelChips) {
	for i := range m.gsi {
		ours := m.gsi[i]
		m.gsi[i] = qdev.NewIRQ(func(_ int, level bool) {
			k.SetLine(i, level)
			if m.offloaded {
				m.note(i, level)
				return
			}
			ours.Set(level)
		}, 0)
	}
}

// note records the level of an input whose work the kernel does.
func (m *Machine) note(line int, level bool) {
	m.ioapic.Note(line, level)
	if m.pics != nil && line < isa.Lines {
		m.pics.Note(line, level)
	}
}

// resume lets the CPUs run. Preconditions: the machine lock is held.
func (m *Machine) resume() {
	if k, all := m.kernelChips(); k != nil && !m.offloaded {
		m.offloaded = true
		if m.pics != nil && all {
			for i, p := range m.pics.Chips() {
				k.SetPIC(i, p.Kernel())
			}
		}
		switch {
		case m.ioapic == nil:
		case all:
			k.SetIOAPIC(m.ioapic.Kernel())
		default:
			m.ioapic.Route(k.RoutePins)
		}
		m.apics.Offload(k.PushLocal, k.SignalMSI)
		if m.pit != nil {
			m.pit.Offload()
		}
	}
	m.accel.Resume()
}

// reclaim takes the interrupt controllers' state back after a pause. Preconditions: the machine lock is held.
func (m *Machine) reclaim() {
	k, all := m.kernelChips()
	if k == nil || !m.offloaded {
		return
	}
	m.offloaded = false
	if m.pit != nil {
		m.pit.Reclaim()
	}
	m.apics.Reclaim(k.PullLocal)
	if !all {
		return
	}
	if m.ioapic != nil {
		m.ioapic.SetKernel(k.IOAPIC())
	}
	if m.pics != nil {
		for i, p := range m.pics.Chips() {
			p.SetKernel(k.PIC(i))
		}
		for _, p := range m.pics.Chips() {
			p.Refresh()
		}
	}
}
