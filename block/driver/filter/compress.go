package filter

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var compressDriver = &block.Driver{Name: "compress", Filter: true, Open: openCompress}

// compress makes every write a compressed one.
type compress struct {
	node *block.Node
	file *block.Child
}

func openCompress(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenChild(ctx, o, "file", block.RoleFiltered|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	if !file.Node().CanCompress() {
		return nil, block.Errorf(unix.ENOTSUP, "Compression is not supported for underlying format: %s", file.Node().DriverName())
	}
	return &compress{n, file}, nil
}

// Close implements block.Instance.
func (*compress) Close() {}

// RefreshLimits implements block.Limiter: only whole clusters can be compressed.
func (f *compress) RefreshLimits(l *block.Limits) error {
	below := f.file.Node().Limits()
	passing(l, &below)
	if i, ok := f.file.Node().Info(); ok && i.ClusterSize > 0 {
		l.RequestAlign = i.ClusterSize
	}
	return nil
}

// WriteV implements block.Writer.
func (f *compress) WriteV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	cluster := f.node.Limits().RequestAlign
	var part [][]byte
	for done, total := int64(0), block.IovLen(iov); done < total; {
		n := min(cluster, total-done)
		part = block.IovSlice(part, iov, done, n)
		if err := f.file.WriteV(ctx, off+done, part, block.Compressed); err != nil {
			return err
		}
		done += n
	}
	return nil
}
