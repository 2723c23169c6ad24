package qdev

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"goemu/internal/qom"
)

// plant makes the tree of objects with QEMU's containers.
func (t *Tree) plant() {
	t.QOM = qom.Container()
	t.Objects = t.QOM.MustAdd("objects", qom.Container())
	t.Machine = t.QOM.MustAdd("machine", qom.New("machine", nil))
	t.Peripheral = t.Machine.MustAdd("peripheral", qom.Container())
	t.PeripheralAnon = t.Machine.MustAdd("peripheral-anon", qom.Container())
	t.Unattached = t.Machine.MustAdd("unattached", qom.Container())
	t.Unattached.MustAdd("sysbus", t.root.qnode)
}

// enter makes a device known to a tree: it gets its node, which is put in place when the device is realized.
func (b *Base) enter(t *Tree) {
	b.tree, b.node = t, qom.New(b.class.Name, b.self)
	b.node.AddProperty(qom.Property{Name: "realized", Type: "bool", Get: func() any { return b.realized }})
	b.node.AddProperty(qom.Property{Name: "hotplugged", Type: "bool", Get: func() any { return b.hot }})
	b.node.AddProperty(qom.Property{Name: "hotpluggable", Type: "bool", Get: func() any {
		return !b.class.NoHotplug && (b.bus == nil || b.handler() != nil)
	}})
	b.node.AddProperty(qom.Property{Name: "parent_bus", Type: "link<bus>", Get: func() any {
		if b.bus == nil {
			return ""
		}
		return b.bus.QBus().qnode.Path()
	}})
	for i := range b.props {
		p := &b.props[i]
		b.node.AddProperty(qom.Property{Name: p.name, Type: p.codec.typeName, Desc: p.help, Get: p.typed, Set: func(v any) error { return b.setTyped(p, v) }})
	}
}

// QOM returns the device's place in the tree of objects, nil for a device outside any tree.
func (b *Base) QOM() *qom.Node { return b.node }

// leaveTree takes the device and its buses out of the tree of objects.
func (b *Base) leaveTree() {
	if b.node == nil {
		return
	}
	for len(b.node.Children()) > 0 {
		b.node.Children()[0].Remove()
	}
	b.node.Remove()
}

// typed is a property's value in the form of JSON.
func (p *property) typed() any {
	if b, ok := p.value.Interface().(BootIndex); ok {
		if !b.Set {
			return int64(-1)
		}
		return int64(b.N)
	}
	switch p.value.Kind() {
	case reflect.Bool:
		return p.value.Bool()
	case reflect.Int32, reflect.Int64:
		return p.value.Int()
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if !p.codec.quoted { // else the number of a word
			return p.value.Uint()
		}
	}
	text := p.codec.format(p)
	if text != "" && text[0] != '/' && strings.HasPrefix(p.codec.typeName, "link<") {
		return "/objects/" + text
	}
	return text
}

// setTyped sets a property of a device that is not in operation yet.
func (b *Base) setTyped(p *property, v any) error {
	if r, ok := p.value.Interface().(interface{ ReplaceBy(name string) error }); ok && b.realized && !p.value.IsNil() {
		text, err := Text(p.name, v)
		if err == nil {
			err = r.ReplaceBy(text)
		}
		return err
	}
	if b.realized {
		if b.id != "" {
			return fmt.Errorf("Attempt to set property '%s' on device '%s' (type '%s') after it was realized", p.name, b.id, b.class.Name)
		}
		return fmt.Errorf("Attempt to set property '%s' on anonymous device (type '%s') after it was realized", p.name, b.class.Name)
	}
	text, err := Text(p.name, v)
	if err != nil {
		return err
	}
	return p.codec.parse(p, &b.tree.Links, text)
}

// Text is the text form of a value from JSON.
func Text(name string, v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		if v {
			return "on", nil
		}
		return "off", nil
	case json.Number:
		return v.String(), nil
	case int64, uint64, int:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("Invalid parameter type for '%s', expected: string", name)
}

// Types returns the types of all devices that the registry knows, with their ancestors.
func (r *Registry) Types() *qom.Types {
	t := new(qom.Types)
	for _, n := range r.names {
		c := r.byName[n]
		parents := c.Parents
		if len(parents) == 0 || parents[len(parents)-1] != "device" {
			parents = append(parents[:len(parents):len(parents)], "device")
		}
		t.AddChain(c.Name, append(parents[:len(parents):len(parents)], "object")...)
	}
	return t
}
