package driver

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"goemu/internal/config"
)

// cacheMode is what the cache options of a disk or file mean.
type cacheMode struct {
	writeback, direct, noFlush bool
}

// cacheModes are the values of cache=.
var cacheModes = map[string]cacheMode{
	"none":         {writeback: true, direct: true},
	"off":          {writeback: true, direct: true},
	"directsync":   {direct: true},
	"writeback":    {writeback: true},
	"unsafe":       {writeback: true, noFlush: true},
	"writethrough": {},
}

// busTypes are the values of if= with the number of units on each of its buses (0: no buses) unless the machine has others.
var busTypes = map[string]int{
	"none": 0, "ide": 2, "scsi": 7, "floppy": 0, "pflash": 0, "mtd": 0, "sd": 0, "virtio": 0, "xen": 0,
}

// AddDrive opens a disk as -drive says. defaultIF is the machine's bus type for drives without if=.
func (s *Drives) AddDrive(text, defaultIF string) (*Drive, error) {
	opts, err := ParseKeyval(text)
	if err != nil {
		return nil, err
	}
	drv := &Drive{Text: text, Index: -1}
	if err := drv.takeLegacy(opts, defaultIF, s.units); err != nil {
		return nil, err
	}
	o, err := takeDriveOptions(drv, opts)
	if err != nil {
		return nil, err
	}
	if o.mode.CopyOnRead && o.mode.ReadOnly {
		s.Graph.Warning("disabling copy-on-read on read-only drive")
		o.mode.CopyOnRead = false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Graph.Lock()
	defer s.Graph.Unlock()
	if err := s.nameDrive(drv, opts); err != nil {
		return nil, err
	}
	if err := s.openDrive(drv, o, opts); err != nil {
		return nil, err
	}
	s.drives = append(s.drives, drv)
	return drv, nil
}

// takeLegacy takes the options that describe the drive and not the disk; buses is like busTypes.
func (drv *Drive) takeLegacy(opts Dict, defaultIF string, buses map[string]int) error {
	drv.IF = opts.takeOr("if", defaultIF)
	units, ok := buses[drv.IF]
	if !ok {
		return fmt.Errorf("unsupported bus type '%s'", drv.IF)
	}
	drv.Media = opts.takeOr("media", "disk")
	if drv.Media != "disk" && drv.Media != "cdrom" {
		return fmt.Errorf("'%s' invalid media", drv.Media)
	}
	numbers := map[string]int{}
	for _, key := range []string{"index", "bus", "unit"} {
		if v, ok := opts.take(key); ok {
			n, err := strconv.ParseUint(v, 0, 31)
			if err != nil {
				return fmt.Errorf("Parameter '%s' expects a number", key)
			}
			numbers[key] = int(n)
		}
	}
	index, hasIndex := numbers["index"]
	unit, hasUnit := numbers["unit"]
	bus, hasBus := numbers["bus"]
	switch {
	case hasIndex && (hasUnit || hasBus):
		return errors.New("index cannot be used with bus and unit")
	case hasIndex:
		drv.Index = index
	case units > 0 && unit >= units:
		return fmt.Errorf("unit %d too big (max is %d)", unit, units-1)
	case hasUnit || hasBus:
		drv.Index = bus*max(units, 1) + unit
	}
	return drv.takeErrorActions(opts)
}

// errorActions are the values of werror and rerror.
var errorActions = []string{"ignore", "stop", "report", "enospc"}

func (drv *Drive) takeErrorActions(opts Dict) error {
	drv.WError, drv.RError = opts.takeOr("werror", "auto"), opts.takeOr("rerror", "auto")
	if drv.WError != "auto" && !slices.Contains(errorActions, drv.WError) {
		return fmt.Errorf("'%s' invalid write error action", drv.WError)
	}
	if drv.RError != "auto" && (drv.RError == "enospc" || !slices.Contains(errorActions, drv.RError)) {
		return fmt.Errorf("'%s' invalid read error action", drv.RError)
	}
	return nil
}

// nameDrive gives the drive its ID and its place on the bus.
// Preconditions: mu and the graph lock are held.
func (s *Drives) nameDrive(drv *Drive, opts Dict) error {
	id, given := opts.take("id")
	if given && !config.WellFormedID(id) {
		return errors.New("Parameter 'id' expects an identifier\nIdentifiers consist of letters, digits, '-', '.', '_', starting with a letter.")
	}
	if drv.Index < 0 {
		drv.Index = s.freeIndex(drv.IF)
	} else if s.indexUsed(drv.IF, drv.Index) {
		return fmt.Errorf("drive with bus=%d, unit=%d (index=%d) exists", 0, drv.Index, drv.Index)
	}
	if !given {
		id = drv.defaultID(s.units[drv.IF])
	}
	if s.drive(id) != nil {
		return fmt.Errorf("Duplicate ID '%s' for drive", id)
	}
	if s.Graph.Find(id) != nil {
		return fmt.Errorf("Device name '%s' conflicts with an existing node name", id)
	}
	drv.ID = id
	return nil
}

// defaultID is QEMU's name for a drive without one on a bus with that many units.
func (drv *Drive) defaultID(units int) string {
	if units == 0 {
		return fmt.Sprintf("%s%d", drv.IF, drv.Index)
	}
	kind := map[string]string{"disk": "hd", "cdrom": "cd"}[drv.Media]
	return fmt.Sprintf("%s%d-%s%d", drv.IF, drv.Index/units, kind, drv.Index%units)
}

// freeIndex is the first position on a bus type that no drive has.
// Preconditions: mu is held.
func (s *Drives) freeIndex(bus string) int {
	i := 0
	for s.indexUsed(bus, i) {
		i++
	}
	return i
}

func (s *Drives) indexUsed(bus string, index int) bool {
	return slices.ContainsFunc(s.drives, func(d *Drive) bool { return d.IF == bus && d.Index == index })
}
