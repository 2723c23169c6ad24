package input

// Key is a key by its place in the table; the numbers are those of QEMU's QKeyCode.
type Key uint8

// Keys that are treated in a special way.
var (
	KeyUnmapped           = Find("unmapped")
	KeyPause, KeyPrint    = Find("pause"), Find("print")
	KeySysRq              = Find("sysrq")
	KeyShift, KeyShiftR   = Find("shift"), Find("shift_r")
	KeyCtrl, KeyCtrlR     = Find("ctrl"), Find("ctrl_r")
	KeyAlt, KeyAltR       = Find("alt"), Find("alt_r")
	KeyCapsLock, KeyMulti = Find("caps_lock"), Find("kp_multiply")
	KeyNumLock            = Find("num_lock")
)

// Find returns the key with a name, KeyUnmapped (0) if there is none.
func Find(name string) Key {
	for i := range keys {
		if keys[i].name == name {
			return Key(i)
		}
	}
	return 0
}

// Number returns the key with one of QEMU's numbers, in which a key with a prefix has 0x80 added. There are numbers for any value.
func Number(n int) Key {
	switch n {
	case 0x37:
		return KeyMulti
	case 0xb7:
		return KeySysRq
	}
	if n <= 0 || n > 0xff {
		return KeyUnmapped
	}
	for i := range keys {
		if int(keys[i].number) == n {
			return Key(i)
		}
	}
	return KeyUnmapped
}

func (k Key) row() *key {
	if int(k) >= len(keys) {
		k = 0
	}
	return &keys[k]
}

// String returns the key's name.
func (k Key) String() string { return k.row().name }

// Num is the inverse of Number.
func (k Key) Num() int { return int(k.row().number) }

// Scancode returns the key's code in scan code set 1, 2 or 3, 0 if it has none.
func (k Key) Scancode(set int) uint16 {
	r := k.row()
	switch set {
	case 1:
		return r.set1
	case 2:
		return r.set2
	case 3:
		return r.set3
	}
	return 0
}

// LinuxCodes are Linux's numbers of all keys that have one.
func LinuxCodes() (list []uint16) {
	for i := range keys {
		if keys[i].linux != 0 {
			list = append(list, keys[i].linux)
		}
	}
	return list
}

// Linux returns the key's number in Linux, 0 if it has none.
func (k Key) Linux() uint16 { return k.row().linux }
