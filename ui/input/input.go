// Package input brings keys and pointer movements from users to the devices of the machine. Everything here is called under the machine
// lock.
package input

import (
	"slices"

	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

// Kind is a kind of event; values are those of QEMU's InputEventKind.
type Kind uint8

// The kinds.
const (
	KindKey Kind = iota
	KindButton
	KindRel
	KindAbs
)

// String returns the kind's name.
func (k Kind) String() string { return [...]string{"key", "btn", "rel", "abs"}[k] }

// Mask is a set of kinds.
type Mask uint8

// Of makes a set.
func Of(kinds ...Kind) (m Mask) {
	for _, k := range kinds {
		m |= 1 << k
	}
	return m
}

// Button is a button of a pointing device.
type Button uint8

// The buttons, in QEMU's order.
const (
	Left Button = iota
	Middle
	Right
	WheelUp
	WheelDown
	Side
	Extra
	WheelLeft
	WheelRight
	buttons
)

// ButtonNames are the buttons' names.
var ButtonNames = [buttons]string{"left", "middle", "right", "wheel-up", "wheel-down", "side", "extra", "wheel-left", "wheel-right"}

// Axis is a direction of movement.
type Axis uint8

// The axes.
const (
	AxisX Axis = iota
	AxisY
)

// AbsMax is the largest value of an absolute position; the smallest is 0.
const AbsMax = 0x7fff

// Event is a key or button that goes up or down, or a movement.
type Event struct {
	Kind   Kind
	Key    Key
	Button Button
	Axis   Axis
	Down   bool
	Value  int
}

// Device is a device that takes events.
type Device interface {
	// Input takes an event, Sync says that those before it belong together.
	Input(e Event)
	Sync()
}

// handler is a device in its place.
type handler struct {
	d       Device
	name    string
	mask    Mask
	id      int
	screen  any // the console whose events it gets; nil for every one's
	pending bool
}

// Router knows the devices, the one that gets the events first.
type Router struct {
	// Running tells whether the machine takes input.
	Running func() bool
	// OnMode, if not nil, hears when absolute positions begin or cease to be wanted.
	OnMode []func(absolute bool)
	// OnLEDs hear of the keyboard's lights.
	OnLEDs []func(leds LEDs)

	handlers []*handler
	last     int
	absolute bool
	leds     LEDs
	queue    []item
	timer    *clock.Timer
}

// LEDs are the lights of a keyboard.
type LEDs uint8

// The lights.
const (
	ScrollLED LEDs = 1 << iota
	NumLED
	CapsLED
)

// Main is the router of this process's machine.
var Main = &Router{Running: func() bool { return true }}

// Add makes a device known; the last one comes last unless Activate is called. name is for people.
func (r *Router) Add(d Device, name string, mask Mask) {
	r.last++
	r.handlers = append(r.handlers, &handler{d: d, name: name, mask: mask, id: r.last})
	r.checkMode()
}

// Bind lets a device have only the events of a console.
func (r *Router) Bind(d Device, screen any) {
	for _, h := range r.handlers {
		if h.d == d {
			h.screen = screen
		}
	}
}

// Activate puts a device before all others.
func (r *Router) Activate(d Device) { r.move(d, true) }

// Deactivate puts a device behind all others.
func (r *Router) Deactivate(d Device) { r.move(d, false) }

func (r *Router) move(d Device, first bool) {
	i := slices.IndexFunc(r.handlers, func(h *handler) bool { return h.d == d })
	if i < 0 {
		return
	}
	h := r.handlers[i]
	r.handlers = slices.Delete(r.handlers, i, i+1)
	if first {
		r.handlers = slices.Insert(r.handlers, 0, h)
	} else {
		r.handlers = append(r.handlers, h)
	}
	r.checkMode()
}

// Remove forgets a device.
func (r *Router) Remove(d Device) {
	r.handlers = slices.DeleteFunc(r.handlers, func(h *handler) bool { return h.d == d })
	r.checkMode()
}

func (r *Router) find(m Mask, screen any) *handler {
	for _, bound := range []bool{true, false} {
		for _, h := range r.handlers {
			if (h.screen != nil) == bound && (!bound || h.screen == screen) && h.mask&m != 0 {
				return h
			}
		}
	}
	return nil
}

// Takes tells whether a device takes a kind of event.
func (r *Router) Takes(k Kind, screen any) bool { return r.find(Of(k), screen) != nil }

// Absolute tells whether the pointing device in use wants positions instead of movements.
func (r *Router) Absolute() bool {
	h := r.find(Of(KindRel, KindAbs), nil)
	return h != nil && h.mask&Of(KindAbs) != 0
}

func (r *Router) checkMode() {
	if a := r.Absolute(); a != r.absolute {
		r.absolute = a
		for _, f := range r.OnMode {
			f(a)
		}
	}
}

// Mouse describes a pointing device.
type Mouse struct {
	Name              string
	ID                int
	Current, Absolute bool
}

// Mice lists the pointing devices, the one in use first.
func (r *Router) Mice() (list []Mouse) {
	for _, h := range r.handlers {
		if h.mask&Of(KindRel, KindAbs) != 0 {
			list = append(list, Mouse{h.name, h.id, len(list) == 0, h.mask&Of(KindAbs) != 0})
		}
	}
	return list
}

// Choose puts the pointing device with a number before the others.
func (r *Router) Choose(id int) (name string, found, mouse bool) {
	for _, h := range r.handlers {
		if h.id == id {
			if mouse = h.mask&Of(KindRel, KindAbs) != 0; mouse {
				r.Activate(h.d)
			}
			return h.name, true, mouse
		}
	}
	return "", false, false
}

// Send gives an event of a console (nil if it comes from elsewhere) to the device that takes it.
func (r *Router) Send(screen any, e Event) {
	if e.Kind == KindKey && e.Key == KeySysRq {
		e.Key = KeyPrint
	}
	if !r.Running() {
		return
	}
	if h := r.find(Of(e.Kind), screen); h != nil {
		h.d.Input(e)
		h.pending = true
	}
}

// Sync says that the events before it belong together.
func (r *Router) Sync() {
	if !r.Running() {
		return
	}
	for _, h := range r.handlers {
		if h.pending {
			h.d.Sync()
			h.pending = false
		}
	}
}

// Rel sends a movement.
func (r *Router) Rel(screen any, a Axis, v int) {
	r.Send(screen, Event{Kind: KindRel, Axis: a, Value: v})
}

// Abs sends a position on a screen of size pixels.
func (r *Router) Abs(screen any, a Axis, v, size int) {
	if size < 2 {
		v = AbsMax / 2
	} else {
		v = int(int64(v) * AbsMax / int64(size))
	}
	r.Send(screen, Event{Kind: KindAbs, Axis: a, Value: v})
}

// Buttons sends what has changed between two sets of buttons; bits gives each button's place in them.
func (r *Router) Buttons(screen any, bits map[Button]uint32, old, now uint32) {
	for b := range buttons {
		if m := bits[b]; old&m != now&m {
			r.Send(screen, Event{Kind: KindButton, Button: b, Down: now&m != 0})
		}
	}
}

// item is an entry of the queue: an event, or a pause of some milliseconds if delay is set.
type item struct {
	screen any
	e      Event
	delay  int64
}

const (
	queueLimit   = 1024
	defaultDelay = 10 // ms between the keys of a combination
)

// SendKey sends a key, behind those that wait for a pause to end.
func (r *Router) SendKey(screen any, k Key, down bool) {
	e := Event{Kind: KindKey, Key: k, Down: down}
	switch {
	case len(r.queue) == 0:
		r.Send(screen, e)
		r.Sync()
	case len(r.queue) < queueLimit:
		r.queue = append(r.queue, item{screen: screen, e: e})
	}
}

// Pause makes keys that come after it wait for ms milliseconds, or the usual time if that is 0.
func (r *Router) Pause(ms int64) {
	if !r.Running() || len(r.queue) >= queueLimit {
		return
	}
	if ms <= 0 {
		ms = defaultDelay
	}
	if r.timer == nil {
		r.timer = mainloop.NewTimer(clock.Virtual, r.proceed)
	}
	r.queue = append(r.queue, item{delay: min(ms, maxDelay)})
	if len(r.queue) == 1 {
		r.wait()
	}
}

// maxDelay keeps times from overflowing.
const maxDelay = 1 << 31

func (r *Router) wait() { r.timer.Mod(clock.Virtual.Now() + r.queue[0].delay*1e6) }

// proceed ends a pause.
func (r *Router) proceed() {
	r.queue = r.queue[1:]
	for len(r.queue) > 0 {
		i := r.queue[0]
		if i.delay != 0 {
			r.wait()
			return
		}
		r.Send(i.screen, i.e)
		r.Sync()
		r.queue = r.queue[1:]
	}
	r.queue = nil
}

// SetLEDs tells of the keyboard's lights.
func (r *Router) SetLEDs(l LEDs) {
	r.leds = l
	for _, f := range r.OnLEDs {
		f(l)
	}
}

// LEDs returns the keyboard's lights.
func (r *Router) LEDs() LEDs { return r.leds }
