package tlscreds

import (
	"errors"
	"fmt"
	"strconv"
)

// Members is a flat dictionary of an object's properties; what is taken is known.
type Members interface {
	TakeString(name string) (string, bool)
	TakeBool(name string, def bool) (bool, error)
	HasPrefix(name string) bool
	Has(name string) bool
}

// Maker makes an object from its properties.
type Maker func(o Members) (any, error)

// Makers are the types of objects in this package.
var Makers = map[string]Maker{
	"tls-creds-x509": makeX509,
	"authz-simple":   makeSimple, "authz-list": makeList, "authz-listfile": makeListFile,
}

// enum takes one of a few words.
func enum(o Members, name, def string, words ...string) (string, error) {
	s, ok := o.TakeString(name)
	if !ok {
		return def, nil
	}
	for _, w := range words {
		if s == w {
			return s, nil
		}
	}
	return "", errorf("Parameter '%s' does not accept value '%s'", name, s)
}

func takeEndpoint(o Members) (Endpoint, error) {
	s, err := enum(o, "endpoint", string(Client), string(Client), string(Server))
	return Endpoint(s), err
}

func makeX509(o Members) (any, error) {
	var x Options
	var err error
	if x.Endpoint, err = takeEndpoint(o); err != nil {
		return nil, err
	}
	x.Dir, _ = o.TakeString("dir")
	x.PasswordID, _ = o.TakeString("passwordid")
	x.Priority, _ = o.TakeString("priority")
	if x.VerifyPeer, err = o.TakeBool("verify-peer", true); err != nil {
		return nil, err
	}
	if x.SanityCheck, err = o.TakeBool("sanity-check", true); err != nil {
		return nil, err
	}
	if _, err := o.TakeBool("loaded", true); err != nil {
		return nil, err
	}
	return Load(x)
}

func makeSimple(o Members) (any, error) {
	s, ok := o.TakeString("identity")
	if !ok {
		return nil, errors.New("Parameter 'identity' is missing")
	}
	return Simple{s}, nil
}

func makeList(o Members) (any, error) {
	l := new(List)
	var err error
	if l.Policy, err = enum(o, "policy", "deny", "allow", "deny"); err != nil {
		return nil, err
	}
	for i := 0; o.HasPrefix("rules." + strconv.Itoa(i)); i++ {
		p := fmt.Sprintf("rules.%d.", i)
		var r Rule
		r.Match, _ = o.TakeString(p + "match")
		r.Policy, _ = o.TakeString(p + "policy")
		r.Format, _ = o.TakeString(p + "format")
		l.Rules = append(l.Rules, r)
	}
	return l, l.check()
}

func makeListFile(o Members) (any, error) {
	name, _ := o.TakeString("filename")
	refresh, err := o.TakeBool("refresh", true)
	if err != nil {
		return nil, err
	}
	return NewListFile(name, refresh)
}

// Find finds TLS credentials for an endpoint among objects.
func Find(object func(id string) any, id string, e Endpoint) (*X509, error) {
	var x any
	if object != nil {
		x = object(id)
	}
	if x == nil {
		return nil, errorf("No TLS credentials with id '%s'", id)
	}
	c, ok := x.(*X509)
	if !ok {
		return nil, errorf("Object with id '%s' is not TLS credentials", id)
	}
	return c, c.CheckEndpoint(e)
}
