package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Image locks: a user of permission n holds a shared lock on byte lockUsed+n, one who does not let others use it on byte lockDenied+n.
// Before use the opposite bytes are tested. QEMU and its tools follow the same protocol, so they and goemu exclude each other.
const (
	lockUsed   = 100
	lockDenied = 200
)

// Attach implements block.Attacher.
func (f *File) Attach(used, shared block.Perm) error {
	if f.opts.NoLock {
		return nil
	}
	f.lockMu.Lock()
	defer f.lockMu.Unlock()
	denied := block.PermAll &^ shared
	oldHeld, oldDenied := f.held, f.denied
	err := f.setLocks(f.held|used, f.denied|denied)
	if err == nil {
		err = f.testLocks(used, denied)
	}
	if err != nil {
		f.setLocks(oldHeld, oldDenied) // giving locks up does not fail
		return err
	}
	return f.setLocks(used, denied)
}

// Detach implements block.Attacher.
func (f *File) Detach() {
	f.lockMu.Lock()
	defer f.lockMu.Unlock()
	if !f.closed.Load() {
		f.setLocks(0, 0)
	}
}

// setLocks makes the locks on the file those of the given sets.
// Preconditions: lockMu is held.
func (f *File) setLocks(held, denied block.Perm) error {
	if err := f.setRange(lockUsed, f.held, held, &f.held); err != nil {
		return err
	}
	return f.setRange(lockDenied, f.denied, denied, &f.denied)
}

// setRange changes the locks of one of the two ranges and records each success in state.
func (f *File) setRange(base int64, from, to block.Perm, state *block.Perm) error {
	for i := range block.PermCount {
		bit := block.Perm(1) << i
		if (from^to)&bit == 0 {
			continue
		}
		kind := int16(unix.F_UNLCK)
		if to&bit != 0 {
			kind = unix.F_RDLCK
		}
		lk := unix.Flock_t{Type: kind, Start: base + int64(i), Len: 1}
		if err := retry(func() error { return unix.FcntlFlock(uintptr(f.fd), unix.F_OFD_SETLK, &lk) }); err != nil {
			return fmt.Errorf("Failed to lock byte %d: %w", base+int64(i), hostError(err))
		}
		*state ^= bit
	}
	return nil
}

// testLocks finds users whose locks exclude the wanted permissions.
func (f *File) testLocks(used, denied block.Perm) error {
	for i := range block.PermCount {
		if used&(1<<i) != 0 && f.foreign(lockDenied+int64(i)) {
			return f.lockError("", block.Perm(1)<<i)
		}
	}
	for i := range block.PermCount {
		if denied&(1<<i) != 0 && f.foreign(lockUsed+int64(i)) {
			return f.lockError("shared ", block.Perm(1)<<i)
		}
	}
	return nil
}

// foreign tells whether somebody else holds a lock on the byte.
func (f *File) foreign(start int64) bool {
	lk := unix.Flock_t{Type: unix.F_WRLCK, Start: start, Len: 1}
	err := retry(func() error { return unix.FcntlFlock(uintptr(f.fd), unix.F_OFD_GETLK, &lk) })
	return err == nil && lk.Type != unix.F_UNLCK
}

// lockError is QEMU's message and hint, with the other process named if it can be found.
func (f *File) lockError(kind string, p block.Perm) error {
	return &block.Error{
		Errno: unix.EAGAIN,
		Text:  fmt.Sprintf("Failed to get %s\"%s\" lock", kind, p),
		Hint:  fmt.Sprintf("Is another process using the image [%s]?", f.opts.Filename),
		Who:   f.holder(),
	}
}

// holder looks through /proc for another process that has the file open. Locks themselves carry no owner: they belong to the open file.
func (f *File) holder() string {
	var st unix.Stat_t
	if unix.Fstat(f.fd, &st) != nil {
		return ""
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range procs {
		pid := filepath.Base(filepath.Dir(dir))
		if pid == strconv.Itoa(os.Getpid()) || !hasOpen(dir, &st) {
			continue
		}
		comm, _ := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		return fmt.Sprintf("The image is open in process %s (%s).", pid, strings.TrimSpace(string(comm)))
	}
	return ""
}

// hasOpen tells whether one of the descriptors in a /proc/N/fd directory is the file st.
func hasOpen(dir string, st *unix.Stat_t) bool {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		var s unix.Stat_t
		if unix.Stat(filepath.Join(dir, e.Name()), &s) == nil && s.Dev == st.Dev && s.Ino == st.Ino {
			return true
		}
	}
	return false
}
