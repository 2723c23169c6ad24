package file

import (
	"context"
	"math"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

const (
	createMode = 0o644
	fillChunk  = 64 << 10
	nocowFlag  = 0x00800000 // FS_NOCOW_FL
)

// create makes a regular file of a size.
func create(ctx context.Context, g *block.Graph, r *block.CreateRequest) error {
	return makeFile(strings.TrimPrefix(r.Filename, "file:"), (r.Size+minSector-1)&^(minSector-1), r.Options)
}

// makeFile makes a regular file with the options of CreateOptions.
func makeFile(path string, size int64, o *block.Options) error {
	if hint, err := o.TakeSize("extent_size_hint", 0); err != nil {
		return err
	} else if hint > math.MaxUint32 {
		return block.Errorf(unix.EINVAL, "Extent size hint is too large")
	}
	nocow, err := o.TakeBool("nocow", false)
	if err != nil {
		return err
	}
	p := block.PreallocOff
	if v, given := o.TakeString("preallocation"); given {
		var ok bool
		if p, ok = block.ParsePrealloc(v); !ok {
			return block.Errorf(unix.EINVAL, "invalid parameter value: %s", v)
		}
	}
	f := &File{opts: Options{Filename: path}, align: 1}
	err = retry(func() (err error) {
		f.fd, err = unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, createMode)
		return err
	})
	if err != nil {
		return block.Errnof(block.Errno(err), "Could not create '%s'", path)
	}
	defer unix.Close(f.fd)
	if err := f.Attach(block.PermWrite|block.PermResize, block.PermAll&^block.PermResize); err != nil {
		return err
	}
	if err := resize(f.fd, 0, block.PreallocOff); err != nil {
		return err
	}
	if nocow {
		if attr, err := unix.IoctlGetUint32(f.fd, unix.FS_IOC_GETFLAGS); err == nil {
			_ = unix.IoctlSetPointerInt(f.fd, unix.FS_IOC_SETFLAGS, int(attr|nocowFlag))
		}
	}
	return resize(f.fd, size, p)
}

// createNode is Driver.CreateNode.
func createNode(ctx context.Context, g *block.Graph, size int64, o *block.Options) error {
	name, _ := o.TakeString("filename")
	if v, ok := o.Get("extent-size-hint"); ok {
		o.Delete("extent-size-hint")
		o.Set("extent_size_hint", v)
	}
	return makeFile(name, size, o)
}

// resize changes the size of a regular file. A failed preallocation restores the old size.
func resize(fd int, size int64, p block.Prealloc) (err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return block.Errnof(block.Errno(err), "Could not stat file")
	}
	if st.Size > size && p != block.PreallocOff {
		return block.Errorf(unix.ENOTSUP, "Cannot use preallocation for shrinking files")
	}
	switch p {
	case block.PreallocOff:
		if err := retry(func() error { return unix.Ftruncate(fd, size) }); err != nil {
			return block.Errnof(block.Errno(err), "Could not resize file")
		}
		if st.Size == 0 {
			writeFirstBlock(fd, size)
		}
		return nil
	case block.PreallocFalloc:
		err = allocate(fd, st.Size, size)
	case block.PreallocFull:
		err = fillZeroes(fd, st.Size, size)
	default:
		return block.Errorf(unix.ENOTSUP, "Unsupported preallocation mode: %s", p)
	}
	if err != nil {
		_ = unix.Ftruncate(fd, st.Size)
	}
	return err
}

// A new file gets firstBlock bytes allocated (leastBlock if it is shorter), so that the alignment of direct I/O can be found out by reading it.
const (
	firstBlock = 4096
	leastBlock = 512
)

// writeFirstBlock allocates the beginning of a file of the size; failing does no harm.
func writeFirstBlock(fd int, size int64) {
	n := int64(firstBlock)
	if size < n {
		n = min(size, leastBlock)
	}
	if n > 0 {
		_ = retry(func() error { _, err := unix.Pwrite(fd, make([]byte, n), 0); return err })
	}
}

func allocate(fd int, from, to int64) error {
	if from == to {
		return nil
	}
	err := retry(func() error { return unix.Fallocate(fd, 0, from, to-from) })
	if notSupported(err) {
		return fillZeroes(fd, from, to)
	}
	if err != nil {
		return block.Errnof(block.Errno(err), "Could not preallocate new data")
	}
	return nil
}

func fillZeroes(fd int, from, to int64) error {
	if err := retry(func() error { return unix.Ftruncate(fd, to) }); err != nil {
		return block.Errnof(block.Errno(err), "Could not resize file")
	}
	buf := make([]byte, fillChunk)
	for from < to {
		n, err := unix.Pwrite(fd, buf[:min(int64(len(buf)), to-from)], from)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return block.Errnof(block.Errno(err), "Could not write zeros for preallocation")
		}
		from += int64(n)
	}
	if err := unix.Fsync(fd); err != nil {
		return block.Errnof(block.Errno(err), "Could not flush file to disk")
	}
	return nil
}
