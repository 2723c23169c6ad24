package qapi

import (
	"strings"
	"sync"
)

// Module is one file of the schema.
type Module struct {
	Name     string
	Types    []Type
	Commands []Command
	Events   []EventInfo
}

// TypeKind says what kind of type a Type is.
type TypeKind uint8

// The kinds.
const (
	KindBuiltin TypeKind = iota
	KindEnum
	KindObject // a struct, or a union if it has a tag
	KindAlternate
)

// Type is a type of the schema. References are by name; a list of T is named "[]T".
type Type struct {
	Name     string
	Kind     TypeKind
	Members  []Member // of an object, those of its base first
	Tag      string   // of a union: the member that selects the branch
	Branches []Member // of a union, or the alternatives of an alternate
	Values   []Value  // of an enum
	Features []string

	accepts map[string]bool // the values
}

// Member is a member of an object, a branch or an alternative.
type Member struct {
	Name, Type string
	Optional   bool
	Features   []string
}

// Value is one value of an enum.
type Value struct {
	Name     string
	Features []string
}

// Command describes a command.
type Command struct {
	Name      string
	Arg, Ret  string // types; "" for an empty object
	Raw       bool   // arguments are handed on unchecked
	OOB       bool   // may run out of band
	Preconfig bool   // may run before the machine is made
	Coroutine bool   // may wait
	Features  []string
}

// EventInfo describes an event.
type EventInfo struct {
	Name     string
	Arg      string // type of its data, "" if it has none
	Features []string
}

// Event is something that happened, as clients are told. The generated structs implement it.
type Event interface {
	EventName() string
	// HasData tells whether the event has data at all.
	HasData() bool
}

// builtins are the types of the language and the JSON type of each.
var builtins = [...]struct{ name, json string }{
	{"str", "string"}, {"number", "number"}, {"int", "int"}, {"int8", "int"}, {"int16", "int"}, {"int32", "int"}, {"int64", "int"},
	{"uint8", "int"}, {"uint16", "int"}, {"uint32", "int"}, {"uint64", "int"}, {"size", "int"}, {"bool", "boolean"}, {"any", "value"},
	{"null", "null"},
}

// emptyType is the type of what has no members.
const emptyType = "q_empty"

var types = sync.OnceValue(func() map[string]*Type {
	m := map[string]*Type{emptyType: {Name: emptyType, Kind: KindObject}}
	for _, b := range builtins {
		m[b.name] = &Type{Name: b.name, Kind: KindBuiltin}
	}
	for _, mod := range modules {
		for i := range mod.Types {
			t := &mod.Types[i]
			m[t.Name] = t
			t.accepts = make(map[string]bool, len(t.Values))
			for _, v := range t.Values {
				t.accepts[v.Name] = true
			}
		}
	}
	return m
})

// FindType looks a type up by name; lists have none. It returns nil if there is none.
func FindType(name string) *Type { return types()[name] }

// lookup finds a type that must be there; list tells that it is a list of it.
func lookup(name string) (t *Type, list bool) {
	elem, list := strings.CutPrefix(name, "[]")
	if elem == "" {
		elem = emptyType
	}
	t = types()[elem]
	if t == nil {
		panic("BUG: no type " + name + " in the schema")
	}
	return t, list
}

// Accepts tells whether an enum has the value.
func (t *Type) Accepts(value string) bool { return t.accepts[value] }

// Modules lists the modules of the schema.
func Modules() []*Module { return modules }
