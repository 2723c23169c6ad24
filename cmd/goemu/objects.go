package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"goemu/hw/qdev"
	"goemu/hw/virtio/rng"
	"goemu/internal/config"
	"goemu/internal/qom"
)

// objects are the user-created objects (-object).
type objects struct {
	rngs map[string]*rng.Source
	made []madeObject
}

// madeObject is an object with its place in the tree of objects.
type madeObject struct {
	id   string
	node *qom.Node
}

// add notes that an object was made.
func (h *objects) add(typ, id string, object any, props ...qom.Property) {
	n := qom.New(typ, object)
	for _, p := range props {
		n.AddProperty(p)
	}
	h.made = append(h.made, madeObject{id, n})
}

// objectType is a type that -object takes.
type objectType struct {
	name    string
	options []string // besides id
	help    string
	create  func(h *objects, id string, o config.Options) error
}

var objectTypes = []objectType{
	{"rng-builtin", nil, "There are no options for rng-builtin.\n", createBuiltin},
	{"rng-random", []string{"filename"}, "rng-random options:\n  filename=<string>\n", createRandom},
}

func createBuiltin(h *objects, id string, _ config.Options) error {
	h.rngs[id] = rng.NewBuiltin(id)
	h.add("rng-builtin", id, h.rngs[id], constant("opened", "bool", true))
	return nil
}

func createRandom(h *objects, id string, o config.Options) error {
	name, _ := o.Get("filename")
	s, err := rng.NewRandom(id, name)
	if err == nil {
		h.rngs[id] = s
		h.add("rng-random", id, s, constant("opened", "bool", true), constant("filename", "string", cmp.Or(name, rng.DefaultFile)))
	}
	return err
}

func findObjectType(name string) *objectType {
	i := slices.IndexFunc(objectTypes, func(t objectType) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	return &objectTypes[i]
}

// create makes the objects that the command line names.
func (h *objects) create(list []config.Options) error {
	h.rngs = map[string]*rng.Source{}
	for _, o := range list {
		t, id, err := h.check(o)
		if err != nil {
			return at(o.Origin, err)
		}
		if err := t.create(h, id, o); err != nil { // no longer about the option: QEMU does not name it either
			return err
		}
	}
	return nil
}

// check finds the type and the identifier of an object and checks the names of its options.
func (h *objects) check(o config.Options) (t *objectType, id string, err error) {
	name, _ := o.Get("qom-type")
	t = findObjectType(name)
	if t == nil {
		return nil, "", fmt.Errorf("Parameter 'qom-type' does not accept value '%s'", name)
	}
	id, ok := o.Get("id")
	if !ok {
		return nil, "", errors.New("Parameter 'id' is missing")
	}
	for _, p := range o.Without("qom-type", "id").Pairs {
		if !slices.Contains(t.options, p.Key) {
			return nil, "", fmt.Errorf("Invalid parameter '%s'", p.Key)
		}
	}
	if h.rngs[id] != nil {
		return nil, "", fmt.Errorf("Duplicate ID '%s' for object", id)
	}
	return t, id, nil
}

// links lets device properties name the objects.
func (h *objects) links(l *qdev.Links) {
	qdev.Link(l, func(id string) (*rng.Source, bool) { s := h.rngs[id]; return s, s != nil })
}

func (h *objects) close() {
	for _, s := range h.rngs {
		s.Close()
	}
}

// find returns an object by its identifier, nil if there is none.
func (h *objects) find(id string) any {
	for _, m := range h.made {
		if m.id == id {
			return m.node.Object()
		}
	}
	return nil
}

func objectNames() (names []string) {
	for _, t := range objectTypes {
		names = append(names, t.name)
	}
	return names
}

func objectHelp(typ string) (string, error) {
	if t := findObjectType(typ); t != nil {
		return t.help, nil
	}
	return "", fmt.Errorf("-object %s,help: Parameter 'qom-type' does not accept value '%s'", typ, typ)
}
