package piix

import (
	"goemu/hw/misc"
	"goemu/hw/pci"
	"goemu/migration/vmstate"
)

// hotplug is the migrated state of QEMU's PCI hotplug registers, which this machine does not offer to its guests.
type hotplug struct{ up, down, selected, acpiIndex uint32 }

var gpeState = vmstate.Description[acpiRegs]{Name: "gpe", Version: 1, MinVersion: 1, Fields: []vmstate.Field[acpiRegs]{
	vmstate.Of("sts", func(a *acpiRegs) *uint16 { return &a.gpeStatus }),
	vmstate.Of("en", func(a *acpiRegs) *uint16 { return &a.gpeEnable }),
}}

var apmState = vmstate.Description[PM]{Name: "APM State", Version: 1, MinVersion: 1, Fields: []vmstate.Field[PM]{
	vmstate.Of("apmc", func(p *PM) *uint8 { return &p.apmc }),
	vmstate.Of("apms", func(p *PM) *uint8 { return &p.apms }),
}}

var smbusState = vmstate.Description[smbus]{Name: "pmsmb", Version: 1, MinVersion: 1, Fields: []vmstate.Field[smbus]{
	vmstate.Of("smb_stat", func(s *smbus) *uint8 { return &s.stat }),
	vmstate.Of("smb_ctl", func(s *smbus) *uint8 { return &s.ctl }),
	vmstate.Of("smb_cmd", func(s *smbus) *uint8 { return &s.cmd }),
	vmstate.Of("smb_addr", func(s *smbus) *uint8 { return &s.addr }),
	vmstate.Of("smb_data0", func(s *smbus) *uint8 { return &s.data0 }),
	vmstate.Of("smb_data1", func(s *smbus) *uint8 { return &s.data1 }),
	vmstate.Of("smb_index", func(s *smbus) *uint32 { return &s.index }),
	vmstate.Array("smb_data", func(s *smbus) []uint8 { return s.data[:] }),
	vmstate.Of("smb_auxctl", func(s *smbus) *uint8 { return &s.auxctl }),
	vmstate.Of("smb_blkdata", func(s *smbus) *uint8 { return &s.blkdata }),
	vmstate.Of("i2c_enable", func(s *smbus) *bool { return &s.i2cEnable }),
	vmstate.Of("op_done", func(s *smbus) *bool { return &s.opDone }),
	vmstate.Of("in_i2c_block_read", func(s *smbus) *bool { return &s.inBlockRead }),
	vmstate.Of("start_transaction_on_status_read", func(s *smbus) *bool { return &s.startOnStatusRead }),
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
		vmstate.Of("ar.pm1.evt.sts", func(p *PM) *uint16 { return &p.acpi.status }),
		vmstate.Of("ar.pm1.evt.en", func(p *PM) *uint16 { return &p.acpi.enable }),
		vmstate.Of("ar.pm1.cnt.cnt", func(p *PM) *uint16 { return &p.acpi.control }),
		vmstate.Struct("apm", &apmState, self),
		vmstate.Struct("smb", &smbusState, func(p *PM) *smbus { return &p.smb }).When(always).Since(3),
		vmstate.Timer("ar.tmr.timer", func(p *PM) vmstate.TimerState { return p.acpi.timer }),
		vmstate.Of("ar.tmr.overflow_time", func(p *PM) *int64 { return &p.acpi.overflow }),
		vmstate.Struct("ar.gpe", &gpeState, func(p *PM) *acpiRegs { return &p.acpi }).Since(2),
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
