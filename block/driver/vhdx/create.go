package vhdx

import (
	"context"
	"math/rand/v2"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Names of options, as Create knows them.
const (
	optSize      = "size"
	optLogSize   = "log_size"
	optBlockSize = "block_size"
	optSubformat = "subformat"
	optZero      = "block_state_zero"
)

var createOptions = []block.Option{
	{Name: optSize, Type: block.OptSize, Help: "Virtual disk size; max of 64TB."},
	{Name: optLogSize, Type: block.OptSize, Help: "Log size; min 1MB.", Default: "1048576"},
	{Name: optBlockSize, Type: block.OptSize, Help: "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size.", Default: "0"},
	{Name: optSubformat, Help: "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'."},
	{Name: optZero, Type: block.OptBool, Help: "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do not set to 'off' when using " +
		"'qemu-img convert' with subformat=dynamic."},
}

// creation is what an image is made from.
type creation struct {
	size, logSize, block uint64
	fixed, zero          bool
}

// create is Driver.Create. Sizes are rounded to what the format can have.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) (err error) {
	c := creation{size: uint64(roundUp(r.Size, sectorSize))}
	o := r.Options
	o.Delete(optSize)
	sub, given := o.TakeString(optSubformat)
	if c.zero, err = o.TakeBool(optZero, true); err != nil {
		return err
	}
	for _, v := range []struct {
		name string
		to   *uint64
		def  uint64
	}{{optLogSize, &c.logSize, logMin}, {optBlockSize, &c.block, 0}} {
		n, err := o.TakeSize(v.name, v.def)
		if err != nil {
			return err
		}
		*v.to = (n + mib - 1) &^ (mib - 1)
	}
	c.block = min(c.block, maxBlock)
	file, err := g.OpenCreated(ctx, r)
	if err != nil {
		return err
	}
	defer g.Unref(file)
	if c.fixed, err = block.FixedSubformat(sub, given); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	return c.write(ctx, g, file)
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) (err error) {
	c := creation{size: uint64(size)}
	if c.zero, err = o.TakeBool("block-state-zero", true); err != nil {
		return err
	}
	if c.logSize, err = o.TakeSize("log-size", logMin); err != nil {
		return err
	}
	given := o.Has("block-size")
	if c.block, err = o.TakeSize("block-size", 0); err != nil {
		return err
	}
	if given && c.block == 0 {
		return block.Errorf(unix.EINVAL, "Block size must be a multiple of 1 MB")
	}
	sub, ok := o.TakeString(optSubformat)
	if c.fixed, err = block.FixedSubformat(sub, ok); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	file, err := g.OpenReference(ctx, o.TakeReference("file"))
	if err != nil {
		return err
	}
	defer g.Unref(file)
	return c.write(ctx, g, file)
}

// check validates the sizes, and chooses that of the blocks if nobody did.
func (c *creation) check() error {
	fail := func(format string, a ...any) error { return block.Errorf(unix.EINVAL, format, a...) }
	if c.block == 0 { // so that the BAT stays small
		switch {
		case c.size > 32<<40:
			c.block = 64 * mib
		case c.size > 100<<30:
			c.block = 32 * mib
		case c.size > 1<<30:
			c.block = 16 * mib
		default:
			c.block = 8 * mib
		}
	}
	switch {
	case c.size > maxDisk:
		return fail("Image size too large; max of 64TB")
	case c.logSize > 1<<32-1:
		return fail("Log size must be smaller than 4 GB")
	case c.logSize < logMin || c.logSize%logMin != 0:
		return fail("Log size must be a multiple of 1 MB")
	case c.block < minBlock || c.block%mib != 0:
		return fail("Block size must be a multiple of 1 MB")
	case c.block&(c.block-1) != 0:
		return fail("Block size must be a power of two")
	case c.block > maxBlock:
		return fail("Block size must not exceed %d", maxBlock)
	}
	return nil
}

// write makes the image in a file.
func (c *creation) write(ctx context.Context, g *block.Graph, file *block.Node) error {
	b := g.NewBackend("", "", block.PermWrite|block.PermResize, block.PermAll)
	defer b.Delete()
	if err := b.Insert(file); err != nil {
		return err
	}
	b.AllowBeyondEOF(true)
	put := func(at int64, data []byte, what string) error {
		if err := b.Write(ctx, at, data, 0); err != nil {
			return block.Errnof(block.Errno(err), "Failed to %s", what)
		}
		return nil
	}
	creator := make([]byte, 0, 16)
	for _, u := range utf16.Encode([]rune("goemu")) {
		creator = le.AppendUint16(creator, u)
	}
	if err := put(0, append([]byte(signature), creator...), "write file signature"); err != nil {
		return err
	}
	for i, h := range c.headers() {
		if err := put(headerAt[i], h, "write image headers"); err != nil {
			return err
		}
	}
	geo := newGeometry(int64(c.size), int64(c.block))
	batAt := roundUp(sectionEnd+int64(c.logSize), mib)
	batLen := roundUp(int64(geo.entries())*batEntryLen, mib)
	if err := c.writeBAT(ctx, b, &geo, batAt, batLen); err != nil {
		return err
	}
	table := regions(batAt, batLen)
	if err := put(regionTable, table, "write first region table"); err != nil {
		return err
	}
	if err := put(regionTable2, table, "write second region table"); err != nil {
		return err
	}
	return put(batAt+batLen, c.metadata(), "initialize metadata")
}

// headers makes the two headers, the second of which counts.
func (c *creation) headers() (list [2][]byte) {
	file, data, number := newGUID(), newGUID(), uint64(rand.Uint32())
	for i := range list {
		h := make([]byte, hdrLen)
		copy(h, hdrSignature)
		le.PutUint64(h[hdrSequence:], number+uint64(i))
		copy(h[hdrFileGUID:], file)
		copy(h[hdrDataGUID:], data)
		le.PutUint16(h[hdrVersion:], 1)
		le.PutUint32(h[hdrLogLen:], uint32(c.logSize))
		le.PutUint64(h[hdrLogAt:], sectionEnd)
		sign(h)
		list[i] = h
	}
	return list
}

// writeBAT writes the table of the blocks, and gives the file its length. The blocks begin with some room for more metadata.
func (c *creation) writeBAT(ctx context.Context, b *block.Backend, geo *geometry, at, length int64) error {
	data := at + length + 5*mib
	end := data
	if c.fixed {
		end += geo.size
	}
	if err := b.Truncate(ctx, end, false, block.PreallocOff, false); err != nil {
		return err
	}
	if !c.fixed && !c.zero && b.Node().HasZeroInit(ctx) {
		return nil // all zeroes
	}
	bat := make([]byte, length)
	for i := range (geo.size + geo.block - 1) / geo.block {
		e := uint64(blockNotPresent)
		switch {
		case c.zero:
			e = blockZero
		case c.fixed:
			e = uint64(data+i*geo.block) | blockPresent
		}
		le.PutUint64(bat[geo.index(i)*batEntryLen:], e)
	}
	if err := b.Write(ctx, at, bat, 0); err != nil {
		return block.Errnof(block.Errno(err), "Failed to write the BAT")
	}
	return nil
}

// regions makes the region table.
func regions(batAt, batLen int64) []byte {
	b := make([]byte, rtLen)
	copy(b, rtSignature)
	for i, r := range []struct {
		id    string
		at, n int64
	}{{guidBAT, batAt, batLen}, {guidMetadata, batAt + batLen, mib}} {
		e := b[rtEntries+i*rtEntryLen:]
		copy(e, r.id)
		le.PutUint64(e[rteOffset:], uint64(r.at))
		le.PutUint32(e[rteLen:], uint32(r.n))
		le.PutUint32(e[rteFlags:], rteRequired)
		le.PutUint32(b[rtCount:], uint32(i+1))
	}
	sign(b)
	return b
}

// metadata makes the metadata table with the items behind it.
func (c *creation) metadata() []byte {
	b := make([]byte, mtLen, mtLen+64)
	copy(b, mtSignature)
	flags := uint32(0)
	if c.fixed {
		flags = paramsFixed
	}
	number := func(n uint32) []byte { return le.AppendUint32(nil, n) }
	for i, m := range []struct {
		id    string
		flags uint32
		data  []byte
	}{
		{guidParams, mteRequired, append(number(uint32(c.block)), number(flags)...)},
		{guidSize, mteRequired | mteVirtual, le.AppendUint64(nil, c.size)},
		{guidPage83, mteRequired | mteVirtual, []byte(newGUID())},
		{guidLogical, mteRequired | mteVirtual, number(sectorSize)},
		{guidPhysical, mteRequired | mteVirtual, number(sectorSize)},
	} {
		e := b[mtEntries+i*mtEntryLen:]
		copy(e, m.id)
		le.PutUint32(e[mteOffset:], uint32(len(b)))
		le.PutUint32(e[mteLen:], uint32(len(m.data)))
		le.PutUint32(e[mteFlags:], m.flags)
		le.PutUint16(b[mtCount:], uint16(i+1))
		b = append(b, m.data...)
	}
	return b
}
