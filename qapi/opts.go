package qapi

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
			var v any = p[1]
			if elem.Kind == KindObject && len(elem.Members) == 1 {
				v = NewObject(elem.Members[0].Name, p[1])
			}
			o.Set(p[0], append(l, v))
			continue
		}
		o.Set(p[0], p[1])
	}
	return FromKeyval(typeName, o), nil
}

func (t *Type) memberType(name string) string {
	for _, m := range t.Members {
		if m.Name == name {
			return m.Type
		}
	}
	return ""
}
