package qed

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Names of options, as Create knows them.
const (
	optSize       = "size"
	optBacking    = "backing_file"
	optBackingFmt = "backing_fmt"
	optCluster    = "cluster_size"
	optTable      = "table_size"
)

var createOptions = []block.Option{
	{Name: optSize, Type: block.OptSize, Help: "Virtual disk size"},
	{Name: optBacking, Help: "File name of a base image"},
	{Name: optBackingFmt, Help: "Image format of the base image"},
	{Name: optCluster, Type: block.OptSize, Help: "Cluster size (in bytes)", Default: "65536"},
	{Name: optTable, Type: block.OptSize, Help: "L1/L2 table size (in clusters)"},
}

// creation is what an image is made from.
type creation struct {
	size, cluster, table uint64
	backing, format      string
	hasBacking           bool
}

// take takes the options, whose names are those of Create or of QMP.
func (c *creation) take(o *block.Options, backing, format, cluster, table string) (err error) {
	c.backing, c.hasBacking = o.TakeString(backing)
	c.format, _ = o.TakeString(format)
	if c.cluster, err = o.TakeSize(cluster, clusterCreated); err != nil {
		return err
	}
	c.table, err = o.TakeSize(table, tableCreated)
	return err
}

// create is Driver.Create.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) error {
	c := creation{size: uint64((r.Size + sectorSize - 1) &^ (sectorSize - 1))}
	if err := c.take(r.Options, optBacking, optBackingFmt, optCluster, optTable); err != nil {
		return err
	}
	file, err := g.OpenCreated(ctx, r)
	if err != nil {
		return err
	}
	defer g.Unref(file)
	if err := c.check(); err != nil {
		return err
	}
	return c.write(ctx, g, file)
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) error {
	c := creation{size: uint64(size)}
	if err := c.take(o, "backing-file", "backing-fmt", "cluster-size", "table-size"); err != nil {
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

// check validates the sizes; errors are QEMU's.
func (c *creation) check() error {
	fail := func(format string, a ...any) error { return block.Errorf(unix.EINVAL, format, a...) }
	switch {
	case !validCluster(c.cluster):
		return fail("QED cluster size must be within range [%d, %d] and power of 2", minCluster, maxCluster)
	case !validTable(c.table):
		return fail("QED table size must be within range [%d, %d] and power of 2", 1, maxTable)
	case !validSize(c.size, c.cluster, c.table):
		return fail("QED image size must be a non-zero multiple of cluster size and less than %d bytes", maxSize(c.cluster, c.table))
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
	if err := b.Truncate(ctx, 0, true, block.PreallocOff, false); err != nil { // what the file has counts as allocated
		return err
	}
	h := header{cluster: uint32(c.cluster), table: uint32(c.table), clusters: 1, l1: c.cluster, size: c.size}
	if c.hasBacking {
		h.features |= featBacking
		h.backingAt, h.backingLen = headerLen, uint32(len(c.backing))
		if c.format == "raw" {
			h.features |= featRawBacking
		}
	}
	if err := b.Write(ctx, 0, append(h.bytes(), c.backing...), 0); err != nil {
		return err
	}
	for done, total := int64(0), h.tableLen(); done < total; {
		n := min(total-done, 1<<20)
		if err := b.Write(ctx, int64(h.l1)+done, make([]byte, n), 0); err != nil {
			return err
		}
		done += n
	}
	return nil
}
