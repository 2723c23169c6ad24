package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"goemu/block"
	"goemu/block/driver/file"
	"goemu/block/driver/raw"
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

// busTypes are the values of if= with the number of units on each of its buses (0: no buses).
var busTypes = map[string]int{
	"none": 0, "ide": 2, "scsi": 7, "floppy": 0, "pflash": 0, "mtd": 0, "sd": 0, "virtio": 0, "xen": 0,
}

// onlyRaw is the message for an image in a format that goemu recognises but does not have.
const onlyRaw = "image format '%s' is not supported, only raw images are"

// AddDrive opens a disk as -drive says. defaultIF is the machine's bus type for drives without if=.
func (g *Graph) AddDrive(text, defaultIF string) (*Drive, error) {
	opts, err := ParseKeyval(text)
	if err != nil {
		return nil, err
	}
	_, hasFile := opts["file"]
	_, hasName := opts["file.filename"]
	_, hasFormat := opts["format"]
	drv := &Drive{Index: -1}
	if err := drv.takeLegacy(opts, defaultIF); err != nil {
		return nil, err
	}
	if err := g.nameDrive(drv, opts); err != nil {
		return nil, err
	}
	if hasFile || hasName || hasFormat { // otherwise a drive without medium
		if drv.Backend, err = g.openDrive(drv, opts); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drives = append(g.drives, drv)
	return drv, nil
}

// takeLegacy takes the options that describe the drive and not the disk.
func (drv *Drive) takeLegacy(opts Dict, defaultIF string) error {
	drv.IF = opts.takeOr("if", defaultIF)
	units, ok := busTypes[drv.IF]
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

// wellFormedID follows QEMU's rule for identifiers.
func wellFormedID(id string) bool {
	for i, r := range id {
		letter := r < unicode.MaxASCII && unicode.IsLetter(r)
		if i == 0 && !letter || !letter && !strings.ContainsRune("0123456789-._", r) {
			return false
		}
	}
	return id != ""
}

// nameDrive gives the drive its ID and its place on the bus.
func (g *Graph) nameDrive(drv *Drive, opts Dict) error {
	id, given := opts.take("id")
	if given && !wellFormedID(id) {
		return errors.New("Parameter 'id' expects an identifier\nIdentifiers consist of letters, digits, '-', '.', '_', starting with a letter.")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if drv.Index < 0 {
		drv.Index = g.freeIndex(drv.IF)
	} else if g.indexUsed(drv.IF, drv.Index) {
		return fmt.Errorf("drive with bus=%d, unit=%d (index=%d) exists", 0, drv.Index, drv.Index)
	}
	if !given {
		id = drv.defaultID()
	}
	if g.drive(id) != nil {
		return fmt.Errorf("Duplicate ID '%s' for drive", id)
	}
	if g.nodes[id] != nil {
		return fmt.Errorf("Device name '%s' conflicts with an existing node name", id)
	}
	drv.ID = id
	return nil
}

// defaultID is QEMU's name for a drive without one.
func (drv *Drive) defaultID() string {
	units := busTypes[drv.IF]
	if units == 0 {
		return fmt.Sprintf("%s%d", drv.IF, drv.Index)
	}
	kind := map[string]string{"disk": "hd", "cdrom": "cd"}[drv.Media]
	return fmt.Sprintf("%s%d-%s%d", drv.IF, drv.Index/units, kind, drv.Index%units)
}

// freeIndex is the first position on a bus type that no drive has.
// Preconditions: mu is held.
func (g *Graph) freeIndex(bus string) int {
	i := 0
	for g.indexUsed(bus, i) {
		i++
	}
	return i
}

func (g *Graph) indexUsed(bus string, index int) bool {
	return slices.ContainsFunc(g.drives, func(d *Drive) bool { return d.IF == bus && d.Index == index })
}

// driveDisk are the options of -drive that describe the disk.
type driveDisk struct {
	diskOptions
	format   string
	snapshot bool
}

// openDrive opens the disk of a drive.
func (g *Graph) openDrive(drv *Drive, opts Dict) (block.Disk, error) {
	o, err := takeDriveDisk(drv, opts)
	if err != nil {
		return nil, err
	}
	drv.Filename = o.file.Filename
	f, err := file.Open(o.file)
	if err != nil {
		return nil, err
	}
	if o.format == "" {
		if err := g.probe(f, &o); err != nil {
			f.Close()
			return nil, err
		}
	}
	disk, err := raw.New(f, o.raw)
	if err != nil {
		f.Close()
		return nil, err
	}
	if !o.snapshot {
		return disk, nil
	}
	top, err := raw.NewOverlay(disk)
	if err != nil {
		f.Close()
		return nil, err
	}
	return top, nil
}

// takeDriveDisk takes all options; anything left over is an error.
func takeDriveDisk(drv *Drive, opts Dict) (o driveDisk, err error) {
	mode := cacheMode{writeback: true}
	if v, ok := opts.take("cache"); ok {
		if mode, ok = cacheModes[v]; !ok {
			return o, errors.New("invalid cache option")
		}
	}
	if v, ok := opts.take("readonly"); ok {
		opts["read-only"] = v
	}
	if v, ok := opts.take("file"); ok {
		opts["file.filename"] = v
	}
	o.format = opts.takeOr("format", opts.takeOr("driver", ""))
	if o.format != "" && o.format != "raw" {
		return o, fmt.Errorf("Unknown driver '%s'", o.format)
	}
	if o.snapshot, err = opts.takeBool("snapshot", false); err != nil {
		return o, err
	}
	if on, err := opts.takeBool("copy-on-read", false); err != nil {
		return o, err
	} else if on {
		return o, errors.New("copy-on-read is not supported")
	}
	sub := opts.sub("file")
	if o.diskOptions, err = takeDisk(opts, sub, mode, drv.Media == "cdrom" || o.snapshot); err != nil {
		return o, err
	}
	if key, ok := opts.first(); ok {
		return o, fmt.Errorf("Block format 'raw' does not support the option '%s'", key)
	}
	if key, ok := sub.first(); ok {
		return o, fmt.Errorf("Block protocol 'file' doesn't support the option '%s'", key)
	}
	if o.file.Filename == "" {
		return o, errors.New(`A block device must be specified for "file"`)
	}
	return o, nil
}

// probe looks at the beginning of an image whose format nobody named.
func (g *Graph) probe(f *file.File, o *driveDisk) error {
	head := make([]byte, raw.ProbeSize)
	if err := f.ReadV(context.Background(), 0, [][]byte{head}); err != nil {
		return fmt.Errorf("Could not read image for determining its format: %w", err)
	}
	if format := raw.Probe(head); format != "raw" {
		return fmt.Errorf("Could not open '%s': "+onlyRaw, f.Path(), format)
	}
	if o.raw.Probed = !o.raw.ReadOnly; o.raw.Probed && !o.snapshot {
		g.warn("WARNING: Image format was not specified for '%s' and probing guessed raw.\n"+
			"         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n"+
			"         Specify the 'raw' format explicitly to remove the restrictions.", f.Path())
	}
	return nil
}

// PrintWarning writes a warning to standard error as QEMU does: a Graph.Warn for programs.
func PrintWarning(text string) { fmt.Fprintln(os.Stderr, text) }
