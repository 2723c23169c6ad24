package luks

import (
	"context"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/luks"
)

// takePrealloc takes the preallocation out of the options; there are no tables to preallocate.
func takePrealloc(o *block.Options) (block.Prealloc, error) {
	v, ok := o.TakeString("preallocation")
	if !ok {
		return block.PreallocOff, nil
	}
	p, ok := block.ParsePrealloc(v)
	if !ok {
		return p, block.Errorf(unix.EINVAL, "invalid parameter value: %s", v)
	}
	if p == block.PreallocMetadata {
		p = block.PreallocOff
	}
	return p, nil
}

// create is Driver.Create.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) error {
	prealloc, err := takePrealloc(r.Options)
	if err != nil {
		return err
	}
	p, err := luks.TakeParams(r.Options, "")
	if err != nil {
		return err
	}
	return g.CreateIn(ctx, r, func(file *block.Node) error {
		return write(ctx, g, file, r.Size, p, prealloc)
	})
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) error {
	prealloc, err := takePrealloc(o)
	if err != nil {
		return err
	}
	p, err := luks.TakeParams(o, "")
	if err != nil {
		return err
	}
	file, err := g.OpenReference(ctx, o.TakeReference("file"))
	if err != nil {
		return err
	}
	defer g.Unref(file)
	return write(ctx, g, file, size, p, prealloc)
}

// write makes the image in a file.
func write(ctx context.Context, g *block.Graph, file *block.Node, size int64, p *luks.Params, prealloc block.Prealloc) error {
	b := g.NewBackend("", "", block.PermWrite|block.PermResize, block.PermAll)
	defer b.Delete()
	if err := b.Insert(file); err != nil {
		return err
	}
	if err := p.Check(g); err != nil {
		return err
	}
	err := error(unix.EFBIG)
	if size >= 0 && size <= math.MaxInt64-p.Payload() {
		err = b.Truncate(ctx, size+p.Payload(), false, prealloc, false)
	}
	if err != nil {
		if block.Errno(err) == unix.EFBIG {
			return block.Errorf(unix.EIO, "The requested file size is too large")
		}
		return err
	}
	_, err = luks.Create(ctx, g, p, b)
	return err
}

// measure is Driver.Measure. Encrypted, zeroes need as much as anything else.
func measure(ctx context.Context, g *block.Graph, o *block.Options, in *block.Node) (m block.MeasureInfo, err error) {
	o.Delete("preallocation")
	size, _ := o.TakeSize("size", 0)
	if in != nil {
		n, err := in.Length(ctx)
		if err != nil {
			return m, block.Errnof(block.Errno(err), "Unable to get image virtual_size")
		}
		size = uint64(n)
	}
	p, err := luks.TakeParams(o, "")
	if err != nil {
		return m, err
	}
	m.Required = int64(size) + p.Payload()
	m.FullyAllocated = m.Required
	return m, p.Check(g)
}
