package qapi

import (
	"context"
	"iter"
)

// Bound is a command that can be called.
type Bound struct {
	*Command
	// Call checks the arguments, runs the command and returns what it answers, nil for an empty object.
	Call func(ctx context.Context, args *Object) (any, error)
}

// Registry is the commands that can be called, by name.
type Registry struct {
	byName map[string]*Bound
	order  []*Bound
}

// NewRegistry returns an empty registry, to be filled by the Bind functions.
func NewRegistry() *Registry { return &Registry{byName: map[string]*Bound{}} }

// Find looks a command up; nil if there is none.
func (r *Registry) Find(name string) *Bound { return r.byName[name] }

// All walks through the commands in the order in which they were bound.
func (r *Registry) All() iter.Seq[*Bound] {
	return func(yield func(*Bound) bool) {
		for _, b := range r.order {
			if !yield(b) {
				return
			}
		}
	}
}

func (r *Registry) bind(c *Command, call func(ctx context.Context, args *Object) (any, error)) {
	b := &Bound{Command: c, Call: call}
	if r.byName[c.Name] != nil {
		panic("BUG: command " + c.Name + " is bound twice")
	}
	r.byName[c.Name] = b
	r.order = append(r.order, b)
}

// noArguments checks that a command without arguments gets none.
func noArguments(args *Object) error { return Decode(emptyType, orEmpty(args), nil) }

// arguments reads a command's arguments into a new T.
func arguments[T any](typeName string, args *Object) (*T, error) {
	arg := new(T)
	return arg, Decode(typeName, orEmpty(args), arg)
}

// rawArguments checks arguments that are handed on as they came.
func rawArguments(typeName string, args *Object) (*Object, error) {
	args = orEmpty(args)
	return args, Decode(typeName, args, nil)
}

func orEmpty(o *Object) *Object {
	if o == nil {
		return new(Object)
	}
	return o
}
