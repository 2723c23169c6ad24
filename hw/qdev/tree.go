package qdev

import (
	"errors"
	"fmt"
	"slices"

	"goemu/internal/qom"
)

// Registry knows device types by name.
type Registry struct {
	byName map[string]*Class
	names  []string
}

// NewRegistry returns a registry of the classes in the lists.
func NewRegistry(lists ...[]*Class) *Registry {
	r := &Registry{byName: map[string]*Class{}}
	for _, list := range lists {
		for _, c := range list {
			if r.byName[c.Name] != nil {
				panic("BUG: device type " + c.Name + " is listed twice")
			}
			r.byName[c.Name] = c
			r.names = append(r.names, c.Name)
		}
	}
	slices.Sort(r.names)
	return r
}

// Names returns the names of all types in order.
func (r *Registry) Names() []string { return r.names }

// Lookup returns the type called name, nil if there is none.
func (r *Registry) Lookup(name string) *Class {
	if c := r.byName[name]; c != nil {
		return c
	}
	for _, n := range r.names {
		if c := r.byName[n]; c.Alias != "" && c.Alias == name {
			return c
		}
	}
	return nil
}

// Global is a default for a property of every device of a type (-global and the machine's compatibility properties).
type Global struct {
	Driver, Property, Value string
	Optional                bool // not an error if the device lacks the property
}

// Tree is the machine's device tree.
type Tree struct {
	Registry *Registry
	Links    Links
	Globals  []Global
	root     Bus
	ids      map[string]Device
	// QOM is the root of the tree of objects; Machine and the containers are those of QEMU's tree.
	QOM, Machine, Peripheral, PeripheralAnon, Unattached, Objects *qom.Node
	// Hot is set once the machine is complete: devices come and go by hot-plugging from then on.
	Hot bool
	// Modified tells that devices have come or gone since.
	Modified bool
	// OnlyMigratable refuses devices because of which the machine could not be migrated.
	OnlyMigratable bool
	// OnRemoved, if set, hears of devices that have gone at the guest's leave: their identifier, "" for none, and their path.
	OnRemoved func(id, path string)

	// Warn, if set, gets warnings about the device that is being made.
	Warn func(text string)

	// Migrating, if set, tells whether the machine is being sent somewhere else, so that no device can come or go.
	Migrating func() bool

	// Loose looks after devices that sit on no bus while the machine runs; nil: they neither come nor go.
	Loose HotplugHandler

	standbys   []Standby
	loose      []Device       // devices that sit on no bus
	made       []Device       // in operation, in the order of their making
	busNumbers map[string]int // of buses that have no name of their own, by type
}

// NewTree returns a tree with nothing but the main system bus.
func NewTree(r *Registry) *Tree {
	t := &Tree{Registry: r, ids: map[string]Device{}, busNumbers: map[string]int{}}
	InitBus(&t.root, nil, "System", "main-system-bus", 0)
	t.plant()
	return t
}

// Root returns the main system bus.
func (t *Tree) Root() *Bus { return &t.root }

// New returns a device of a class with globals applied.
func (t *Tree) New(c *Class) (Device, error) {
	d := New(c)
	d.Dev().enter(t)
	for _, g := range t.Globals {
		if g.Driver != c.Name && !slices.Contains(c.Parents, g.Driver) {
			continue
		}
		if g.Optional && !HasProperty(d, g.Property) {
			continue
		}
		if err := Set(d, &t.Links, g.Property, g.Value); err != nil {
			return nil, fmt.Errorf("can't apply global %s.%s=%s: %w", g.Driver, g.Property, g.Value, err)
		}
		d.Dev().property(g.Property).global = g.Driver + "." + g.Property
	}
	return d, nil
}

// Create makes a device of the machine itself: class, settings, bus (nil for the main system bus), in operation.
func (t *Tree) Create(c *Class, on BusNode, settings ...Setting) (Device, error) {
	return t.CreateAt(nil, "", c, on, settings...)
}

// CreateAt is Create for a device that is the child of a place in the tree of objects; nil: of what is unattached.
func (t *Tree) CreateAt(place *qom.Node, child string, c *Class, on BusNode, settings ...Setting) (Device, error) {
	d, err := t.New(c)
	if err != nil {
		return nil, err
	}
	if place != nil {
		place.MustAdd(child, d.Dev().node)
	}
	for _, s := range settings {
		if err := s.apply(d, &t.Links); err != nil {
			return nil, err
		}
	}
	if on == nil {
		on = &t.root
	}
	return d, Realize(d, on)
}

// Add makes a device as -device and device_add do; driver, id and bus are taken out of the settings. The device is nil if it is the primary of
// a standby, which makes it later.
func (t *Tree) Add(settings []Setting) (Device, error) {
	var driver, id, busName string
	var rest []Setting
	named := false
	for _, s := range settings {
		switch s.Name {
		case "driver":
			driver, named = s.Value, true
		case "id":
			id = s.Value
		case "bus":
			busName = s.Value
		default:
			rest = append(rest, s)
		}
	}
	if !named {
		return nil, errors.New("Parameter 'driver' is missing")
	}
	c := t.Registry.Lookup(driver)
	switch {
	case c == nil:
		return nil, fmt.Errorf("'%s' is not a valid device model name", driver)
	case c.Internal, t.Hot && c.NoHotplug:
		return nil, errors.New("Parameter 'driver' expects a pluggable device type")
	}
	if t.OnlyMigratable && c.Unmigratable {
		return nil, fmt.Errorf("Device %s is not migratable, but --only-migratable was specified", c.Name)
	}
	bus, err := t.busFor(c, busName)
	if err != nil {
		return nil, err
	}
	if hide, err := t.hides(settings); err != nil {
		return nil, err
	} else if hide {
		if bus != nil && bus.Handler() == nil {
			return nil, fmt.Errorf("Bus '%s' does not support hotplugging", bus.name)
		}
		return nil, nil
	}
	switch {
	case !t.Hot:
	case bus == nil && t.Loose == nil:
		return nil, fmt.Errorf("Device '%s' can not be hotplugged on this machine", driver)
	case bus != nil && bus.Handler() == nil:
		return nil, fmt.Errorf("Bus '%s' does not support hotplugging", bus.name)
	}
	if t.migrating() {
		return nil, errors.New("device_add not allowed while migrating")
	}
	if id != "" && t.ids[id] != nil {
		return nil, fmt.Errorf("Duplicate device ID '%s'", id)
	}
	d, err := t.New(c)
	if err != nil {
		return nil, err
	}
	d.Dev().id, d.Dev().hot = id, t.Hot
	t.Modified = t.Modified || t.Hot
	for _, s := range rest {
		if err := s.apply(d, &t.Links); err != nil {
			return nil, err
		}
	}
	if id != "" {
		t.Peripheral.MustAdd(id, d.Dev().node)
	} else {
		t.PeripheralAnon.MustAdd("device[*]", d.Dev().node)
	}
	var on BusNode
	if bus != nil {
		on = bus.node
	}
	if err := Realize(d, on); err != nil {
		return nil, err
	}
	return d, nil
}

func (t *Tree) migrating() bool { return t.Migrating != nil && t.Migrating() }

// busFor finds the bus for a new device: the one called name, or the first of the right type with room, nil for a device that sits on none.
func (t *Tree) busFor(c *Class, name string) (*Bus, error) {
	if name != "" {
		b := t.FindBus(name)
		switch {
		case b == nil:
			return nil, fmt.Errorf("Bus '%s' not found", name)
		case !b.takes(c.Bus):
			return nil, fmt.Errorf("Device '%s' can't go on %s bus", c.Name, b.typ)
		case b.Full():
			return nil, fmt.Errorf("Bus '%s' is full", name)
		}
		return b, nil
	}
	if c.Bus == "" {
		return nil, nil
	}
	b := t.findBus(func(b *Bus) bool { return b.takes(c.Bus) && !b.Full() })
	if b == nil {
		return nil, fmt.Errorf("No '%s' bus found for device '%s'", c.Bus, c.Name)
	}
	return b, nil
}

// FirstBus returns the oldest bus that takes devices of a class, nil if there is none.
func (t *Tree) FirstBus(c *Class) BusNode {
	for _, d := range t.made {
		for _, b := range d.Dev().buses {
			if b.takes(c.Bus) {
				return b.node
			}
		}
	}
	return nil
}

// FindBus returns the bus called name, nil if there is none.
func (t *Tree) FindBus(name string) *Bus {
	return t.findBus(func(b *Bus) bool { return b.name == name })
}

// findBus returns the first bus that matches, nil if none does.
func (t *Tree) findBus(match func(*Bus) bool) *Bus {
	if b := t.root.find(match); b != nil {
		return b
	}
	return findBelow(t.loose, match)
}

// Devices returns all devices in the order in which they came into operation.
func (t *Tree) Devices() []Device { return t.made }

// Find returns the device with the identifier id, nil if there is none.
func (t *Tree) Find(id string) Device { return t.ids[id] }

// Remove takes a device out of operation.
func (t *Tree) Remove(d Device) { Unrealize(d) }

// Close takes all devices out of operation, the last one first.
func (t *Tree) Close() {
	for devs := t.root.devices; len(devs) > 0; devs = t.root.devices {
		t.Remove(devs[len(devs)-1])
	}
	for len(t.loose) > 0 {
		t.Remove(t.loose[len(t.loose)-1])
	}
}

// Reset resets all devices.
func (t *Tree) Reset() {
	t.root.Reset()
	for _, d := range slices.Backward(slices.Clone(t.loose)) {
		if d.Dev().realized {
			Reset(d)
		}
	}
}
