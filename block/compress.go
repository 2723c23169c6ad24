package block

import (
	"context"

	"golang.org/x/sys/unix"
)

// Compressor is a CompressedWriter whose work can be divided: many goroutines compress, one writes in the order that the clusters are to
// have in the file. What Compress returned goes along with the write, by WithCompressed; without it the driver compresses itself.
type Compressor interface {
	// Compress compresses one cluster, short only at the end of the image. An error means that it does not become smaller.
	Compress(src []byte) ([]byte, error)
}

// compressedKey is the key of compressed data in a context.
type compressedKey struct{}

// WithCompressed gives the compressed form of the cluster, nil if that is no smaller, along with a compressed write.
func WithCompressed(ctx context.Context, data []byte) context.Context {
	return context.WithValue(ctx, compressedKey{}, data)
}

// CompressedData is what WithCompressed gave along, if it was called: nil says that the cluster does not become smaller.
func CompressedData(ctx context.Context) (data []byte, ok bool) {
	data, ok = ctx.Value(compressedKey{}).([]byte)
	return data, ok
}

// FinishCompressed ends a series of compressed writes: the driver may round the file's size.
func (b *Backend) FinishCompressed(ctx context.Context) error {
	n := b.Node()
	for n != nil {
		if w, ok := n.state.(CompressedWriter); ok {
			return w.WriteCompressed(ctx, 0, nil)
		}
		if n.Filtered() == nil {
			break
		}
		n = n.Filtered().node
	}
	return unix.ENOTSUP
}
