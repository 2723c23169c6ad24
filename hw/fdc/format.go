package fdc

import (
	"errors"
	"slices"
)

// DriveType is a kind of drive, and of the media made for it, in the order of the option drive-type.
type DriveType uint8

// The kinds: 3.5 inches with 1.44 and 2.88 MB, 5.25 inches with 1.2 MB.
const (
	Drive144 DriveType = iota
	Drive288
	Drive120
	DriveNone
	DriveAuto
)

var driveTypeNames = [...]string{"144", "288", "120", "none", "auto"}

// String is the kind's name.
func (t DriveType) String() string { return driveTypeNames[t] }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *DriveType) UnmarshalText(text []byte) error {
	i := slices.Index(driveTypeNames[:], string(text))
	if i < 0 {
		return errors.New("unknown drive type")
	}
	*t = DriveType(i)
	return nil
}

// PropertyType implements qdev.TypeNamer.
func (DriveType) PropertyType() string { return "FdcDriveType" }

// CMOS is the number of the kind in a PC's CMOS memory and in the ACPI tables.
func (t DriveType) CMOS() uint8 {
	return [...]uint8{Drive144: 4, Drive288: 5, Drive120: 2, DriveNone: 0, DriveAuto: 0}[t]
}

// small tells whether the kind takes media of 3.5 inches.
func (t DriveType) small() bool { return t == Drive144 || t == Drive288 }

// Data rates, as the controller is told them.
const (
	rate500, rate300, rate250, rate1000 = 0, 1, 2, 3
)

// format is a way to write a medium.
type format struct {
	drive           DriveType
	sectors, tracks uint8
	sides           uint8
	rate            uint8
}

// length is the number of sectors on a medium.
func (f *format) length() int64 { return int64(f.sides) * int64(f.tracks) * int64(f.sectors) }

// formats are the ways there are. Earlier rows win over later ones with the same number of sectors.
var formats = [...]format{
	{Drive144, 18, 80, 2, rate500}, {Drive144, 20, 80, 2, rate500}, {Drive144, 21, 80, 2, rate500}, {Drive144, 21, 82, 2, rate500},
	{Drive144, 21, 83, 2, rate500}, {Drive144, 22, 80, 2, rate500}, {Drive144, 23, 80, 2, rate500}, {Drive144, 24, 80, 2, rate500},

	{Drive288, 36, 80, 2, rate1000}, {Drive288, 39, 80, 2, rate1000}, {Drive288, 40, 80, 2, rate1000}, {Drive288, 44, 80, 2, rate1000},
	{Drive288, 48, 80, 2, rate1000},

	{Drive144, 9, 80, 2, rate250}, {Drive144, 10, 80, 2, rate250}, {Drive144, 10, 82, 2, rate250}, {Drive144, 10, 83, 2, rate250},
	{Drive144, 13, 80, 2, rate250}, {Drive144, 14, 80, 2, rate250},

	{Drive120, 15, 80, 2, rate500}, {Drive120, 18, 80, 2, rate500}, {Drive120, 18, 82, 2, rate500}, {Drive120, 18, 83, 2, rate500},
	{Drive120, 20, 80, 2, rate500},

	{Drive120, 9, 80, 2, rate250}, {Drive120, 11, 80, 2, rate250},

	{Drive120, 9, 40, 2, rate300}, {Drive120, 9, 40, 1, rate300}, {Drive120, 10, 41, 2, rate300}, {Drive120, 10, 42, 2, rate300},

	{Drive120, 8, 40, 2, rate250}, {Drive120, 8, 40, 1, rate250},

	{Drive144, 9, 80, 1, rate250}, // after the one of 5.25 inches with as many sectors
}

// find looks for the format of a medium with n sectors in a drive: one made for the drive, else one of the same size in inches, else the
// first one of the drive. A drive of an unknown kind takes any format with n sectors, or the first one of the kind fallback.
func find(t, fallback DriveType, n int64) *format {
	kind := t
	if t == DriveAuto {
		kind = fallback
	}
	var sameSize, sameKind *format
	for i := range formats {
		f := &formats[i]
		switch fits := f.length() == n; {
		case fits && (t == DriveAuto || f.drive == t):
			return f
		case fits && f.drive.small() == t.small() && sameSize == nil:
			sameSize = f
		case !fits && f.drive == kind && sameKind == nil:
			sameKind = f
		}
	}
	if sameSize != nil {
		return sameSize
	}
	return sameKind
}

// Limits are the highest cylinder, head and sector that a kind of drive has.
func (t DriveType) Limits() (cylinder, head, sector uint8) {
	for i := range formats {
		if f := &formats[i]; f.drive == t {
			cylinder, head, sector = max(cylinder, f.tracks), max(head, f.sides-1), max(sector, f.sectors)
		}
	}
	return cylinder - 1, head, sector
}
