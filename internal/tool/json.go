package tool

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"goemu/block"
	"goemu/qapi"
)

// jsonIndent is one level in QEMU's pretty form.
const jsonIndent = "    "

// PrettyJSON writes a value as QEMU's monitor does in its pretty form. Objects ([]block.Member) get the order that QEMU's dictionaries give
// their members.
func PrettyJSON(v any) string {
	var b strings.Builder
	writeJSON(&b, v, "\n")
	return b.String()
}

// Ordered sorts members as QEMU's dictionaries do.
func Ordered(members []block.Member) []block.Member {
	names := make([]string, len(members))
	byName := make(map[string]block.Member, len(members))
	for i, m := range members {
		names[i] = m.Name
		byName[m.Name] = m
	}
	out := make([]block.Member, len(members))
	for i, name := range qapi.DictOrder(names) {
		out[i] = byName[name]
	}
	return out
}

func writeJSON(b *strings.Builder, v any, newline string) {
	inner := newline + jsonIndent
	switch v := v.(type) {
	case []block.Member:
		b.WriteByte('{')
		for i, m := range Ordered(v) {
			comma(b, i, inner)
			writeString(b, m.Name)
			b.WriteString(": ")
			writeJSON(b, m.Value, inner)
		}
		b.WriteString(newline + "}")
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			comma(b, i, inner)
			writeJSON(b, e, inner)
		}
		b.WriteString(newline + "]")
	case string:
		writeString(b, v)
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, v)
	}
}

func comma(b *strings.Builder, i int, inner string) {
	if i > 0 {
		b.WriteByte(',')
	}
	b.WriteString(inner)
}

var jsonEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

// writeString writes text in ASCII.
func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch e, ok := jsonEscapes[r]; {
		case ok:
			b.WriteString(e)
		case r == utf8.RuneError || r < 0x20 || r == 0x7f || r > 0x7f && r < 0x10000:
			fmt.Fprintf(b, `\u%04X`, r)
		case r >= 0x10000:
			r -= 0x10000
			fmt.Fprintf(b, `\u%04X\u%04X`, 0xd800|r>>10, 0xdc00|r&0x3ff)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// HumanMembers writes members in the form of "Format specific information".
func (t *Tool) HumanMembers(members []block.Member, level int) {
	for _, m := range Ordered(members) {
		t.human(strings.Repeat(jsonIndent, level)+strings.ReplaceAll(m.Name, "-", " "), m.Value, level)
	}
}

func (t *Tool) human(label string, v any, level int) {
	switch v := v.(type) {
	case []block.Member:
		t.Printf("%s:\n", label)
		t.HumanMembers(v, level+1)
	case []any:
		t.Printf("%s:\n", label)
		for i, e := range v {
			t.human(fmt.Sprintf("%s[%d]", strings.Repeat(jsonIndent, level+1), i), e, level+1)
		}
	default:
		t.Printf("%s: %v\n", label, v)
	}
}

// SpecificData is the part of the format's information that people see.
func SpecificData(specific []block.Member) []block.Member {
	for _, m := range specific {
		if data, ok := m.Value.([]block.Member); ok && m.Name == "data" {
			return data
		}
	}
	return nil
}
