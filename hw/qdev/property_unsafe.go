package qdev

import (
	"fmt"
	"reflect"
	"strings"
	"unsafe"
)

// property is one property of one device: a struct field with a prop tag.
type property struct {
	name  string
	owner string // type that the property belongs to in error messages
	def   string
	has   bool // def is given
	help  string
	value reflect.Value
	codec codec

	global string // the -global that gave it its value, "" for none
}

// Property tags: `prop:"name,default=value" help:"text" owner:"type"`; owner on a struct field holds for all properties inside.
const (
	tagProp  = "prop"
	tagHelp  = "help"
	tagOwner = "owner"
)

// collect finds the properties of a device in its struct and all structs embedded by value, exported or not.
func collect(d Device) []property {
	v := reflect.ValueOf(d)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("BUG: device %T is not a pointer to a struct", d))
	}
	var out []property
	walk(v.Elem(), d.Dev().class.Name, &out)
	return out
}

var baseType = reflect.TypeFor[Base]()

func walk(v reflect.Value, owner string, out *[]property) {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		f := v.Field(i)
		if o, ok := sf.Tag.Lookup(tagOwner); ok {
			owner = o
		}
		tag, ok := sf.Tag.Lookup(tagProp)
		if !ok {
			if f.Kind() == reflect.Struct && sf.Type != baseType && hasProps(sf.Type) {
				inner := owner
				walk(f, inner, out)
			}
			continue
		}
		f = reflect.NewAt(sf.Type, unsafe.Pointer(f.UnsafeAddr())).Elem() // unexported fields may be set too
		name, rest, _ := strings.Cut(tag, ",")
		p := property{name: name, owner: owner, help: sf.Tag.Get(tagHelp), value: f}
		p.def, p.has = strings.CutPrefix(rest, "default=")
		if !p.has {
			p.def = ""
		}
		p.codec = codecFor(sf.Type)
		*out = append(*out, p)
	}
}

// hasProps tells whether a struct type has property tags anywhere inside.
func hasProps(t reflect.Type) bool {
	for i := range t.NumField() {
		sf := t.Field(i)
		if _, ok := sf.Tag.Lookup(tagProp); ok {
			return true
		}
		if sf.Type.Kind() == reflect.Struct && sf.Type != baseType && hasProps(sf.Type) {
			return true
		}
	}
	return false
}
