package pc

import (
	"errors"

	"goemu/hw/firmware"
	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/fwcfg"
	"goemu/hw/misc"
	"goemu/hw/pm"
)

// connectGeneration gives firmware the files of the device with the generation identifier, if there is one and firmware to place it.
func (m *Machine) connectGeneration() error {
	g := misc.FindGenerationID(m.Tree)
	if g == nil || m.pci == nil {
		return nil
	}
	g.Connect(m.memory, func() { m.chips.raise(pm.EventGeneration) })
	if m.startsKernel() {
		return nil
	}
	guid := g.GUID.LittleEndian()
	if err := m.fw.AddFile(acpi.FileGeneration, (&acpi.Machine{Generation: &guid}).GenerationPage()); err != nil {
		return err
	}
	return m.fw.AddHooked(acpi.FileGenerationAddress, g.Address(), fwcfg.Hooks{Writable: true})
}

// connectCoreInfo lets the guest say where its note for core files is.
func (m *Machine) connectCoreInfo() error {
	c := misc.FindCoreInfo(m.Tree)
	switch {
	case c == nil:
		return nil
	case m.fw == nil || !m.fw.DMA:
		return errors.New("vmcoreinfo device requires fw_cfg with DMA")
	}
	return m.fw.AddHooked("etc/vmcoreinfo", c.Item(), fwcfg.Hooks{Writable: true, Written: c.Written})
}

// describeGeneration tells the tables of it.
func (m *Machine) describeGeneration(f *firmware.Machine) {
	if g := misc.FindGenerationID(m.Tree); g != nil {
		guid := g.GUID.LittleEndian()
		f.ACPI.Generation = &guid
	}
}

// placeGeneration says where a kernel that is booted directly finds it.
func (m *Machine) placeGeneration() {
	if g := misc.FindGenerationID(m.Tree); g != nil && m.setup.Generation != 0 {
		g.Place(m.setup.Generation)
	}
}
