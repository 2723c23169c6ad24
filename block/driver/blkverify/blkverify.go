// Package blkverify is the filter driver blkverify: it does every request on two images, one of them usually raw, and ends the program when
// they differ.
package blkverify

import (
	"bytes"
	"context"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

const prefix = "blkverify:"

// Drivers is the filter of this package.
var Drivers = []*block.Driver{{
	Name: "blkverify", Filter: true, Protocol: true, Schemes: []string{"blkverify"},
	ParseFilename: parseFilename,
	Options: []block.Option{
		{Name: "x-raw", Help: "[internal use only, will be removed]"},
		{Name: "x-image", Help: "[internal use only, will be removed]"},
	},
	Open: open,
}}

// parseFilename splits "blkverify:RAW:IMAGE".
func parseFilename(filename string, o *block.Options) error {
	rest, ok := strings.CutPrefix(filename, prefix)
	if !ok { // the name of the image came by an option, the prefix by driver=
		o.Set("x-image", filename)
		return nil
	}
	raw, image, ok := strings.Cut(rest, ":")
	if !ok {
		return block.Errorf(unix.EINVAL, "blkverify requires raw copy and original image path")
	}
	o.Set("x-raw", raw)
	o.Set("x-image", image)
	return nil
}

// pair is the state of a node.
type pair struct {
	node      *block.Node
	raw, test *block.Child
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	p := &pair{node: n}
	raw, _ := o.TakeString("x-raw")
	image, _ := o.TakeString("x-image")
	var err error
	if p.raw, err = n.OpenChildFile(ctx, raw, o, "raw", block.RoleFiltered|block.RolePrimary, true); err != nil {
		return nil, err
	}
	if p.test, err = n.OpenChildFile(ctx, image, o, "test", block.RoleData, true); err != nil {
		return nil, err
	}
	return p, nil
}

// Close implements block.Instance.
func (*pair) Close() {}

// Length implements block.Lengther.
func (p *pair) Length(ctx context.Context) (int64, error) { return p.test.Length(ctx) }

// RefreshLimits implements block.Limiter.
func (p *pair) RefreshLimits(l *block.Limits) error {
	l.WriteFlags, l.ZeroFlags = block.Unchanged, block.Unchanged
	return nil
}

// both does a request on both images at once; their results must be the same.
func (p *pair) both(verb string, off, n int64, do func(c *block.Child) error) error {
	other := make(chan error, 1)
	go func() { other <- do(p.raw) }()
	err, rawErr := do(p.test), <-other
	if a, b := status(err), status(rawErr); a != b {
		p.differ(verb, off, n, "return value mismatch %d != %d", a, b)
	}
	return err
}

// status is an error as QEMU's functions return it.
func status(err error) int {
	if err == nil {
		return 0
	}
	return -int(block.Errno(err))
}

// differ ends the program.
func (p *pair) differ(verb string, off, n int64, format string, a ...any) {
	p.node.Graph().Die("blkverify: %s offset=%d bytes=%d "+format, append([]any{verb, off, n}, a...)...)
}

// ReadV implements block.Reader.
func (p *pair) ReadV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	n := block.IovLen(iov)
	buf := make([]byte, n)
	err := p.both("read", off, n, func(c *block.Child) error {
		if c == p.raw {
			return c.ReadV(ctx, off, [][]byte{buf}, fl)
		}
		return c.ReadV(ctx, off, iov, fl)
	})
	if err != nil {
		return err
	}
	pos := 0
	for _, b := range iov {
		if want := buf[pos : pos+len(b)]; !bytes.Equal(b, want) {
			i := 0
			for b[i] == want[i] {
				i++
			}
			p.differ("read", off, n, "contents mismatch at offset %d", off+int64(pos+i))
		}
		pos += len(b)
	}
	return nil
}

// WriteV implements block.Writer.
func (p *pair) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	return p.both("write", off, block.IovLen(iov), func(c *block.Child) error { return c.WriteV(ctx, off, iov, fl) })
}

// CanReplace implements block.Replacer: both images have the same content.
func (p *pair) CanReplace(n *block.Node) bool {
	return p.raw.Node().CanReplace(n) || p.test.Node().CanReplace(n)
}

// FlushToDisk implements block.DiskFlusher. Only the image under test matters.
func (p *pair) FlushToDisk(ctx context.Context) error { return p.test.Flush(ctx) }

// ExactFilename implements block.FileNamer.
func (p *pair) ExactFilename() (string, bool) {
	raw, test := p.raw.Node().ExactFilename(), p.test.Node().ExactFilename()
	return prefix + raw + ":" + test, raw != "" && test != ""
}

// Dirname implements block.Dirnamer: the two images may lie in different directories.
func (*pair) Dirname() (string, error) {
	return "", block.Errorf(unix.ENOTSUP, "Cannot generate a base directory for blkverify nodes")
}
