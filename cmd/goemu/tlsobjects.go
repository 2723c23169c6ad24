package main

import (
	"fmt"

	"goemu/internal/config"
	"goemu/internal/tlscreds"
)

// pairs are an object's properties as package tlscreds takes them.
type pairs map[string]string

// TakeString implements tlscreds.Members.
func (p pairs) TakeString(name string) (string, bool) {
	v, ok := p[name]
	return v, ok
}

// TakeBool implements tlscreds.Members.
func (p pairs) TakeBool(name string, def bool) (bool, error) {
	switch v, ok := p[name]; {
	case !ok:
		return def, nil
	case v == "on" || v == "yes" || v == "true" || v == "y":
		return true, nil
	case v == "off" || v == "no" || v == "false" || v == "n":
		return false, nil
	}
	return def, fmt.Errorf("Parameter '%s' expects 'on' or 'off'", name)
}

// HasPrefix implements tlscreds.Members.
func (p pairs) HasPrefix(string) bool { return false }

// Has implements tlscreds.Members.
func (p pairs) Has(name string) bool { _, ok := p[name]; return ok }

// tlsObject makes objects of one of package tlscreds's types.
func tlsObject(kind string) func(h *objects, id string, o config.Options) error {
	return func(h *objects, id string, o config.Options) error {
		p := pairs{}
		for _, pair := range o.Without("qom-type", "id").Pairs {
			p[pair.Key] = objectText(o, pair.Key)
		}
		x, err := tlscreds.Makers[kind](p)
		if err != nil {
			return err
		}
		h.add(kind, id, x)
		return nil
	}
}
