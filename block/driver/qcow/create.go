package qcow

import (
	"context"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/luks"
)

// creation is what an image is made from.
type creation struct {
	size       int64
	backing    string
	hasBacking bool
	encrypted  bool
	secret     string
}

// takeCrypt takes the options about encryption. Their prefix is the same in Create and in QMP.
func (c *creation) takeCrypt(o *block.Options) error {
	format, given := o.TakeString(optCryptFormat)
	if o.Has(optEncryption) {
		on, err := o.TakeBool(optEncryption, false)
		switch {
		case err != nil:
			return err
		case on && given:
			return block.Errorf(unix.EINVAL, "'%s' and its alias '%s' can't be used at the same time", optCryptFormat, optEncryption)
		case on:
			format, given = "qcow", true
		}
	}
	c.secret, _ = o.TakeString(optCryptSecret)
	switch {
	case !given && c.secret != "":
		return block.Errorf(unix.EINVAL, "Parameter '%s' is missing", optCryptFormat)
	case given && format == "luks":
		return block.Errorf(unix.EINVAL, "Unsupported encryption format")
	case given && format != formatAES && format != "qcow":
		return block.Errorf(unix.EINVAL, "Parameter '%s' does not accept value '%s'", optCryptFormat, format)
	}
	c.encrypted = given
	return nil
}

// create is Driver.Create.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) error {
	c := creation{size: (r.Size + sectorSize - 1) &^ (sectorSize - 1)}
	c.backing, c.hasBacking = r.Options.TakeString(optBacking)
	if f, ok := r.Options.TakeString(optBackingFmt); ok && g.FindDriver(f) == nil {
		return block.Errorf(unix.EINVAL, "unrecognized backing format '%s'", f)
	}
	if err := c.takeCrypt(r.Options); err != nil {
		return err
	}
	return g.CreateIn(ctx, r, func(file *block.Node) error { return c.write(ctx, g, file) })
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) error {
	c := creation{size: size}
	c.backing, c.hasBacking = o.TakeString("backing-file")
	if err := c.takeCrypt(o); err != nil {
		return err
	}
	if size == 0 {
		return errEmpty
	}
	file, err := g.OpenReference(ctx, o.TakeReference("file"))
	if err != nil {
		return err
	}
	defer g.Unref(file)
	return c.write(ctx, g, file)
}

var errEmpty = block.Errorf(unix.EINVAL, "Image size is too small, cannot be zero length")

// write makes the image in a file: the header, the name of the backing file and an empty table.
func (c *creation) write(ctx context.Context, g *block.Graph, file *block.Node) error {
	if c.size == 0 {
		return errEmpty
	}
	b := g.NewBackend("", "", block.PermWrite|block.PermResize, block.PermAll)
	defer b.Delete()
	if err := b.Insert(file); err != nil {
		return err
	}
	b.AllowBeyondEOF(true)
	h := make([]byte, headerLen)
	copy(h, magic)
	be.PutUint32(h[hdrVersion:], version)
	be.PutUint64(h[hdrSize:], uint64(c.size))
	clusterBits, l2Bits := uint(12), uint(9)
	if c.hasBacking {
		clusterBits, l2Bits = 9, 12 // small, so that little has to be copied up
		be.PutUint64(h[hdrBackingAt:], headerLen)
		be.PutUint32(h[hdrBackingLen:], uint32(len(c.backing)))
	}
	h[hdrClusterBits], h[hdrL2Bits] = byte(clusterBits), byte(l2Bits)
	l1 := (headerLen + int64(len(c.backing)) + 7) &^ 7
	be.PutUint64(h[hdrL1:], uint64(l1))
	if c.encrypted {
		be.PutUint32(h[hdrCrypt:], cryptAES)
		if _, err := luks.Legacy(g, cryptPrefix, c.secret); err != nil {
			return err
		}
	}
	if err := b.Write(ctx, 0, append(h, c.backing...), 0); err != nil {
		return err
	}
	perTable := int64(1) << (clusterBits + l2Bits)
	if c.size > math.MaxInt64-perTable {
		return unix.EFBIG
	}
	entries := (c.size + perTable - 1) / perTable
	total := (entries*entryLen + sectorSize - 1) &^ (sectorSize - 1)
	zeroes := make([]byte, min(total, 1<<20))
	for done := int64(0); done < total; {
		n := min(total-done, int64(len(zeroes)))
		if err := b.Write(ctx, l1+done, zeroes[:n], 0); err != nil {
			return err
		}
		done += n
	}
	return nil
}
