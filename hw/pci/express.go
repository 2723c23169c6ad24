package pci

// Registers of the PCI Express capability (PCI Express Base Specification, section 7.5.3).
const (
	expFlags     = 2
	expDevCap    = 4
	expDevCtl    = 8
	expDevStatus = 10
	expLinkCap   = 12
	expLinkState = 18
	expDevCap2   = 36
	expDevCtl2   = 40
	expSize      = 60

	expVersion      = 2
	expErrorRoles   = 1 << 15
	expFLR          = 1 << 28
	expErrorReports = 0xf
	expReset        = 1 << 15
	expErrorsSeen   = 0xf
	expASPM         = 1 << 10
	expWidth1       = 1 << 4
	expSpeed25      = 1
	expPrefixes     = 1<<20 | 1<<21
	expBlockPrefix  = 1 << 15
)

// Registers of the power management capability (PCI Bus Power Management Interface Specification, section 3.2).
const (
	pmCaps  = 2
	pmState = 4
	pmSize  = 8

	pmVersion   = 3
	pmNoReset   = 1 << 3
	pmStateMask = 3
)

// AddEndpoint adds the PCI Express capability of an endpoint at a place, with the reset of a single function.
func (d *Device) AddEndpoint(at int) error {
	at, err := d.AddCapability(CapExpress, at, expSize)
	if err != nil {
		return err
	}
	d.express = at
	d.Set16(at+expFlags, expVersion)
	d.Set32(at+expDevCap, expErrorRoles|expFLR)
	d.SetWritable16(at+expDevCtl, expErrorReports|expReset)
	d.ClearOnes[at+expDevStatus] = expErrorsSeen
	d.Set32(at+expLinkCap, expASPM|expWidth1|expSpeed25)
	d.Set16(at+expLinkState, expWidth1|expSpeed25)
	d.Set32(at+expDevCap2, expPrefixes)
	d.SetWritable16(at+expDevCtl2, expBlockPrefix)
	return nil
}

// FunctionReset tells whether a write to configuration space asks for a reset of the function.
func (d *Device) FunctionReset(addr, size int, v uint32) bool {
	high := d.express + expDevCtl + 1
	return d.express != 0 && addr <= high && addr+size > high && v>>(8*(high-addr))&(expReset>>8) != 0
}

// AddPowerManagement adds the capability of functions that keep their state in D3.
func (d *Device) AddPowerManagement(at int) error {
	at, err := d.AddCapability(CapPower, at, pmSize)
	if err != nil {
		return err
	}
	d.Set16(at+pmCaps, pmVersion)
	d.Set16(at+pmState, pmNoReset)
	d.SetWritable16(at+pmState, pmStateMask)
	return nil
}
