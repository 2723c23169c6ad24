package piix

import (
	"encoding/binary"

	"goemu/hw/misc"
	"goemu/hw/pci"
	"goemu/hw/pm"
	"goemu/migration/vmstate"
)

// hotplug is the migrated state of QEMU's PCI hotplug registers, which this machine does not offer to its guests.
type hotplug struct{ up, down, selected, acpiIndex uint32 }

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

func slots(name string) *vmstate.Description[PM] {
	return &vmstate.Description[PM]{Name: name, Version: 1, MinVersion: 1, Fields: []vmstate.Field[PM]{
		vmstate.Of("up", func(p *PM) *uint32 { return &p.hotplug.up }),
		vmstate.Of("down", func(p *PM) *uint32 { return &p.hotplug.down }),
	}}
}

func self(p *PM) *PM    { return p }
func never(p *PM) bool  { return false }
func always(p *PM) bool { return true }

var pmState = vmstate.Description[PM]{
	Name: "piix4_pm", Version: 3, MinVersion: 3,
	Fields: []vmstate.Field[PM]{
		vmstate.Struct("parent_obj", &pci.State, func(p *PM) *pci.Device { return &p.Device }),
		vmstate.Of("ar.pm1.evt.sts", func(p *PM) *uint16 { return &p.acpi.Status }),
		vmstate.Of("ar.pm1.evt.en", func(p *PM) *uint16 { return &p.acpi.Enable }),
		vmstate.Of("ar.pm1.cnt.cnt", func(p *PM) *uint16 { return &p.acpi.Control }),
		vmstate.Struct("apm", &apmState, self),
		vmstate.Struct("smb", &pm.SMBusState, func(p *PM) *pm.SMBus { return &p.smb }).When(always).Since(3),
		vmstate.Timer("ar.tmr.timer", func(p *PM) vmstate.TimerState { return p.acpi.Timer }),
		vmstate.Of("ar.tmr.overflow_time", func(p *PM) *int64 { return &p.acpi.Overflow }),
		vmstate.Struct("ar.gpe", &gpeState, func(p *PM) *pm.Regs { return &p.acpi }).Since(2),
		vmstate.Struct("acpi_pci_hotplug.acpi_pcihp_pci_status[0x0]", slots("pci_status"), self).When(never).Since(2),
		vmstate.Of("acpi_pci_hotplug.hotplug_select", func(p *PM) *uint32 { return &p.hotplug.selected }).When(always),
		vmstate.Custom("acpi_pci_hotplug.acpi_pcihp_pci_status", 12, saveSlots, loadSlots).When(always).Since(1).
			Nested(slots("acpi_pcihp_pci_status").Layout),
		vmstate.Of("acpi_pci_hotplug.acpi_index", func(p *PM) *uint32 { return &p.hotplug.acpiIndex }).When(always),
	},
	Subsections: []*vmstate.Description[PM]{
		{Name: "piix4_pm/memhp", Version: 1, MinVersion: 1, Fields: []vmstate.Field[PM]{
			vmstate.Struct("acpi_memory_hotplug", &misc.MemoryHotplugState, func(p *PM) *misc.MemoryHotplug { return &p.memory }).Since(1),
		}},
	},
	PostLoad: func(p *PM, _ int) error {
		p.updatePM()
		p.updateSMBus()
		return nil
	},
}

// hotplugBuses is the number of buses whose hotplug state QEMU migrates.
const hotplugBuses = 256

func saveSlots(p *PM, w *vmstate.Writer) {
	w.U32(p.hotplug.up)
	w.U32(p.hotplug.down)
	w.Raw(make([]byte, (hotplugBuses-1)*8))
}

func loadSlots(p *PM, r *vmstate.Reader) error {
	p.hotplug.up, p.hotplug.down = r.U32(), r.U32()
	r.Raw((hotplugBuses - 1) * 8)
	return r.Err()
}
