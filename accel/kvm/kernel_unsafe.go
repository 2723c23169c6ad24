package kvm

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is what the package asks of the host. Tests put another one in the place of the real one.
type kernel interface {
	open(path string) (fd int, err error)
	close(fd int) error
	// ioctl makes a request whose argument is a number, ioctlData one whose argument is a structure, which the kernel may change.
	// A thread inside a request is in a system call for Go's scheduler.
	ioctl(fd int, req request, arg uint64) (int, error)
	ioctlData(fd int, req request, data []byte) (int, error)
	// run makes the guest of a CPU execute. If it is expected back soon, the thread keeps its processor of Go's scheduler, which takes the
	// guest out by a signal when it needs the processor.
	run(fd int, soon bool) error
	mmap(fd int, offset int64, size int) ([]byte, error)
	munmap(b []byte) error
	pread(fd int, p []byte, off int64) (int, error)
	// interrupt makes a request that a thread of this process is in return EINTR.
	interrupt(thread int) error
	// permitGuest asks for memory for a dynamic component of the processor's extended state of guests.
	permitGuest(component int) error
}

// linux is the real kernel.
type linux struct{}

func (linux) open(path string) (int, error) {
	return unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
}

func (linux) close(fd int) error { return unix.Close(fd) }

func (linux) ioctl(fd int, req request, arg uint64) (int, error) {
	n, _, e := syscall.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(arg))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

func (linux) ioctlData(fd int, req request, data []byte) (int, error) {
	n, _, e := syscall.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(unsafe.Pointer(unsafe.SliceData(data))))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

func (linux) run(fd int, soon bool) error {
	call := syscall.Syscall
	if soon {
		call = syscall.RawSyscall
	}
	if _, _, e := call(unix.SYS_IOCTL, uintptr(fd), uintptr(reqRun), 0); e != 0 {
		return e
	}
	return nil
}

func (linux) mmap(fd int, offset int64, size int) ([]byte, error) {
	return unix.Mmap(fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func (linux) munmap(b []byte) error { return unix.Munmap(b) }

func (linux) interrupt(thread int) error { return unix.Tgkill(unix.Getpid(), thread, unix.SIGURG) }

func (linux) permitGuest(component int) error {
	if runtime.GOARCH != "amd64" {
		return unix.ENOSYS
	}
	if _, _, e := syscall.Syscall(sysArchPrctl, archReqGuestPerm, uintptr(component), 0); e != 0 {
		return e
	}
	return nil
}

// bytesOf is a structure as the kernel sees it.
func bytesOf[T any](p *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p)) }

// addressOf is where the first byte of b lies.
func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// setFlag and clearFlag change one of the first four bytes of the shared page, which several threads write.
func setFlag(run []byte, at int) { flagWord(run).Or(1 << (8 * at)) }

func clearFlag(run []byte, at int) { flagWord(run).And(^(uint32(1) << (8 * at))) }

// flagWord is the first four bytes, of the shared page or of an entry of a ring, which the kernel reads and writes meanwhile.
func flagWord(run []byte) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(run)))
}

// setThreadName names the calling thread; name ends with a zero byte.
func setThreadName(name []byte) error {
	return unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.SliceData(name))), 0, 0, 0)
}

// addressOfWords is where a bitmap lies, which must be kept by keepWords until the kernel has filled it.
func addressOfWords(w []uint64) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(w)))) }

func keepWords(w []uint64) { runtime.KeepAlive(w) }
