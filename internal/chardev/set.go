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
	"pty": openPTY, "ringbuf": openRing, "memory": openRing, "socket": openSocket, "udp": openUDP, "vc": openVC,
}

// kindMux is the kind that makes another backend one for several frontends; it has no endpoint of its own.
const kindMux = "mux"

// Kinds lists the kinds of backend in alphabetical order.
func Kinds() []string {
	k := []string{kindMux}
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
	// Object finds user-created objects by ID.
	Object func(id string) any

	changing sync.Mutex

	mu  sync.Mutex
	all []*Backend
}

// NewSet returns an empty set whose callbacks run on loop.
func NewSet(loop Loop, hooks Hooks) *Set { return &Set{loop: loop, hooks: hooks} }

// Open opens a backend and adds it to the set.
func (cs *Set) Open(s *Spec) (*Backend, error) {
	if _, ok := cs.Find(s.ID); ok {
		return nil, fmt.Errorf("Duplicate ID '%s' for chardev", s.ID)
	}
	if s.Kind == kindMux {
		return cs.openMux(s)
	}
	open, ok := drivers[s.Kind]
	if !ok {
		return nil, fmt.Errorf("'%s' is not a valid char driver name", s.Kind)
	}
	cs.complete(s)
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

// complete adds to a specification what a driver needs of the set.
func (cs *Set) complete(s *Spec) {
	s.tell, s.detached, s.screen = cs.hooks.Tell, cs.hooks.Detached, cs.hooks.Screen
	if s.Object == nil {
		s.Object = cs.Object
	}
}

// OpenOption opens what an option of the command line describes, with its messages.
func (cs *Set) OpenOption(s *Spec) (*Backend, error) {
	s.tell = cs.hooks.Tell
	for _, text := range s.deprecated {
		s.inform(text)
	}
	b, err := cs.Open(s)
	if err == nil {
		say(cs.hooks.Print, s.Notice)
	}
	return b, err
}

// openMux lets several frontends share a backend that is there already; its identifier is good for both.
func (cs *Set) openMux(s *Spec) (*Backend, error) {
	base, ok := s.get("chardev")
	if !ok {
		return nil, errors.New("chardev: mux: no chardev given")
	}
	b, ok := cs.Find(base)
	if !ok {
		return nil, fmt.Errorf("mux: base chardev %s not found", base)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ports) > 0 || b.mux != nil {
		return nil, fmt.Errorf("Device '%s' is in use", base)
	}
	b.mux, b.alias = newMux(b, &cs.hooks), s.ID
	return b, nil
}

// ErrNotFound says that a name is not that of a character device.
var ErrNotFound = errors.New("no character device of that name")

// OpenLegacy opens what the string of an option such as -serial names; (nil, nil) for "none". The origin is Spec's.
func (cs *Set) OpenLegacy(origin, label, text string) (*Backend, error) {
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
	s.Origin = origin
	return cs.OpenOption(s)
}

// Find looks a backend up by ID.
func (cs *Set) Find(id string) (*Backend, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, b := range cs.all {
		if b.ID == id || b.alias == id && id != "" {
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

// MuxLabels are the identifiers of a mux and of what it is made of.
func (b *Backend) MuxLabels() (mux, base string) {
	if b.alias != "" {
		return b.alias, b.ID
	}
	return b.ID, b.ID + "-base"
}

// Change puts another endpoint into the place of a backend's; the frontends stay.
func (cs *Set) Change(b *Backend, s *Spec) error {
	open, ok := drivers[s.Kind]
	if !ok {
		return fmt.Errorf("'%s' is not a valid char driver name", s.Kind)
	}
	cs.complete(s)
	cs.changing.Lock()
	defer cs.changing.Unlock()
	b.mu.Lock()
	old, was, discard := b.end, b.connected, b.discard
	b.connected, b.discard = false, false
	b.mu.Unlock()
	if err := open(b, s); err != nil {
		b.mu.Lock()
		b.end, b.connected, b.discard = old, was, discard
		b.mu.Unlock()
		return err
	}
	b.mu.Lock()
	b.Kind = s.Kind
	now := b.connected
	b.mu.Unlock()
	old.stop(false)
	switch {
	case was && !now:
		b.event(Closed)
	case now && !was:
		b.event(Opened)
	}
	return nil
}

// Yank cuts the connection of a socket; it tells whether the backend is one.
func (b *Backend) Yank() bool {
	e, ok := b.endpoint().(*socketEnd)
	if ok {
		e.yank()
	}
	return ok
}

// IsSocket tells whether the backend is a socket.
func (b *Backend) IsSocket() bool {
	_, ok := b.endpoint().(*socketEnd)
	return ok
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
