package qapi

import (
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Decode checks v against the schema's type of that name and stores it into dst, a pointer to the generated type; a nil dst only checks.
// Messages are QEMU's.
func Decode(typeName string, v any, dst any) error {
	if dst == nil {
		return decode(typeName, v, reflect.Value{}, nil)
	}
	return decode(typeName, v, reflect.ValueOf(dst).Elem(), nil)
}

// place is where in a value the decoder is; nil is the value itself.
type place struct {
	up    *place
	name  string
	index int
	elem  bool // an element of a list
}

// full is the whole name, as "a.b[0].c".
func (p *place) full() string {
	if p == nil {
		return "<anonymous>"
	}
	s := ""
	for ; p != nil; p = p.up {
		if p.elem {
			s = "[" + strconv.Itoa(p.index) + "]" + s
		} else {
			s = "." + p.name + s
		}
	}
	return strings.TrimPrefix(s, ".")
}

// local is the last name alone, as some messages have it.
func (p *place) local() string {
	if p == nil || p.elem {
		return "null"
	}
	return p.name
}

func wrongType(p *place, expected string) error {
	return Errorf("Invalid parameter type for '%s', expected: %s", p.full(), expected)
}

var objectType = reflect.TypeFor[*Object]()

// settle makes room behind a pointer and returns what to store into.
func settle(dst reflect.Value) reflect.Value {
	if dst.IsValid() && dst.Kind() == reflect.Pointer {
		if dst.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
		}
		return dst.Elem()
	}
	return dst
}

func decode(typeName string, v any, dst reflect.Value, at *place) error {
	if misfit, ok := v.(*Error); ok { // of FromKeyval
		return misfit
	}
	t, list := lookup(typeName)
	if list {
		return decodeList(typeName[2:], v, dst, at)
	}
	if dst.IsValid() && dst.Type() == objectType { // a raw type: checked, then handed on
		if err := decode(typeName, v, reflect.Value{}, at); err != nil {
			return err
		}
		dst.Set(reflect.ValueOf(v))
		return nil
	}
	switch t.Kind {
	case KindEnum:
		s, ok := v.(string)
		if !ok {
			return wrongType(at, "string")
		}
		if !t.accepts[s] {
			return Errorf("Parameter '%s' does not accept value '%s'", at.local(), s)
		}
		if dst.IsValid() {
			settle(dst).SetString(s)
		}
		return nil
	case KindObject:
		o, ok := v.(*Object)
		if !ok {
			return wrongType(at, "object")
		}
		return decodeObject(t, o, settle(dst), at)
	case KindAlternate:
		return decodeAlternate(t, v, settle(dst), at)
	}
	return decodeBuiltin(t.Name, v, dst, at)
}

func decodeList(elem string, v any, dst reflect.Value, at *place) error {
	list, ok := v.([]any)
	if !ok {
		return wrongType(at, "array")
	}
	if dst = settle(dst); dst.IsValid() {
		dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	}
	for i, e := range list {
		var d reflect.Value
		if dst.IsValid() {
			d = dst.Index(i)
		}
		if err := decode(elem, e, d, &place{up: at, index: i, elem: true}); err != nil {
			return err
		}
	}
	return nil
}

// decodeObject reads an object; dst is the struct.
func decodeObject(t *Type, o *Object, dst reflect.Value, at *place) error {
	seen, err := decodeMembers(t, o, dst, at)
	if err != nil || seen == o.Len() {
		return err
	}
	for _, name := range o.names {
		if !t.allows(o, name) {
			return Errorf("Parameter '%s' is unexpected", (&place{up: at, name: name}).full())
		}
	}
	return nil
}

// allows tells whether the object may have a member of that name.
func (t *Type) allows(o *Object, name string) bool {
	for i := range t.Members {
		if t.Members[i].Name == name {
			return true
		}
	}
	b := t.branch(o)
	return b != nil && b.allows(o, name)
}

// branch is the type of the branch that an object selects, nil if it has none.
func (t *Type) branch(o *Object) *Type {
	if t.Tag == "" {
		return nil
	}
	tag := o.Text(t.Tag)
	for i := range t.Branches {
		if t.Branches[i].Name == tag {
			b, _ := lookup(t.Branches[i].Type)
			return b
		}
	}
	return nil
}

// decodeMembers reads the members that t knows and counts them.
func decodeMembers(t *Type, o *Object, dst reflect.Value, at *place) (seen int, err error) {
	var p *plan
	if dst.IsValid() {
		p = planOf(dst.Type())
	}
	for i := range t.Members {
		m := &t.Members[i]
		v, ok := o.Get(m.Name)
		if !ok {
			if m.Optional {
				continue
			}
			return seen, Errorf("Parameter '%s' is missing", (&place{up: at, name: m.Name}).full())
		}
		seen++
		var d reflect.Value
		if p != nil {
			d = dst.Field(p.members[m.Name])
		}
		if err := decode(m.Type, v, d, &place{up: at, name: m.Name}); err != nil {
			return seen, err
		}
	}
	b := t.branch(o)
	if b == nil {
		return seen, nil
	}
	var d reflect.Value
	if p != nil {
		d = settle(dst.Field(p.branches[o.Text(t.Tag)]))
	}
	n, err := decodeMembers(b, o, d, at)
	return seen + n, err
}

// decodeAlternate picks the alternative by the kind of v.
func decodeAlternate(t *Type, v any, dst reflect.Value, at *place) error {
	for i := range t.Branches {
		b := &t.Branches[i]
		if !takes(b.Type, v) {
			continue
		}
		var d reflect.Value
		if dst.IsValid() {
			d = dst.Field(planOf(dst.Type()).branches[b.Name])
		}
		return decode(b.Type, v, d, at)
	}
	return Errorf("Invalid parameter type for '%s', expected: %s", at.local(), t.Name)
}

// takes tells whether a value of a type has the JSON type that v has.
func takes(typeName string, v any) bool {
	t, list := lookup(typeName)
	switch v.(type) {
	case []any:
		return list
	case *Object:
		return !list && t.Kind == KindObject
	case string:
		return !list && (t.Kind == KindEnum || t.Name == "str")
	case bool:
		return t.Name == "bool" && !list
	case nil:
		return t.Name == "null" && !list
	}
	switch t.Name {
	case "str", "bool", "null", "any":
		return false
	}
	return !list && t.Kind == KindBuiltin
}

// ranges are the limits of the small integer types, and their names in messages.
var ranges = map[string]struct {
	min   int64
	max   uint64
	cName string
}{
	"int8": {math.MinInt8, math.MaxInt8, "int8_t"}, "int16": {math.MinInt16, math.MaxInt16, "int16_t"}, "int32": {math.MinInt32, math.MaxInt32, "int32_t"},
	"uint8": {0, math.MaxUint8, "uint8_t"}, "uint16": {0, math.MaxUint16, "uint16_t"}, "uint32": {0, math.MaxUint32, "uint32_t"},
}

func decodeBuiltin(name string, v any, dst reflect.Value, at *place) error {
	switch name {
	case "any":
		if dst.IsValid() && v != nil {
			dst.Set(reflect.ValueOf(v))
		}
		return nil
	case "null":
		if v != nil {
			return wrongType(at, "null")
		}
		settle(dst)
		return nil
	case "str":
		s, ok := v.(string)
		if !ok {
			return wrongType(at, "string")
		}
		if dst.IsValid() {
			settle(dst).SetString(s)
		}
		return nil
	case "bool":
		b, ok := v.(bool)
		if !ok {
			return wrongType(at, "boolean")
		}
		if dst.IsValid() {
			settle(dst).SetBool(b)
		}
		return nil
	case "number":
		f, ok := toFloat(v)
		if !ok {
			return wrongType(at, "number")
		}
		if dst.IsValid() {
			settle(dst).SetFloat(f)
		}
		return nil
	case "int", "int8", "int16", "int32", "int64":
		return decodeInt(name, v, dst, at)
	}
	return decodeUint(name, v, dst, at)
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}

func decodeInt(name string, v any, dst reflect.Value, at *place) error {
	i, ok := v.(int64)
	if !ok {
		return wrongType(at, "integer")
	}
	if r, ok := ranges[name]; ok && (i < r.min || i > int64(r.max)) {
		return Errorf("Parameter '%s' expects %s", at.local(), r.cName)
	}
	if dst.IsValid() {
		settle(dst).SetInt(i)
	}
	return nil
}

func decodeUint(name string, v any, dst reflect.Value, at *place) error {
	var u uint64
	switch v := v.(type) {
	case int64: // negative numbers have always been taken
		u = uint64(v)
	case uint64:
		u = v
	default:
		return Errorf("Parameter '%s' expects uint64", at.full())
	}
	if r, ok := ranges[name]; ok && u > r.max {
		return Errorf("Parameter '%s' expects %s", at.local(), r.cName)
	}
	if dst.IsValid() {
		settle(dst).SetUint(u)
	}
	return nil
}
