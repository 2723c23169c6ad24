// Package term puts a terminal into raw mode and gives it back as it was, whatever way the emulator ends.
package term

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Raw is a terminal in raw mode.
type Raw struct {
	// Farewell is written to the terminal before it gets its old mode back. It is set at once after MakeRaw.
	Farewell string

	fd       int
	old, raw unix.Termios
	cont     chan os.Signal
	done     chan struct{}
	once     sync.Once
}

var (
	activeMu sync.Mutex
	active   = map[*Raw]bool{}
)

// IsTerminal tells whether fd is a terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// MakeRaw puts fd into raw mode: no echo, no line editing, bytes as they come; output processing stays on so that messages of the
// emulator keep their line ends. With signals the terminal still turns Ctrl-C and its kin into signals. The mode is set again when the
// process is continued after a stop.
func MakeRaw(fd int, signals bool) (*Raw, error) {
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	r := &Raw{fd: fd, old: *old, raw: rawMode(*old, signals), cont: make(chan os.Signal, 1), done: make(chan struct{})}
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &r.raw); err != nil {
		return nil, err
	}
	activeMu.Lock()
	active[r] = true
	activeMu.Unlock()
	signal.Notify(r.cont, syscall.SIGCONT)
	go r.watch()
	return r, nil
}

// SetRaw puts a terminal of the emulator's own into raw mode for good.
func SetRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	m := rawMode(*t, false)
	return unix.IoctlSetTermios(fd, unix.TCSETS, &m)
}

// rawMode derives the raw mode from the present one.
func rawMode(t unix.Termios, signals bool) unix.Termios {
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag |= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.IEXTEN
	if !signals {
		t.Lflag &^= unix.ISIG
	}
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return t
}

// watch sets the mode again after SIGCONT.
func (r *Raw) watch() {
	for {
		select {
		case <-r.cont:
			_ = unix.IoctlSetTermios(r.fd, unix.TCSETS, &r.raw)
		case <-r.done:
			return
		}
	}
}

// Restore gives the terminal its old mode back. Only the first call does anything.
func (r *Raw) Restore() {
	r.once.Do(func() {
		signal.Stop(r.cont)
		close(r.done)
		if r.Farewell != "" {
			_, _ = unix.Write(r.fd, []byte(r.Farewell))
		}
		_ = unix.IoctlSetTermios(r.fd, unix.TCSETS, &r.old)
		activeMu.Lock()
		delete(active, r)
		activeMu.Unlock()
	})
}

// RestoreAll restores every terminal; for the ways out of the process that run no deferred functions.
func RestoreAll() {
	activeMu.Lock()
	all := make([]*Raw, 0, len(active))
	for r := range active {
		all = append(all, r)
	}
	activeMu.Unlock()
	for _, r := range all {
		r.Restore()
	}
}
