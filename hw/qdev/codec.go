package qdev

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Size is a number of bytes that may be written with a suffix (k, M, G, T, P, E).
type Size uint64

// OnOffAuto is a switch with a third position.
type OnOffAuto uint8

// The positions.
const (
	Auto OnOffAuto = iota
	On
	Off
)

// Or is what the switch says, or auto if that is left to others.
func (v OnOffAuto) Or(auto bool) bool { return v == On || v == Auto && auto }

var onOffAutoNames = []string{"auto", "on", "off"}

// Switch is a bool of which the help shows no default.
type Switch bool

// HideDefault is described with TypeNamer.
func (Switch) HideDefault() {}

// OfObject is described with Settings.
func (Switch) OfObject() {}

// ReadOnly is a property of T's kind that can only be looked at: its device has put what is seen into its node in the tree of objects.
type ReadOnly[T any] struct{}

// OfObject is described with Settings.
func (ReadOnly[T]) OfObject() {}

func (ReadOnly[T]) kind() string { return reflect.TypeFor[T]().String() }

// DevFn is a PCI slot and function, written 06.0; -1 means any.
type DevFn int32

// MACAddr is an Ethernet address.
type MACAddr [6]byte

// Links finds backends by identifier for properties that refer to them.
type Links struct {
	find map[reflect.Type]func(id string) (any, bool)
}

// Link tells how to find a T; properties of type T then accept identifiers.
func Link[T any](l *Links, find func(id string) (T, bool)) {
	if l.find == nil {
		l.find = map[reflect.Type]func(string) (any, bool){}
	}
	l.find[reflect.TypeFor[T]()] = func(id string) (any, bool) { return find(id) }
}

// codec converts a kind of property from and to text.
type codec struct {
	typeName    string
	showDefault bool
	quoted      bool
	link        bool
	parse       func(p *property, links *Links, s string) error
	number      func(p *property, s string) error // nil if a number of JSON means what its text means
	format      func(p *property) string
}

// special holds the codecs of types with a syntax of their own.
var special = map[reflect.Type]codec{
	reflect.TypeFor[Size]():      {typeName: "size", showDefault: true, parse: parseSizeProp, format: formatUint},
	reflect.TypeFor[OnOffAuto](): {typeName: "OnOffAuto", showDefault: true, quoted: true, parse: parseOnOffAuto, format: formatOnOffAuto},
	reflect.TypeFor[DevFn]():     {typeName: "int32", showDefault: true, parse: parseDevFn, number: parseDevFnNumber, format: formatInt},
	reflect.TypeFor[MACAddr]():   {typeName: "str", parse: parseMAC, format: formatMAC},
}

// TypeNamer is implemented by property types (with encoding.TextUnmarshaler) that have a type name of their own in help texts. Those
// with a method HideDefault show no default there, and neither do plain types with it.
type TypeNamer interface{ PropertyType() string }

func codecFor(t reflect.Type) codec {
	if c, ok := special[t]; ok {
		return c
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return textCodec(t)
	}
	if r, ok := reflect.Zero(t).Interface().(interface{ kind() string }); ok {
		return codec{typeName: r.kind(), parse: func(p *property, _ *Links, _ string) error {
			return fmt.Errorf("Property '%s.%s' is not writable", p.owner, p.name)
		}, format: func(*property) string { return "" }}
	}
	shown := !hidesDefault(t)
	switch t.Kind() {
	case reflect.Bool:
		return codec{typeName: "bool", showDefault: shown, parse: parseBool, format: func(p *property) string { return strconv.FormatBool(p.value.Bool()) }}
	case reflect.String:
		return codec{typeName: "str", parse: func(p *property, _ *Links, s string) error { p.value.SetString(s); return nil },
			format: func(p *property) string { return p.value.String() }}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return codec{typeName: t.Kind().String(), showDefault: shown, parse: parseUint, format: formatUint}
	case reflect.Int32, reflect.Int64:
		return codec{typeName: t.Kind().String(), showDefault: true, parse: parseInt, format: formatInt}
	case reflect.Pointer, reflect.Interface:
		c := codec{typeName: "str", link: true, parse: parseLink, format: formatLink}
		if n, ok := reflect.Zero(t).Interface().(TypeNamer); ok { // a link to an object
			c.typeName = n.PropertyType()
		}
		return c
	}
	panic(fmt.Sprintf("BUG: property of type %v", t))
}

func hidesDefault(t reflect.Type) bool {
	_, ok := reflect.Zero(t).Interface().(interface{ HideDefault() })
	return ok
}

func textCodec(t reflect.Type) codec {
	c := codec{typeName: "str", parse: func(p *property, _ *Links, s string) error {
		if err := p.value.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
			return fmt.Errorf("Parameter '%s' does not accept value '%s'", p.name, s)
		}
		return nil
	}, format: func(p *property) string { return fmt.Sprint(p.value.Interface()) }}
	if n, ok := reflect.Zero(t).Interface().(TypeNamer); ok {
		c.typeName, c.showDefault, c.quoted = n.PropertyType(), true, true
		if hidesDefault(t) {
			c.showDefault, c.quoted = false, false
		}
	}
	return c
}

func parseBool(p *property, _ *Links, s string) error {
	switch s {
	case "on", "yes", "true", "y":
		p.value.SetBool(true)
	case "off", "no", "false", "n":
		p.value.SetBool(false)
	default:
		return fmt.Errorf("Parameter '%s' expects 'on' or 'off'", p.name)
	}
	return nil
}

func parseUint(p *property, _ *Links, s string) error {
	bits := p.value.Type().Bits()
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		i, ierr := strconv.ParseInt(s, 0, 64)
		if ierr != nil {
			return fmt.Errorf("Parameter '%s' expects integer", p.name)
		}
		v, err = uint64(i), nil
	}
	if err != nil {
		return fmt.Errorf("Parameter '%s' expects integer", p.name)
	}
	if bits < 64 && v>>bits != 0 {
		return fmt.Errorf("Parameter '%s' expects uint%d_t", p.name, bits)
	}
	p.value.SetUint(v)
	return nil
}

func parseInt(p *property, _ *Links, s string) error {
	bits := p.value.Type().Bits()
	v, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return fmt.Errorf("Parameter '%s' expects integer", p.name)
	}
	if bits < 64 && (v < -1<<(bits-1) || v >= 1<<(bits-1)) {
		return fmt.Errorf("Parameter '%s' expects int%d_t", p.name, bits)
	}
	p.value.SetInt(v)
	return nil
}

func formatUint(p *property) string { return strconv.FormatUint(p.value.Uint(), 10) }
func formatInt(p *property) string  { return strconv.FormatInt(p.value.Int(), 10) }

// ParseSize reads a number of bytes with an optional suffix; a fraction is allowed before a suffix.
func ParseSize(s string) (uint64, bool) {
	const suffixes = "BKMGTPE"
	shift := 0
	if n := len(s); n > 1 && !strings.HasPrefix(strings.ToLower(s), "0x") {
		if i := strings.IndexByte(suffixes, s[n-1]&^0x20); i >= 0 {
			s, shift = s[:n-1], 10*i
		}
	}
	if v, err := strconv.ParseUint(s, 0, 64); err == nil {
		return v << shift, v<<shift>>shift == v
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || shift == 0 || f*float64(uint64(1)<<shift) >= 1<<63 {
		return 0, false
	}
	return uint64(f * float64(uint64(1)<<shift)), true
}

func parseSizeProp(p *property, _ *Links, s string) error {
	v, ok := ParseSize(s)
	if !ok {
		return fmt.Errorf("Parameter '%s' expects a size", p.name)
	}
	p.value.SetUint(v)
	return nil
}

func parseOnOffAuto(p *property, _ *Links, s string) error {
	for i, n := range onOffAutoNames {
		if n == s {
			p.value.SetUint(uint64(i))
			return nil
		}
	}
	return fmt.Errorf("Parameter '%s' does not accept value '%s'", p.name, s)
}

func formatOnOffAuto(p *property) string { return onOffAutoNames[p.value.Uint()] }

func notTaken(p *property, s string) error {
	return fmt.Errorf("Property '%s.%s' doesn't take value '%s'", p.owner, p.name, s)
}

func parseDevFn(p *property, _ *Links, s string) error {
	if s == "-1" {
		p.value.SetInt(-1)
		return nil
	}
	slot, fn, dotted := strings.Cut(s, ".")
	a, err := strconv.ParseUint(cutHex(slot), 16, 32)
	b := uint64(0)
	if err == nil && dotted {
		b, err = strconv.ParseUint(cutHex(fn), 16, 32)
	}
	if err != nil || a > 31 || b > 7 {
		return notTaken(p, s)
	}
	p.value.SetInt(int64(a<<3 | b))
	return nil
}

// parseDevFnNumber takes slot and function as one number.
func parseDevFnNumber(p *property, s string) error {
	v, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("Invalid parameter type for '%s', expected: integer", p.name)
	case v != int64(int32(v)):
		return fmt.Errorf("Parameter '%s' expects int32_t", p.name)
	case v < -1 || v > 255:
		return fmt.Errorf("Parameter '%s' expects a value between -1 and 255", p.name)
	}
	p.value.SetInt(v)
	return nil
}

// cutHex takes off the prefix that hexadecimal numbers may have.
func cutHex(s string) string {
	return strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
}

func parseMAC(p *property, _ *Links, s string) error {
	var m MACAddr
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ':' || r == '-' })
	if len(s) != 17 || len(parts) != len(m) {
		return notTaken(p, s)
	}
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 16, 8)
		if err != nil || len(part) != 2 {
			return notTaken(p, s)
		}
		m[i] = uint8(v)
	}
	p.value.Set(reflect.ValueOf(m))
	return nil
}

func formatMAC(p *property) string {
	m := p.value.Interface().(MACAddr)
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

func parseLink(p *property, links *Links, s string) error {
	var find func(string) (any, bool)
	if links != nil {
		find = links.find[p.value.Type()]
	}
	if find != nil {
		if v, ok := find(s); ok {
			if t, may := v.(interface{ Taken() error }); may {
				if err := t.Taken(); err != nil {
					return err
				}
			}
			p.value.Set(reflect.ValueOf(v))
			return nil
		}
	}
	if strings.HasPrefix(p.codec.typeName, "link<") {
		if s == "" {
			p.value.SetZero()
			return nil
		}
		return fmt.Errorf("Device '%s' not found", s)
	}
	return fmt.Errorf("Property '%s.%s' can't find value '%s'", p.owner, p.name, s)
}

func formatLink(p *property) string {
	if p.value.IsNil() {
		return ""
	}
	if n, ok := p.value.Interface().(interface{ ID() string }); ok {
		return n.ID()
	}
	return fmt.Sprint(p.value.Interface())
}
