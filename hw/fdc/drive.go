package fdc

import (
	"context"

	"goemu/block"
)

// track and sector limits of a drive without medium, which lets the guest move the head anywhere.
const emptyLimit = 0xff

// drive is a place for a drive at the controller: the state that a drive there has.
type drive struct {
	ctl     *Controller
	backend *block.Backend // nil if there is no drive

	kind          DriveType
	perpendicular uint8
	// Where the head is.
	head, track, sector uint8
	// The medium.
	twoSided              bool
	lastSector, lastTrack uint8
	readOnly              bool
	changed               uint8 // since the head was last moved
	rate                  uint8
	known                 bool // the format was looked for
}

// clear is the state without medium.
func (d *drive) clear() {
	d.perpendicular, d.lastSector, d.lastTrack, d.readOnly, d.changed = 0, 0, 0, true, 1
}

// there tells whether there is a drive, inserted whether it has a medium.
func (d *drive) there() bool { return d.backend != nil }

func (d *drive) inserted() bool { return d.there() && d.backend.Node() != nil }

func (d *drive) sides() int {
	if d.twoSided {
		return 2
	}
	return 1
}

// index is the number of a sector on the medium.
func (d *drive) index(head, track, sector uint8) int {
	return (int(track)*d.sides()+int(head))*int(d.lastSector) + int(sector) - 1
}

// offset is where the sector under the head lies in the image. It is negative for sector 0, which no medium has.
func (d *drive) offset() int64 { return int64(d.index(d.head, d.track, d.sector)) * sectorSize }

// read reads the sector under the head; where the medium has none it is zero.
func (d *drive) read(p []byte) {
	if !d.inserted() || d.offset() < 0 || d.backend.Read(context.Background(), d.offset(), p[:sectorSize]) != nil {
		clear(p[:sectorSize])
	}
}

// write writes the sector under the head and tells whether that went well.
func (d *drive) write(p []byte) bool {
	return d.inserted() && d.offset() >= 0 && d.backend.Write(context.Background(), d.offset(), p[:sectorSize], 0) == nil
}

// seekResult is what comes of moving the head.
type seekResult uint8

const (
	seekSame seekResult = iota
	seekMoved
	seekNoTrack // or no medium
	seekNoSector
)

// seek moves the head to a sector.
func (d *drive) seek(head, track, sector uint8) seekResult {
	switch {
	case track > d.lastTrack || head != 0 && !d.twoSided:
		return seekNoTrack
	case sector > d.lastSector:
		return seekNoSector
	}
	r := seekSame
	if d.index(head, track, sector) != d.index(d.head, d.track, d.sector) {
		d.head = head
		if d.track != track {
			if d.inserted() {
				d.changed = 0
			}
			r = seekMoved
		}
		d.track, d.sector = track, sector
	}
	if !d.inserted() {
		return seekNoTrack
	}
	return r
}

// recalibrate moves the head to the first sector.
func (d *drive) recalibrate() { d.seek(0, 0, 1) }

// identify looks for the format of the medium and takes over its geometry. A drive of an unknown kind becomes one for the medium.
func (d *drive) identify() {
	var f *format
	if d.inserted() && d.kind != DriveNone {
		n, err := d.backend.Length(context.Background())
		if err != nil {
			n = 0
		}
		f = find(d.kind, d.ctl.Fallback, n/sectorSize)
	}
	if f != nil {
		d.twoSided, d.lastTrack, d.lastSector, d.rate = f.sides > 1, f.tracks, f.sectors, f.rate
		d.known = true
	}
	switch {
	case d.kind != DriveAuto:
	case f != nil:
		d.kind = f.drive
	default:
		d.kind = d.ctl.Fallback
	}
}

// revalidate looks at what is in the drive now.
func (d *drive) revalidate() {
	if !d.there() {
		d.lastSector, d.lastTrack, d.twoSided, d.kind = 0, 0, false, DriveNone
		return
	}
	d.readOnly = d.backend.ReadOnly()
	switch {
	case !d.inserted():
		d.lastSector, d.lastTrack = emptyLimit, emptyLimit
	case !d.known:
		d.identify()
	}
}
