package qdev

import (
	"errors"
	"fmt"
	"strings"

	"goemu/internal/clock"
	"goemu/internal/qom"
)

// Hotplugger is a bus that may take and give devices while the machine runs.
type Hotplugger interface {
	// HotplugHandler is who looks after the devices that come and go, nil if none may.
	HotplugHandler() HotplugHandler
}

// HotplugHandler looks after devices that come and go while the machine runs.
type HotplugHandler interface {
	// PrePlug refuses a device before it is realized, be it at the start or later.
	PrePlug(d Device) error
	// Plugged hears of a new device, and tells the guest if it came while the machine was running.
	Plugged(d Device) error
	// RequestUnplug asks the guest to let go of a device. Once it has, the handler calls Tree.Unplugged: at once if no guest is asked.
	RequestUnplug(d Device) error
}

// Direct is the handler of buses whose devices come and go without the guest's leave.
type Direct struct{}

// PrePlug implements HotplugHandler.
func (Direct) PrePlug(Device) error { return nil }

// Plugged implements HotplugHandler.
func (Direct) Plugged(Device) error { return nil }

// RequestUnplug implements HotplugHandler.
func (Direct) RequestUnplug(d Device) error {
	d.Dev().tree.Unplugged(d)
	return nil
}

// Handler is who looks after the devices that come to and go from the bus, nil if none may.
func (b *Bus) Handler() HotplugHandler {
	if h, ok := b.node.(Hotplugger); ok {
		return h.HotplugHandler()
	}
	return nil
}

// handler is who looks after the device while the machine runs, nil for nobody.
func (b *Base) handler() HotplugHandler {
	switch {
	case b.bus != nil:
		return b.bus.QBus().Handler()
	case b.tree != nil:
		return b.tree.Loose
	}
	return nil
}

// FindDevice finds a device by its identifier or its path, as device_del does.
func (t *Tree) FindDevice(name string) (Device, error) {
	if !strings.HasPrefix(name, "/") {
		if d := t.ids[name]; d != nil {
			return d, nil
		}
		return nil, qom.NotFound{Path: name}
	}
	n, err := t.QOM.Resolve(name)
	if err != nil {
		return nil, err
	}
	d, ok := n.Object().(Device)
	if !ok {
		return nil, fmt.Errorf("%s is not a hotpluggable device", name)
	}
	return d, nil
}

// RequestUnplug asks the guest to let go of a device. name is how the user called it.
func (t *Tree) RequestUnplug(d Device, name string) error {
	b := d.Dev()
	if n, err := t.QOM.Resolve(name); strings.HasPrefix(name, "/") && err == nil && n != b.node {
		return errors.New("Bus 'virtio-bus' does not support hotplugging") // only virtio devices have a part
	}
	if b.leavingUntil > now() {
		return fmt.Errorf("Device %s is already in the process of unplug", name)
	}
	h := b.handler()
	switch {
	case h == nil && b.bus != nil:
		return fmt.Errorf("Bus '%s' does not support hotplugging", b.bus.QBus().name)
	case h == nil || b.class.NoHotplug:
		return fmt.Errorf("Device '%s' does not support hotplugging", b.class.Name)
	}
	if !b.leavesAnyTime && t.migrating() {
		return errors.New("device_del not allowed while migrating")
	}
	return h.RequestUnplug(d)
}

// now is the guest's time in milliseconds.
func now() int64 { return clock.Virtual.Now() / 1_000_000 }

// LeaveAnyTime lets the device be removed even while the machine migrates.
func (b *Base) LeaveAnyTime() { b.leavesAnyTime = true }

// SetLeavingFor notes that the guest has been asked to let go of the device, and may be asked again after so many milliseconds.
func (b *Base) SetLeavingFor(ms int64) { b.leavingUntil = now() + ms }

// Unplugged takes a device out that the guest has let go of, with all devices on its buses, and tells of each. One that was only withdrawn
// stays.
func (t *Tree) Unplugged(d Device) {
	if b := d.Dev(); b.withdrawal != notWithdrawn {
		b.withdrawal = withdrawn
		return
	}
	type gone struct{ id, path string }
	var list []gone
	var note func(d Device)
	note = func(d Device) {
		b := d.Dev()
		for _, bus := range b.buses {
			for _, c := range bus.devices {
				note(c)
			}
		}
		for _, part := range b.parts {
			list = append(list, gone{"", part.Path()})
		}
		list = append(list, gone{b.id, b.node.Path()})
	}
	note(d)
	t.Modified = true
	t.Remove(d)
	for _, g := range list {
		if t.OnRemoved != nil {
			t.OnRemoved(g.id, g.path)
		}
	}
}

// AddPart puts an object below the device that users see as a device of its own.
func (b *Base) AddPart(name string, n *qom.Node) *qom.Node {
	b.parts = append(b.parts, b.node.MustAdd(name, n))
	return n
}

// Tree is the tree that the device is in, nil for devices of their own.
func (b *Base) Tree() *Tree { return b.tree }

// Warn tells people of something about a device that is being made.
func (b *Base) Warn(text string) {
	if b.tree != nil && b.tree.Warn != nil {
		b.tree.Warn(text)
	}
}
