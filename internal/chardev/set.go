package chardev

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// claim is a resource that one backend at a time can own.
type claim struct{ taken atomic.Bool }

func (c *claim) take() bool { return c.taken.CompareAndSwap(false, true) }
func (c *claim) release()   { c.taken.Store(false) }

// drivers are the kinds of backend.
var drivers = map[string]func(*Backend, *Spec) error{
	"null": openNull, "stdio": openStdio, "file": openFile, "pipe": openPipe, "serial": openDevice, "tty": openDevice,
	"pty": openPTY, "ringbuf": openRing, "memory": openRing, "socket": openSocket,
}

// Kinds lists the kinds of backend in alphabetical order.
func Kinds() []string {
	var k []string
	for name := range drivers {
		k = append(k, name)
	}
	slices.Sort(k)
	return k
}

// Help is the answer to -chardev help.
func Help() string {
	return "Available chardev backend types: \n  " + strings.Join(Kinds(), "\n  ") + "\n"
}

// Set is the character devices of a machine, by ID.
type Set struct {
	loop  Loop
	hooks Hooks

	mu  sync.Mutex
	all []*Backend
}

// NewSet returns an empty set whose callbacks run on loop.
func NewSet(loop Loop, hooks Hooks) *Set { return &Set{loop: loop, hooks: hooks} }

// Open opens a backend and adds it to the set.
func (cs *Set) Open(s *Spec) (*Backend, error) {
	open, ok := drivers[s.Kind]
	if !ok {
		return nil, fmt.Errorf("'%s' is not a valid char driver name", s.Kind)
	}
	if _, ok := cs.Find(s.ID); ok {
		return nil, fmt.Errorf("Duplicate ID '%s' for chardev", s.ID)
	}
	b := newBackend(s.ID, s.Kind, cs.loop)
	if s.Mux {
		b.mux = newMux(b, &cs.hooks)
	}
	if path, ok := s.get("logfile"); ok {
		appendTo, err := s.boolean("logappend", false)
		if err != nil {
			return nil, err
		}
		if b.log, err = openLog(path, appendTo); err != nil {
			return nil, err
		}
	}
	if err := open(b, s); err != nil {
		if b.log != nil {
			b.log.close()
		}
		return nil, err
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.all = append(cs.all, b)
	return b, nil
}

// ErrNotFound says that a name is not that of a character device.
var ErrNotFound = errors.New("no character device of that name")

// OpenLegacy opens what a -serial or -monitor string names; (nil, nil) for "none". Warnings and notices go to print.
func (cs *Set) OpenLegacy(label, text string, print func(line string)) (*Backend, error) {
	s, err := ParseLegacy(label, text)
	switch {
	case err == ErrNone:
		return nil, nil
	case err != nil:
		return nil, err
	}
	if s.Kind == "" {
		b, ok := cs.Find(s.ID)
		if !ok {
			return nil, fmt.Errorf("%w: '%s'", ErrNotFound, s.ID)
		}
		return b, nil
	}
	s.Notify = print
	b, err := cs.Open(s)
	if print != nil {
		for _, w := range s.Warnings {
			print(w)
		}
		if err == nil && s.Notice != "" {
			print(s.Notice)
		}
	}
	return b, err
}

// Find looks a backend up by ID.
func (cs *Set) Find(id string) (*Backend, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, b := range cs.all {
		if b.ID == id {
			return b, true
		}
	}
	return nil, false
}

// All lists the backends in the order they were opened.
func (cs *Set) All() []*Backend {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Clone(cs.all)
}

// Remove closes a backend and takes it out of the set.
func (cs *Set) Remove(id string) error {
	b, ok := cs.Find(id)
	if !ok {
		return fmt.Errorf("Chardev '%s' not found", id)
	}
	if b.InUse() {
		return fmt.Errorf("Chardev '%s' is busy", id)
	}
	cs.mu.Lock()
	cs.all = slices.DeleteFunc(cs.all, func(x *Backend) bool { return x == b })
	cs.mu.Unlock()
	b.Close()
	return nil
}

// Close closes all backends, giving terminals their modes back.
func (cs *Set) Close() {
	cs.mu.Lock()
	all := cs.all
	cs.all = nil
	cs.mu.Unlock()
	for _, b := range all {
		b.Close()
	}
}
