package file

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// resident tells whether any page of a part of a file is in the page cache.
func resident(fd int, at int64, size int) (bool, error) {
	p, err := unix.Mmap(fd, at, size, unix.PROT_NONE, unix.MAP_PRIVATE)
	if err != nil {
		return false, block.Errnof(block.Errno(err), "mmap failed")
	}
	defer func() { _ = unix.Munmap(p) }()
	pages := make([]byte, (size+unix.Getpagesize()-1)/unix.Getpagesize())
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&p[0])), uintptr(size), uintptr(unsafe.Pointer(&pages[0]))); e != 0 {
		return false, block.Errnof(block.Errno(e), "mincore failed")
	}
	for _, b := range pages {
		if b&1 != 0 {
			return true, nil
		}
	}
	return false, nil
}
