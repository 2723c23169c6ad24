package smbios

import "encoding/binary"

// Sizes of the entry points of the 32-bit (2.1 and later) and 64-bit (3.0) kind.
const (
	Entry32Size = 31
	Entry64Size = 24
)

// The version of the specification that the tables follow.
const (
	major, minor = 2, 8
	bcdVersion   = major<<4 | minor
)

// Entry is the entry point, of 32 or 64 bits, of tables that a firmware will put somewhere: it has no checksums yet.
func (t *Tables) Entry(wide bool) []byte {
	if wide {
		b := t.Entry64(0)
		b[sum64] = 0
		return b
	}
	b := t.Entry32(0)
	b[sum32], b[sumDMI] = 0, 0
	return b
}

// Where the checksums are.
const (
	sum32, sumDMI = 4, 21
	sum64         = 5
)

// Entry32 is the entry point of tables at addr.
func (t *Tables) Entry32(addr uint32) []byte {
	le := binary.LittleEndian
	b := make([]byte, Entry32Size)
	copy(b, "_SM_")
	b[5], b[6], b[7] = Entry32Size, major, minor
	le.PutUint16(b[8:], uint16(t.Largest))
	copy(b[16:], "_DMI_")
	le.PutUint16(b[22:], uint16(len(t.Data)))
	le.PutUint32(b[24:], addr)
	le.PutUint16(b[28:], uint16(t.Count))
	b[30] = bcdVersion
	b[sumDMI] = checksum(b[16:])
	b[sum32] = checksum(b)
	return b
}

// Entry64 is the 64-bit entry point of tables at addr.
func (t *Tables) Entry64(addr uint64) []byte {
	b := make([]byte, Entry64Size)
	copy(b, "_SM3_")
	b[6], b[7], b[10] = Entry64Size, 3, 1
	binary.LittleEndian.PutUint32(b[12:], uint32(len(t.Data)))
	binary.LittleEndian.PutUint64(b[16:], addr)
	b[sum64] = checksum(b)
	return b
}

// checksum is the byte that makes the sum zero.
func checksum(b []byte) byte {
	s := byte(0)
	for _, c := range b {
		s += c
	}
	return -s
}
