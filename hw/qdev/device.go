// Package qdev is the common part of all device models: classes, devices, buses, interrupt lines and properties, under QEMU's names and
// with QEMU's error texts. It knows no bus protocol and no concrete device.
package qdev

import (
	"fmt"
	"slices"

	"goemu/internal/qom"
	"goemu/migration/vmstate"
)

// Category groups devices in -device help.
type Category string

// The categories.
const (
	Bridge   Category = "Controller/Bridge/Hub"
	USB      Category = "USB"
	Storage  Category = "Storage"
	Network  Category = "Network"
	Input    Category = "Input"
	Display  Category = "Display"
	Sound    Category = "Sound"
	Misc     Category = "Misc"
	CPUs     Category = "CPU"
	Watchdog Category = "Watchdog"
	Other    Category = "Uncategorized"
)

// Class describes a device type. Classes are package-level values in lists; nothing registers itself.
type Class struct {
	Name      string
	Parents   []string // types it inherits from, for -global and compatibility properties
	Alias     string   // another name for -device
	Bus       string   // type of bus it sits on, "" for none, "System" for the machine itself
	Desc      string
	Category  Category
	Internal  bool // cannot be made with -device
	New       func() Device
	State     func(Device) vmstate.State // nil if nothing is migrated
	NoHotplug bool                       // must be there from the start and stay

	Unmigratable bool   // a machine with it cannot be migrated
	StateName    string // what messages about that call it, if not by its name
}

// Device is a device model. Embed a bus package's Device (or Base) for the methods that are not wanted.
type Device interface {
	Dev() *Base
	// Realize checks the properties and connects the device; Unrealize undoes it.
	Realize() error
	Unrealize()
	// Reset puts the device into its power-on state.
	Reset()
}

// Base is the part of a device that this package looks after.
type Base struct {
	class    *Class
	self     Device
	id       string
	bus      BusNode
	buses    []*Bus
	props    []property
	tree     *Tree // that made the device; nil for devices of their own
	realized bool
	noState  bool
	node     *qom.Node // nil for devices of their own
	hot      bool      // came while the machine was running
	// leavingUntil is the guest's time in milliseconds from which on it can be asked again to let go of the device.
	leavingUntil int64
	withdrawal   withdrawal

	leavesAnyTime bool        // even while the machine migrates
	parts         []*qom.Node // objects below it that are devices for users
	inputs        []*IRQ
	outputs       []**IRQ
	tap           func(n int, level bool) // hears of the inputs
}

// Dev implements Device.
func (b *Base) Dev() *Base { return b }

// Realize implements Device with nothing to do.
func (b *Base) Realize() error { return nil }

// Unrealize implements Device with nothing to do.
func (b *Base) Unrealize() {}

// Reset implements Device with nothing to do.
func (b *Base) Reset() {}

// Class returns the device's type.
func (b *Base) Class() *Class { return b.class }

// ID returns the identifier given by the user, "" if none.
func (b *Base) ID() string { return b.id }

// IDOrPath is the identifier given by the user, or else the path in the tree of objects; "" for a device of its own without identifier.
func (b *Base) IDOrPath() string {
	if b.id != "" || b.node == nil {
		return b.id
	}
	return b.node.Path()
}

// SetID names the device.
func (b *Base) SetID(id string) { b.id = id }

// Parent returns the bus the device sits on.
func (b *Base) Parent() BusNode { return b.bus }

// Buses returns the buses that the device provides.
func (b *Base) Buses() []*Bus { return b.buses }

// Hotplugged tells whether the device came while the machine was running.
func (b *Base) Hotplugged() bool { return b.hot }

// Realized tells whether the device is in operation.
func (b *Base) Realized() bool { return b.realized }

// HideState keeps the device's state out of migration streams, for a device that QEMU's machine of that type lacks.
func (b *Base) HideState() { b.noState = true }

// State returns the device's migrated state, nil if it has none.
func (b *Base) State() vmstate.State {
	if b.class == nil || b.class.State == nil || b.noState {
		return nil
	}
	return b.class.State(b.self)
}

// State makes a description of T the state of a class whose devices are *T.
func State[T any](d *vmstate.Description[T]) func(Device) vmstate.State {
	return func(dev Device) vmstate.State {
		p, ok := any(dev).(*T)
		if !ok {
			panic(fmt.Sprintf("BUG: state %s of device %T", d.Name, dev))
		}
		return d.Bind(p)
	}
}

// New returns a device of the class with its properties at their defaults.
func New(c *Class) Device {
	d := c.New()
	b := d.Dev()
	b.class, b.self = c, d
	b.props = collect(d)
	for i := range b.props {
		b.props[i].setDefault()
	}
	return d
}

// BusRealizer is a bus that prepares a device around its own Realize.
type BusRealizer interface {
	RealizeChild(d Device) error
	UnrealizeChild(d Device)
}

// Realize puts the device on a bus (nil for none) and into operation.
func Realize(d Device, on BusNode) error {
	b := d.Dev()
	if b.class == nil {
		panic(fmt.Sprintf("BUG: device %T was not made by qdev.New", d))
	}
	b.bus = on
	if b.node != nil && b.node.Parent() == nil {
		b.tree.Unattached.MustAdd("device[*]", b.node)
	}
	h := b.handler()
	if err := b.realize(on, h); err != nil {
		b.bus = nil
		b.leaveTree()
		return err
	}
	switch {
	case on != nil:
		b.bus.QBus().attach(d)
	case b.tree != nil:
		b.tree.loose = append(b.tree.loose, d)
	}
	b.realized = true
	if b.tree != nil {
		b.tree.made = append(b.tree.made, d)
		if b.id != "" {
			b.tree.ids[b.id] = d
		}
	}
	if b.hot {
		Reset(d)
	}
	if h == nil {
		return nil
	}
	err := h.Plugged(d)
	if err != nil {
		Unrealize(d)
	}
	return err
}

// realize calls the device's own Realize, with the bus's and the handler's part before it.
func (b *Base) realize(on BusNode, h HotplugHandler) error {
	if h != nil {
		if err := h.PrePlug(b.self); err != nil {
			return err
		}
	}
	if r, ok := on.(BusRealizer); ok {
		return r.RealizeChild(b.self)
	}
	return b.self.Realize()
}

// Unrealize takes the device out of operation and off its bus.
func Unrealize(d Device) {
	b := d.Dev()
	if !b.realized {
		return
	}
	for _, bus := range b.buses {
		for _, c := range append([]Device(nil), bus.devices...) {
			Unrealize(c)
		}
	}
	if r, ok := b.bus.(BusRealizer); ok {
		r.UnrealizeChild(d)
	} else {
		d.Unrealize()
	}
	if b.bus != nil {
		b.bus.QBus().detach(d)
	}
	b.realized, b.bus = false, nil
	b.leaveTree()
	if b.tree != nil {
		if b.tree.ids[b.id] == d {
			delete(b.tree.ids, b.id)
		}
		b.tree.made = slices.DeleteFunc(b.tree.made, func(x Device) bool { return x == d })
		b.tree.loose = slices.DeleteFunc(b.tree.loose, func(x Device) bool { return x == d })
	}
}

// Reset resets everything on the device's buses, then the device.
func Reset(d Device) {
	for _, bus := range d.Dev().buses {
		bus.Reset()
	}
	d.Reset()
}

// Categories are all categories in the order of -device help.
var Categories = []Category{Bridge, USB, Storage, Network, Input, Display, Sound, Misc, CPUs, Watchdog, Other}
