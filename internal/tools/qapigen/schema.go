package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// schema is everything that was read.
type schema struct {
	modules []*module
	defs    map[string]*definition // types
	raw     map[string]bool        // types that Go sees as *Object
}

type module struct {
	name string
	defs []*definition
}

// definition is a type, command or event.
type definition struct {
	*expr
	kind, name string // enum, struct, union, alternate, command, event
	module     *module

	base        string
	baseMembers []member
	members     []member // own members, or the arguments of a command or event
	tag         string
	branches    []member
	values      []member
	arg         string // a named type in place of members
	ret         string
	flags       map[string]bool
	features    []string
}

// member is a member, branch or value.
type member struct {
	name, typ string
	optional  bool
	features  []string
}

// keys are what each kind of definition may have besides its name and features.
var keys = map[string][]string{
	"enum":      {"data", "prefix"},
	"struct":    {"data", "base"},
	"union":     {"data", "base", "discriminator"},
	"alternate": {"data"},
	"command":   {"data", "returns", "boxed", "gen", "success-response", "allow-oob", "allow-preconfig", "coroutine"},
	"event":     {"data", "boxed"},
}

var builtinGo = map[string]string{"str": "string", "number": "float64", "int": "int64", "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64",
	"uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64", "size": "uint64", "bool": "bool", "any": "any", "null": "Null"}

func readSchema(dir string) (*schema, error) {
	s := &schema{defs: map[string]*definition{}, raw: map[string]bool{}}
	found, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range found {
		if name := strings.TrimSuffix(filepath.Base(path), ".json"); !slices.Contains(moduleOrder, name) {
			return nil, &os.PathError{Op: "read", Path: path, Err: os.ErrInvalid}
		}
	}
	for _, name := range moduleOrder {
		path := filepath.Join(dir, name+".json")
		if !slices.Contains(found, path) {
			continue
		}
		exprs, err := parseFile(path)
		if err != nil {
			return nil, err
		}
		m := &module{name: name}
		s.modules = append(s.modules, m)
		for _, e := range exprs {
			if err := s.add(m, e); err != nil {
				return nil, err
			}
		}
	}
	return s, s.check()
}

// add makes a definition of an expression.
func (s *schema) add(m *module, e *expr) error {
	if len(e.v.keys) == 0 {
		return e.errorf("empty expression")
	}
	kind := e.v.keys[0]
	if kind == "pragma" {
		return s.pragma(e)
	}
	allowed, ok := keys[kind]
	if !ok {
		return e.errorf("unknown kind of expression '%s'", kind)
	}
	d := &definition{expr: e, kind: kind, module: m, flags: map[string]bool{}}
	if d.name, ok = e.v.values[kind].(string); !ok {
		return e.errorf("the name is not a string")
	}
	for _, k := range e.v.keys[1:] {
		if k != "features" && !slices.Contains(allowed, k) {
			return e.errorf("%s '%s' has unknown key '%s'", kind, d.name, k)
		}
		if b, ok := e.v.values[k].(bool); ok {
			d.flags[k] = b
		}
	}
	if d.doc == nil || d.doc.name != d.name {
		return e.errorf("%s '%s' has no documentation of its own", kind, d.name)
	}
	if (kind == "command" || kind == "event") && d.doc.since == "" {
		return e.errorf("%s '%s' says no 'Since:'", kind, d.name)
	}
	if err := d.fill(); err != nil {
		return err
	}
	if kind != "command" && kind != "event" {
		if s.defs[d.name] != nil || builtinGo[d.name] != "" {
			return e.errorf("type '%s' is defined twice", d.name)
		}
		s.defs[d.name] = d
	}
	m.defs = append(m.defs, d)
	return nil
}

func (s *schema) pragma(e *expr) error {
	p, ok := e.v.values["pragma"].(*dict)
	if !ok {
		return e.errorf("pragma is not an object")
	}
	for _, k := range p.keys {
		list, ok := p.values[k].([]any)
		if k != "raw-types" || !ok {
			return e.errorf("unknown pragma '%s'", k)
		}
		for _, v := range list {
			name, _ := v.(string)
			s.raw[name] = true
		}
	}
	return nil
}

// fill reads the parts of a definition.
func (d *definition) fill() (err error) {
	if d.features, err = d.names("features", d.v.values["features"]); err != nil {
		return err
	}
	data := d.v.values["data"]
	switch d.kind {
	case "enum":
		list, _ := data.([]any)
		for _, v := range list {
			m, err := d.value(v)
			if err != nil {
				return err
			}
			d.values = append(d.values, m)
		}
		return nil
	case "union":
		d.tag, _ = d.v.values["discriminator"].(string)
		d.branches, err = d.memberList(data)
	case "alternate":
		d.branches, err = d.memberList(data)
	default:
		if name, ok := data.(string); ok {
			d.arg = name
		} else if data != nil {
			d.members, err = d.memberList(data)
		}
	}
	if err != nil {
		return err
	}
	switch base := d.v.values["base"].(type) {
	case string:
		d.base = base
	case *dict:
		if d.baseMembers, err = d.memberList(base); err != nil {
			return err
		}
	}
	if ret := d.v.values["returns"]; ret != nil {
		d.ret, err = d.typeRef(ret)
	}
	return err
}

func (d *definition) value(v any) (member, error) {
	switch v := v.(type) {
	case string:
		return member{name: v}, nil
	case *dict:
		name, _ := v.values["name"].(string)
		f, err := d.names("features", v.values["features"])
		for _, k := range v.keys {
			if k != "name" && k != "features" {
				return member{}, d.errorf("value '%s' has unknown key '%s'", name, k)
			}
		}
		return member{name: name, features: f}, err
	}
	return member{}, d.errorf("'%s': a value is neither a string nor an object", d.name)
}

// names reads a list of names or of objects with a name.
func (d *definition) names(what string, v any) (list []string, err error) {
	if v == nil {
		return nil, nil
	}
	items, ok := v.([]any)
	if !ok {
		return nil, d.errorf("'%s': %s is not a list", d.name, what)
	}
	for _, item := range items {
		switch item := item.(type) {
		case string:
			list = append(list, item)
		case *dict:
			name, _ := item.values["name"].(string)
			list = append(list, name)
		}
	}
	return list, nil
}

func (d *definition) memberList(v any) ([]member, error) {
	o, ok := v.(*dict)
	if !ok {
		return nil, d.errorf("'%s': members are not an object", d.name)
	}
	var list []member
	for _, k := range o.keys {
		m := member{name: strings.TrimPrefix(k, "*"), optional: strings.HasPrefix(k, "*")}
		ref := o.values[k]
		if sub, ok := ref.(*dict); ok {
			var err error
			if m.features, err = d.names("features", sub.values["features"]); err != nil {
				return nil, err
			}
			for _, k := range sub.keys {
				if k != "type" && k != "features" {
					return nil, d.errorf("'%s': member '%s' has unknown key '%s'", d.name, m.name, k)
				}
			}
			ref = sub.values["type"]
		}
		var err error
		if m.typ, err = d.typeRef(ref); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// typeRef reads a type or a list of one.
func (d *definition) typeRef(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []any:
		if len(v) == 1 {
			if elem, ok := v[0].(string); ok {
				return "[]" + elem, nil
			}
		}
	}
	return "", d.errorf("'%s' refers to no type", d.name)
}

// check looks up all references.
func (s *schema) check() error {
	for name := range s.raw {
		if s.defs[name] == nil {
			return fmt.Errorf("pragma raw-types: no type '%s'", name)
		}
	}
	for _, m := range s.modules {
		for _, d := range m.defs {
			if err := s.checkDefinition(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *schema) checkDefinition(d *definition) error {
	refs := []string{d.base, d.arg, d.ret}
	seen := map[string]bool{}
	for _, m := range slices.Concat(s.allMembers(d), d.branches) {
		refs = append(refs, m.typ)
	}
	for _, r := range refs {
		elem := strings.TrimPrefix(r, "[]")
		if elem != "" && s.defs[elem] == nil && builtinGo[elem] == "" {
			return d.errorf("'%s' refers to unknown type '%s'", d.name, elem)
		}
	}
	for _, m := range slices.Concat(s.allMembers(d), d.values) {
		if seen[m.name] {
			return d.errorf("'%s' has '%s' twice", d.name, m.name)
		}
		seen[m.name] = true
	}
	known := map[string]bool{}
	for _, m := range slices.Concat(s.allMembers(d), d.branches, d.values) {
		known[m.name] = true
	}
	if d.arg != "" {
		for _, m := range s.allMembers(s.defs[d.arg]) {
			known[m.name] = true
		}
	}
	for _, name := range d.doc.order {
		if !known[name] && !slices.Contains(d.features, name) && !slices.ContainsFunc(s.allMembers(d), func(m member) bool { return slices.Contains(m.features, name) }) {
			return d.errorf("'%s' documents '%s', which it has not", d.name, name)
		}
	}
	if d.kind == "union" {
		return s.checkUnion(d)
	}
	return nil
}

func (s *schema) checkUnion(d *definition) error {
	tag := s.tagType(d)
	if tag == nil {
		return d.errorf("union '%s': discriminator '%s' is no mandatory member of an enum type", d.name, d.tag)
	}
	for _, b := range d.branches {
		if !slices.ContainsFunc(tag.values, func(v member) bool { return v.name == b.name }) {
			return d.errorf("union '%s': branch '%s' is no value of '%s'", d.name, b.name, tag.name)
		}
		if t := s.defs[b.typ]; t == nil || t.kind != "struct" && t.kind != "union" {
			return d.errorf("union '%s': branch '%s' is not of a struct type", d.name, b.name)
		}
	}
	return nil
}

// tagType is the enum that selects a union's branch.
func (s *schema) tagType(d *definition) *definition {
	for _, m := range s.allMembers(d) {
		if m.name == d.tag && !m.optional {
			if t := s.defs[m.typ]; t != nil && t.kind == "enum" {
				return t
			}
		}
	}
	return nil
}

// allMembers are the members with those of the bases first.
func (s *schema) allMembers(d *definition) []member {
	if d == nil {
		return nil
	}
	list := slices.Clone(d.baseMembers)
	if d.base != "" {
		list = append(list, s.allMembers(s.defs[d.base])...)
	}
	return append(list, d.members...)
}
