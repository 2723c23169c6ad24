package qapi

import "iter"

// Object is a JSON object whose members keep the order in which they came. The zero value is empty; a nil *Object reads as empty.
type Object struct {
	names  []string
	values []any
	index  map[string]int // of large objects
}

// indexFrom is the size from which an object has an index.
const indexFrom = 12

// NewObject makes an object of alternating names and values.
func NewObject(pairs ...any) *Object {
	o := new(Object)
	for i := 0; i < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// Len is the number of members.
func (o *Object) Len() int {
	if o == nil {
		return 0
	}
	return len(o.names)
}

func (o *Object) find(name string) int {
	if o == nil {
		return -1
	}
	if o.index != nil {
		if i, ok := o.index[name]; ok {
			return i
		}
		return -1
	}
	for i, n := range o.names {
		if n == name {
			return i
		}
	}
	return -1
}

// Has tells whether there is a member of that name.
func (o *Object) Has(name string) bool { return o.find(name) >= 0 }

// Get returns a member's value.
func (o *Object) Get(name string) (v any, ok bool) {
	if i := o.find(name); i >= 0 {
		return o.values[i], true
	}
	return nil, false
}

// Text returns a member that is a string, "" otherwise.
func (o *Object) Text(name string) string {
	v, _ := o.Get(name)
	s, _ := v.(string)
	return s
}

// Set adds a member or changes it.
func (o *Object) Set(name string, v any) {
	if i := o.find(name); i >= 0 {
		o.values[i] = v
		return
	}
	if o.index != nil {
		o.index[name] = len(o.names)
	} else if len(o.names) == indexFrom {
		o.index = make(map[string]int, 2*indexFrom)
		for i, n := range o.names {
			o.index[n] = i
		}
		o.index[name] = len(o.names)
	}
	o.names = append(o.names, name)
	o.values = append(o.values, v)
}

// Delete removes a member.
func (o *Object) Delete(name string) {
	i := o.find(name)
	if i < 0 {
		return
	}
	o.names = append(o.names[:i:i], o.names[i+1:]...)
	o.values = append(o.values[:i:i], o.values[i+1:]...)
	if o.index != nil {
		delete(o.index, name)
		for j := i; j < len(o.names); j++ {
			o.index[o.names[j]] = j
		}
	}
}

// All walks through the members in their order.
func (o *Object) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for i := range o.Len() {
			if !yield(o.names[i], o.values[i]) {
				return
			}
		}
	}
}

// Map is the object as plain Go maps and slices all the way down.
func (o *Object) Map() map[string]any {
	m := make(map[string]any, o.Len())
	for name, v := range o.All() {
		m[name] = plain(v)
	}
	return m
}

func plain(v any) any {
	switch v := v.(type) {
	case *Object:
		return v.Map()
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plain(e)
		}
		return l
	}
	return v
}

// Names lists the members in their order.
func (o *Object) Names() []string {
	if o == nil {
		return nil
	}
	return o.names
}
