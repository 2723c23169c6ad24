package img

import (
	"context"
	"os"
	"path/filepath"

	"goemu/block"

	"golang.org/x/sys/unix"
)

// ChangeBacking stores another backing file name in an image; an empty one removes it. A format must be told if require is set.
func ChangeBacking(ctx context.Context, n *block.Node, name, format string, require bool) error {
	if require && format == "" {
		return unix.EINVAL
	}
	return n.ChangeBackingFile(ctx, name, format)
}

// FindBacking finds the node in a chain, below its top, that a user calls by a filename: as the image above it names it, or as a path.
func FindBacking(top *block.Node, name string) *block.Node {
	isProtocol := block.HasProtocol(name)
	for n := top.SkipFilters(); ; {
		c := n.COWChild()
		if c == nil {
			return nil
		}
		below := c.Node().SkipFilters()
		if matches(n, below, name, isProtocol) {
			return below
		}
		n = below
	}
}

func matches(n, below *block.Node, name string, isProtocol bool) bool {
	if n.BackingOverridden() {
		return below.Filename() == name
	}
	stored, _ := n.BackingFile()
	if isProtocol || block.HasProtocol(stored) {
		if name == stored {
			return true
		}
		full, err := n.FullBackingFile()
		return err == nil && full == name
	}
	have, err := n.FullBackingFile()
	if err != nil || !samePath(have, below.Filename()) { // it is another one than the image says
		return below.Filename() == name
	}
	want, err := n.AbsoluteFilename(name)
	return err == nil && samePath(want, have)
}

// samePath tells whether two paths lead to the same file.
func samePath(a, b string) bool {
	if a == b {
		return true
	}
	ra, errA := realPath(a)
	rb, errB := realPath(b)
	return errA == nil && errB == nil && ra == rb
}

func realPath(p string) (string, error) {
	if _, err := os.Lstat(p); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}
