//go:build linux

package amd64

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memfd_create of the amd64 system-call table.
const (
	sysMemfdCreate = 319
	mfdCloexec     = 1
)

// codeCache is one block of memory mapped twice: rw is written, rx is executed.
type codeCache struct {
	rw, rx []byte
	base   uintptr        // address of rx[0], a multiple of hugePage
	next   int            // first free byte
	floor  int            // what Flush keeps: the stubs
	ready  int            // bytes that have memory behind them
	shut   int            // where the last room was when rw was given back
	huge   sync.WaitGroup // of what makes huge pages
}

func newCodeCache(size int) (*codeCache, error) {
	name := [...]byte{'j', 'i', 't', 0}
	fd, _, errno := syscall.Syscall(sysMemfdCreate, uintptr(unsafe.Pointer(&name[0])), mfdCloexec, 0)
	if errno != 0 {
		return nil, fmt.Errorf("memfd_create: %w", errno)
	}
	defer syscall.Close(int(fd))
	if err := syscall.Ftruncate(int(fd), int64(size)); err != nil {
		return nil, err
	}
	rw, err := syscall.Mmap(int(fd), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the code cache: %w", err)
	}
	rx, err := mapExec(int(fd), size)
	if err != nil {
		_ = syscall.Munmap(rw)
		return nil, fmt.Errorf("mapping the code cache: %w", err)
	}
	return &codeCache{rw: rw, rx: rx, base: uintptr(unsafe.Pointer(&rx[0]))}, nil
}

// mapExec maps a file for execution at a multiple of hugePage.
func mapExec(fd, size int) ([]byte, error) {
	room, err := unix.MmapPtr(-1, 0, nil, uintptr(size)+hugePage, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	before := -uintptr(room) & (hugePage - 1)
	start := unsafe.Add(room, before)
	err = unix.MunmapPtr(unsafe.Add(start, size), hugePage-before)
	if before > 0 && err == nil {
		err = unix.MunmapPtr(room, before)
	}
	if err == nil {
		_, err = unix.MmapPtr(fd, 0, start, uintptr(size), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED|unix.MAP_FIXED)
	}
	return unsafe.Slice((*byte)(start), size), err
}

func (c *codeCache) close() error {
	c.huge.Wait()
	err := unix.MunmapPtr(unsafe.Pointer(&c.rx[0]), uintptr(len(c.rx)))
	if e := syscall.Munmap(c.rw); err == nil {
		err = e
	}
	c.rw, c.rx = nil, nil
	return err
}

// cacheStep is how much of the cache gets memory at once: that costs less than taking a page fault for each page. shutStep is after how
// many bytes the writable mapping gives its pages back: the code stays in the other one, and no memory counts twice for the process.
const (
	cacheStep = 256 << 10
	shutStep  = 4 << 20
	hugePage  = 2 << 20
)

// room makes sure that the bytes before end have memory behind them, in both mappings. It is a hint only.
func (c *codeCache) room(end int) {
	if end < c.shut || end >= c.shut+shutStep {
		_ = unix.Madvise(c.rw, unix.MADV_DONTNEED)
		c.shut = end
	}
	for end = min(end, len(c.rw)); c.ready < end; {
		n := min(cacheStep, len(c.rw)-c.ready)
		_ = unix.Madvise(c.rw[c.ready:c.ready+n], unix.MADV_POPULATE_WRITE)
		_ = unix.Madvise(c.rx[c.ready:c.ready+n], unix.MADV_POPULATE_READ)
		if c.ready += n; c.ready%hugePage == 0 {
			c.makeHuge(c.rx[c.ready-hugePage : c.ready])
		}
	}
}

// makeHuge lets the host put one huge page in place of small ones while they are in use: translated code is much and widespread, and
// its address translations are a good part of what executing it costs.
func (c *codeCache) makeHuge(code []byte) {
	c.huge.Go(func() { _ = unix.Madvise(code, unix.MADV_COLLAPSE) })
}

// patch stores a 4-byte aligned rel32 while other CPUs may execute it.
func (c *codeCache) patch(off int, v int32) {
	atomic.StoreInt32((*int32)(unsafe.Pointer(&c.rw[off])), v)
}
