package file

import (
	"golang.org/x/sys/unix"

	"goemu/block"
)

const (
	pageSize     = 4096
	minSector    = 512
	maxSector    = 4096
	statxDIOMask = unix.STATX_DIOALIGN
)

// probeAlign finds the alignment that O_DIRECT needs: the kernel's own answer if it has one, else the smallest that can be read.
func (f *File) probeAlign() int64 {
	var sx unix.Statx_t
	if err := unix.Statx(f.fd, "", unix.AT_EMPTY_PATH, statxDIOMask, &sx); err == nil && sx.Mask&statxDIOMask != 0 && sx.Dio_offset_align != 0 {
		return int64(max(sx.Dio_offset_align, sx.Dio_mem_align, minSector))
	}
	buf := alignedBuffer(maxSector)
	for a := int64(minSector); a < maxSector; a *= 2 {
		if _, err := unix.Pread(f.fd, buf[:a], 0); err == nil {
			return a
		}
	}
	return maxSector
}

// aligned tells whether a request can go to the host as it is.
func (f *File) aligned(off int64, iov [][]byte) bool {
	if f.align == 1 {
		return true
	}
	mask := uintptr(f.align - 1)
	if uintptr(off)&mask != 0 {
		return false
	}
	for _, b := range iov {
		if (address(b)|uintptr(len(b)))&mask != 0 {
			return false
		}
	}
	return true
}

// span widens a range to the alignment.
func (f *File) span(off, n int64) (start, length int64) {
	start = off &^ (f.align - 1)
	end := (off + n + f.align - 1) &^ (f.align - 1)
	return start, end - start
}

// readBounced reads through an aligned buffer.
func (f *File) readBounced(off int64, iov [][]byte) error {
	start, length := f.span(off, block.IovLen(iov))
	buf := alignedBuffer(length)
	if err := f.preadv(start, [][]byte{buf}); err != nil {
		return err
	}
	block.IovScatter(iov, buf[off-start:])
	return nil
}

// writeBounced writes through an aligned buffer; the edges of a request that starts or ends inside a block are read first.
func (f *File) writeBounced(off int64, iov [][]byte, flags int) error {
	n := block.IovLen(iov)
	start, length := f.span(off, n)
	buf := alignedBuffer(length)
	if start == off && length == n {
		block.IovGather(buf, iov)
		f.rmw.RLock()
		defer f.rmw.RUnlock()
		return f.pwritev(start, [][]byte{buf}, flags)
	}
	f.rmw.Lock()
	defer f.rmw.Unlock()
	oldSize := f.size.Load()
	head, tail := buf[:f.align], buf[length-f.align:]
	if err := f.preadv(start, [][]byte{head}); err != nil {
		return err
	}
	if length > f.align {
		if err := f.preadv(start+length-f.align, [][]byte{tail}); err != nil {
			return err
		}
	}
	block.IovGather(buf[off-start:], iov)
	if err := f.pwritev(start, [][]byte{buf}, flags); err != nil {
		return err
	}
	return f.trimTail(max(oldSize, off+n))
}

// trimTail cuts what the widening of a request added beyond the end of a regular file.
func (f *File) trimTail(size int64) error {
	if f.isDev || f.size.Load() <= size {
		return nil
	}
	return f.Truncate(size)
}
