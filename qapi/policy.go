package qapi

import (
	"runtime/debug"
	"slices"
)

// ParseCompatPolicy reads the value of -compat.
func ParseCompatPolicy(text string) (*CompatPolicy, error) {
	p := new(CompatPolicy)
	o, err := ParseOption("CompatPolicy", text, "")
	if err != nil {
		return nil, err
	}
	return p, Decode("CompatPolicy", o, p)
}

// mark is a special feature of the schema.
type mark struct {
	feature, adjective string
	input              func(p *CompatPolicy) *CompatPolicyInput
	output             func(p *CompatPolicy) *CompatPolicyOutput
}

var marks = [...]mark{
	{"deprecated", "Deprecated", func(p *CompatPolicy) *CompatPolicyInput { return p.DeprecatedInput },
		func(p *CompatPolicy) *CompatPolicyOutput { return p.DeprecatedOutput }},
	{"unstable", "Unstable", func(p *CompatPolicy) *CompatPolicyInput { return p.UnstableInput },
		func(p *CompatPolicy) *CompatPolicyOutput { return p.UnstableOutput }},
}

// admit is the error for something of that kind and name which came in, nil if it is accepted. It does not return if the emulator is to crash.
func (p *CompatPolicy) admit(features []string, class ErrorClass, kind, name string) error {
	for _, m := range marks {
		policy := m.input(p)
		if policy == nil || *policy == CompatPolicyInputAccept || !slices.Contains(features, m.feature) {
			continue
		}
		err := &Error{Class: class, Desc: m.adjective + " " + kind + " " + name + " disabled by policy"}
		if *policy == CompatPolicyInputCrash {
			debug.SetTraceback("crash") // ends by SIGABRT
			panic(err.Desc)
		}
		return err
	}
	return nil
}

// Hides tells whether what has the features is kept from clients.
func (p *CompatPolicy) Hides(features []string) bool {
	if p == nil {
		return false
	}
	for _, m := range marks {
		if policy := m.output(p); policy != nil && *policy == CompatPolicyOutputHide && slices.Contains(features, m.feature) {
			return true
		}
	}
	return false
}

// hidesAny tells whether anything can be hidden.
func (p *CompatPolicy) hidesAny() bool { return p.Hides([]string{marks[0].feature, marks[1].feature}) }

// CheckCommand says whether a client may use a command.
func (p *CompatPolicy) CheckCommand(c *Command) error {
	if p == nil {
		return nil
	}
	return p.admit(c.Features, QapiErrorClassCommandNotFound, "command", c.Name)
}

// CheckArguments says whether a client may use the arguments that it gave to a command. Of arguments with a mistake only what precedes the
// mistake is looked at: Decode reports it.
func (p *CompatPolicy) CheckArguments(c *Command, args *Object) error {
	if p == nil || c.Raw {
		return nil
	}
	_, err := p.check(c.Arg, orEmpty(args))
	return err
}

// check looks at a value; ok tells that it is of the type.
func (p *CompatPolicy) check(typeName string, v any) (ok bool, err error) {
	t, list := lookup(typeName)
	if list {
		l, ok := v.([]any)
		for i := 0; i < len(l) && ok && err == nil; i++ {
			ok, err = p.check(typeName[2:], l[i])
		}
		return ok, err
	}
	switch t.Kind {
	case KindEnum:
		return p.checkValue(t, v)
	case KindObject:
		o, ok := v.(*Object)
		if !ok {
			return false, nil
		}
		return p.checkMembers(t, o)
	case KindAlternate:
		for i := range t.Branches {
			if takes(t.Branches[i].Type, v) {
				return p.check(t.Branches[i].Type, v)
			}
		}
		return false, nil
	}
	return Decode(typeName, v, nil) == nil, nil
}

func (p *CompatPolicy) checkValue(t *Type, v any) (ok bool, err error) {
	s, _ := v.(string)
	for i := range t.Values {
		if t.Values[i].Name == s {
			return true, p.admit(t.Values[i].Features, QapiErrorClassGenericError, "value", s)
		}
	}
	return false, nil
}

func (p *CompatPolicy) checkMembers(t *Type, o *Object) (ok bool, err error) {
	for i := range t.Members {
		m := &t.Members[i]
		v, ok := o.Get(m.Name)
		if !ok {
			if m.Optional {
				continue
			}
			return false, nil
		}
		if err := p.admit(m.Features, QapiErrorClassGenericError, "parameter", m.Name); err != nil {
			return true, err
		}
		if ok, err := p.check(m.Type, v); !ok || err != nil {
			return ok, err
		}
	}
	if b := t.branch(o); b != nil {
		return p.checkMembers(b, o)
	}
	return true, nil
}

// Output is what clients are told of v, which the schema's type of that name describes.
func (p *CompatPolicy) Output(typeName string, v any) any {
	if !p.hidesAny() || v == nil {
		return v
	}
	plain, err := ParseJSON(string(AppendJSON(nil, v)))
	if err != nil {
		panic("BUG: unreadable reply: " + err.Error())
	}
	reinsert(plain)
	p.prune(typeName, plain)
	return plain
}

// reinsert turns the order of members around, all the way down: objects are written with the later of two members first where QEMU's
// dictionaries do so, and what was read back from there came in that order.
func reinsert(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			reinsert(e)
		}
	case *Object:
		names := slices.Clone(v.Names())
		old := *v
		*v = Object{}
		for _, name := range slices.Backward(names) {
			e, _ := old.Get(name)
			reinsert(e)
			v.Set(name, e)
		}
	}
}

// prune takes out what is hidden.
func (p *CompatPolicy) prune(typeName string, v any) {
	t, list := lookup(typeName)
	switch v := v.(type) {
	case []any:
		for i := 0; list && i < len(v); i++ {
			p.prune(typeName[2:], v[i])
		}
	case *Object:
		if t.Kind == KindAlternate {
			for i := range t.Branches {
				if takes(t.Branches[i].Type, v) {
					p.prune(t.Branches[i].Type, v)
				}
			}
			return
		}
		b := t.branch(v)
		for i := range t.Members {
			m := &t.Members[i]
			if e, ok := v.Get(m.Name); ok && p.Hides(m.Features) {
				v.Delete(m.Name)
			} else if ok {
				p.prune(m.Type, e)
			}
		}
		if b != nil {
			p.prune(b.Name, v)
		}
	}
}

// Event is what clients are told of an event, nil if it is kept from them.
func (p *CompatPolicy) Event(ev Event) any {
	if !p.hidesAny() {
		return ev
	}
	for _, m := range modules {
		for i := range m.Events {
			if e := &m.Events[i]; e.Name == ev.EventName() {
				if p.Hides(e.Features) {
					return nil
				}
				return p.Output(e.Arg, ev)
			}
		}
	}
	return ev
}

// Introspect is the answer to query-qmp-schema under the policy: of what is hidden only what is deprecated is left out.
func (p *CompatPolicy) Introspect() []*SchemaInfo {
	all := Introspection()
	deprecated := marks[0].feature
	if !p.Hides([]string{deprecated}) {
		return all
	}
	var out []*SchemaInfo
	for _, e := range all {
		if slices.Contains(e.Features, deprecated) {
			continue
		}
		if e.Object != nil {
			entry, object := *e, *e.Object
			object.Members = slices.DeleteFunc(slices.Clone(object.Members), func(m *SchemaInfoObjectMember) bool {
				return slices.Contains(m.Features, deprecated)
			})
			entry.Object = &object
			e = &entry
		}
		out = append(out, e)
	}
	return out
}
