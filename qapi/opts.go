package qapi

import (
	"strconv"
	"strings"
)

// FromOpts makes an object of the schema's type of that name from an option's names and values: all values of a name whose member is a
// list become its elements, of others the last one counts. Names that the type lacks are refused.
func FromOpts(typeName string, pairs [][2]string) (*Object, error) {
	t, _ := lookup(typeName)
	o := new(Object)
	if t.Tag != "" {
		for _, p := range pairs {
			if p[0] == t.Tag {
				o.Set(p[0], p[1])
			}
		}
	}
	members := t.Members
	if b := t.branch(o); b != nil {
		members = append(members[:len(members):len(members)], b.Members...)
	} else if t.Tag != "" && o.Has(t.Tag) {
		if err := Decode(t.memberType(t.Tag), o.Text(t.Tag), nil); err != nil {
			return nil, Errorf("Parameter '%s' does not accept value '%s'", t.Tag, o.Text(t.Tag))
		}
	}
	for _, p := range pairs {
		var m *Member
		for i := range members {
			if members[i].Name == p[0] {
				m = &members[i]
			}
		}
		if m == nil {
			if t.Tag != "" && !o.Has(t.Tag) {
				continue // the missing tag is reported
			}
			return nil, Errorf("Invalid parameter '%s'", p[0])
		}
		if elem, list := lookup(m.Type); list {
			old, _ := o.Get(p[0])
			l, _ := old.([]any)
			if isInteger(elem.Name) {
				o.Set(p[0], append(l, expandRange(p[0], p[1])...))
				continue
			}
			var v any = p[1]
			if elem.Kind == KindObject && len(elem.Members) == 1 {
				v = NewObject(elem.Members[0].Name, p[1])
			}
			o.Set(p[0], append(l, v))
			continue
		}
		o.Set(p[0], p[1])
	}
	v, _ := typed(typeName, o, nil, optLeaf).(*Object)
	return v, nil
}

func isInteger(kind string) bool {
	return strings.HasPrefix(kind, "int") || strings.HasPrefix(kind, "uint")
}

// maxRange bounds the numbers that one range stands for.
const maxRange = 65536

// expandRange gives the numbers that "5" and "0-3" stand for, as texts; a text that is neither becomes an error in its place.
func expandRange(name, s string) (list []any) {
	first, last, isRange := strings.Cut(s, "-")
	a, err := strconv.ParseUint(cNumber(first), 0, 64)
	b := a
	if err == nil && isRange {
		b, err = strconv.ParseUint(cNumber(last), 0, 64)
	}
	if err != nil || b < a || b-a >= maxRange {
		return []any{Errorf("Parameter '%s' expects a uint64 value or range", name)}
	}
	for ; ; a++ {
		list = append(list, strconv.FormatUint(a, 10))
		if a == b {
			return list
		}
	}
}

// optLeaf is typedLeaf with the words that QEMU has for options.
func optLeaf(kind, s string, at *place) any {
	v := typedLeaf(kind, s, at)
	if _, bad := v.(error); !bad {
		return v
	}
	switch {
	case kind == "size":
		return Errorf("Parameter '%s' expects a size value", at.full())
	case strings.HasPrefix(kind, "uint"):
		return Errorf("Parameter '%s' expects a uint64 value", at.full())
	case strings.HasPrefix(kind, "int"):
		return Errorf("Parameter '%s' expects an int64 value", at.full())
	}
	return v
}

func (t *Type) memberType(name string) string {
	for _, m := range t.Members {
		if m.Name == name {
			return m.Type
		}
	}
	return ""
}
