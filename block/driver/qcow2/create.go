package qcow2

import (
	"context"
	"errors"
	"math/bits"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// creation is what an image is made from.
type creation struct {
	version                    int
	clusterSize                uint64
	extended, lazy, rawData    bool
	prealloc                   block.Prealloc
	hasBacking, hasBackingFmt  bool
	backing, backingFmt        string
	refBits                    uint64
	compression                uint8
	dataFile                   string
	file, data                 *block.Node
	incompatible, compat, auto uint64
	crypt                      cryptCreation
}

// badEnum is the error for a value that an enumeration does not have.
func badEnum(name, value string) error {
	return block.Errorf(unix.EINVAL, "Parameter '%s' does not accept value '%s'", name, value)
}

// takeCreation takes the options out of o.
func takeCreation(o *block.Options) (c creation, err error) {
	p := optionParser{o: o}
	c.version = 3
	switch v, ok := o.TakeString("compat"); {
	case ok && (v == "0.10" || v == "v2"):
		c.version = 2
	case ok && v != "1.1" && v != "v3":
		p.keep(badEnum("version", v))
	}
	if c.crypt, err = takeCryptCreation(o); err != nil {
		p.keep(err)
	}
	c.clusterSize = or(p.size("cluster_size"), defaultClusterSize)
	c.extended = or(p.bool("extended_l2"), false)
	if v, ok := o.TakeString("preallocation"); ok {
		if c.prealloc, ok = block.ParsePrealloc(v); !ok {
			p.keep(badEnum("preallocation", v))
		}
	}
	if v, ok := o.TakeString("compression_type"); ok && v != compressionNames[compressZlib] {
		if c.compression = compressZstd; v != compressionNames[compressZstd] {
			p.keep(badEnum("compression-type", v))
		}
	}
	c.backing, c.hasBacking = o.TakeString("backing_file")
	c.backingFmt, c.hasBackingFmt = o.TakeString("backing_fmt")
	c.dataFile, _ = o.TakeString("data_file")
	c.rawData = or(p.bool("data_file_raw"), false)
	c.lazy = or(p.bool("lazy_refcounts"), false)
	c.refBits, err = o.TakeUint("refcount_bits", 16)
	p.keep(err)
	o.Delete("size")
	return c, p.err
}

// checkClusterSize validates a cluster size.
func checkClusterSize(size uint64, extended bool) error {
	if size < 1<<minClusterBits || size > 1<<maxClusterBits || size&(size-1) != 0 {
		return block.Errorf(unix.EINVAL, "Cluster size must be a power of two between %d and %dk", 1<<minClusterBits, 1<<(maxClusterBits-10))
	}
	if least := uint64(subPerCluster << minClusterBits); extended && size < least {
		return block.Errorf(unix.EINVAL, "Extended L2 entries are only supported with cluster sizes of at least %d bytes", least)
	}
	return nil
}

// check validates the options together.
func (c *creation) check() error {
	fail := func(text string) error { return block.Errorf(unix.EINVAL, "%s", text) }
	if c.extended && c.version < 3 {
		return fail("Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)")
	}
	if err := checkClusterSize(c.clusterSize, c.extended); err != nil {
		return err
	}
	switch {
	case c.hasBacking && c.prealloc != block.PreallocOff && !c.extended:
		return fail("Backing file and preallocation can only be used at the same time if extended_l2 is on")
	case c.hasBackingFmt && !c.hasBacking:
		return fail("Backing format cannot be used without backing file")
	case c.lazy && c.version < 3:
		return fail("Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)")
	case c.refBits == 0 || c.refBits > 64 || c.refBits&(c.refBits-1) != 0:
		return fail("Refcount width must be a power of two and may not exceed 64 bits")
	case c.refBits != 16 && c.version < 3:
		return fail("Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)")
	case c.rawData && c.dataFile == "":
		return fail("data-file-raw requires data-file")
	case c.rawData && c.hasBacking:
		return fail("Backing file and data-file-raw cannot be used at the same time")
	case c.dataFile != "" && c.version < 3:
		return fail("External data files are only supported with compatibility level 1.1 and above (use version=v3 or greater)")
	case c.compression != compressZlib && c.version < 3:
		return fail("Non-zlib compression type is only supported with compatibility level 1.1 and above (use version=v3 or greater)")
	}
	if c.rawData && c.prealloc == block.PreallocOff {
		c.prealloc = block.PreallocMetadata
	}
	return nil
}

// features sets the feature bits.
func (c *creation) features() {
	set := func(to *uint64, bit uint64, on bool) {
		if on {
			*to |= bit
		}
	}
	set(&c.compat, compLazyRefcounts, c.lazy)
	set(&c.incompatible, incDataFile, c.dataFile != "")
	set(&c.incompatible, incCompression, c.compression != compressZlib)
	set(&c.incompatible, incExtL2, c.extended)
	set(&c.auto, autoDataFileRaw, c.rawData)
}

// create is Driver.Create: a header, a refcount table with one block, and everything else by opening the image and making it larger.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) error {
	c, err := takeCreation(r.Options)
	if err != nil {
		return err
	}
	size := (r.Size + sectorSize - 1) &^ (sectorSize - 1)
	if c.file, err = g.OpenCreated(ctx, r); err != nil {
		return err
	}
	defer g.Unref(c.file)
	if c.dataFile != "" {
		if err := g.CreateFile(ctx, c.dataFile, 0, r.Options); err != nil {
			return c.remove(ctx, err)
		}
		if c.data, err = g.OpenProtocol(ctx, c.dataFile, nil, block.Mode{}); err != nil {
			return c.remove(ctx, err)
		}
		defer g.Unref(c.data)
	}
	if err = c.check(); err == nil {
		c.features()
		if err = c.writeFirst(ctx, g); err == nil {
			err = c.complete(ctx, g, size)
		}
	}
	if err != nil {
		return c.remove(ctx, err)
	}
	return nil
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) (err error) {
	if size%sectorSize != 0 {
		return block.Errorf(unix.EINVAL, "Image size must be a multiple of %d bytes", sectorSize)
	}
	var c creation
	file, data := o.TakeReference("file"), o.TakeReference("data-file")
	if c, err = takeCreation(legacyNames(o)); err != nil {
		return err
	}
	if c.file, err = g.OpenReference(ctx, file); err != nil {
		return err
	}
	defer g.Unref(c.file)
	if data.Len() > 0 {
		if c.data, err = g.OpenReference(ctx, data); err != nil {
			return err
		}
		defer g.Unref(c.data)
		c.dataFile = c.data.Filename()
	}
	if err := c.check(); err != nil {
		return err
	}
	c.features()
	if err := c.writeFirst(ctx, g); err != nil {
		return err
	}
	return c.complete(ctx, g, size)
}

// legacyNames turns the names of options in QMP into those of "create -o".
func legacyNames(o *block.Options) *block.Options {
	out := block.NewOptions()
	for _, name := range o.Names() {
		v, _ := o.Get(name)
		switch {
		case name == "version":
			name = "compat"
		case !strings.HasPrefix(name, cryptPrefix):
			name = strings.ReplaceAll(name, "-", "_")
		}
		out.Set(name, v)
	}
	return out
}

// remove deletes what a failed creation leaves.
func (c *creation) remove(ctx context.Context, err error) error {
	for _, n := range []*block.Node{c.file, c.data} {
		if n == nil {
			continue
		}
		if d, ok := n.State().(block.Deleter); ok {
			d.DeleteFile(ctx)
		}
	}
	return err
}

// writeFirst writes the first three clusters.
func (c *creation) writeFirst(ctx context.Context, g *block.Graph) error {
	b := g.NewBackend("", "", block.PermWrite|block.PermResize, block.PermAll)
	defer b.Delete()
	if err := b.Insert(c.file); err != nil {
		return err
	}
	n := int64(c.clusterSize)
	length, err := b.Length(ctx)
	if err == nil && length < 3*n {
		err = b.Truncate(ctx, 3*n, false, block.PreallocOff, false)
	}
	if err != nil {
		return block.Errnof(block.Errno(err), "Could not write qcow2 header")
	}
	h := make([]byte, n)
	be.PutUint32(h[hdrMagic:], magic)
	be.PutUint32(h[hdrVersion:], uint32(c.version))
	be.PutUint32(h[hdrClusterBits:], uint32(bits.TrailingZeros64(c.clusterSize)))
	be.PutUint64(h[hdrRefTableOffset:], uint64(n))
	be.PutUint32(h[hdrRefTableClusters:], 1)
	be.PutUint64(h[hdrIncompatible:], c.incompatible)
	be.PutUint64(h[hdrCompatible:], c.compat)
	be.PutUint64(h[hdrAutoclear:], c.auto)
	be.PutUint32(h[hdrRefcountOrder:], uint32(bits.TrailingZeros64(c.refBits)))
	be.PutUint32(h[hdrLength:], headerLen)
	h[hdrCompression] = c.compression
	if err := b.Write(ctx, 0, h, 0); err != nil {
		return block.Errnof(block.Errno(err), "Could not write qcow2 header")
	}
	t := make([]byte, 2*n)
	be.PutUint64(t, uint64(2*n))
	if err := b.Write(ctx, n, t, 0); err != nil {
		return block.Errnof(block.Errno(err), "Could not write refcount table")
	}
	return nil
}

// complete opens the new image and gives it its size and backing file.
func (c *creation) complete(ctx context.Context, g *block.Graph, size int64) error {
	o := block.OptionsOf("driver", "qcow2", "file", c.file.Name())
	if c.data != nil {
		o.Set("data-file", c.data.Name())
	}
	n, err := g.Open(ctx, "", o, block.Mode{NoFlush: true})
	if err != nil {
		return err
	}
	b := g.NewBackend("", "", block.PermWrite|block.PermResize, block.PermAll)
	defer b.Delete()
	err = b.Insert(n)
	g.Unref(n)
	if err != nil {
		return err
	}
	im := n.State().(*image)
	im.mu.Lock()
	off, err := im.allocClusters(3 * im.clusterSize)
	if err == nil && off != 0 {
		err = unix.EIO
	}
	if err != nil {
		im.mu.Unlock()
		return block.Errnof(block.Errno(err), "Could not allocate clusters for qcow2 header and refcount table")
	}
	if c.data != nil {
		im.dataFileName = c.data.Filename()
	}
	err = im.writeHeader()
	im.mu.Unlock()
	if err != nil {
		return block.Errnof(block.Errno(err), "Could not update qcow2 header")
	}
	im.mu.Lock()
	err = c.crypt.setUp(ctx, im)
	im.mu.Unlock()
	if err != nil {
		return err
	}
	if err := n.RefreshLimits(); err != nil {
		return err
	}
	if err := b.Truncate(ctx, size, false, c.prealloc, false); err != nil {
		var text *block.Error
		if !errors.As(err, &text) {
			err = block.Errorf(block.Errno(err), "%s", block.Strerror(block.Errno(err)))
		}
		return block.Prepend(err, "Could not resize image: ")
	}
	if c.hasBacking {
		if err := im.ChangeBacking(ctx, c.backing, c.backingFmt); err != nil {
			return block.Errnof(block.Errno(err), "Could not assign backing file '%s' with format '%s'", c.backing, c.backingFmt)
		}
	}
	return nil
}

// setBacking writes the names of the backing file into the header.
func (im *image) setBacking(filename, format string) error {
	if filename != "" && (im.rawDataFile() || len(filename) > maxBackingName) {
		return unix.EINVAL
	}
	oldName, oldFormat := im.backingName, im.backingFormat
	im.backingName, im.backingFormat = filename, format
	if err := im.writeHeader(); err != nil {
		im.backingName, im.backingFormat = oldName, oldFormat
		return err
	}
	return nil
}

// measure is Driver.Measure.
func measure(ctx context.Context, g *block.Graph, o *block.Options, in *block.Node) (m block.MeasureInfo, err error) {
	size, _ := o.TakeSize("size", 0)
	c, err := takeMeasured(o)
	if err != nil {
		return m, err
	}
	cluster := int64(c.clusterSize)
	entry := int64(8)
	if c.extended {
		entry = 16
	}
	round := func(n int64) int64 { return (n + cluster - 1) &^ (cluster - 1) }
	if size > 1<<63-1<<22 {
		return m, block.Errorf(unix.EINVAL, "The image size is too large (try using a larger cluster size)")
	}
	virtual := round(int64(size))
	tables := (virtual/cluster + cluster/entry - 1) / (cluster / entry)
	if tables*l1EntrySize > maxL1Size {
		return m, block.Errorf(unix.EINVAL, "The image size is too large (try using a larger cluster size)")
	}
	var required int64
	if in != nil {
		length, err := in.Length(ctx)
		if err != nil {
			return m, block.Errnof(block.Errno(err), "Unable to get image virtual_size")
		}
		virtual = round(length)
		if c.hasBacking {
			required = virtual
		} else if required, err = dataIn(ctx, in, length, cluster); err != nil {
			return m, block.Errnof(block.Errno(err), "Unable to get block status")
		}
		if im, ok := in.State().(*image); ok && c.version >= 3 && im.version >= 3 {
			m.HasBitmaps, m.Bitmaps = true, bitmapsSize(in, cluster)
		}
	}
	if c.prealloc == block.PreallocFull || c.prealloc == block.PreallocFalloc {
		required = virtual
	}
	m.FullyAllocated = fullSize(virtual, cluster, bits.TrailingZeros64(c.refBits), entry)
	m.Required = m.FullyAllocated - virtual + required
	if p := c.crypt.params; p != nil {
		if err := p.Check(g); err != nil {
			return m, err
		}
		m.FullyAllocated += round(p.Payload())
		m.Required += round(p.Payload())
	}
	return m, nil
}

// takeMeasured takes the options that matter for the size.
func takeMeasured(o *block.Options) (creation, error) {
	if v, ok := o.TakeString("compat"); ok {
		if v != "0.10" && v != "1.1" {
			return creation{}, block.Errorf(unix.EINVAL, "Invalid compatibility level: '%s'", v)
		}
		o.Set("compat", v)
	}
	if v, ok := o.TakeString("preallocation"); ok {
		if _, known := block.ParsePrealloc(v); !known {
			return creation{}, block.Errorf(unix.EINVAL, "invalid parameter value: %s", v)
		}
		o.Set("preallocation", v)
	}
	c, err := takeCreation(o)
	if err != nil {
		return c, err
	}
	if err := checkClusterSize(c.clusterSize, c.extended); err != nil {
		return c, err
	}
	switch {
	case c.refBits == 0 || c.refBits > 64 || c.refBits&(c.refBits-1) != 0:
		return c, block.Errorf(unix.EINVAL, "Refcount width must be a power of two and may not exceed 64 bits")
	case c.refBits != 16 && c.version < 3:
		return c, block.Errorf(unix.EINVAL, "Different refcount widths than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)")
	}
	return c, nil
}

// dataIn counts the bytes of clusters that a copy of the node's content needs.
func dataIn(ctx context.Context, in *block.Node, length, cluster int64) (total int64, err error) {
	for off := int64(0); off < length; {
		st, _, err := in.StatusAbove(ctx, nil, false, true, off, length-off)
		if err != nil {
			return 0, err
		}
		n := st.N
		const want = block.StatusData | block.StatusAllocated
		if st.Flags&block.StatusZero == 0 && st.Flags&want == want {
			n = (off+n+cluster-1)&^(cluster-1) - off
			total += off%cluster + n
		}
		if n <= 0 {
			break
		}
		off += n
	}
	return total, nil
}

// fullSize is the size of a fully allocated image.
func fullSize(virtual, cluster int64, order int, entry int64) int64 {
	perTable := cluster / entry
	l2 := (virtual/cluster + perTable - 1) / perTable * perTable
	perL1 := cluster / l1EntrySize
	l1 := (l2*entry/cluster + perL1 - 1) / perL1 * perL1
	meta := cluster + l2*entry + l1*l1EntrySize
	refs, _ := refcountMetadata((meta+virtual)/cluster, cluster, order, false)
	return meta + refs + virtual
}

// bitmapsSize is what the persistent bitmaps of a node need in an image.
func bitmapsSize(in *block.Node, cluster int64) (total int64) {
	round := func(n int64) int64 { return (n + cluster - 1) &^ (cluster - 1) }
	var dir int64
	for _, b := range in.Bitmaps() {
		if !b.State().Persistent {
			continue
		}
		g := b.Granularity()
		data := round(((b.Size()+g-1)/g + 7) / 8)
		total += data + round(data/cluster*8)
		dir += dirEntrySize(b.Name())
	}
	return total + round(dir)
}
