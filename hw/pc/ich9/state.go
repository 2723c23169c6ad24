package ich9

import (
	"fmt"

	"goemu/hw/hotplug"
	"goemu/hw/pci"
	"goemu/hw/pm"
	"goemu/migration/vmstate"
)

var apmState = vmstate.Description[LPC]{Name: "APM State", Version: 1, MinVersion: 1, Fields: []vmstate.Field[LPC]{
	vmstate.Of("apmc", func(l *LPC) *uint8 { return &l.apmc }),
	vmstate.Of("apms", func(l *LPC) *uint8 { return &l.apms }),
}}

var powerState = vmstate.Description[power]{Name: "ich9_pm", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[power]{
		vmstate.Of("acpi_regs.pm1.evt.sts", func(p *power) *uint16 { return &p.acpi.Status }),
		vmstate.Of("acpi_regs.pm1.evt.en", func(p *power) *uint16 { return &p.acpi.Enable }),
		vmstate.Of("acpi_regs.pm1.cnt.cnt", func(p *power) *uint16 { return &p.acpi.Control }),
		vmstate.Timer("acpi_regs.tmr.timer", func(p *power) vmstate.TimerState { return p.acpi.Timer }),
		vmstate.Of("acpi_regs.tmr.overflow_time", func(p *power) *int64 { return &p.acpi.Overflow }),
		vmstate.Array("acpi_regs.gpe.sts", func(p *power) []byte { return p.acpi.GPEStatus }),
		vmstate.Array("acpi_regs.gpe.en", func(p *power) []byte { return p.acpi.GPEEnable }),
		vmstate.Of("smi_en", func(p *power) *uint32 { return &p.smiEnable }),
		vmstate.Of("smi_sts", func(p *power) *uint32 { return &p.smiStatus }),
	},
	Subsections: []*vmstate.Description[power]{
		{Name: "ich9_pm/memhp", Version: 1, MinVersion: 1, Fields: []vmstate.Field[power]{
			vmstate.Struct("acpi_memory_hotplug", &hotplug.DIMMsState, func(p *power) *hotplug.DIMMs { return &p.memory }).Since(1),
		}},
		{Name: "ich9_pm/tco", Version: 1, MinVersion: 1, Fields: []vmstate.Field[power]{
			vmstate.Struct("tco_regs", &pm.TCOState, func(p *power) *pm.TCO { return &p.tco }).Since(1),
		}},
		hotplug.CPUsSection("ich9_pm/cpuhp", func(p *power) *hotplug.CPUs { return &p.cpus }),
		{Name: "ich9_pm/pcihp", Version: 1, MinVersion: 1, Needed: func(p *power) bool { return p.hotplug.Root != nil },
			Fields: pm.PCIHotplugFields(func(p *power) *pm.PCIHotplug { return &p.hotplug })},
	},
}

var lpcState = vmstate.Description[LPC]{Name: "ICH9LPC", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[LPC]{
		vmstate.Struct("d", &pci.State, func(l *LPC) *pci.Device { return &l.Device }),
		vmstate.Struct("apm", &apmState, func(l *LPC) *LPC { return l }),
		vmstate.Struct("pm", &powerState, func(l *LPC) *power { return &l.power }),
		vmstate.Array("chip_config", func(l *LPC) []uint8 { return l.chipConfig[:] }),
		vmstate.Of("sci_level", func(l *LPC) *uint32 { return &l.sciLevel }),
	},
	Subsections: []*vmstate.Description[LPC]{
		{Name: "ICH9LPC/rst_cnt", Version: 1, MinVersion: 1, Needed: func(l *LPC) bool { return l.rcr != 0 },
			Fields: []vmstate.Field[LPC]{vmstate.Of("rst_cnt", func(l *LPC) *uint8 { return &l.rcr })}},
		{Name: "ICH9LPC/smi_feat", Version: 1, MinVersion: 1, Needed: func(l *LPC) bool { return l.smi.guest != [8]byte{} || l.smi.ok[0] != 0 },
			Fields: []vmstate.Field[LPC]{
				vmstate.Array("smi_guest_features_le", func(l *LPC) []uint8 { return l.smi.guest[:] }),
				vmstate.Array("smi_features_ok", func(l *LPC) []uint8 { return l.smi.ok[:] }),
				vmstate.Of("smi_negotiated_features", func(l *LPC) *uint64 { return &l.smi.negotiated }),
			}},
	},
	PostLoad: func(l *LPC, _ int) error {
		if l.sciLevel > 1 {
			return fmt.Errorf("ICH9LPC: level %d of the system control interrupt", l.sciLevel)
		}
		l.updateRoutes()
		l.updatePM()
		l.updateRCBA()
		l.updateLock()
		return nil
	}}
