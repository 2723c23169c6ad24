// Package fdset keeps the file descriptors that somebody has handed to the emulator: by name, to be used up once, and in numbered sets
// that file names as /dev/fdset/3 refer to. It knows nothing of who hands them over.
package fdset

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Table is all descriptors of a process. The zero value is empty.
type Table struct {
	mu    sync.Mutex
	named map[string]int
	sets  map[int64]*Set
}

// Default is the process's table.
var Default Table

// Set is the descriptors of one number, the newest first.
type Set struct {
	ID  int64
	FDs []Member
}

// Member is one descriptor of a set.
type Member struct {
	FD     int
	Opaque string
}

// SetNamed keeps fd under a name; one of that name before is closed.
func (t *Table) SetNamed(name string, fd int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.named[name]; ok {
		_ = unix.Close(old)
	}
	if t.named == nil {
		t.named = map[string]int{}
	}
	t.named[name] = fd
}

// TakeNamed hands a named descriptor over to the caller; the name is forgotten.
func (t *Table) TakeNamed(name string) (fd int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fd, ok = t.named[name]
	delete(t.named, name)
	return fd, ok
}

// Add puts fd into a set; with a negative id, into a new one. It returns the set's number.
func (t *Table) Add(id int64, fd int, opaque string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sets == nil {
		t.sets = map[int64]*Set{}
	}
	if id < 0 {
		for id = 0; t.sets[id] != nil; id++ {
		}
	}
	s := t.sets[id]
	if s == nil {
		s = &Set{ID: id}
		t.sets[id] = s
	}
	s.FDs = slices.Insert(s.FDs, 0, Member{fd, opaque})
	return id
}

// Remove closes a descriptor of a set, or all of them if fd is negative. It tells whether there was one.
func (t *Table) Remove(id int64, fd int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sets[id]
	if s == nil {
		return false
	}
	n := len(s.FDs)
	s.FDs = slices.DeleteFunc(s.FDs, func(m Member) bool {
		if fd >= 0 && m.FD != fd {
			return false
		}
		_ = unix.Close(m.FD)
		return true
	})
	removed := len(s.FDs) < n
	if len(s.FDs) == 0 {
		delete(t.sets, id)
	}
	return removed
}

// Sets lists the sets by number.
func (t *Table) Sets() (list []Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sets {
		list = append(list, Set{s.ID, slices.Clone(s.FDs)})
	}
	slices.SortFunc(list, func(a, b Set) int { return int(a.ID - b.ID) })
	return list
}

const prefix = "/dev/fdset/"

// Is tells whether a file name refers to a set.
func Is(path string) bool { return strings.HasPrefix(path, prefix) }

// settable are the flags that a descriptor can be given after it was opened.
const settable = unix.O_APPEND | unix.O_DIRECT | unix.O_NONBLOCK

// Open opens a file: one whose name refers to a set is a copy of the set's descriptor that was opened for what flags say.
func (t *Table) Open(path string, flags int, mode uint32) (int, error) {
	if !Is(path) {
		return unix.Open(path, flags|unix.O_CLOEXEC, mode)
	}
	id, err := strconv.ParseInt(path[len(prefix):], 10, 64)
	if err != nil {
		return -1, unix.EINVAL
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sets[id]
	if s == nil {
		return -1, unix.ENOENT
	}
	for _, m := range s.FDs {
		have, err := unix.FcntlInt(uintptr(m.FD), unix.F_GETFL, 0)
		if err != nil {
			return -1, err
		}
		if have&unix.O_ACCMODE != flags&unix.O_ACCMODE {
			continue
		}
		if set := flags & settable; have&set != set {
			if _, err := unix.FcntlInt(uintptr(m.FD), unix.F_SETFL, have|set); err != nil {
				return -1, err
			}
		}
		return unix.FcntlInt(uintptr(m.FD), unix.F_DUPFD_CLOEXEC, 0)
	}
	return -1, unix.EACCES
}
