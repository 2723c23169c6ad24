package usb

import "encoding/binary"

// Desc are the descriptors of a device; a nil device descriptor is a speed that it lacks.
type Desc struct {
	Vendor, Product, Version      uint16
	Manufacturer, ProductName     uint8 // strings
	Serial                        uint8
	Full, High, Super             *DescDevice
	Strings                       map[uint8]string
	Microsoft, SelectiveSuspendMS bool // has Microsoft's descriptors; lets Windows suspend it
}

// DescDevice is a device descriptor (USB 2.0, section 9.6.1).
type DescDevice struct {
	USB                                   uint16
	Class, SubClass, Protocol, MaxPacket0 uint8
	Configs                               []DescConfig
}

// DescConfig is a configuration descriptor (section 9.6.3); MaxPower is in 2 mA (8 mA at SuperSpeed).
type DescConfig struct {
	Value, Name, Attributes, MaxPower uint8
	Interfaces                        []DescInterface
}

// Attributes of a configuration.
const (
	AttrAlways      = 0x80
	AttrSelfPowered = 0x40
	AttrWakeup      = 0x20
)

// DescInterface is an interface descriptor (section 9.6.5) and what follows it.
type DescInterface struct {
	Number, Alternate         uint8
	Class, SubClass, Protocol uint8
	Name                      uint8
	Extra                     []byte // descriptors of the class
	Endpoints                 []DescEndpoint
}

// DescEndpoint is an endpoint descriptor (section 9.6.6) and what follows it; MaxBurst and Streams, the logarithm of how many there are, are
// for SuperSpeed.
type DescEndpoint struct {
	Address, Attributes         uint8
	MaxPacket                   uint16
	Interval, MaxBurst, Streams uint8
	Extra                       []byte // descriptors of the class
}

// Types of descriptors (table 9-5; USB 3.0, table 9-6).
const (
	descDevice            = 1
	descConfig            = 2
	descString            = 3
	descInterface         = 4
	descEndpoint          = 5
	descDeviceQualifier   = 6
	descOtherSpeed        = 7
	descDebug             = 10
	descBOS               = 15
	descCapability        = 16
	descEndpointCompanion = 48

	capUSB2, capSuper = 2, 3

	usb2, usb3 = 0x0200, 0x0300
	english    = 0x0409
)

// microsoftString is where Microsoft's descriptors are found.
const microsoftString = 0xee

// microsoft tells whether the device has Microsoft's descriptors and the user wants them.
func (d *Device) microsoft() bool { return d.MSOS && d.desc.Microsoft }

// descriptor answers a request for a descriptor.
func (d *Device) descriptor(typ, n uint8, data []byte) (int, bool) {
	var b []byte
	other := d.desc.High
	if d.speed == High {
		other = d.desc.Full
	}
	super := d.device.USB >= usb3
	switch typ {
	case descDevice:
		b = d.deviceDescriptor()
	case descConfig:
		if int(n) < len(d.device.Configs) {
			b = d.device.Configs[n].bytes(super)
		}
	case descString:
		b = d.stringDescriptor(n)
	case descDeviceQualifier:
		if other != nil {
			b = []byte{10, descDeviceQualifier, byte(other.USB), byte(other.USB >> 8), other.Class, other.SubClass, other.Protocol, other.MaxPacket0, byte(len(other.Configs)), 0}
		}
	case descOtherSpeed:
		if other != nil && int(n) < len(other.Configs) {
			b = other.Configs[n].bytes(super)
			b[1] = descOtherSpeed
		}
	case descBOS:
		b = d.desc.capabilities()
	}
	return copy(data, b), len(b) > 0 || typ == descString
}

func (d *Device) deviceDescriptor() []byte {
	v, x := d.desc, d.device
	version := x.USB
	if d.microsoft() {
		version = max(version, usb2)
	}
	b := []byte{18, descDevice}
	b = le.AppendUint16(b, version)
	b = append(b, x.Class, x.SubClass, x.Protocol, x.MaxPacket0)
	for _, n := range []uint16{v.Vendor, v.Product, v.Version} {
		b = le.AppendUint16(b, n)
	}
	return append(b, v.Manufacturer, v.ProductName, v.Serial, byte(len(x.Configs)))
}

func (c *DescConfig) bytes(super bool) []byte {
	count := uint8(0)
	for _, f := range c.Interfaces {
		count = max(count, f.Number+1)
	}
	b := []byte{9, descConfig, 0, 0, count, c.Value, c.Name, c.Attributes, c.MaxPower}
	for _, f := range c.Interfaces {
		b = append(b, 9, descInterface, f.Number, f.Alternate, byte(len(f.Endpoints)), f.Class, f.SubClass, f.Protocol, f.Name)
		b = append(b, f.Extra...)
		for _, e := range f.Endpoints {
			b = append(b, 7, descEndpoint, e.Address, e.Attributes, byte(e.MaxPacket), byte(e.MaxPacket>>8), e.Interval)
			if super {
				b = append(b, 6, descEndpointCompanion, e.MaxBurst, e.Streams, 0, 0)
			}
			b = append(b, e.Extra...)
		}
	}
	le.PutUint16(b[2:], uint16(len(b)))
	return b
}

func (d *Device) stringDescriptor(n uint8) []byte {
	if n == 0 {
		return []byte{4, descString, english & 0xff, english >> 8}
	}
	s := d.desc.Strings[n]
	switch {
	case n == d.desc.Serial:
		s = d.serialNumber
	case n == microsoftString && d.microsoft():
		s = "MSFT100Q"
	}
	if s == "" {
		return nil
	}
	const longest = 126 // characters that fit in a descriptor
	s = s[:min(len(s), longest)]
	b := []byte{byte(2 + 2*len(s)), descString}
	for i := range len(s) {
		b = append(b, s[i], 0)
	}
	return b
}

// capabilities is the binary device object store (USB 3.0, section 9.6.2).
func (v *Desc) capabilities() []byte {
	b := []byte{5, descBOS, 0, 0, 0}
	if v.High != nil {
		const lpm = 1 << 1
		b = append(b, 7, descCapability, capUSB2, lpm, 0, 0, 0)
		b[4]++
	}
	if v.Super != nil {
		speeds, lowest := uint8(0), uint8(0)
		for i, x := range []*DescDevice{nil, v.Full, v.High, v.Super} {
			if x != nil {
				speeds |= 1 << i
				if lowest == 0 {
					lowest = uint8(i)
				}
			}
		}
		const u1Exit, u2Exit = 10, 32 // microseconds
		b = append(b, 10, descCapability, capSuper, 0, speeds, 0, lowest, u1Exit, u2Exit, 0)
		b[4]++
	}
	le.PutUint16(b[2:], uint16(len(b)))
	return b
}

// Microsoft's descriptors (Microsoft OS Descriptors Specification 1.0): indices of the compatible identifiers and the properties.
const (
	msCompatible, msProperties = 4, 5
	msVersion                  = 0x0100
	msDWORD                    = 4
)

// microsoft returns one of Microsoft's descriptors.
func (v *Desc) microsoft(index int) []byte {
	switch index {
	case msCompatible:
		b := make([]byte, 40)
		binary.LittleEndian.PutUint32(b, uint32(len(b)))
		le.PutUint16(b[4:], msVersion)
		le.PutUint16(b[6:], msCompatible)
		b[8], b[17] = 1, 1
		return b
	case msProperties:
		b := make([]byte, 10)
		if v.SelectiveSuspendMS {
			b = appendProperty(b, "SelectiveSuspendEnabled", 1)
			b[8] = 1
		}
		le.PutUint32(b, uint32(len(b)))
		le.PutUint16(b[4:], msVersion)
		le.PutUint16(b[6:], msProperties)
		return b
	}
	return nil
}

// appendProperty appends a property whose value is a number. QEMU makes it six bytes too long.
func appendProperty(b []byte, name string, v uint32) []byte {
	text := make([]byte, 0, 2*len(name)+2)
	for _, c := range []byte(name + "\x00") {
		text = append(text, c, 0)
	}
	start := len(b)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, msDWORD)
	b = le.AppendUint16(b, uint16(len(text)))
	b = append(b, text...)
	b = le.AppendUint32(b, 4)
	b = le.AppendUint32(b, v)
	b = append(b, 0, 0, 0, 0, 0, 0)
	le.PutUint32(b[start:], uint32(len(b)-start))
	return b
}
