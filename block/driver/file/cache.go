package file

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// CacheOptions say what becomes of the host's page cache when a file that another process had becomes this one's.
type CacheOptions struct {
	Keep  bool // drop-cache=off
	Check bool // x-check-cache-dropped: refuse the file if some of it stays in the cache
}

func takeCacheOptions(o *block.Options) (c CacheOptions, err error) {
	drop, err := o.TakeBool("drop-cache", true)
	if err == nil {
		c.Check, err = o.TakeBool("x-check-cache-dropped", false)
	}
	c.Keep = !drop
	return c, err
}

// Inactivate implements block.Activater: what was written has been flushed.
func (*Node) Inactivate(context.Context) error { return nil }

// InvalidateCache implements block.Activater: what another host has written may be other than what this one has read before.
func (n *Node) InvalidateCache(ctx context.Context) error {
	if n.opts.Cache.Keep || n.opts.Direct {
		return nil
	}
	if err := n.FlushToDisk(ctx); err != nil { // pages that are not written yet would stay
		return block.Errnof(block.Errno(err), "flush failed")
	}
	if err := unix.Fadvise(n.fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return block.Errnof(block.Errno(err), "fadvise failed")
	}
	if n.opts.Cache.Check {
		return n.checkDropped()
	}
	return nil
}

// windowSize is how much of a file is looked at at once.
const windowSize = 128 << 20

// checkDropped tells whether none of the file is in the page cache.
func (n *Node) checkDropped() error {
	end := n.size.Load()
	for at := int64(0); at < end; at += windowSize {
		cached, err := resident(n.fd, at, int(min(end-at, windowSize)))
		switch {
		case err != nil:
			return err
		case cached:
			return block.Errorf(unix.EIO, "page cache still in use!")
		}
	}
	return nil
}
