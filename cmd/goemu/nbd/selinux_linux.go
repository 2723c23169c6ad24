package nbd

import (
	"net"
	"runtime"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// socketContext is where a thread tells SELinux the context of the sockets that it makes next (proc_pid_attr(5)).
const socketContext = "/proc/thread-self/attr/sockcreate"

// listenAs calls listen so that its socket has the SELinux context label.
func listenAs(label string, listen func() (net.Listener, error)) (net.Listener, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := setSocketContext(label + "\x00"); err != nil {
		return nil, block.Errnof(block.Errno(err), "Cannot set SELinux socket create context to %s", label)
	}
	l, err := listen()
	if err != nil {
		return nil, err
	}
	if err := setSocketContext(""); err != nil {
		l.Close()
		return nil, block.Errnof(block.Errno(err), "Cannot clear SELinux socket create context")
	}
	return l, nil
}

// setSocketContext writes the context; an empty one is the usual one.
func setSocketContext(label string) error {
	fd, err := unix.Open(socketContext, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(label)) // also when it is empty, which os.File does not pass on
	return err
}
