package ui

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Hardware is a display adapter behind a console. All methods are called under the machine lock.
type Hardware interface {
	// Update brings the console's surface up to date and reports what has changed with Changed.
	Update()
	// Invalidate makes the next Update draw everything.
	Invalidate()
}

// Resizer is hardware that can be told the size that a viewer would like.
type Resizer interface {
	SetPreferred(width, height int)
}

// Listener shows a console. All methods are called under the machine lock.
type Listener interface {
	// Switched says that the console has another surface.
	Switched(s *Surface)
	// Changed says that a rectangle of the surface has changed.
	Changed(x, y, w, h int)
	// Refreshed ends each round of updates and returns how long to wait for the next one.
	Refreshed() time.Duration
	// CursorDefined gives the pointer another picture; nil hides it.
	CursorDefined(c *Cursor)
	// CursorMoved says where the guest wants the pointer.
	CursorMoved(x, y int, visible bool)
}

// Console is one screen of the machine.
type Console struct {
	Index int
	// Owner is the device that the screen belongs to, Head which of its screens it is. Owner is nil for a text console.
	Owner any
	Head  int

	set       *Set
	hw        Hardware
	closed    bool
	surface   *Surface
	cursor    *Cursor
	listeners []Listener

	refreshing sync.Mutex // one round at a time; taken before the machine lock
	vram       *memory.RAMBlock
	dirty      []uint64 // pages of vram that were written since the adapter drew them
}

// Set is the consoles of a machine.
type Set struct {
	// Sync, if not nil, makes the CPUs report their next writes to video memory. It is called without the machine lock.
	Sync func()
	// OnSelect hear that another console is the one that viewers show. They are called under the machine lock.
	OnSelect []func(c *Console)

	mu       sync.Mutex
	consoles []*Console
	active   *Console // nil: the first one
	wake     chan struct{}
	running  bool
}

// Main is the consoles of this process's machine.
var Main = NewSet()

// NewSet returns an empty set.
func NewSet() *Set { return &Set{wake: make(chan struct{}, 1)} }

// Add makes a console of hardware. Screens of devices come before text consoles. Preconditions: the machine lock is held.
func (s *Set) Add(owner any, head int, hw Hardware) *Console {
	c := &Console{Owner: owner, Head: head, set: s, hw: hw}
	c.surface = Placeholder(640, 480, "Guest has not initialized the display (yet).")
	s.mu.Lock()
	defer s.mu.Unlock()
	at := len(s.consoles)
	if owner != nil {
		if at = slices.IndexFunc(s.consoles, func(c *Console) bool { return c.Owner == nil }); at < 0 {
			at = len(s.consoles)
		}
	}
	s.consoles = slices.Insert(s.consoles, at, c)
	for i, c := range s.consoles {
		c.Index = i
	}
	return c
}

// noHardware is behind the console of a machine without a display adapter.
type noHardware struct{}

// Update implements Hardware.
func (noHardware) Update() {}

// Invalidate implements Hardware.
func (noHardware) Invalidate() {}

// Blank returns a console that says that there is no screen; it is not one of the set.
func (s *Set) Blank() *Console {
	return &Console{set: s, hw: noHardware{}, surface: Placeholder(640, 480, "This VM has no graphic display device.")}
}

// List returns the consoles.
func (s *Set) List() []*Console {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.consoles)
}

// Close takes the console away from its set. Preconditions: the machine lock is held.
func (c *Console) Close() {
	c.closed = true
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if c.set.active == c {
		c.set.active = nil
	}
	c.set.consoles = slices.DeleteFunc(c.set.consoles, func(o *Console) bool { return o == c })
	for i, c := range c.set.consoles {
		c.Index = i
	}
}

// Active returns the console that viewers show that are not bound to a device, nil if there is none.
func (s *Set) Active() *Console {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == nil && len(s.consoles) > 0 {
		return s.consoles[0]
	}
	return s.active
}

// Select makes the console with a number the active one, if there is one. Preconditions: the machine lock is held.
func (s *Set) Select(index int) {
	c := s.At(index)
	if c == nil {
		return
	}
	s.mu.Lock()
	s.active = c
	s.mu.Unlock()
	for _, f := range s.OnSelect {
		f(c)
	}
}

// Find returns the console of a device's screen, nil if there is none.
func (s *Set) Find(owner any, head int) *Console {
	for _, c := range s.List() {
		if c.Owner == owner && c.Head == head {
			return c
		}
	}
	return nil
}

// At returns the console with a number, nil if there is none.
func (s *Set) At(index int) *Console {
	if l := s.List(); index >= 0 && index < len(l) {
		return l[index]
	}
	return nil
}

// Track lets the console watch the writes to video memory.
func (c *Console) Track(vram *memory.RAMBlock) {
	vram.Track(memory.DirtyDisplay)
	c.vram, c.dirty = vram, make([]uint64, ((vram.Size()+memory.PageSize-1)>>memory.PageBits+63)/64)
}

// Dirty tells whether video memory in [from, from+n) was written since the last Clean.
func (c *Console) Dirty(from, n uint64) bool {
	if n == 0 {
		return false
	}
	for page := from >> memory.PageBits; page <= (from+n-1)>>memory.PageBits; page++ {
		if w := page >> 6; w < uint64(len(c.dirty)) && c.dirty[w]>>(page&63)&1 != 0 {
			return true
		}
	}
	return false
}

// Clean forgets which video memory was written.
func (c *Console) Clean() { clear(c.dirty) }

// Surface returns what is seen. Preconditions: the machine lock is held.
func (c *Console) Surface() *Surface { return c.surface }

// Resize gives the console a surface of a size; one that has it already is kept. Preconditions: the machine lock is held.
func (c *Console) Resize(width, height int) *Surface {
	if s := c.surface; s.Width != width || s.Height != height || s.Placeholder {
		c.Switch(NewSurface(width, height))
	}
	return c.surface
}

// Switch shows another surface. Preconditions: the machine lock is held.
func (c *Console) Switch(s *Surface) {
	c.surface = s
	for _, l := range c.listeners {
		l.Switched(s)
	}
}

// Changed tells the listeners that a part of the surface has changed. Preconditions: the machine lock is held.
func (c *Console) Changed(x, y, w, h int) {
	x, y = max(x, 0), max(y, 0)
	w, h = min(w, c.surface.Width-x), min(h, c.surface.Height-y)
	if w <= 0 || h <= 0 {
		return
	}
	for _, l := range c.listeners {
		l.Changed(x, y, w, h)
	}
}

// ChangedAll is Changed for the whole surface.
func (c *Console) ChangedAll() { c.Changed(0, 0, c.surface.Width, c.surface.Height) }

// DefineCursor gives the pointer another picture, nil for none. Preconditions: the machine lock is held.
func (c *Console) DefineCursor(p *Cursor) {
	c.cursor = p
	for _, l := range c.listeners {
		l.CursorDefined(p)
	}
}

// MoveCursor says where the guest's pointer is. Preconditions: the machine lock is held.
func (c *Console) MoveCursor(x, y int, visible bool) {
	for _, l := range c.listeners {
		l.CursorMoved(x, y, visible)
	}
}

// Invalidate makes the next refresh draw everything. Preconditions: the machine lock is held.
func (c *Console) Invalidate() { c.hw.Invalidate() }

// Prefer tells the adapter which size a viewer would like; ok is false if it does not want to know. Preconditions: the machine lock is held.
func (c *Console) Prefer(width, height int) (ok bool) {
	r, ok := c.hw.(Resizer)
	if ok {
		r.SetPreferred(width, height)
	}
	return ok
}

// Resizes tells whether the adapter wants to know which size a viewer would like.
func (c *Console) Resizes() bool { _, ok := c.hw.(Resizer); return ok }

// Refresh brings the surface up to date. It is called without the machine lock.
func (c *Console) Refresh() {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	if c.vram != nil && c.vram.Collect(memory.DirtyDisplay, c.dirty) > 0 && c.set.Sync != nil {
		c.set.Sync()
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if !c.closed {
		c.hw.Update()
	}
}

// Watch adds a listener and shows it what there is. Preconditions: the machine lock is held.
func (c *Console) Watch(l Listener) {
	c.listeners = append(c.listeners, l)
	l.Switched(c.surface)
	l.CursorDefined(c.cursor)
	s := c.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		s.running = true
		go s.run()
	}
	s.kick()
}

// Unwatch removes a listener. Preconditions: the machine lock is held.
func (c *Console) Unwatch(l Listener) {
	c.listeners = slices.DeleteFunc(c.listeners, func(o Listener) bool { return o == l })
}

// Kick makes the next round of updates begin soon.
func (s *Set) Kick() { s.kick() }

func (s *Set) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Times between two rounds of updates: the usual one, which is the shortest, and the longest.
const (
	RefreshDefault = 30 * time.Millisecond
	RefreshIdle    = 3 * time.Second
)

// run refreshes the watched consoles again and again; it ends when none is watched.
func (s *Set) run() {
	last := time.Time{}
	for {
		if d := RefreshDefault - time.Since(last); d > 0 { // also when it was woken up
			time.Sleep(d)
		}
		last = time.Now()
		wait, any := RefreshIdle, false
		for _, c := range s.List() {
			mainloop.Lock.Lock()
			watched := len(c.listeners) > 0
			mainloop.Lock.Unlock()
			if !watched {
				continue
			}
			any = true
			c.Refresh()
			mainloop.Lock.Lock()
			for _, l := range c.listeners {
				wait = min(wait, l.Refreshed())
			}
			mainloop.Lock.Unlock()
		}
		s.mu.Lock()
		if !any && len(s.wake) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		t := time.NewTimer(wait - time.Since(last))
		select {
		case <-t.C:
		case <-s.wake:
			t.Stop()
		}
	}
}

// NotBound is the error for a device without a screen of that number.
func NotBound(device string, head int) error {
	return fmt.Errorf("Device %s (head %d) is not bound to a QemuConsole", device, head)
}

// Cursor returns the pointer's picture, nil for none. Preconditions: the machine lock is held.
func (c *Console) Cursor() *Cursor { return c.cursor }
