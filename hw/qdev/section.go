package qdev

import (
	"cmp"

	"goemu/migration/vmstate"
)

// PathBus is a bus whose devices have a path that tells their states apart in a migration stream.
type PathBus interface{ DevicePath(d Device) string }

// StatePath is what stands before the name of a device's state: the path that its bus gives it, "" if it gives none.
func StatePath(d Device) string {
	if b, ok := d.Dev().bus.(PathBus); ok {
		return b.DevicePath(d)
	}
	return ""
}

// Section is a part of the machine's state under the name that a migration stream gives it. Sections of one name are told apart by
// their instance.
type Section struct {
	Name     string
	Instance int
	State    vmstate.State
}

// StateBus is a bus with a state of its own.
type StateBus interface{ BusState() vmstate.State }

// Instanced is a device whose states are not numbered in the order of their making.
type Instanced interface{ StateInstance() int }

// Composite is a device with a second state, that of what is around the one its class has.
type Composite interface{ PartState() vmstate.State }

// Sections lists the states of all devices and of their buses in the order in which they were made.
func (t *Tree) Sections() []Section {
	var out []Section
	instances := map[string]int{}
	add := func(path string, s vmstate.State) {
		name := s.Layout().Name
		if path != "" {
			name = path + "/" + name
		}
		out = append(out, Section{name, instances[name], s})
		instances[name]++
	}
	for _, d := range t.made {
		if !d.Dev().realized || d.Dev().withdrawal != notWithdrawn {
			continue
		}
		if s := d.Dev().State(); s != nil {
			add(StatePath(d), s)
			if i, ok := d.(Instanced); ok {
				out[len(out)-1].Instance = i.StateInstance()
			}
			if c, ok := d.(Composite); ok {
				add(StatePath(d), c.PartState())
			}
		}
		for _, b := range d.Dev().buses {
			if sb, ok := b.node.(StateBus); ok {
				add("", sb.BusState())
			}
		}
	}
	return out
}

// Unmigratable names a device because of which the machine cannot be migrated, "" if there is none.
func (t *Tree) Unmigratable() string {
	for _, d := range t.made {
		if c := d.Dev().class; c.Unmigratable {
			name := cmp.Or(c.StateName, c.Name)
			if path := StatePath(d); path != "" {
				return path + "/" + name
			}
			return name
		}
	}
	return ""
}
