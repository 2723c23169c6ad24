package piix

import (
	"encoding/binary"

	"goemu/hw/hotplug"
	"goemu/hw/pci"
	"goemu/hw/pm"
	"goemu/migration/vmstate"
)

var gpeState = vmstate.Description[pm.Regs]{Name: "gpe", Version: 1, MinVersion: 1, Fields: []vmstate.Field[pm.Regs]{
	gpeField("sts", func(a *pm.Regs) []byte { return a.GPEStatus }),
	gpeField("en", func(a *pm.Regs) []byte { return a.GPEEnable }),
}}

// gpeField sends the bytes as one number.
func gpeField(name string, f func(*pm.Regs) []byte) vmstate.Field[pm.Regs] {
	return vmstate.Computed(name, func(a *pm.Regs) uint16 { return binary.LittleEndian.Uint16(f(a)) },
		func(a *pm.Regs, v uint16) { binary.LittleEndian.PutUint16(f(a), v) })
}

var apmState = vmstate.Description[PM]{Name: "APM State", Version: 1, MinVersion: 1, Fields: []vmstate.Field[PM]{
	vmstate.Of("apmc", func(p *PM) *uint8 { return &p.apmc }),
	vmstate.Of("apms", func(p *PM) *uint8 { return &p.apms }),
}}

func self(p *PM) *PM                    { return p }
func always(*PM) bool                   { return true }
func pciHotplugOf(p *PM) *pm.PCIHotplug { return &p.hotplug }

// pciHotplugFields are fields that exist since PCI hot-plugging can be switched off.
func pciHotplugFields() []vmstate.Field[PM] {
	list := pm.PCIHotplugFields(pciHotplugOf)
	for i := range list {
		list[i] = list[i].When(func(p *PM) bool { return p.props.Bridges && !(i == len(list)-1 && p.props.NoIndex) })
	}
	return list
}

var pmState = vmstate.Description[PM]{
	Name: "piix4_pm", Version: 3, MinVersion: 3,
	Fields: append([]vmstate.Field[PM]{
		vmstate.Struct("parent_obj", &pci.State, func(p *PM) *pci.Device { return &p.Device }),
		vmstate.Of("ar.pm1.evt.sts", func(p *PM) *uint16 { return &p.acpi.Status }),
		vmstate.Of("ar.pm1.evt.en", func(p *PM) *uint16 { return &p.acpi.Enable }),
		vmstate.Of("ar.pm1.cnt.cnt", func(p *PM) *uint16 { return &p.acpi.Control }),
		vmstate.Struct("apm", &apmState, self),
		vmstate.Struct("smb", &pm.SMBusState, func(p *PM) *pm.SMBus { return &p.smb }).When(always).Since(3),
		vmstate.Timer("ar.tmr.timer", func(p *PM) vmstate.TimerState { return p.acpi.Timer }),
		vmstate.Of("ar.tmr.overflow_time", func(p *PM) *int64 { return &p.acpi.Overflow }),
		vmstate.Struct("ar.gpe", &gpeState, func(p *PM) *pm.Regs { return &p.acpi }).Since(2),
		pm.OldPCIHotplugField(pciHotplugOf).Since(2),
	}, pciHotplugFields()...),
	Subsections: []*vmstate.Description[PM]{
		{Name: "piix4_pm/memhp", Version: 1, MinVersion: 1, Fields: []vmstate.Field[PM]{
			vmstate.Struct("acpi_memory_hotplug", &hotplug.DIMMsState, func(p *PM) *hotplug.DIMMs { return &p.memory }).Since(1),
		}},
		hotplug.CPUsSection("piix4_pm/cpuhp", func(p *PM) *hotplug.CPUs { return &p.cpus }),
	},
	PostLoad: func(p *PM, _ int) error {
		p.updatePM()
		p.updateSMBus()
		return nil
	},
}
