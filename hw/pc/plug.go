package pc

import (
	"fmt"

	"goemu/hw/hotplug"
	"goemu/hw/qdev"
)

// plugs looks after the machine's own parts that come and go.
type plugs Machine

// PrePlug implements qdev.HotplugHandler.
func (p *plugs) PrePlug(d qdev.Device) error {
	switch d := d.(type) {
	case *cpuDevice:
		return (*Machine)(p).prePlugCPU(d)
	case *dimm:
		return (*Machine)(p).prePlugDIMM(d)
	}
	if d.Dev().Hotplugged() {
		return fmt.Errorf("Device '%s' can not be hotplugged on this machine", d.Dev().Class().Name)
	}
	return nil
}

// Plugged implements qdev.HotplugHandler.
func (p *plugs) Plugged(d qdev.Device) error {
	switch d := d.(type) {
	case *cpuDevice:
		(*Machine)(p).pluggedCPU(d)
	case *dimm:
		_, s := p.chips.slots()
		s.Plugged(int(d.Slot), d)
	}
	return nil
}

// RequestUnplug implements qdev.HotplugHandler.
func (p *plugs) RequestUnplug(d qdev.Device) error {
	switch d := d.(type) {
	case *cpuDevice:
		return (*Machine)(p).unplugCPU(d)
	case *dimm:
		_, s := p.chips.slots()
		s.RequestUnplug(int(d.Slot))
		return nil
	}
	return fmt.Errorf("acpi: device unplug request for not supported device type: %s", d.Dev().Class().Name)
}

// reportOST tells the user what the guest says about a slot.
func (m *Machine) reportOST(o hotplug.OST) {
	if m.OST != nil {
		m.OST(o)
	}
}

// OSPMStatus lists what the guest has said about the slots; ok is false on a machine without any.
func (m *Machine) OSPMStatus() (list []hotplug.OST, ok bool) {
	cpus, dimms := m.chips.slots()
	if cpus == nil {
		return nil, false
	}
	return append(dimms.Status(), cpus.Status()...), true
}
