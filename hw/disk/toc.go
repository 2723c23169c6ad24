package disk

import "encoding/binary"

// Frames of a compact disc: 75 a second, and two seconds before the first sector.
const (
	framesPerSecond  = 75
	secondsPerMinute = 60
	leadIn           = 2 * framesPerSecond
)

// MSF is a sector's address in minutes, seconds and frames.
func MSF(lba uint32) [3]byte {
	lba += leadIn
	return [3]byte{uint8(lba / framesPerSecond / secondsPerMinute), uint8(lba / framesPerSecond % secondsPerMinute), uint8(lba % framesPerSecond)}
}

func tocAddress(lba uint32, msf bool) []byte {
	if msf {
		m := MSF(lba)
		return append([]byte{0}, m[:]...)
	}
	return binary.BigEndian.AppendUint32(nil, lba)
}

// Tracks and control fields of a table of contents.
const (
	trackLeadOut            = 0xaa
	tocData, tocDataLeadOut = 0x14, 0x16
)

// TOC is the table of contents (MMC-5, §6.26, format 0) of a disc with one data track of sectors blocks; ok is false if start is no track.
func TOC(sectors uint32, msf bool, start uint8) (b []byte, ok bool) {
	if start > 1 && start != trackLeadOut {
		return nil, false
	}
	b = []byte{0, 0, 1, 1}
	if start <= 1 {
		b = append(append(b, 0, tocData, 1, 0), tocAddress(0, msf)...)
	}
	b = append(append(b, 0, tocDataLeadOut, trackLeadOut, 0), tocAddress(sectors, msf)...)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b, true
}

// RawTOC is the raw table of contents (format 2) of such a disc.
func RawTOC(sectors uint32, msf bool) []byte {
	b := []byte{0, 0, 1, 1}
	entry := func(point uint8, address ...byte) {
		b = append(append(b, 1, tocData, 0, point, 0, 0, 0), address...)
	}
	entry(0xa0, 0, 1, 0, 0)
	entry(0xa1, 0, 1, 0, 0)
	entry(0xa2, tocAddress(sectors, msf)...)
	entry(1, tocAddress(0, msf)...)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}
