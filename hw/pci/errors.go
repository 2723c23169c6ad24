package pci

import "encoding/binary"

// Registers of the extended capability for error reports (PCI Express Base Specification, section 7.8.4).
const (
	extErrors, extErrorsVersion = 1, 2

	// ErrorsSize is the length of the capability.
	ErrorsSize = 0x48

	errUncorrected, errSeverity, errCorrected, errCorMask, errControl = 0x04, 0x0c, 0x10, 0x14, 0x18

	errUncAll         = 0x03fff030
	errUncFatal       = 0x00462030
	errCorAll         = 0x0000f1c1
	errCorMasked      = 0x0000e000
	errControlCan     = 1<<5 | 1<<7 | 1<<9 // generates and checks ECRC, logs several headers
	errControlEnable  = 1<<6 | 1<<8 | 1<<10
	errControlSeveral = 1<<9 | 1<<10
)

// AddErrorReporting adds advanced error reporting at a place, with a log of several errors or not. No error ever happens here.
func (d *Device) AddErrorReporting(at int, several bool) {
	d.AddExtended(extErrors, extErrorsVersion, at, ErrorsSize)
	clear1 := func(reg int, v uint32) { binary.LittleEndian.PutUint32(d.ClearOnes[at+reg:], v) }
	clear1(errUncorrected, errUncAll)
	d.Set32(at+errSeverity, errUncFatal)
	d.SetWritable32(at+errSeverity, errUncAll)
	clear1(errCorrected, errCorAll)
	d.Set32(at+errCorMask, errCorMasked)
	d.SetWritable32(at+errCorMask, errCorAll)
	can, enable := uint32(errControlCan), uint32(errControlEnable)
	if !several {
		can, enable = can&^errControlSeveral, enable&^errControlSeveral
	}
	d.Set32(at+errControl, can)
	d.SetWritable32(at+errControl, enable)
}

// AddSerialNumber adds a serial number (section 7.9.3).
func (d *Device) AddSerialNumber(at int, serial uint64) {
	const extSerial, version, size = 3, 1, 12
	d.AddExtended(extSerial, version, at, size)
	binary.LittleEndian.PutUint64(d.Config[at+4:], serial)
}

// AddTranslations adds address translation services (Address Translation Services 1.1, section 5.1): the function could ask for addresses
// in advance. There is nobody who translates, so that it never does.
func (d *Device) AddTranslations(at int, wholePages bool) {
	const (
		extTranslations, version, size = 0xf, 1, 8
		capability, control            = 4, 6
		pageAligned, enable            = 0x20, 0x800f
	)
	d.AddExtended(extTranslations, version, at, size)
	if wholePages {
		d.Set16(at+capability, pageAligned)
	}
	d.SetWritable16(at+control, enable)
}
