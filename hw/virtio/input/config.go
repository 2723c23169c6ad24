package input

import (
	"encoding/binary"

	"goemu/ui/input"
)

// entry is a piece of the configuration space, by its selectors.
type entry struct {
	selector, sub uint8
	data          []byte
	size          int // of the data that is told, with zeros after it
}

// buttonCodes are the codes of the buttons that a pointer has.
var buttonCodes = map[input.Button]uint16{input.Left: btnLeft, input.Right: btnRight, input.Middle: btnMiddle, input.WheelUp: btnGearUp,
	input.WheelDown: btnGearDown, input.Side: btnSide, input.Extra: btnExtra}

func name(s string) entry { return entry{cfgName, 0, []byte(s), len(s) + 1} }

// ids tells what the device is.
func ids(product, version uint16) entry {
	var b []byte
	for _, v := range []uint16{busVirtual, vendorID, product, version} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return entry{cfgIDs, 0, b, len(b)}
}

// codes tells which codes of a type of events there are.
func codes(typ uint8, list ...uint16) entry {
	var b []byte
	for _, c := range list {
		for len(b) <= int(c/8) {
			b = append(b, 0)
		}
		b[c/8] |= 1 << (c % 8)
	}
	return entry{cfgBits, typ, b, max(len(b), 1)}
}

// position tells how far an axis goes.
func position(axis uint8) entry {
	b := binary.LittleEndian.AppendUint32(make([]byte, 4), input.AbsMax) // from 0
	return entry{cfgAbs, axis, b, 5 * 4}
}

func buttons() entry {
	var list []uint16
	for _, c := range buttonCodes {
		list = append(list, c)
	}
	return codes(evKey, list...)
}

// The configurations of the kinds of devices.
func keyboardConfig() []entry {
	return []entry{name(keyboardName), ids(1, 1), codes(evRep), codes(evLED, ledNum, ledCaps, ledScroll), codes(evKey, input.LinuxCodes()...)}
}

func mouseConfig() []entry {
	return []entry{name(mouseName), ids(2, 2), codes(evRel, relX, relY, relWheel), buttons()}
}

func tabletConfig() []entry {
	return []entry{name(tabletName), ids(3, 2), codes(evAbs, absX, absY), codes(evRel, relWheel), position(absX), position(absY), buttons()}
}
