package qapi

import (
	"math"
	"strconv"
	"strings"

	"goemu/internal/config"
)

// maxFragment bounds one name of a key, as QEMU does.
const maxFragment = 127

// ParseKeyval reads "a.b=value,c.0=x,…" into an object whose leaves are strings: dots nest, numbers make lists, a comma in a value is written twice.
// A first element without '=' is the value of the implied key, unless that is empty.
func ParseKeyval(text, implied string) (*Object, error) {
	o := new(Object)
	help := false
	for first := true; text != ""; first = false {
		n := strings.IndexAny(text, "=,")
		if n < 0 {
			n = len(text)
		}
		key, rest, value := text[:n], text[n:], ""
		switch {
		case n > 0 && !strings.HasPrefix(rest, "=") && (key == "help" || key == "?"):
			help = true
			text = strings.TrimPrefix(rest, ",")
			continue
		case n > 0 && !strings.HasPrefix(rest, "=") && first && implied != "":
			key, value, text = implied, key, strings.TrimPrefix(rest, ",")
		default:
			if err := checkKey(key); err != nil {
				return nil, err
			}
			if rest, ok := strings.CutPrefix(rest, "="); ok {
				value, text, _ = config.CutElement(rest)
				break
			}
			return nil, Errorf("Expected '=' after parameter '%s'", key)
		}
		if err := o.put(key, value); err != nil {
			return nil, err
		}
	}
	if help {
		return nil, Errorf("Help is not available for this option")
	}
	return o, o.listMembers("")
}

// checkKey checks the names in a key.
func checkKey(key string) error {
	fragments := strings.Split(key, ".")
	for i, f := range fragments {
		if !isName(f) && (i == 0 || !isIndex(f)) {
			return Errorf("Invalid parameter '%s'", key)
		}
		if len(f) > maxFragment {
			what := ""
			if len(fragments) > 1 {
				what = " fragment"
			}
			return Errorf("Parameter%s '%s' is too long", what, f)
		}
	}
	return nil
}

func isIndex(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isName tells whether s can be a name in the schema: a letter, then letters, digits, '-' and '_'.
func isName(s string) bool {
	if s == "" || !isLetter(s[0]) {
		return false
	}
	for _, c := range []byte(s) {
		if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// put stores a leaf.
func (o *Object) put(key, value string) error {
	for pos := 0; ; {
		n := strings.IndexByte(key[pos:], '.')
		if n < 0 {
			if old, ok := o.Get(key[pos:]); ok {
				if _, leaf := old.(string); !leaf {
					return Errorf("Parameters '%s.*' used inconsistently", key)
				}
			}
			o.Set(key[pos:], value)
			return nil
		}
		name := key[pos : pos+n]
		pos += n + 1
		old, ok := o.Get(name)
		next, inner := old.(*Object)
		switch {
		case ok && !inner:
			return Errorf("Parameters '%s.*' used inconsistently", key[:pos-1])
		case !ok:
			next = new(Object)
			o.Set(name, next)
		}
		o = next
	}
}

// listMembers makes lists of the objects inside whose names are numbers.
func (o *Object) listMembers(prefix string) error {
	for name, v := range o.All() {
		inner, ok := v.(*Object)
		if !ok {
			continue
		}
		if err := inner.listMembers(prefix + name + "."); err != nil {
			return err
		}
		list, err := inner.list(prefix + name + ".")
		if err != nil {
			return err
		}
		if list != nil {
			o.Set(name, list)
		}
	}
	return nil
}

// list is the object as a list, nil if its names are no numbers.
func (o *Object) list(prefix string) ([]any, error) {
	indexes := 0
	for name := range o.All() {
		if isIndex(name) {
			indexes++
		}
	}
	switch {
	case indexes == 0:
		return nil, nil
	case indexes < o.Len():
		return nil, Errorf("Parameters '%s*' used inconsistently", prefix)
	}
	list := make([]any, indexes)
	for name, v := range o.All() {
		if i, err := strconv.Atoi(name); err == nil && i < len(list) {
			list[i] = v
		}
	}
	for i, v := range list {
		if v == nil {
			return nil, Errorf("Parameter '%s%d' missing", prefix, i)
		}
	}
	return list, nil
}

// ParseOption reads an option of the command line in either syntax, JSON or keys and values, with the types that the schema's type says.
func ParseOption(typeName, text, implied string) (*Object, error) {
	if !strings.HasPrefix(text, "{") {
		o, err := ParseKeyval(text, implied)
		if err != nil {
			return nil, err
		}
		return FromKeyval(typeName, o), nil
	}
	v, err := ParseJSON(text)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*Object)
	if !ok {
		return nil, Errorf("Invalid parameter type, expected: object")
	}
	return o, nil
}

// FromKeyval gives the leaves of an object from ParseKeyval the types that the schema's type of that name wants. A leaf that does not fit
// becomes an error in its place, which Decode reports.
func FromKeyval(typeName string, o *Object) *Object {
	v, _ := typed(typeName, o, nil, typedLeaf).(*Object)
	return v
}

// leafReader reads a value of a kind.
type leafReader func(kind, s string, at *place) any

func typed(typeName string, v any, at *place, leaf leafReader) any {
	t, list := lookup(typeName)
	switch {
	case list:
		if l, ok := v.([]any); ok {
			for i := range l {
				l[i] = typed(typeName[2:], l[i], &place{up: at, index: i, elem: true}, leaf)
			}
		}
		return v
	case t.Kind == KindObject:
		if o, ok := v.(*Object); ok {
			typedMembers(t, o, at, leaf)
		}
		return v
	case t.Kind == KindAlternate:
		for i := range t.Branches {
			if b := &t.Branches[i]; takes(b.Type, v) {
				return typed(b.Type, v, at, leaf)
			}
		}
		return v
	}
	s, ok := v.(string)
	if _, bad := v.(error); bad {
		return v
	}
	if !ok {
		return Errorf("Parameters '%s.*' are unexpected", at.full())
	}
	return leaf(t.Name, s, at)
}

func typedMembers(t *Type, o *Object, at *place, leaf leafReader) {
	for i := range t.Members {
		m := &t.Members[i]
		if v, ok := o.Get(m.Name); ok {
			o.Set(m.Name, typed(m.Type, v, &place{up: at, name: m.Name}, leaf))
		}
	}
	if b := t.branch(o); b != nil {
		typedMembers(b, o, at, leaf)
	}
}

// ParseSimple reads a value of one of the language's simple types (bool, int, uint64, size, …) that is called name.
func ParseSimple(kind, name, text string) (any, error) {
	v := typedLeaf(kind, text, &place{name: name})
	if err, bad := v.(error); bad {
		return nil, err
	}
	return v, nil
}

// typedLeaf reads one value.
func typedLeaf(kind, s string, at *place) any {
	switch kind {
	case "bool":
		switch s {
		case "on", "yes", "true", "y":
			return true
		case "off", "no", "false", "n":
			return false
		}
		return Errorf("Parameter '%s' expects 'on' or 'off'", at.full())
	case "number":
		if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f
		}
		return wrongType(at, "number")
	case "int", "int8", "int16", "int32", "int64":
		if n, err := strconv.ParseInt(cNumber(s), 0, 64); err == nil {
			return n
		}
		return Errorf("Parameter '%s' expects integer", at.full())
	case "uint8", "uint16", "uint32", "uint64":
		text := cNumber(s)
		if n, err := strconv.ParseUint(text, 0, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseInt(text, 0, 64); err == nil {
			return uint64(n)
		}
		return Errorf("Parameter '%s' expects integer", at.full())
	case "size":
		if n, ok := parseSize(s); ok {
			return n
		}
		return Errorf("Parameter '%s' expects size", at.full())
	}
	return s
}

// cNumber makes of a number that C would take with base 0 one that strconv does, and of other texts none.
func cNumber(s string) string {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if strings.Contains(s, "_") || strings.ContainsAny(s, "oObB") && !strings.ContainsAny(s, "xX") {
		return ""
	}
	return s
}

// sizeUnits are the suffixes of sizes, as powers of 1024.
const sizeUnits = "bkmgtpe"

// parseSize reads a size: a whole number, or a fraction with a unit, as in "1.5G".
func parseSize(s string) (uint64, bool) {
	shift := 0
	if s != "" {
		if i := strings.IndexByte(sizeUnits, s[len(s)-1]|0x20); i >= 0 && !strings.HasPrefix(s, "0x") {
			s, shift = s[:len(s)-1], 10*i
		}
	}
	if n, err := strconv.ParseUint(strings.TrimLeft(s, "0"), 10, 64); err == nil || s != "" && strings.Trim(s, "0") == "" {
		return n << shift, n<<shift>>shift == n
	}
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		n, err := strconv.ParseUint(hex, 16, 64)
		return n, err == nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || shift == 0 || strings.ContainsAny(s, "eExXpP_+-") {
		return 0, false
	}
	f *= math.Exp2(float64(shift))
	return uint64(f), f < 1<<63
}
