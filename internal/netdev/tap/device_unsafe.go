package tap

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl passes a pointer to an argument; the number of the request says what it points to.
func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); e != 0 {
		return e
	}
	return nil
}

// ifreq is struct ifreq with flags.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

// features are the flags that the host's interfaces can have, 0 if that is not known.
func features(fd int) (f uint32) {
	if ioctl(fd, unix.TUNGETFEATURES, unsafe.Pointer(&f)) != nil {
		return 0
	}
	return f
}

// setInterface makes an interface of the name, which may have a %d in it, and returns its name.
func setInterface(fd int, name string, flags uint16) (string, error) {
	r := ifreq{flags: flags}
	copy(r.name[:unix.IFNAMSIZ-1], name)
	err := ioctl(fd, unix.TUNSETIFF, unsafe.Pointer(&r))
	return unix.ByteSliceToString(r.name[:]), err
}

// getInterface tells the name and the flags of the interface behind a descriptor.
func getInterface(fd int) (name string, flags uint16, err error) {
	var r ifreq
	err = ioctl(fd, unix.TUNGETIFF, unsafe.Pointer(&r))
	return unix.ByteSliceToString(r.name[:]), r.flags, err
}

// setHeader sets the length of the header before each frame.
func setHeader(fd, n int) error {
	v := int32(n)
	return ioctl(fd, unix.TUNSETVNETHDRSZ, unsafe.Pointer(&v))
}

// setSendBuffer bounds what waits for the interface.
func setSendBuffer(fd, n int) error {
	v := int32(n)
	return ioctl(fd, unix.TUNSETSNDBUF, unsafe.Pointer(&v))
}

// setOffloads says which frames with work left the reader takes.
func setOffloads(fd int, bits uintptr) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETOFFLOAD, bits); e != 0 {
		return e
	}
	return nil
}
