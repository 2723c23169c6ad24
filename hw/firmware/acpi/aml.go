// Package acpi builds the ACPI tables of the PC machines from a description of the machine. It is pure: bytes out, nothing touched.
// AML is written by small functions, one per construct of the language (ACPI specification 6.4, chapter 20), each returning its
// encoding.
package acpi

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

// AML opcodes.
const (
	opZero, opOne, opName, opBytePrefix, opWordPrefix, opDWordPrefix = 0x00, 0x01, 0x08, 0x0a, 0x0b, 0x0c
	opStringPrefix, opQWordPrefix, opScope, opBuffer, opPackage      = 0x0d, 0x0e, 0x10, 0x11, 0x12
	opMethod, opDualName, opMultiName, opExt                         = 0x14, 0x2e, 0x2f, 0x5b
	opLocal0, opArg0, opStore, opShiftRight, opAnd, opOr             = 0x60, 0x68, 0x70, 0x7a, 0x7b, 0x7d
	opNotify, opCreateDWordField, opLOr, opLEqual, opLGreater        = 0x86, 0x8a, 0x91, 0x93, 0x94
	opIf, opElse, opReturn, opWhile, opBreak                         = 0xa0, 0xa1, 0xa4, 0xa2, 0xa5
	opLNot, opLAnd, opLLess                                          = 0x92, 0x90, 0x95
	opAdd, opSubtract, opIncrement, opShiftLeft                      = 0x72, 0x74, 0x75, 0x79
	opDerefOf, opSizeOf, opIndex, opToBuffer, opToHexString          = 0x83, 0x87, 0x88, 0x96, 0x98
	opToInteger                                                      = 0x99

	extMutex, extAcquire, extRelease, extDebug     = 0x01, 0x23, 0x27, 0x31
	extOpRegion, extField, extDevice, extProcessor = 0x80, 0x81, 0x82, 0x83
)

// Address spaces of an operation region.
const (
	spaceMemory    = 0
	spaceIO        = 1
	spacePCIConfig = 2
)

// Flags of a field: access width, lock rule, update rule.
const (
	fieldByteAcc  = 1
	fieldDWordAcc = 3
	fieldLock     = 1 << 4

	fieldWriteZeroes = 2 << 5
)

const (
	notSerialized = 0
	serialized    = 1 << 3
)

func cat(parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// pkg puts the length that starts a package (ACPI 20.2.4) before the body; the length counts itself.
func pkg(body []byte) []byte {
	n := len(body)
	switch {
	case n+1 < 1<<6:
		return cat([]byte{byte(n + 1)}, body)
	case n+2 < 1<<12:
		n += 2
		return cat([]byte{1<<6 | byte(n&15), byte(n >> 4)}, body)
	case n+3 < 1<<20:
		n += 3
		return cat([]byte{2<<6 | byte(n&15), byte(n >> 4), byte(n >> 12)}, body)
	}
	n += 4
	return cat([]byte{3<<6 | byte(n&15), byte(n >> 4), byte(n >> 12), byte(n >> 20)}, body)
}

// path encodes a name such as \_SB.PCI0; segments are padded to four characters.
func path(name string) []byte {
	var b []byte
	for len(name) > 0 && (name[0] == '\\' || name[0] == '^') {
		b = append(b, name[0])
		name = name[1:]
	}
	if name == "" {
		return append(b, opZero)
	}
	segs := strings.Split(name, ".")
	switch len(segs) {
	case 1:
	case 2:
		b = append(b, opDualName)
	default:
		b = append(b, opMultiName, byte(len(segs)))
	}
	for _, s := range segs {
		b = append(b, s...)
		b = append(b, "____"[len(s):]...)
	}
	return b
}

// num encodes an integer in the shortest form.
func num(v uint64) []byte {
	le := binary.LittleEndian
	switch {
	case v == 0:
		return []byte{opZero}
	case v == 1:
		return []byte{opOne}
	case v < 1<<8:
		return []byte{opBytePrefix, byte(v)}
	case v < 1<<16:
		return le.AppendUint16([]byte{opWordPrefix}, uint16(v))
	case v < 1<<32:
		return le.AppendUint32([]byte{opDWordPrefix}, uint32(v))
	}
	return le.AppendUint64([]byte{opQWordPrefix}, v)
}

func str(s string) []byte { return cat([]byte{opStringPrefix}, []byte(s), []byte{0}) }

// eisaID packs an identifier such as PNP0A03.
func eisaID(id string) []byte {
	v := uint32(id[0]-0x40)<<26 | uint32(id[1]-0x40)<<21 | uint32(id[2]-0x40)<<16
	for i, c := range []byte(id[3:7]) {
		d := uint32(c - '0')
		if c > '9' {
			d = uint32(c-'A') + 10
		}
		v |= d << (12 - 4*i)
	}
	return binary.BigEndian.AppendUint32([]byte{opDWordPrefix}, v)
}

func name(n string, value []byte) []byte { return cat([]byte{opName}, path(n), value) }

func scope(n string, body ...[]byte) []byte {
	return cat([]byte{opScope}, pkg(cat(path(n), cat(body...))))
}

func device(n string, body ...[]byte) []byte {
	return cat([]byte{opExt, extDevice}, pkg(cat(path(n), cat(body...))))
}

// processor declares a processor without a P_BLK.
func processor(n string, id uint8, body ...[]byte) []byte {
	return cat([]byte{opExt, extProcessor}, pkg(cat(path(n), []byte{id, 0, 0, 0, 0, 0}, cat(body...))))
}

func method(n string, args int, flags byte, body ...[]byte) []byte {
	return cat([]byte{opMethod}, pkg(cat(path(n), []byte{byte(args) | flags}, cat(body...))))
}

func buffer(data []byte) []byte { return cat([]byte{opBuffer}, pkg(cat(num(uint64(len(data))), data))) }

func packageOf(elements ...[]byte) []byte {
	return cat([]byte{opPackage}, pkg(cat([]byte{byte(len(elements))}, cat(elements...))))
}

func opRegion(n string, space byte, offset, size uint64) []byte {
	return cat([]byte{opExt, extOpRegion}, path(n), []byte{space}, num(offset), num(size))
}

// fieldUnit is a named run of bits.
type fieldUnit struct {
	name string // empty: skipped bits
	bits int
}

func field(region string, flags byte, units ...fieldUnit) []byte {
	body := cat(path(region), []byte{flags})
	for _, u := range units {
		if u.name == "" {
			body = append(body, 0)
		} else {
			body = append(body, path(u.name)...)
		}
		body = append(body, pkgLength(u.bits)...)
	}
	return cat([]byte{opExt, extField}, pkg(body))
}

// pkgLength encodes a plain length, as fields use it.
func pkgLength(n int) []byte {
	switch {
	case n < 1<<6:
		return []byte{byte(n)}
	case n < 1<<12:
		return []byte{1<<6 | byte(n&15), byte(n >> 4)}
	}
	return []byte{2<<6 | byte(n&15), byte(n >> 4), byte(n >> 12)}
}

func local(n int) []byte { return []byte{opLocal0 + byte(n)} }
func arg(n int) []byte   { return []byte{opArg0 + byte(n)} }

func store(value, target []byte) []byte { return cat([]byte{opStore}, value, target) }
func ret(value []byte) []byte           { return cat([]byte{opReturn}, value) }

// binary operators with a target; nil stores nowhere.
func operator(op byte, a, b, target []byte) []byte {
	if target == nil {
		target = []byte{opZero}
	}
	return cat([]byte{op}, a, b, target)
}

func compare(op byte, a, b []byte) []byte { return cat([]byte{op}, a, b) }

func ifThen(cond []byte, body ...[]byte) []byte {
	return cat([]byte{opIf}, pkg(cat(cond, cat(body...))))
}

func createDWordField(buf, index []byte, n string) []byte {
	return cat([]byte{opCreateDWordField}, buf, index, path(n))
}

func notify(object, value []byte) []byte { return cat([]byte{opNotify}, object, value) }

func orElse(body ...[]byte) []byte { return cat([]byte{opElse}, pkg(cat(body...))) }

func while(cond []byte, body ...[]byte) []byte {
	return cat([]byte{opWhile}, pkg(cat(cond, cat(body...))))
}

func increment(v []byte) []byte { return cat([]byte{opIncrement}, v) }
func derefOf(v []byte) []byte   { return cat([]byte{opDerefOf}, v) }

// index names an element of a package or buffer.
func index(of, n []byte) []byte { return operator(opIndex, of, n, nil) }

func shiftLeft(v, n []byte) []byte { return operator(opShiftLeft, v, n, nil) }

// call calls a method.
func call(method string, args ...[]byte) []byte { return cat(path(method), cat(args...)) }

func mutex(n string) []byte { return cat([]byte{opExt, extMutex}, path(n), []byte{0}) }

// acquire waits for a mutex without limit.
func acquire(n string) []byte { return cat([]byte{opExt, extAcquire}, path(n), []byte{0xff, 0xff}) }

func release(n string) []byte { return cat([]byte{opExt, extRelease}, path(n)) }

// emptyPackage is a package of n elements without values.
func emptyPackage(n byte) []byte { return cat([]byte{opPackage}, pkg([]byte{n})) }

func not(v []byte) []byte { return cat([]byte{opLNot}, v) }

// uuid is the buffer of a UUID in text form: the first three groups are little endian.
func uuid(text string) []byte {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != 16 {
		panic("BUG: UUID " + text)
	}
	for _, at := range [][2]int{{0, 4}, {4, 6}, {6, 8}} {
		slices.Reverse(raw[at[0]:at[1]])
	}
	return buffer(raw)
}
