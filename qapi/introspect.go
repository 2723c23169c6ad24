package qapi

import (
	"strconv"
	"strings"
	"sync"
)

// Introspection is the answer to query-qmp-schema: the schema with numbers in place of the names of types.
var Introspection = sync.OnceValue(func() []*SchemaInfo {
	in := &introspector{masks: map[string]string{}, queued: map[string]bool{}}
	for _, m := range modules {
		in.module(m)
	}
	for i := 0; i < len(in.queue); i++ { // grows meanwhile
		in.describe(in.queue[i])
	}
	return in.out
})

// introspector turns the schema into SchemaInfo.
type introspector struct {
	out    []*SchemaInfo
	masks  map[string]string // number by type
	queue  []string          // types to describe, in the order of their first use
	queued map[string]bool
}

// module describes a module's commands and events, which are all there is to begin with.
func (in *introspector) module(m *Module) {
	for i := range m.Commands {
		c := &m.Commands[i]
		info := &SchemaInfo{Name: c.Name, MetaType: SchemaMetaTypeCommand, Features: c.Features,
			Command: &SchemaInfoCommand{ArgType: in.use(c.Arg), RetType: in.use(c.Ret)}}
		if c.OOB {
			info.Command.AllowOob = &c.OOB
		}
		in.out = append(in.out, info)
	}
	for i := range m.Events {
		e := &m.Events[i]
		in.out = append(in.out, &SchemaInfo{Name: e.Name, MetaType: SchemaMetaTypeEvent, Features: e.Features,
			Event: &SchemaInfoEvent{ArgType: in.use(e.Arg)}})
	}
}

// use returns what stands for a type, and sees that it is described.
func (in *introspector) use(name string) string {
	elem, list := strings.CutPrefix(name, "[]")
	if elem == "" {
		elem = emptyType
	}
	if jsonType(elem) == "int" { // all integers are one
		elem = "int"
	}
	key := elem
	if list {
		key = "[]" + elem
	}
	if !in.queued[key] {
		in.queued[key] = true
		in.queue = append(in.queue, key)
	}
	switch {
	case list:
		return "[" + in.use(elem) + "]"
	case jsonType(elem) != "":
		return elem
	}
	mask, ok := in.masks[elem]
	if !ok {
		mask = strconv.Itoa(len(in.masks))
		in.masks[elem] = mask
	}
	return mask
}

// jsonType is the JSON type of a builtin, "" of others.
func jsonType(name string) string {
	for _, b := range builtins {
		if b.name == name {
			return b.json
		}
	}
	return ""
}

// describe adds a type that is in use.
func (in *introspector) describe(name string) {
	info := &SchemaInfo{Name: in.use(name)}
	in.out = append(in.out, info)
	t, list := lookup(name)
	if list {
		info.MetaType = SchemaMetaTypeArray
		info.Array = &SchemaInfoArray{ElementType: in.use(name[2:])}
		return
	}
	info.Features = t.Features
	switch t.Kind {
	case KindBuiltin:
		info.MetaType = SchemaMetaTypeBuiltin
		info.Builtin = &SchemaInfoBuiltin{JsonType: JSONType(jsonType(t.Name))}
	case KindEnum:
		info.MetaType = SchemaMetaTypeEnum
		info.Enum = describeEnum(t)
	case KindObject:
		info.MetaType = SchemaMetaTypeObject
		info.Object = in.object(t)
	case KindAlternate:
		info.MetaType = SchemaMetaTypeAlternate
		info.Alternate = new(SchemaInfoAlternate)
		for _, b := range t.Branches {
			info.Alternate.Members = append(info.Alternate.Members, &SchemaInfoAlternateMember{Type: in.use(b.Type)})
		}
	}
}

func describeEnum(t *Type) *SchemaInfoEnum {
	e := new(SchemaInfoEnum)
	for _, v := range t.Values {
		e.Members = append(e.Members, &SchemaInfoEnumMember{Name: v.Name, Features: v.Features})
		e.Values = append(e.Values, v.Name)
	}
	return e
}

func (in *introspector) object(t *Type) *SchemaInfoObject {
	o := &SchemaInfoObject{}
	for _, m := range t.Members {
		info := &SchemaInfoObjectMember{Name: m.Name, Type: in.use(m.Type), Features: m.Features}
		if m.Optional {
			info.Default = Null{}
		}
		o.Members = append(o.Members, info)
	}
	if t.Tag == "" {
		return o
	}
	o.Tag = &t.Tag
	covered := map[string]bool{}
	for _, b := range t.Branches {
		covered[b.Name] = true
		o.Variants = append(o.Variants, &SchemaInfoObjectVariant{Case: b.Name, Type: in.use(b.Type)})
	}
	for _, m := range t.Members {
		if m.Name != t.Tag {
			continue
		}
		tag, _ := lookup(m.Type)
		for _, v := range tag.Values {
			if !covered[v.Name] {
				o.Variants = append(o.Variants, &SchemaInfoObjectVariant{Case: v.Name, Type: in.use(emptyType)})
			}
		}
	}
	return o
}
