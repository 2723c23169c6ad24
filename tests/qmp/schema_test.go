package qmp

import (
	"fmt"
	"slices"
)

// schema is the answer to query-qmp-schema by name.
type schema struct {
	entries map[string]map[string]any
	order   []string
}

func newSchema(list []map[string]any) schema {
	s := schema{entries: map[string]map[string]any{}}
	for _, e := range list {
		name := e["name"].(string)
		s.entries[name] = e
		s.order = append(s.order, name)
	}
	return s
}

// comparison walks through two schemas at once.
type comparison struct {
	a, b schema
	seen map[string]bool // pairs of types
	out  []string
}

// compare lists how a differs from b where a has something: a may lack commands, events, optional members, branches and values.
func compare(a, b schema) []string {
	c := &comparison{a: a, b: b, seen: map[string]bool{}}
	for _, name := range a.order {
		e := a.entries[name]
		kind := e["meta-type"].(string)
		if kind != "command" && kind != "event" {
			continue
		}
		o := b.entries[name]
		if o == nil || o["meta-type"] != kind {
			c.report(name, "is not there")
			continue
		}
		c.features(name, e, o)
		if e["allow-oob"] != o["allow-oob"] {
			c.report(name, "allow-oob")
		}
		c.types(name+"/arg", e["arg-type"], o["arg-type"])
		if kind == "command" {
			c.types(name+"/ret", e["ret-type"], o["ret-type"])
		}
	}
	slices.Sort(c.out)
	return slices.Compact(c.out)
}

func (c *comparison) report(where, what string) { c.out = append(c.out, where+": "+what) }

func (c *comparison) features(where string, a, b map[string]any) {
	if fmt.Sprint(a["features"]) != fmt.Sprint(b["features"]) {
		c.report(where, fmt.Sprintf("features %v, not %v", a["features"], b["features"]))
	}
}

// types compares two types by their names.
func (c *comparison) types(where string, an, bn any) {
	key := fmt.Sprint(an, " ", bn)
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	a, b := c.a.entries[an.(string)], c.b.entries[bn.(string)]
	if a["meta-type"] != b["meta-type"] {
		c.report(where, fmt.Sprintf("is %v, not %v", a["meta-type"], b["meta-type"]))
		return
	}
	c.features(where, a, b)
	switch a["meta-type"] {
	case "builtin":
		if a["json-type"] != b["json-type"] {
			c.report(where, fmt.Sprintf("is %v, not %v", a["json-type"], b["json-type"]))
		}
	case "array":
		c.types(where+"[]", a["element-type"], b["element-type"])
	case "enum":
		c.enum(where, a, b)
	case "object":
		c.object(where, a, b)
	case "alternate":
		c.alternate(where, a, b)
	}
}

// byName is a list of members by the value of one of theirs.
func byName(list any, key string) (order []string, m map[string]map[string]any) {
	m = map[string]map[string]any{}
	l, _ := list.([]any)
	for _, e := range l {
		o := e.(map[string]any)
		name := o[key].(string)
		order = append(order, name)
		m[name] = o
	}
	return order, m
}

func (c *comparison) enum(where string, a, b map[string]any) {
	order, mine := byName(a["members"], "name")
	_, theirs := byName(b["members"], "name")
	for _, name := range order {
		if theirs[name] == nil {
			c.report(where, "value "+name)
			continue
		}
		c.features(where+"="+name, mine[name], theirs[name])
	}
}

func (c *comparison) object(where string, a, b map[string]any) {
	order, mine := byName(a["members"], "name")
	theirOrder, theirs := byName(b["members"], "name")
	for _, name := range order {
		if theirs[name] == nil {
			c.report(where, "member "+name)
			continue
		}
		_, optional := mine[name]["default"]
		_, theirOptional := theirs[name]["default"]
		if optional != theirOptional {
			c.report(where+"."+name, fmt.Sprintf("optional: %v", optional))
		}
		c.features(where+"."+name, mine[name], theirs[name])
		c.types(where+"."+name, mine[name]["type"], theirs[name]["type"])
	}
	for _, name := range theirOrder {
		if _, optional := theirs[name]["default"]; !optional && mine[name] == nil {
			c.report(where, "lacks mandatory member "+name)
		}
	}
	if a["tag"] != b["tag"] {
		c.report(where, fmt.Sprintf("tag %v, not %v", a["tag"], b["tag"]))
	}
	cases, variants := byName(a["variants"], "case")
	_, theirVariants := byName(b["variants"], "case")
	for _, name := range cases {
		if theirVariants[name] == nil {
			c.report(where, "variant "+name)
			continue
		}
		c.types(where+"+"+name, variants[name]["type"], theirVariants[name]["type"])
	}
}

func (c *comparison) alternate(where string, a, b map[string]any) {
	kind := func(s schema, m any) any {
		e := s.entries[m.(map[string]any)["type"].(string)]
		if e["meta-type"] == "builtin" {
			return e["json-type"]
		}
		return e["meta-type"]
	}
	for _, m := range a["members"].([]any) {
		found := false
		for _, o := range b["members"].([]any) {
			if kind(c.a, m) == kind(c.b, o) {
				found = true
				c.types(where+"/"+fmt.Sprint(kind(c.a, m)), m.(map[string]any)["type"], o.(map[string]any)["type"])
			}
		}
		if !found {
			c.report(where, fmt.Sprintf("alternative %v", kind(c.a, m)))
		}
	}
}
