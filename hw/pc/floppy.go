package pc

import (
	"strconv"

	"goemu/hw/fdc"
	"goemu/hw/firmware/acpi"
	"goemu/hw/qdev"
)

// floppyController makes the floppy controller that the machine has anyway, or for the drives that the user named, and these.
func (m *Machine) floppyController() error {
	if !m.cfg.Type.HasFloppy && len(m.cfg.Floppies) == 0 {
		return nil
	}
	d, err := m.Tree.Create(&fdc.Class, m.isa)
	if err != nil {
		return err
	}
	bus := d.Dev().Buses()[0].Node()
	for unit, id := range m.cfg.Floppies {
		if id == "" {
			continue
		}
		if _, err := m.Tree.Create(&fdc.FloppyClass, bus, qdev.Setting{Name: "unit", Value: strconv.Itoa(unit)}, qdev.Setting{Name: "drive", Value: id}); err != nil {
			return err
		}
	}
	return nil
}

// describeFloppies tells the BIOS about the drives of the controller at the standard ports.
func (m *Machine) describeFloppies() {
	for _, d := range m.isa.Devices() {
		if c, ok := d.(*fdc.Controller); ok && c.IOBase == fdc.StandardBase {
			m.rtc.SetFloppies(c.KindOf(0).CMOS(), c.KindOf(1).CMOS())
			return
		}
	}
}

// floppyDevice describes a controller for the ACPI tables.
func floppyDevice(c *fdc.Controller) acpi.ISADevice {
	d := acpi.ISADevice{Kind: acpi.ISAFloppy, Port: uint16(c.IOBase), IRQ: uint8(c.IRQ), DMA: uint8(c.DMA)}
	for i := range fdc.MaxDrives {
		kind := c.KindOf(i)
		f := acpi.FloppyDrive{Type: kind.CMOS()}
		if f.Type != 0 {
			f.Cylinder, f.Head, f.Sector = kind.Limits()
		}
		d.Drives = append(d.Drives, f)
	}
	return d
}
