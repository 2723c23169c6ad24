package qdev

import (
	"fmt"
	"reflect"
	"sort"
	"strings"
)

// Setting is one name=value pair for a device.
type Setting struct {
	Name, Value string
	Number      bool // the value is a number of JSON, which some properties do not take as they take its text
}

// apply sets the property of a device; links resolves identifiers of backends.
func (s Setting) apply(d Device, links *Links) error {
	if p := d.Dev().property(s.Name); s.Number && p != nil && p.codec.number != nil {
		return p.codec.number(p, s.Value)
	}
	return Set(d, links, s.Name, s.Value)
}

// PropertyInfo describes one property of a device type, as -device X,help and device-list-properties show it.
type PropertyInfo struct {
	Name, Type, Help string
	Default          string // in the form of the help text
	HasDefault       bool
	Value            any // the default in the form of JSON, nil for none
}

func (b *Base) property(name string) *property {
	for i := range b.props {
		if b.props[i].name == name {
			return &b.props[i]
		}
	}
	return nil
}

// Set sets a property from its text form; links resolves identifiers of backends and may be nil.
func Set(d Device, links *Links, name, value string) error {
	b := d.Dev()
	p := b.property(name)
	if p == nil {
		return fmt.Errorf("Property '%s.%s' not found", b.class.Name, name)
	}
	if p.codec.link && p.global != "" && !p.value.IsNil() {
		return fmt.Errorf("-global %s=... conflicts with %s=%s", p.global, name, value)
	}
	return p.codec.parse(p, links, value)
}

// HasProperty tells whether the device has a property.
func HasProperty(d Device, name string) bool { return d.Dev().property(name) != nil }

// Get returns a property's text form.
func Get(d Device, name string) (string, error) {
	b := d.Dev()
	p := b.property(name)
	if p == nil {
		return "", fmt.Errorf("Property '%s.%s' not found", b.class.Name, name)
	}
	return p.codec.format(p), nil
}

func (p *property) setDefault() {
	if !p.has {
		return
	}
	if err := p.codec.parse(p, nil, p.def); err != nil {
		panic(fmt.Sprintf("BUG: default of %s.%s: %v", p.owner, p.name, err))
	}
}

// hiddenPrefix begins the names of properties that are not shown.
const hiddenPrefix = "legacy-"

// Composed is a device with a part, of a type of its own, that is an object below it.
type Composed interface{ Part() (name, typ string) }

// Properties lists the properties of a class by name.
func Properties(c *Class) []PropertyInfo {
	d := New(c)
	var out []PropertyInfo
	for i := range d.Dev().props {
		p := &d.Dev().props[i]
		if strings.HasPrefix(p.name, hiddenPrefix) {
			continue
		}
		info := PropertyInfo{Name: p.name, Type: p.codec.typeName, Help: p.help}
		if p.codec.showDefault && (p.has || !p.codec.link) {
			info.Default, info.HasDefault = p.codec.format(p), true
			info.Value = p.typed()
			if _, random := p.value.Interface().(UUID); random {
				info.Default, info.Value = p.def, p.def
			}
			if p.codec.quoted {
				info.Default = `"` + info.Default + `"`
			}
		}
		out = append(out, info)
	}
	if p, ok := d.(Composed); ok {
		name, typ := p.Part()
		out = append(out, PropertyInfo{Name: name, Type: "child<" + typ + ">"})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name+"=" < out[j].Name+"=" })
	return out
}

// Help returns the text of -device X,help.
func Help(c *Class) string {
	var s strings.Builder
	props := Properties(c)
	if len(props) == 0 {
		fmt.Fprintf(&s, "There are no options for %s.\n", c.Name)
		return s.String()
	}
	fmt.Fprintf(&s, "%s options:\n", c.Name)
	for _, p := range props {
		line := fmt.Sprintf("  %s=<%s>", p.Name, p.Type)
		if p.Help != "" || p.HasDefault {
			line = fmt.Sprintf("%-24s - %s", line, p.Help)
		}
		if p.HasDefault {
			line += fmt.Sprintf(" (default: %s)", p.Default)
		}
		s.WriteString(line + "\n")
	}
	return s.String()
}

// Settings are the device's properties as people read them, without its place in the boot order and those of types with a method OfObject,
// which are part of the object rather than of its configuration.
func (b *Base) Settings() (list []Setting) {
	for i := range b.props {
		p := &b.props[i]
		value := p.value.Interface()
		_, boot := value.(BootIndex)
		if _, of := value.(interface{ OfObject() }); !boot && !of && !strings.HasPrefix(p.name, hiddenPrefix) {
			list = append(list, Setting{Name: p.name, Value: p.human()})
		}
	}
	return list
}

// human is a property's value as people read it: numbers in both bases, sizes with a unit, texts in quotation marks.
func (p *property) human() string {
	text := p.codec.format(p)
	switch v := p.value.Interface().(type) {
	case DevFn:
		return fmt.Sprintf("%02x.%x", uint8(v)>>3, v&7)
	case Size:
		return text + " (" + humanSize(uint64(v)) + ")"
	}
	switch k := p.value.Kind(); {
	case k == reflect.Bool:
		return text
	case p.codec.quoted || k == reflect.String || p.codec.link || k == reflect.Array || k == reflect.Struct:
		return `"` + text + `"`
	case p.value.CanUint():
		return fmt.Sprintf("%s (%#x)", text, p.value.Uint())
	case p.value.CanInt():
		return fmt.Sprintf("%s (%#x)", text, uint64(p.value.Int()))
	}
	return text
}

// humanSize is a size with three digits and a unit.
func humanSize(v uint64) string {
	units := []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	f, i := float64(v), 0
	for ; f >= 1000 && i < len(units)-1; i++ {
		f /= 1024
	}
	return fmt.Sprintf("%.3g %sB", f, units[i])
}
