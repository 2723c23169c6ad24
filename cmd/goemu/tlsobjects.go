package main

import (
	"fmt"
	"strconv"
	"strings"

	"goemu/internal/tlscreds"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// members are an object's properties as package tlscreds takes them: flat, with "rules.0.match" for what is in lists.
type members map[string]any

// TakeString implements tlscreds.Members.
func (m members) TakeString(name string) (string, bool) {
	s, ok := m[name].(string)
	return s, ok
}

// TakeBool implements tlscreds.Members.
func (m members) TakeBool(name string, def bool) (bool, error) {
	if b, ok := m[name].(bool); ok {
		return b, nil
	}
	return def, nil
}

// HasPrefix implements tlscreds.Members.
func (m members) HasPrefix(prefix string) bool {
	for name := range m {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Has implements tlscreds.Members.
func (m members) Has(name string) bool { _, ok := m[name]; return ok }

// put stores a value, flattening lists and objects.
func (m members) put(name string, v any) {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			m.put(name+"."+strconv.Itoa(i), e)
		}
	case *qapi.Object:
		for n, e := range v.All() {
			m.put(name+"."+n, e)
		}
	default:
		m[name] = v
	}
}

// tlsObject is an object of one of package tlscreds's types.
type tlsObject struct {
	kind    string
	members members
	given   map[string]any
	made    any // nil until complete
}

// Complete implements userobj.Object.
func (t *tlsObject) Complete() (err error) {
	t.made, err = tlscreds.Makers[t.kind](t.members)
	return err
}

// Close implements userobj.Object.
func (t *tlsObject) Close() {}

// Value implements userobj.Stand.
func (t *tlsObject) Value() any { return t.made }

// tlsProperties are the properties of the types: name and type, sorted.
var tlsProperties = map[string][][2]string{
	"authz-list":     {{"policy", "QAuthZListPolicy"}, {"rules", "QAuthZListRule"}},
	"authz-listfile": {{"filename", "string"}, {"refresh", "bool"}},
	"authz-simple":   {{"identity", "string"}},
	"tls-creds-x509": {{"dir", "string"}, {"endpoint", "QCryptoTLSCredsEndpoint"}, {"passwordid", "string"}, {"priority", "string"}, {"sanity-check", "bool"}, {"verify-peer", "bool"}},
}

// tlsType is one of package tlscreds's types.
func tlsType(kind string, parents ...string) *userobj.Type {
	t := &userobj.Type{Name: kind, Parents: parents, New: func(string) userobj.Object {
		return &tlsObject{kind: kind, members: members{}, given: map[string]any{}}
	}}
	for _, p := range tlsProperties[kind] {
		name := p[0]
		t.Props = append(t.Props, userobj.Property{Name: name, Type: p[1], Get: func(o userobj.Object) any { return o.(*tlsObject).given[name] },
			Set: func(o userobj.Object, v any) error {
				x := o.(*tlsObject)
				if x.made != nil {
					return fmt.Errorf("Property '%s.%s' cannot be changed any more", kind, name)
				}
				x.given[name] = v
				x.members.put(name, v)
				return nil
			}})
	}
	return t
}
