package file

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Node is the state of a node of the drivers file, host_device and host_cdrom.
type Node struct {
	*File
	node      *block.Node
	pending   *change      // between CheckPerm and SetPerm or AbortPerm
	used      block.Perm   // as last set
	refused   block.Perm   // what others may not do, as last set
	nextCache CacheOptions // while a reopen is prepared
}

// Close implements block.Instance.
func (n *Node) Close() { _ = n.File.Close() }

// Info implements block.Informer: a file has no clusters and is never dirty.
func (*Node) Info() block.DriverInfo { return block.DriverInfo{} }

// Length implements block.Lengther.
func (n *Node) Length(context.Context) (int64, error) {
	if n.generic {
		return 0, nil
	}
	if n.isDev {
		size, err := unix.Seek(n.fd, 0, unix.SEEK_END)
		if err != nil {
			return 0, err
		}
		n.size.Store(size)
		return size, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(n.fd, &st); err != nil {
		return 0, err
	}
	n.size.Store(st.Size)
	return st.Size, nil
}

// AllocatedSize implements block.AllocatedSizer.
func (n *Node) AllocatedSize(context.Context) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(n.fd, &st); err != nil {
		return 0, err
	}
	return st.Blocks * minSector, nil
}

// RefreshLimits implements block.Limiter.
func (n *Node) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = n.align
	l.MemAlign = int(max(n.align, 1))
	l.MaxIOV = iovMax
	l.WriteFlags = block.FUA
	l.ZeroFlags = block.MayUnmap | block.NoFallback
	l.HasVariableLength = n.isDev
	return nil
}

// ReadV implements block.Reader.
func (n *Node) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	if n.generic {
		return unix.EIO
	}
	return n.File.ReadV(ctx, off, iov)
}

// WriteV implements block.Writer.
func (n *Node) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	if n.generic {
		return unix.EIO
	}
	return n.File.WriteV(ctx, off, iov, fl&block.FUA != 0)
}

// FlushToDisk implements block.DiskFlusher.
func (n *Node) FlushToDisk(ctx context.Context) error { return n.File.Flush(ctx) }

// WriteZeroes implements block.ZeroWriter.
func (n *Node) WriteZeroes(_ context.Context, off, length int64, fl block.Flags) error {
	if !n.canWrite() {
		return unix.EBADF
	}
	err := n.zeroRange(off, length, fl&block.MayUnmap != 0)
	if notSupported(err) {
		return unix.ENOTSUP
	}
	if err == nil {
		n.grew(off + length)
	}
	return err
}

// Discard implements block.Discarder.
func (n *Node) Discard(ctx context.Context, off, length int64) error {
	return n.File.Discard(ctx, off, length)
}

// BlockStatus implements block.BlockStatuser: holes of the file are zeroes.
func (n *Node) BlockStatus(_ context.Context, wantZero bool, off, length int64) (block.Status, error) {
	s := block.Status{Flags: block.StatusData | block.StatusOffsetValid, N: length, Offset: off, File: n.node}
	if !wantZero || n.isDev {
		return s, nil
	}
	data, err := unix.Seek(n.fd, off, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO: // a hole up to the end, or beyond the end
		s.Flags = block.StatusZero | block.StatusOffsetValid
	case err != nil || data < off:
	case data > off:
		s.Flags, s.N = block.StatusZero|block.StatusOffsetValid, data-off
	default:
		if hole, err := unix.Seek(n.fd, off, unix.SEEK_HOLE); err == nil && hole > off {
			s.N = (hole - off + n.align - 1) &^ (n.align - 1)
		}
	}
	return s, nil
}

// Truncate implements block.Truncater.
func (n *Node) Truncate(_ context.Context, length int64, exact bool, p block.Prealloc, _ bool) error {
	if !n.isDev {
		err := resize(n.fd, length, p)
		if err == nil {
			n.size.Store(length)
		}
		return err
	}
	if p != block.PreallocOff {
		return block.Errorf(unix.ENOTSUP, "Preallocation mode '%s' unsupported for this non-regular file", p)
	}
	switch current := n.size.Load(); {
	case length != current && exact:
		return block.Errorf(unix.ENOTSUP, "Cannot resize device files")
	case length > current:
		return block.Errorf(unix.EINVAL, "Cannot grow device files")
	}
	return nil
}

// TryReadV implements block.TryReader.
func (n *Node) TryReadV(off int64, iov [][]byte) bool { return n.File.TryReadV(off, iov) }

// HasZeroInit implements block.ZeroIniter: a new file is a hole.
func (n *Node) HasZeroInit(context.Context) bool { return !n.isDev }

// CanCopyRange implements block.CopyRanger.
func (n *Node) CanCopyRange(src *block.Child) bool {
	from, ok := src.Node().State().(*Node)
	return ok && !n.isDev && !from.isDev
}

// CopyRange implements block.CopyRanger by copy_file_range.
func (n *Node) CopyRange(_ context.Context, src *block.Child, srcOff, dstOff, length int64) error {
	if !n.canWrite() {
		return unix.EBADF
	}
	from := src.Node().State().(*Node)
	n.rmw.RLock()
	defer n.rmw.RUnlock()
	for length > 0 {
		k, err := unix.CopyFileRange(from.fd, &srcOff, n.fd, &dstOff, int(min(length, 1<<30)), 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EXDEV || err == unix.ENOSYS || err == unix.EOPNOTSUPP || err == unix.EINVAL:
			return unix.ENOTSUP
		case err != nil:
			return hostError(err)
		case k == 0: // beyond the end of the source: reading gives zeroes
			return unix.ENOTSUP
		}
		length -= int64(k)
		n.grew(dstOff)
	}
	return nil
}

// StartWriteback implements block.Writebacker.
func (n *Node) StartWriteback() { _ = unix.SyncFileRange(n.fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE) }

// DeleteFile implements block.Deleter; only regular files are removed.
func (n *Node) DeleteFile(context.Context) error {
	var st unix.Stat_t
	name := n.node.ExactFilename()
	switch err := unix.Lstat(name, &st); {
	case n.isDev:
		return unix.ENOTSUP
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFREG: // a device of the host, whatever opened it
		return unix.ENOTSUP
	}
	return unix.Unlink(name)
}

// ReopenPrepare implements block.Reopener. The access mode changes together with the permissions (CheckPerm).
func (n *Node) ReopenPrepare(_ context.Context, o *block.Options, _ block.Mode) (err error) {
	n.nextCache, err = takeCacheOptions(o)
	return err
}

// ReopenCommit implements block.Reopener.
func (n *Node) ReopenCommit() {
	n.opts.Cache = n.nextCache
	m := n.node.NextMode()
	n.opts.NoFlush, n.opts.ReadOnly = m.NoFlush, m.ReadOnly
}

// ReopenAbort implements block.Reopener.
func (*Node) ReopenAbort() {}
