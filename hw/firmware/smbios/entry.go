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
	b[21] = checksum(b[16:])
	b[4] = checksum(b)
	return b
}

// Entry64 is the 64-bit entry point of tables at addr.
func (t *Tables) Entry64(addr uint64) []byte {
	b := make([]byte, Entry64Size)
	copy(b, "_SM3_")
	b[6], b[7], b[10] = Entry64Size, 3, 1
	binary.LittleEndian.PutUint32(b[12:], uint32(len(t.Data)))
	binary.LittleEndian.PutUint64(b[16:], addr)
	b[5] = checksum(b)
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
