// Package userobj has the objects that users make with -object and object-add: their types as a table, making and removing them. It knows
// no type itself. Which members an object takes and how they are written is the schema's business (ObjectOptions); here they arrive with
// their types checked.
package userobj

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"goemu/internal/config"
	"goemu/internal/qom"
	"goemu/qapi"
)

// Object is an object of a user.
type Object interface {
	// Complete checks the object as a whole and puts it into operation, after its properties have been set.
	Complete() error
	// Close takes it out of operation.
	Close()
}

// Stand is an object that stands for another value, which is what others find by its identifier.
type Stand interface{ Value() any }

// InUse is an object that knows whether it may go.
type InUse interface{ InUse() bool }

// Property is a property of a type.
type Property struct {
	Name, Type, Desc string
	// Get and Set are nil for properties that cannot be read and written. Values are those of qom.Property; lists and objects come as the
	// schema's []any and *qapi.Object.
	Get func(o Object) any
	Set func(o Object, v any) error
}

// Type is a type of objects.
type Type struct {
	Name    string
	Parents []string // the nearest first, without "object"
	Late    bool     // is made after the character devices, the network and the disks, which cannot refer to it
	Props   []Property
	New     func(id string) Object
}

// Ancestors are the types that a type descends from.
func (t *Type) Ancestors() []string {
	return append(t.Parents[:len(t.Parents):len(t.Parents)], "object")
}

// Help is the answer to -object TYPE,help.
func (t *Type) Help() string {
	var lines []string
	for _, p := range t.Props {
		if p.Set == nil {
			continue
		}
		line := fmt.Sprintf("  %s=<%s>", p.Name, p.Type)
		if p.Desc != "" {
			line = fmt.Sprintf("%-24s - %s", line, p.Desc)
		}
		lines = append(lines, line+"\n")
	}
	if len(lines) == 0 {
		return "There are no options for " + t.Name + ".\n"
	}
	slices.Sort(lines)
	return t.Name + " options:\n" + strings.Join(lines, "")
}

// Set holds a machine's objects.
type Set struct {
	Types []*Type
	// InUse tells whether the machine uses an object; nil before there is one.
	InUse func(id string) bool
	list  []made
	tree  *qom.Node
}

// made is an object with its place in the tree of objects.
type made struct {
	id     string
	node   *qom.Node
	object Object
}

// Type finds a type by its name, nil for none.
func (s *Set) Type(name string) *Type {
	for _, t := range s.Types {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Plant puts the objects, those to come, too, below a node of the machine's tree.
func (s *Set) Plant(under *qom.Node) {
	s.tree = under
	for _, m := range s.list {
		under.MustAdd(m.id, m.node)
	}
}

// ErrID refuses an identifier, IDHint explains what one is.
var ErrID = errors.New("Parameter 'id' expects an identifier")

// IDHint follows ErrID where people read it.
const IDHint = "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."

// Add makes the object that members, of the schema's type ObjectOptions, describe.
func (s *Set) Add(members *qapi.Object) error {
	t, id := s.Type(members.Text("qom-type")), members.Text("id")
	switch {
	case t == nil:
		return fmt.Errorf("Parameter 'qom-type' does not accept value '%s'", members.Text("qom-type"))
	case !config.WellFormedID(id):
		return ErrID
	case s.index(id) >= 0:
		return fmt.Errorf("attempt to add duplicate property '%s' to object (type 'container')", id)
	}
	o := t.New(id)
	n := qom.New(t.Name, o)
	for i := range t.Props {
		p := &t.Props[i]
		q := qom.Property{Name: p.Name, Type: p.Type, Desc: p.Desc}
		if p.Get != nil {
			q.Get = func() any { return p.Get(o) }
		}
		if p.Set != nil {
			q.Set = func(v any) error { return p.Set(o, v) }
		}
		n.AddProperty(q)
	}
	for name, v := range members.All() {
		if name != "qom-type" && name != "id" {
			if err := n.Set(name, v); err != nil {
				o.Close()
				return err
			}
		}
	}
	if err := o.Complete(); err != nil {
		o.Close()
		return err
	}
	s.list = append(s.list, made{id, n, o})
	if s.tree != nil {
		s.tree.MustAdd(id, n)
	}
	return nil
}

func (s *Set) index(id string) int {
	return slices.IndexFunc(s.list, func(m made) bool { return m.id == id })
}

// Remove takes away an object that nobody uses.
func (s *Set) Remove(id string) error {
	i := s.index(id)
	if i < 0 {
		return fmt.Errorf("object '%s' not found", id)
	}
	m := s.list[i]
	u, knows := m.object.(InUse)
	if knows && u.InUse() || s.InUse != nil && s.InUse(id) {
		return fmt.Errorf("object '%s' is in use, can not be deleted", id)
	}
	m.node.Remove()
	s.list = slices.Delete(s.list, i, i+1)
	m.object.Close()
	return nil
}

// Find returns the value of an object, nil if there is none of that identifier.
func (s *Set) Find(id string) any {
	i := s.index(id)
	if i < 0 {
		return nil
	}
	if v, ok := s.list[i].object.(Stand); ok {
		return v.Value()
	}
	return s.list[i].object
}

// All calls f for the values of all objects that are Ts, in the order in which they were made.
func All[T any](s *Set, f func(id string, o T)) {
	for _, m := range s.list {
		if o, ok := s.Find(m.id).(T); ok {
			f(m.id, o)
		}
	}
}

// Close takes all objects out of operation, the last one first.
func (s *Set) Close() {
	for i := len(s.list) - 1; i >= 0; i-- {
		s.list[i].object.Close()
	}
	s.list = nil
}
