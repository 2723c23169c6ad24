package input

// Selectors of the configuration space (virtio 1.2, section 5.8.4).
const (
	cfgName, cfgSerial, cfgIDs = 0x01, 0x02, 0x03
	cfgBits, cfgAbs            = 0x11, 0x12
)

// Event types and codes: those of Linux (linux/input-event-codes.h).
const (
	evSyn, evKey, evRel, evAbs, evLED, evRep = 0x00, 0x01, 0x02, 0x03, 0x11, 0x14

	relX, relY, relWheel = 0, 1, 8
	absX, absY           = 0, 1

	ledNum, ledCaps, ledScroll = 0, 1, 2

	btnLeft, btnRight, btnMiddle, btnSide, btnExtra, btnGearDown, btnGearUp = 0x110, 0x111, 0x112, 0x113, 0x114, 0x150, 0x151
)

const (
	configHeader = 8 // selector, subselector, size and padding before the data
	eventSize    = 8
	queueSize    = 64
	vectors      = 2
	pciDevice    = 0x1009 // of a transitional function, which there is none of

	busVirtual, vendorID = 0x06, 0x0627

	classKeyboard, classMouse, classOther = 0x0900, 0x0902, 0x0980
)
