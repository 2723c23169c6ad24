package qom

import "slices"

// Type is a type of objects.
type Type struct {
	Name     string
	Parent   string // "" for the root of the types
	Abstract bool   // no object is of this type itself
}

// Types knows types by name. The parents that nobody added are abstract types without a parent.
type Types struct {
	byName map[string]Type
	names  []string
}

// Add makes types known; one that is known already stays as it is.
func (t *Types) Add(types ...Type) {
	if t.byName == nil {
		t.byName = map[string]Type{}
	}
	for _, y := range types {
		if _, known := t.byName[y.Name]; known {
			continue
		}
		t.byName[y.Name] = y
		t.names = append(t.names, y.Name)
	}
	slices.Sort(t.names)
}

// AddChain adds name, whose ancestors are parents, the nearest first.
func (t *Types) AddChain(name string, parents ...string) {
	t.Add(Type{Name: name, Parent: first(parents)})
	for i, p := range parents {
		t.Add(Type{Name: p, Parent: first(parents[i+1:]), Abstract: true})
	}
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// Lookup returns a type.
func (t *Types) Lookup(name string) (Type, bool) {
	y, ok := t.byName[name]
	return y, ok
}

// Is tells whether a type is another or descends from it.
func (t *Types) Is(name, of string) bool {
	for range len(t.names) + 1 { // a ring of parents ends here
		if name == of {
			return true
		}
		if name = t.byName[name].Parent; name == "" {
			return false
		}
	}
	return false
}

// List returns the types that descend from of ("" for all), abstract ones only if wanted, by name.
func (t *Types) List(of string, abstract bool) []Type {
	var out []Type
	for _, n := range t.names {
		if y := t.byName[n]; (abstract || !y.Abstract) && (of == "" || t.Is(n, of)) {
			out = append(out, y)
		}
	}
	return out
}
