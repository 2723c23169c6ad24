package block

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/qapi"
)

// Options are the options of a node: a flat dictionary whose nested members have names with dots ("file.filename", "server.0.host").
// Values are string, bool, int64, uint64, float64 or nil. A driver takes what it knows; what is left when a node has been opened is refused.
type Options struct {
	m map[string]any
}

// NewOptions makes an empty dictionary.
func NewOptions() *Options { return &Options{m: map[string]any{}} }

// OptionsOf makes a dictionary of alternating names and values.
func OptionsOf(pairs ...any) *Options {
	o := NewOptions()
	for i := 0; i < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// OptionsFromJSON flattens a decoded JSON object (numbers as json.Number).
func OptionsFromJSON(v map[string]any) *Options {
	o := NewOptions()
	o.flatten("", v)
	return o
}

func (o *Options) flatten(prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			o.flatten(prefix+k+".", e)
		}
	case []any:
		for i, e := range v {
			o.flatten(prefix+strconv.Itoa(i)+".", e)
		}
	case json.Number:
		o.Set(strings.TrimSuffix(prefix, "."), number(v))
	default:
		o.Set(strings.TrimSuffix(prefix, "."), v)
	}
}

// number gives a JSON number its narrowest Go type.
func number(n json.Number) any {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(string(n), 10, 64); err == nil {
		return u
	}
	f, _ := n.Float64()
	return f
}

// Set stores a value; int is stored as int64.
func (o *Options) Set(name string, v any) {
	if i, ok := v.(int); ok {
		v = int64(i)
	}
	o.m[name] = v
}

// SetDefault stores a value unless there is one.
func (o *Options) SetDefault(name string, v any) {
	if !o.Has(name) {
		o.Set(name, v)
	}
}

// Has tells whether there is an option with exactly this name.
func (o *Options) Has(name string) bool { _, ok := o.m[name]; return ok }

// HasPrefix tells whether there is an option name.something.
func (o *Options) HasPrefix(name string) bool {
	for k := range o.m {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

// Get looks without taking.
func (o *Options) Get(name string) (any, bool) { v, ok := o.m[name]; return v, ok }

// Delete removes an option.
func (o *Options) Delete(name string) { delete(o.m, name) }

// Len is the number of options.
func (o *Options) Len() int { return len(o.m) }

// Names lists the options in alphabetical order.
func (o *Options) Names() []string { return slices.Sorted(maps.Keys(o.m)) }

// Order lists the options in the order in which QEMU walks through its dictionaries, which decides what messages name first.
func (o *Options) Order() []string { return qapi.DictOrder(o.Names()) }

// text looks at an option that is text; anything else counts as empty.
func (o *Options) text(name string) string {
	s, _ := o.m[name].(string)
	return s
}

// Clone copies the dictionary.
func (o *Options) Clone() *Options { return &Options{m: maps.Clone(o.m)} }

// Merge adds the options of p; existing ones are kept unless overwrite is set.
func (o *Options) Merge(p *Options, overwrite bool) {
	for k, v := range p.m {
		if overwrite || !o.Has(k) {
			o.m[k] = v
		}
	}
}

// Extract takes the options "name.x" out and returns them as "x".
func (o *Options) Extract(name string) *Options {
	sub := NewOptions()
	for k, v := range o.m {
		if rest, ok := strings.CutPrefix(k, name+"."); ok {
			sub.m[rest] = v
			delete(o.m, k)
		}
	}
	return sub
}

// TakeString takes an option as text.
func (o *Options) TakeString(name string) (s string, ok bool) {
	v, ok := o.m[name]
	delete(o.m, name)
	if !ok || v == nil {
		return "", false
	}
	return valueText(v), true
}

// valueText writes a value the way it is written on a command line.
func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		if v {
			return "on"
		}
		return "off"
	}
	return fmt.Sprint(v)
}

// TakeBool takes a switch: JSON's true and false or on, off, yes, no, true, false, y, n.
func (o *Options) TakeBool(name string, def bool) (bool, error) {
	v, ok := o.m[name]
	delete(o.m, name)
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		switch v {
		case "on", "yes", "true", "y":
			return true, nil
		case "off", "no", "false", "n":
			return false, nil
		}
	}
	if !ok {
		return def, nil
	}
	return def, Errorf(unix.EINVAL, "Parameter '%s' expects 'on' or 'off'", name)
}

// TakeUint takes a number without a unit. Negative text counts down from 2^64, as in C.
func (o *Options) TakeUint(name string, def uint64) (uint64, error) {
	v, ok := o.m[name]
	delete(o.m, name)
	switch v := v.(type) {
	case int64:
		if v >= 0 {
			return uint64(v), nil
		}
	case uint64:
		return v, nil
	case string:
		if n, err := strconv.ParseUint(v, 0, 64); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseInt(v, 0, 64); err == nil {
			return uint64(n), nil
		}
	}
	if !ok {
		return def, nil
	}
	return def, Errorf(unix.EINVAL, "Parameter '%s' expects a number", name)
}

// TakeSize takes a number of bytes, with a unit if it is text.
func (o *Options) TakeSize(name string, def uint64) (uint64, error) {
	v, ok := o.m[name]
	delete(o.m, name)
	switch v := v.(type) {
	case int64:
		if v >= 0 {
			return uint64(v), nil
		}
	case uint64:
		return v, nil
	case string:
		n, err := ParseSize(v)
		if err == unix.ERANGE {
			return def, Errorf(unix.ERANGE, "Value '%s' is too large for parameter '%s'", v, name)
		}
		if err != nil {
			return def, &Error{Errno: unix.EINVAL, Text: fmt.Sprintf("Parameter '%s' expects a non-negative number below 2^64", name),
				Hint: "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively."}
		}
		return n, nil
	}
	if !ok {
		return def, nil
	}
	return def, Errorf(unix.EINVAL, "Parameter '%s' expects a size", name)
}

// ParseSize reads a size with an optional fraction and unit (k, M, G, T, P, E; b for bytes). The error is ERANGE for a number that does
// not fit and EINVAL otherwise.
func ParseSize(s string) (uint64, error) {
	digits := strings.TrimRight(s, "bBkKmMgGtTpPeE")
	shift := 0
	switch unit := s[len(digits):]; {
	case strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X"):
		n, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			return 0, parseErrno(err)
		}
		return n, nil
	case len(unit) > 1:
		return 0, unix.EINVAL
	case len(unit) == 1:
		shift = 10 * max(0, strings.IndexByte("bkmgtpe", strings.ToLower(unit)[0]))
	}
	whole, frac, hasFrac := strings.Cut(digits, ".")
	n, err := strconv.ParseUint(whole, 10, 64)
	if err != nil {
		return 0, parseErrno(err)
	}
	if n<<shift>>shift != n {
		return 0, unix.ERANGE
	}
	if n <<= shift; !hasFrac || frac == "" {
		return n, nil
	}
	f, err := strconv.ParseFloat("0."+frac, 64)
	if err != nil || shift == 0 || strings.ContainsAny(frac, "eExX+-_") {
		return 0, unix.EINVAL
	}
	part := uint64(f*float64(uint64(1)<<shift) + 0.5)
	if n+part < n {
		return 0, unix.ERANGE
	}
	return n + part, nil
}

func parseErrno(err error) error {
	if e, ok := err.(*strconv.NumError); ok && e.Err == strconv.ErrRange {
		return unix.ERANGE
	}
	return unix.EINVAL
}

// TakeReference takes a node that is named, or options to open one: name itself or "name.…", as OpenReference wants them.
func (o *Options) TakeReference(name string) *Options {
	ref := NewOptions()
	if v, ok := o.Get(name); ok {
		ref.Set("", v)
		o.Delete(name)
	}
	ref.Merge(o.Extract(name), true)
	return ref
}
