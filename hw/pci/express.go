package pci

import "goemu/hw/qdev"

// Registers of the PCI Express capability (PCI Express Base Specification, section 7.5.3).
const (
	ExpFlags     = 2
	expDevCap    = 4
	ExpDevCtl    = 8
	expDevStatus = 10
	ExpLinkCap   = 12
	expLinkCtl   = 16
	ExpLinkState = 18
	ExpDevCap2   = 36
	ExpDevCtl2   = 40
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

	expCommonClock, expExtendedSynch = 1 << 6, 1 << 7
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

// ExpressType is what a function is in the hierarchy (section 7.5.3.2).
type ExpressType uint16

// The types of functions.
const (
	ExpressEndpoint   ExpressType = 0
	ExpressRootPort   ExpressType = 4
	ExpressUpstream   ExpressType = 5
	ExpressDownstream ExpressType = 6
	ExpressToPCI      ExpressType = 7
	ExpressIntegrated ExpressType = 9 // an endpoint in the root complex
)

// AddExpress adds the PCI Express capability at a place, 0 for any, and returns the place. port is the number of a port.
func (d *Device) AddExpress(at int, typ ExpressType, port uint8) (int, error) {
	at, err := d.AddCapability(CapExpress, at, expSize)
	if err != nil {
		return 0, err
	}
	d.express = at
	d.Set16(at+ExpFlags, expVersion|uint16(typ)<<4)
	d.Set32(at+expDevCap, expErrorRoles)
	d.Set32(at+ExpLinkCap, uint32(port)<<24|expASPM|expWidth1|expSpeed25)
	d.Set16(at+ExpLinkState, expWidth1|expSpeed25)
	d.Set32(at+ExpDevCap2, expPrefixes)
	d.SetWritable16(at+ExpDevCtl2, expBlockPrefix)
	if d.ExtendedInit {
		clear(d.Writable[ConfigSize : ConfigSize+4])
	}
	return at, nil
}

// AddEndpoint adds the PCI Express capability of an endpoint at a place.
func (d *Device) AddEndpoint(at int) error {
	typ := ExpressEndpoint
	if d.bus.Express() && d.bus.Root() {
		typ = ExpressIntegrated
	}
	_, err := d.AddExpress(at, typ, 0)
	return err
}

// AddOldEndpoint is AddEndpoint with the capability's first version, which is shorter.
func (d *Device) AddOldEndpoint(at int) error {
	const version, size = 1, 20
	typ := ExpressEndpoint
	if d.bus.Express() && d.bus.Root() {
		typ = ExpressIntegrated
	}
	at, err := d.AddCapability(CapExpress, at, size)
	if err != nil {
		return err
	}
	d.express = at
	d.Set16(at+ExpFlags, version|uint16(typ)<<4)
	d.Set32(at+expDevCap, expErrorRoles)
	d.Set32(at+ExpLinkCap, expASPM|expWidth1|expSpeed25)
	d.Set16(at+ExpLinkState, expWidth1|expSpeed25)
	return nil
}

// AddErrorControl makes the switches of the device's error reports writable.
func (d *Device) AddErrorControl() {
	at := d.express
	d.MakeWritable16(at+ExpDevCtl, expErrorReports)
	d.ClearOnes[at+expDevStatus] |= expErrorsSeen
}

// AddFunctionReset offers the reset of the function alone.
func (d *Device) AddFunctionReset() {
	at := d.express
	d.Set32(at+expDevCap, d.Get32(at+expDevCap)|expFLR)
	d.MakeWritable16(at+ExpDevCtl, expReset)
}

// AddLinkControl makes the link's control bits writable that endpoints keep.
func (d *Device) AddLinkControl() {
	d.SetWritable16(d.express+expLinkCtl, expCommonClock|expExtendedSynch)
}

// ExpressCapability is the place of the capability, 0 if there is none.
func (d *Device) ExpressCapability() int { return d.express }

// AddExtended adds an extended capability at a place, which the others follow (section 7.6.3).
func (d *Device) AddExtended(id uint16, version uint8, at, size int) {
	if at != ConfigSize {
		last := ConfigSize
		for d.Get32(last)>>20 != 0 {
			last = int(d.Get32(last) >> 20)
		}
		d.Set32(last, d.Get32(last)&0xfffff|uint32(at)<<20)
	}
	d.Set32(at, uint32(id)|uint32(version)<<16)
	clear(d.Writable[at : at+size])
	clear(d.ClearOnes[at : at+size])
}

// SetPower switches the function's power: without it, it does not answer and forgets its state.
func (d *Device) SetPower(on bool) {
	if d.off == !on {
		return
	}
	d.off = !on
	d.updateMappings()
	d.commandChanged()
	if !on {
		d.powerOn()
	}
}

// ResetEndpoint takes back what the guest has chosen of error reports, link and power, which a reset of most functions leaves alone.
func (d *Device) ResetEndpoint() {
	if d.express == 0 {
		return
	}
	d.Set16(d.express+ExpDevCtl, d.Get16(d.express+ExpDevCtl)&^expErrorReports)
	d.Set16(d.express+expLinkCtl, d.Get16(d.express+expLinkCtl)&^(expCommonClock|expExtendedSynch))
	if d.power != 0 {
		d.Set16(d.power+pmState, 0)
	}
}

// functionReset does the reset of the function that the guest has asked for.
func (d *Device) functionReset() {
	if d.express == 0 {
		return
	}
	if high := &d.Config[d.express+ExpDevCtl+1]; *high&(expReset>>8) != 0 {
		d.powerOn()
		*high &^= expReset >> 8
	}
}

// powerOn puts the function into its power-on state.
func (d *Device) powerOn() {
	qdev.Reset(d.fn)
	d.reset()
}

// addPower adds the power management capability at a place, 0 for any, and returns the place.
func (d *Device) addPower(at int) (int, error) {
	at, err := d.AddCapability(CapPower, at, pmSize)
	if err == nil {
		d.Set16(at+pmCaps, pmVersion)
	}
	return at, err
}

// AddPowerCapability adds the capability of functions that have no state but D0.
func (d *Device) AddPowerCapability() error {
	_, err := d.addPower(0)
	return err
}

// AddPowerStates adds the capability of functions that have a power state, and tells whether it can be written.
func (d *Device) AddPowerStates(writable bool) error {
	at, err := d.addPower(0)
	if err == nil {
		d.power = at
		if writable {
			d.SetWritable16(at+pmState, pmStateMask)
		}
	}
	return err
}

// AddWakePower adds the capability of functions that need to be initialised after D3 and can wake the machine.
func (d *Device) AddWakePower(at int) error {
	const version, initialise, dataSelect, enable, seen = 2, 1 << 5, 0xf << 9, 1 << 8, 0x80
	at, err := d.AddCapability(CapPower, at, pmSize)
	if err == nil {
		d.Set16(at+pmCaps, version|initialise)
		d.SetWritable16(at+pmState, pmStateMask|enable|dataSelect)
		d.ClearOnes[at+pmState+1] |= seen
	}
	return err
}

// AddPowerManagement adds the capability of functions that keep their state in D3.
func (d *Device) AddPowerManagement(at int) error {
	at, err := d.addPower(at)
	if err == nil {
		d.Set16(at+pmState, pmNoReset)
		d.SetWritable16(at+pmState, pmStateMask)
	}
	return err
}
