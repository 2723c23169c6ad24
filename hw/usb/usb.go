// Package usb is the Universal Serial Bus as devices and host controllers share it (USB 2.0, USB 3.0 for what SuperSpeed adds): ports and
// hubs, packets and endpoints, the control pipe, descriptors, and the state that every device has. It knows no host controller's registers.
// Everything here runs under the machine lock.
package usb

// BusType is the type name of the bus.
const BusType = "usb-bus"

// PID is the token of a packet (USB 2.0, section 8.3.1).
type PID uint8

// The tokens.
const (
	Out   PID = 0xe1
	In    PID = 0x69
	Setup PID = 0x2d
)

// Status is how a packet ended.
type Status uint8

// The results. Async means that Device.Complete will tell; Removed that the packet was behind one that failed.
const (
	OK Status = iota
	NoDevice
	NAK
	Stall
	Babble
	IOError
	Async
	Removed
)

// Speed is the speed of a device.
type Speed int32

// The speeds.
const (
	Low Speed = iota
	Full
	High
	Super
)

var speedNames = [...]string{Low: "1.5", Full: "12", High: "480", Super: "5000"}

// Mask is a set of speeds.
type Mask uint8

// Speeds makes a set.
func Speeds(list ...Speed) (m Mask) {
	for _, s := range list {
		m |= 1 << s
	}
	return m
}

// Has tells whether a speed is in the set.
func (m Mask) Has(s Speed) bool { return m&(1<<s) != 0 }

// String is the set in messages.
func (m Mask) String() string {
	s := ""
	for _, x := range []struct {
		speed Speed
		name  string
	}{{Full, "full"}, {High, "high"}, {Super, "super"}} {
		if m.Has(x.speed) {
			if s != "" {
				s += "+"
			}
			s += x.name
		}
	}
	if s == "" {
		return "unknown"
	}
	return s
}

// Requests of the control pipe: request type in the upper byte, request in the lower (USB 2.0, section 9.4).
const (
	ReqGetStatus        = 0x8000
	ReqClearFeature     = 0x0001
	ReqSetFeature       = 0x0003
	ReqSetAddress       = 0x0005
	ReqGetDescriptor    = 0x8006
	ReqGetConfiguration = 0x8008
	ReqSetConfiguration = 0x0009
	ReqGetInterface     = 0x810a
	ReqSetInterface     = 0x010b
	ReqSetSEL           = 0x0030
	ReqSetIsochDelay    = 0x0031

	ReqGetInterfaceDescriptor = 0x8106
	ReqClearEndpointFeature   = 0x0201

	reqVendorDevice    = 0xc000 | 'Q'
	reqVendorInterface = 0xc100 | 'Q'

	dirIn = 0x80
)

// Types of transfers (USB 2.0, section 9.6.6).
const (
	TransferControl   = 0
	TransferIsoch     = 1
	TransferBulk      = 2
	TransferInterrupt = 3
	transferInvalid   = 255
)

// DirIn is the bit of an endpoint's address that tells its direction.
const DirIn = dirIn
