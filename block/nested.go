package block

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"goemu/qapi"
)

// NestedOptions is an object of options whose values may be objects: what a json: filename contains.
type NestedOptions struct {
	names  []string
	values map[string]any
}

// Put stores a value: string, bool, int64, uint64, float64, nil, *NestedOptions or a list of those.
func (o *NestedOptions) Put(name string, v any) {
	if o.values == nil {
		o.values = map[string]any{}
	}
	if _, ok := o.values[name]; !ok {
		o.names = append(o.names, name)
	}
	o.values[name] = v
}

// Get finds a value.
func (o *NestedOptions) Get(name string) (any, bool) { v, ok := o.values[name]; return v, ok }

// Names lists the members.
func (o *NestedOptions) Names() []string { return o.names }

// JSON writes the object in QEMU's order of members.
func (o *NestedOptions) JSON() string {
	var b strings.Builder
	o.write(&b)
	return b.String()
}

func (o *NestedOptions) write(b *strings.Builder) {
	b.WriteByte('{')
	for i, name := range qapi.DictOrder(o.names) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoteJSON(name))
		b.WriteString(": ")
		switch v := o.values[name].(type) {
		case nil:
			b.WriteString("null")
		case *NestedOptions:
			if v == nil {
				b.WriteString("{}")
				break
			}
			v.write(b)
		case []*NestedOptions:
			b.WriteByte('[')
			for i, e := range v {
				if i > 0 {
					b.WriteString(", ")
				}
				e.write(b)
			}
			b.WriteByte(']')
		case string:
			b.WriteString(quoteJSON(v))
		case bool:
			b.WriteString(strconv.FormatBool(v))
		default:
			fmt.Fprint(b, v)
		}
	}
	b.WriteByte('}')
}

// quoteJSON writes a string as QEMU does: ASCII only, with escapes.
func quoteJSON(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quoted))
	var b strings.Builder
	for _, r := range plain {
		switch {
		case r == 0x7f:
			b.WriteString(`\u007F`)
		case r < 0x80:
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04X\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	return b.String()
}
