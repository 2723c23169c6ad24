package parallels

import (
	"context"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// create is Driver.Create.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) error {
	cluster, err := r.Options.TakeSize(optCluster, clusterMade)
	if err != nil {
		return err
	}
	return g.CreateIn(ctx, r, func(file *block.Node) error {
		return write(ctx, g, file, (r.Size+sectorSize-1)&^(sectorSize-1), (cluster+sectorSize-1)&^(sectorSize-1))
	})
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) error {
	cluster, err := o.TakeSize("cluster-size", clusterMade)
	if err != nil {
		return err
	}
	if err := check(size, cluster); err != nil {
		return err
	}
	file, err := g.OpenReference(ctx, o.TakeReference("file"))
	if err != nil {
		return err
	}
	defer g.Unref(file)
	return write(ctx, g, file, size, cluster)
}

// check validates the sizes; errors are QEMU's.
func check(size int64, cluster uint64) error {
	const factor = 1 << 32
	switch {
	case cluster >= math.MaxInt64/factor:
		return block.Errorf(unix.EINVAL, "Cluster size is too large")
	case uint64(size) >= factor*cluster:
		return block.Errorf(unix.E2BIG, "Image size is too large for this cluster size")
	case size%sectorSize != 0:
		return block.Errorf(unix.EINVAL, "Image size must be a multiple of 512 bytes")
	case cluster%sectorSize != 0:
		return block.Errorf(unix.EINVAL, "Cluster size must be a multiple of 512 bytes")
	}
	return nil
}

// write makes the image in a file: the header and an empty table, which end with a cluster.
func write(ctx context.Context, g *block.Graph, file *block.Node, size int64, cluster uint64) error {
	if err := check(size, cluster); err != nil {
		return err
	}
	b := g.NewBackend("", "", block.PermWrite|block.PermResize, block.PermAll)
	defer b.Delete()
	if err := b.Insert(file); err != nil {
		return err
	}
	b.AllowBeyondEOF(true)
	c := int64(cluster)
	entries := (size + c - 1) / c
	data := (headerLen + entries*entryLen + c - 1) / c * c / sectorSize
	h := make([]byte, sectorSize)
	copy(h, magicExt)
	for _, f := range []struct {
		at int
		v  int64
	}{
		{hdrVersion, version}, {hdrHeads, heads}, {hdrCylinders, size / sectorSize / heads / perTrack}, {hdrTracks, c / sectorSize}, {hdrEntries, entries}, {hdrData, data},
	} {
		le.PutUint32(h[f.at:], uint32(f.v))
	}
	le.PutUint64(h[hdrSectors:], uint64(size/sectorSize))
	fail := func(err error) error {
		return block.Errnof(block.Errno(err), "Failed to create Parallels image")
	}
	if err := b.Write(ctx, 0, h, 0); err != nil {
		return fail(err)
	}
	if err := b.WriteZeroes(ctx, sectorSize, (data-1)*sectorSize, 0); err != nil {
		return fail(err)
	}
	return nil
}
