package vmdk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// The kinds of disks (createType) that can be made.
const (
	kindSparse      = "monolithicSparse"
	kindFlat        = "monolithicFlat"
	kindSplitSparse = "twoGbMaxExtentSparse"
	kindSplitFlat   = "twoGbMaxExtentFlat"
	kindStream      = "streamOptimized"
)

// splitSize is the size of the parts of disks that are split, in bytes.
const splitSize = 1 << 31

// The geometry in the descriptor.
const (
	sectorsPerTrack = 63
	headsIDE        = 16
	headsSCSI       = 255
)

// Names of options.
const (
	optSize       = "size"
	optAdapter    = "adapter_type"
	optBacking    = "backing_file"
	optBackingFmt = "backing_fmt"
	optCompat6    = "compat6"
	optHWVersion  = "hwversion"
	optTools      = "toolsversion"
	optSubformat  = "subformat"
	optZeroed     = "zeroed_grain"
	undefined     = "undefined"
)

var createOptions = []block.Option{
	{Name: optSize, Type: block.OptSize, Help: "Virtual disk size"},
	{Name: optAdapter, Help: "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX"},
	{Name: optBacking, Help: "File name of a base image"},
	{Name: optBackingFmt, Help: "Must be 'vmdk' if present"},
	{Name: optCompat6, Type: block.OptBool, Help: "VMDK version 6 image", Default: "off"},
	{Name: optHWVersion, Help: "VMDK hardware version", Default: undefined},
	{Name: optTools, Help: "VMware guest tools version"},
	{Name: optSubformat, Help: "VMDK flat extent format, can be one of {monolithicSparse (default) | monolithicFlat | twoGbMaxExtentSparse | " +
		"twoGbMaxExtentFlat | streamOptimized} "},
	{Name: optZeroed, Type: block.OptBool, Help: "Enable efficient zero writes using the zeroed-grain GTE feature"},
}

// creation is what a disk is made from.
type creation struct {
	size                      int64
	kind, adapter             string
	backing, hwVersion, tools string
	zeroed                    bool

	// part makes or finds the file of the descriptor (number 0) or of an extent. A nil node means that there is none.
	part func(i int) (*block.Node, error)
}

func newCID() uint32 { return rand.Uint32() }

// take takes the options that both ways to make a disk have; dash is how words in names are joined.
func (c *creation) take(o *block.Options, dash string) (err error) {
	name := func(n string) string { return strings.ReplaceAll(n, "_", dash) }
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	choice := func(option, def string, values ...string) string {
		v, ok := o.TakeString(option)
		if !ok {
			return def
		}
		for _, known := range values {
			if v == known {
				return v
			}
		}
		keep(block.Errorf(unix.EINVAL, "invalid parameter value: %s", v))
		return def
	}
	c.backing, _ = o.TakeString(name(optBacking))
	c.hwVersion, _ = o.TakeString(optHWVersion)
	c.tools, _ = o.TakeString(optTools)
	var bad error
	c.zeroed, bad = o.TakeBool(name(optZeroed), false)
	keep(bad)
	c.adapter = choice(name(optAdapter), "ide", "ide", "buslogic", "lsilogic", "legacyESX")
	c.kind = choice(optSubformat, kindSparse, kindSparse, kindFlat, kindSplitSparse, kindSplitFlat, kindStream)
	return err
}

// create is Driver.Create.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) error {
	c := creation{size: roundUp(r.Size, sectorSize)}
	o := r.Options
	if format, ok := o.TakeString(optBackingFmt); ok && format != "vmdk" {
		return block.Errorf(unix.EINVAL, "backing_file must be a vmdk image")
	}
	if r.Filename == "" {
		return block.Errorf(unix.EINVAL, "No filename provided")
	}
	old, err := o.TakeBool(optCompat6, false)
	if err != nil {
		return err
	}
	o.Delete(optSize)
	if err := c.take(o, "_"); err != nil {
		return err
	}
	if c.hwVersion == undefined {
		c.hwVersion = ""
	}
	if old {
		if c.hwVersion != "" {
			return block.Errorf(unix.EINVAL, "compat6 cannot be enabled with hwversion set")
		}
		c.hwVersion = "6"
	}
	c.part = func(i int) (*block.Node, error) {
		if i > c.parts() {
			return nil, nil
		}
		name := c.partName(r.Filename, i)
		if err := g.CreateFile(ctx, name, 0, o); err != nil {
			return nil, err
		}
		return g.OpenProtocol(ctx, name, nil, block.Mode{})
	}
	return c.write(ctx, g)
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) error {
	if size%sectorSize != 0 {
		return block.Errorf(unix.EINVAL, "Image size must be a multiple of 512 bytes")
	}
	c := creation{size: size}
	if err := c.take(o, "-"); err != nil {
		return err
	}
	file := o.TakeReference("file")
	var extents []*block.Options
	for i := 0; ; i++ {
		e := o.TakeReference(fmt.Sprintf("extents.%d", i))
		if e.Len() == 0 {
			break
		}
		extents = append(extents, e)
	}
	c.part = func(i int) (*block.Node, error) {
		switch {
		case i == 0:
			return g.OpenReference(ctx, file)
		case i <= len(extents):
			return g.OpenReference(ctx, extents[i-1])
		case i > c.parts():
			return nil, nil
		}
		return nil, block.Errorf(unix.EINVAL, "Extent [%d] not specified", i-1)
	}
	return c.write(ctx, g)
}

func (c *creation) flat() bool { return c.kind == kindFlat || c.kind == kindSplitFlat }

func (c *creation) split() bool { return c.kind == kindSplitSparse || c.kind == kindSplitFlat }

// embedded tells whether the file with the disk has the descriptor in it.
func (c *creation) embedded() bool { return !c.flat() && !c.split() }

// parts is the number of files besides the first one.
func (c *creation) parts() int {
	switch {
	case c.embedded() || c.size == 0:
		return 0
	case c.split():
		return int((c.size + splitSize - 1) / splitSize)
	}
	return 1
}

// partName is the name of a file of the disk.
func (c *creation) partName(filename string, i int) string {
	if i == 0 {
		return filename
	}
	at := strings.LastIndexByte(filename, '/')
	for _, sep := range []byte{'\\', ':'} {
		if at < 0 {
			at = strings.LastIndexByte(filename, sep)
		}
	}
	dir, base := filename[:at+1], filename[at+1:]
	dot := strings.LastIndexByte(base, '.')
	if dot < 0 {
		dot = len(base)
	}
	part := "-flat"
	switch c.kind {
	case kindSplitFlat:
		part = fmt.Sprintf("-f%03d", i)
	case kindSplitSparse:
		part = fmt.Sprintf("-s%03d", i)
	}
	return dir + base[:dot] + part + base[dot:]
}

// write makes all files.
func (c *creation) write(ctx context.Context, g *block.Graph) error {
	d := description{cid: newCID(), parentCID: noParentCID, kind: c.kind, parent: c.backing, hwVersion: c.hwVersion, toolsVersion: c.tools,
		adapter: c.adapter, heads: headsSCSI}
	if d.hwVersion == "" {
		d.hwVersion = "4"
	}
	if d.toolsVersion == "" {
		d.toolsVersion = "2147483647"
	}
	if c.adapter == "ide" {
		d.heads = headsIDE
	}
	d.cylinders = c.size / (sectorsPerTrack * d.heads * sectorSize)
	switch {
	case c.flat() && c.backing != "":
		return block.Errorf(unix.ENOTSUP, "Flat image can't have backing file")
	case c.flat() && c.zeroed:
		return block.Errorf(unix.ENOTSUP, "Flat image can't enable zeroed grain")
	}
	first, name, err := c.file(ctx, g, 0)
	if err != nil {
		return err
	}
	defer first.Delete()
	kind := extentSparse
	if c.flat() {
		kind = extentFlat
	}
	if c.embedded() {
		if err := c.fill(ctx, first, c.size); err != nil {
			return err
		}
		d.extents = []extentLine{{sectors: c.size / sectorSize, kind: kind, file: filepath.Base(name)}}
	}
	if c.backing != "" {
		if d.parentCID, err = parentCID(ctx, g, name, c.backing); err != nil {
			return err
		}
	}
	for i, left := 1, c.size; i <= c.parts(); i++ {
		n := left
		if c.split() {
			n = min(n, splitSize)
		}
		left -= n
		name, err := c.writePart(ctx, g, i, n)
		if err != nil {
			return err
		}
		d.extents = append(d.extents, extentLine{sectors: n / sectorSize, kind: kind, file: filepath.Base(name)})
	}
	if more, err := c.part(c.parts() + 1); err != nil || more != nil {
		if err == nil {
			g.Unref(more)
		}
		return block.Errorf(unix.EINVAL, "List of extents contains unused extents")
	}
	return c.describe(ctx, first, d.String())
}

// file opens a file of the disk for writing, and tells its name.
func (c *creation) file(ctx context.Context, g *block.Graph, i int) (*block.Backend, string, error) {
	n, err := c.part(i)
	if err != nil {
		return nil, "", err
	}
	defer g.Unref(n)
	b := g.NewBackend("", "", block.PermConsistentRead|block.PermWrite|block.PermResize, block.PermAll)
	if err := b.Insert(n); err != nil {
		b.Delete()
		return nil, "", err
	}
	b.AllowBeyondEOF(true)
	n.RefreshFilename()
	return b, n.Filename(), nil
}

func (c *creation) writePart(ctx context.Context, g *block.Graph, i int, n int64) (string, error) {
	b, name, err := c.file(ctx, g, i)
	if err != nil {
		return "", err
	}
	defer b.Delete()
	return name, c.fill(ctx, b, n)
}

// describe writes the descriptor.
func (c *creation) describe(ctx context.Context, b *block.Backend, desc string) error {
	at := int64(0)
	if c.embedded() {
		at = embeddedAt
	}
	if err := b.Write(ctx, at, []byte(desc), 0); err != nil {
		return block.Errnof(block.Errno(err), "Could not write description")
	}
	if c.embedded() {
		return nil
	}
	return b.Truncate(ctx, int64(len(desc)), false, block.PreallocOff, false) // without what pads the write to whole sectors
}

// parentCID reads what the descriptor needs of the backing file.
func parentCID(ctx context.Context, g *block.Graph, name, backing string) (uint32, error) {
	full, err := block.FullBackingFilename(name, backing)
	if err != nil {
		return 0, &block.Error{Errno: unix.ENOENT, Text: err.Error()}
	}
	n, err := g.Open(ctx, full, block.NewOptions(), block.Mode{ReadOnly: true, NoBacking: true})
	if err != nil {
		return 0, err
	}
	defer g.Unref(n)
	im, ok := n.State().(*image)
	if !ok {
		return 0, block.Errorf(unix.EINVAL, "Invalid backing file format: %s. Must be vmdk", n.DriverName())
	}
	return im.cid, nil
}

// fill makes a file an extent of n bytes: with tables that name no grain, or just long enough.
func (c *creation) fill(ctx context.Context, b *block.Backend, n int64) error {
	if c.flat() {
		return b.Truncate(ctx, n, false, block.PreallocOff, false)
	}
	grains := (n/sectorSize + grainCreated - 1) / grainCreated
	const tableSectors = tableLenCreated * 4 / sectorSize
	tables := (grains + tableLenCreated - 1) / tableLenCreated
	directory := (tables*4 + sectorSize - 1) / sectorSize
	redundant := int64(1 + descSectorsCreate)
	dir := redundant + directory + tables*tableSectors
	overhead := roundUp(dir+directory+tables*tableSectors, grainCreated)
	if err := b.Write(ctx, 0, c.header(n, redundant, dir, overhead), 0); err != nil {
		return block.Errorf(block.Errno(err), "An IO error has occurred")
	}
	if err := b.Truncate(ctx, overhead*sectorSize, false, block.PreallocOff, false); err != nil {
		return err
	}
	for _, at := range []int64{redundant, dir} {
		d := make([]byte, directory*sectorSize)
		for i := range tables {
			le.PutUint32(d[i*4:], uint32(at+directory+i*tableSectors))
		}
		if len(d) == 0 {
			continue
		}
		if err := b.Write(ctx, at*sectorSize, d, 0); err != nil {
			return block.Errorf(block.Errno(err), "An IO error has occurred")
		}
	}
	return nil
}

// header makes the header of an extent of n bytes; the places are in sectors.
func (c *creation) header(n, redundant, dir, overhead int64) []byte {
	h := make([]byte, headerLen)
	copy(h, magicKDMV)
	version, flags := uint32(1), uint32(flagRedundant|flagNewlines)
	if c.zeroed {
		version = 2
		flags |= flagZeroGrain
	}
	if c.kind == kindStream {
		version = 3
		flags |= flagCompressed | flagMarkers
		le.PutUint16(h[hdrCompression:], compressDeflate)
	}
	le.PutUint32(h[hdrVersion:], version)
	le.PutUint32(h[hdrFlags:], flags)
	le.PutUint32(h[hdrTableLen:], tableLenCreated)
	for _, f := range []struct {
		at int
		v  int64
	}{
		{hdrCapacity, n / sectorSize}, {hdrGrain, grainCreated}, {hdrDescriptor, 1}, {hdrDescLen, descSectorsCreate}, {hdrRedundant, redundant},
		{hdrDirectory, dir}, {hdrOverhead, overhead},
	} {
		le.PutUint64(h[f.at:], uint64(f.v))
	}
	copy(h[hdrNewlines:], "\n \r\n")
	return h
}
