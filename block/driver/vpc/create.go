package vpc

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// creation is what an image is made from.
type creation struct {
	size         int64 // bytes
	fixed, exact bool
}

// create is Driver.Create. A size without geometry becomes the next one that has one.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) (err error) {
	c := creation{size: (r.Size + sectorSize - 1) &^ (sectorSize - 1)}
	if c.exact, err = r.Options.TakeBool(optForceSize, false); err != nil {
		return err
	}
	sub, given := r.Options.TakeString(optSubformat)
	file, err := g.OpenCreated(ctx, r)
	if err != nil {
		return err
	}
	defer g.Unref(file)
	if c.fixed, err = block.FixedSubformat(sub, given); err != nil {
		return err
	}
	if !c.exact {
		_, _, _, sectors, err := fit(c.size, false)
		if err != nil {
			return err
		}
		c.size = sectors * sectorSize
	}
	return c.write(ctx, g, file)
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) (err error) {
	c := creation{size: size}
	if c.exact, err = o.TakeBool("force-size", false); err != nil {
		return err
	}
	sub, given := o.TakeString(optSubformat)
	if c.fixed, err = block.FixedSubformat(sub, given); err != nil {
		return err
	}
	file, err := g.OpenReference(ctx, o.TakeReference("file"))
	if err != nil {
		return err
	}
	defer g.Unref(file)
	return c.write(ctx, g, file)
}

// write makes the image in a file.
func (c *creation) write(ctx context.Context, g *block.Graph, file *block.Node) error {
	b := g.NewBackend("", "", block.PermWrite|block.PermResize, block.PermAll)
	defer b.Delete()
	if err := b.Insert(file); err != nil {
		return err
	}
	b.AllowBeyondEOF(true)
	cylinders, heads, track, sectors, err := fit(c.size, c.exact)
	if err != nil {
		return err
	}
	if c.size != sectors*sectorSize {
		return &block.Error{Errno: unix.EINVAL, Text: "The requested image size cannot be represented in CHS geometry",
			Hint: fmt.Sprintf("Try size=%d or force-size=on (the latter makes the image incompatible with Virtual PC)", sectors*sectorSize)}
	}
	f := c.footer(cylinders, heads, track)
	if c.fixed {
		if err := b.Truncate(ctx, c.size+footerLen, false, block.PreallocOff, false); err != nil {
			return err
		}
		if err := b.Write(ctx, c.size, f, 0); err != nil {
			return block.Errnof(block.Errno(err), "Unable to write VHD header")
		}
		return nil
	}
	if err := writeDynamic(ctx, b, f, sectors); err != nil {
		return block.Errorf(block.Errno(err), "Unable to create or write VHD header")
	}
	return nil
}

// footer makes the footer.
func (c *creation) footer(cylinders, heads, track int64) []byte {
	f := make([]byte, footerLen)
	copy(f[ftCookie:], cookie)
	be.PutUint32(f[ftFeatures:], 2) // reserved, always set
	be.PutUint32(f[ftVersion:], formatVersion)
	kind, next := uint32(typeDynamic), uint64(footerLen)
	if c.fixed {
		kind, next = typeFixed, noOffset
	}
	be.PutUint64(f[ftDataOffset:], next)
	be.PutUint32(f[ftTimestamp:], uint32(time.Now().Unix()-epoch2000))
	app := "qemu" // readers take the size from the geometry
	if c.exact {
		app = "qem2"
	}
	copy(f[ftCreator:], app)
	be.PutUint16(f[ftMajor:], 5) // Virtual PC 2007
	be.PutUint16(f[ftMinor:], 3)
	copy(f[ftCreatorOS:], "Wi2k")
	be.PutUint64(f[ftOrigSize:], uint64(c.size))
	be.PutUint64(f[ftCurrentSize:], uint64(c.size))
	be.PutUint16(f[ftCylinders:], uint16(cylinders))
	f[ftHeads], f[ftSectors] = byte(heads), byte(track)
	be.PutUint32(f[ftType:], kind)
	u := f[ftUUID:][:16]
	_, _ = rand.Read(u) // which never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	be.PutUint32(f[ftChecksum:], checksum(f, ftChecksum))
	return f
}

// writeDynamic writes the footer twice, the dynamic header and an empty table.
func writeDynamic(ctx context.Context, b *block.Backend, footer []byte, sectors int64) error {
	const tableAt = footerLen + dynamicLen
	entries := (sectors*sectorSize + blockSizeCreated - 1) / blockSizeCreated
	tableLen := (entries*4 + sectorSize - 1) &^ (sectorSize - 1)
	d := make([]byte, dynamicLen)
	copy(d[dynCookie:], dynamicCookie)
	be.PutUint64(d[dynDataOffset:], noOffset)
	be.PutUint64(d[dynTableOffset:], tableAt)
	be.PutUint32(d[dynVersion:], formatVersion)
	be.PutUint32(d[dynEntries:], uint32(entries))
	be.PutUint32(d[dynBlockSize:], blockSizeCreated)
	be.PutUint32(d[dynChecksum:], checksum(d, dynChecksum))
	for _, w := range []struct {
		at int64
		b  []byte
	}{{0, footer}, {tableAt + tableLen, footer}, {tableAt, bytes.Repeat([]byte{0xff}, int(tableLen))}, {footerLen, d}} {
		if len(w.b) == 0 {
			continue
		}
		if err := b.Write(ctx, w.at, w.b, 0); err != nil {
			return err
		}
	}
	return nil
}
