package qapi

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Null is the value of a member that can only be null.
type Null struct{}

// AppendJSON appends v as QEMU prints it: ASCII, a space after colons and commas, members in the order of its dictionaries. v is a
// generated type or made of nil, bool, string, numbers, *Object, []any and map[string]any.
func AppendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return AppendString(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case float64:
		return appendFloat(b, v)
	case *Object:
		return appendObject(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			b = AppendJSON(appendComma(b, i), e)
		}
		return append(b, ']')
	}
	return appendValue(b, reflect.ValueOf(v))
}

func appendComma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ", "...)
	}
	return b
}

// appendFloat prints a number as %.17g does.
func appendFloat(b []byte, f float64) []byte {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return append(b, "null"...)
	}
	const digits = 17
	if f == 0 {
		return append(b, '0')
	}
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'e', digits-1, 64), "e")
	e, _ := strconv.Atoi(exp)
	trim := func(s string) string {
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	if e < -4 || e >= digits {
		return fmt.Appendf(b, "%se%+03d", trim(mantissa), e)
	}
	return append(b, trim(strconv.FormatFloat(f, 'f', digits-1-e, 64))...)
}

func appendObject(b []byte, o *Object) []byte {
	b = append(b, '{')
	for i, name := range DictOrder(o.Names()) {
		v, _ := o.Get(name)
		b = append(AppendString(appendComma(b, i), name), ": "...)
		b = AppendJSON(b, v)
	}
	return append(b, '}')
}

// shortEscapes are the characters that have an escape of two.
var shortEscapes = [utf8.RuneSelf]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}

// AppendString appends a quoted string in ASCII.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch e := shortEscapes[c]; {
			case e != 0:
				b = append(b, '\\', e)
			case c < 0x20 || c == 0x7f:
				b = fmt.Appendf(b, `\u%04X`, c)
			default:
				b = append(b, c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && strings.HasPrefix(s[i:], "\xc0\x80") {
			r, n = 0, 2
		}
		i += n
		if r >= 0x10000 {
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04X\u%04X`, 0xd800|r>>10, 0xdc00|r&0x3ff)
		} else {
			b = fmt.Appendf(b, `\u%04X`, r)
		}
	}
	return append(b, '"')
}

// field is one member of a generated struct.
type field struct {
	index  int
	name   string
	prefix string // "name": with the colon
	omit   bool   // if nil
}

// plan is how a generated struct is written and read.
type plan struct {
	fields    []field        // in the order of QEMU's dictionaries
	members   map[string]int // field by member
	branches  map[string]int // of a union: field by branch
	alternate bool
	choices   []int // fields of the branches or alternatives
}

var plans sync.Map // reflect.Type → *plan

// planOf reads the tags of a generated struct.
func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{members: map[string]int{}, branches: map[string]int{}}
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if branch, ok := tag.Lookup("branch"); ok {
			p.branches[branch] = i
			p.choices = append(p.choices, i)
			continue
		}
		if alternative, ok := tag.Lookup("alternative"); ok {
			p.alternate = true
			p.branches[alternative] = i
			p.choices = append(p.choices, i)
			continue
		}
		name, options, _ := strings.Cut(tag.Get("json"), ",")
		p.members[name] = i
		p.fields = append(p.fields, field{i, name, string(AppendString(nil, name)) + ": ", options == "omitempty"})
	}
	dictOrder(p.fields, func(f field) string { return f.name })
	actual, _ := plans.LoadOrStore(t, p)
	return actual.(*plan)
}

func appendValue(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			panic("BUG: nil in place of a " + v.Type().String())
		}
		if o, ok := v.Interface().(*Object); ok {
			return appendObject(b, o)
		}
		if v.Kind() == reflect.Interface {
			return AppendJSON(b, v.Interface())
		}
		return appendValue(b, v.Elem())
	case reflect.String:
		return AppendString(b, v.String())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10)
	case reflect.Float64:
		return appendFloat(b, v.Float())
	case reflect.Slice:
		b = append(b, '[')
		for i := range v.Len() {
			b = appendElement(appendComma(b, i), v.Index(i))
		}
		return append(b, ']')
	case reflect.Map:
		o := new(Object)
		for it := v.MapRange(); it.Next(); {
			o.Set(it.Key().String(), it.Value().Interface())
		}
		return appendObject(b, o)
	case reflect.Struct:
		return appendStruct(b, v)
	}
	panic("BUG: no JSON form for a " + v.Type().String())
}

// appendElement appends a value that may be null where its type is any.
func appendElement(b []byte, v reflect.Value) []byte {
	if v.Kind() == reflect.Interface && v.IsNil() {
		return append(b, "null"...)
	}
	return appendValue(b, v)
}

// part is a member on its way to the output.
type part struct {
	field field
	value reflect.Value
}

func appendStruct(b []byte, v reflect.Value) []byte {
	if v.Type() == reflect.TypeFor[Null]() {
		return append(b, "null"...)
	}
	p := planOf(v.Type())
	if p.alternate {
		for _, i := range p.choices {
			if f := v.Field(i); !f.IsNil() {
				return appendElement(b, f)
			}
		}
		panic("BUG: empty " + v.Type().String())
	}
	if len(p.choices) == 0 {
		return appendMembers(b, v, p)
	}
	parts := gather(nil, v, p)
	dictOrder(parts, func(p part) string { return p.field.name })
	b = append(b, '{')
	for i, m := range parts {
		b = appendElement(append(appendComma(b, i), m.field.prefix...), m.value)
	}
	return append(b, '}')
}

// appendMembers appends a struct without branches.
func appendMembers(b []byte, v reflect.Value, p *plan) []byte {
	b = append(b, '{')
	n := 0
	for i := range p.fields {
		f := &p.fields[i]
		m := v.Field(f.index)
		if f.omit && m.IsNil() {
			continue
		}
		b = appendElement(append(appendComma(b, n), f.prefix...), m)
		n++
	}
	return append(b, '}')
}

// gather collects the members of a union and its branches.
func gather(parts []part, v reflect.Value, p *plan) []part {
	for i := range p.fields {
		f := &p.fields[i]
		if m := v.Field(f.index); !f.omit || !m.IsNil() {
			parts = append(parts, part{*f, m})
		}
	}
	for _, i := range p.choices {
		if f := v.Field(i); !f.IsNil() {
			parts = gather(parts, f.Elem(), planOf(f.Elem().Type()))
		}
	}
	return parts
}

// Pretty spreads JSON made by AppendJSON over lines, as QEMU's pretty form has it.
func Pretty(text []byte) []byte {
	var out []byte
	depth, inString := 0, false
	newline := func() {
		out = append(out, '\n')
		for range depth {
			out = append(out, "    "...)
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inString:
			out = append(out, c)
			if c == '\\' {
				i++
				out = append(out, text[i])
			} else if c == '"' {
				inString = false
			}
		case c == '"':
			inString = true
			out = append(out, c)
		case c == '{' || c == '[':
			out = append(out, c)
			depth++
			if n := text[i+1]; n != '}' && n != ']' {
				newline()
			}
		case c == '}' || c == ']':
			depth--
			newline()
			out = append(out, c)
		case c == ',':
			out = append(out, c)
			newline()
			i++ // the space
		default:
			out = append(out, c)
		}
	}
	return out
}
