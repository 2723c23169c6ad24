package main

import (
	"strings"

	"goemu/internal/qom"
)

// plantBackends puts the user's objects and the character devices into the machine's tree of objects.
func (s *session) plantBackends() {
	s.host.objects.InUse = s.objectUsed
	s.host.objects.Plant(s.machine.Tree.Objects)
	chars := s.host.chars.All()
	if len(chars) == 0 {
		return
	}
	dir := s.machine.Tree.QOM.MustAdd("chardevs", qom.Container())
	for _, b := range chars {
		typ := "chardev-" + b.Kind
		if b.Mux() { // QEMU has two of them
			dir.MustAdd(b.ID+"-base", qom.New(typ, b))
			typ = "chardev-mux"
		}
		dir.MustAdd(b.ID, qom.New(typ, b))
	}
}

// objectUsed tells whether the machine or one of its devices uses an object.
func (s *session) objectUsed(id string) bool {
	used := false
	s.machine.Tree.QOM.Walk(func(n *qom.Node) {
		for _, p := range n.Properties() {
			if p.Get != nil && strings.HasPrefix(p.Type, "link<") {
				v, _ := p.Get().(string)
				used = used || v == "/objects/"+id
			}
		}
	})
	return used
}
