package term

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction is the kernel's structure with the default action in it.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// Die restores all terminals and ends the process by a signal's default effect, which it gets behind the runtime's back.
func Die(sig unix.Signal) {
	RestoreAll()
	runtime.LockOSThread()
	var act sigaction
	unix.Syscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, unsafe.Sizeof(act.mask), 0, 0)
	unix.Tgkill(os.Getpid(), unix.Gettid(), sig) // this thread does not come back
	unix.Exit(1)
}
