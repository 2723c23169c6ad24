package pc

import (
	"goemu/accel"
	"goemu/hw/qdev"
)

// kernelChips is the accelerator if it has the interrupt controllers in the kernel, else nil. They work there while the machine runs; the
// devices here keep their state while not.
func (m *Machine) kernelChips() accel.KernelChips {
	if k, ok := m.accel.(accel.KernelChips); ok && k.InKernel() {
		return k
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
				m.ioapic.Note(i, level)
				return
			}
			ours.Set(level)
		}, 0)
	}
}

// resume lets the CPUs run. Preconditions: the machine lock is held.
func (m *Machine) resume() {
	if k := m.kernelChips(); k != nil && !m.offloaded {
		m.offloaded = true
		if m.pics != nil {
			for i, p := range m.pics.Chips() {
				k.SetPIC(i, p.Kernel())
			}
		}
		if m.ioapic != nil {
			k.SetIOAPIC(m.ioapic.Kernel())
		}
		m.apics.Offload(k.PushLocal, k.SignalMSI)
	}
	m.accel.Resume()
}

// reclaim takes the interrupt controllers' state back after a pause. Preconditions: the machine lock is held.
func (m *Machine) reclaim() {
	k := m.kernelChips()
	if k == nil || !m.offloaded {
		return
	}
	m.offloaded = false
	m.apics.Reclaim(k.PullLocal)
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
