package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"goemu/hw/qdev"
	"goemu/hw/virtio/rng"
	"goemu/internal/config"
	"goemu/internal/hostmem"
	"goemu/internal/iothread"
	"goemu/internal/netdev/filter"
	"goemu/internal/secret"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// objectTypes are the types that -object takes, by name. memory are the defaults of memory backends, find finds another object.
func objectTypes(memory func() hostmem.Defaults, find func(id string) any) []*userobj.Type {
	types := slices.Concat(toolObjectTypes(find), filter.Types(), hostmem.Types(memory), []*userobj.Type{rngType("rng-builtin"), rngType("rng-random")})
	slices.SortFunc(types, func(a, b *userobj.Type) int { return strings.Compare(a.Name, b.Name) })
	return types
}

// toolObjectTypes are the types that the image tools take, too, by name.
func toolObjectTypes(find func(id string) any) []*userobj.Type {
	return []*userobj.Type{tlsType("authz-list", "authz"), tlsType("authz-listfile", "authz"), tlsType("authz-simple", "authz"), iothread.Type(),
		secret.Type(find), throttleType(), tlsType("tls-creds-x509", "tls-creds")}
}

// knownObjectTypes are the types for those that only ask about them.
func knownObjectTypes() []*userobj.Type {
	return objectTypes(func() hostmem.Defaults { return hostmem.Defaults{} }, func(string) any { return nil })
}

// newObjects makes the set of the user's objects.
func (s *session) newObjects() *userobj.Set {
	return &userobj.Set{Types: objectTypes(func() hostmem.Defaults {
		d := hostmem.Defaults{CPUs: s.vm.SMP.CPUs, Merge: true, Dump: true}
		if s.config != nil {
			d.Merge, d.Dump = s.config.Props.MemMerge, s.config.Props.DumpGuestCore
		}
		return d
	}, s.object)}
}

// createObjects makes the objects that the command line names: those that character devices and disks may refer to, or those that
// come after them.
func (s *session) createObjects(late bool) error {
	set := s.host.objects
	for _, opt := range s.vm.Objects {
		o, err := objectMembers(opt)
		if err != nil {
			return at(opt.Origin, err)
		}
		if t := set.Type(o.Text("qom-type")); t == nil || t.Late != late {
			continue
		}
		if err := set.Add(o); err != nil { // no longer about the option: QEMU does not name it either
			if !errors.Is(err, userobj.ErrID) {
				return err
			}
			err = fmt.Errorf("%w\n%s", err, userobj.IDHint)
			if opt.JSON {
				return err
			}
			return at(opt.Origin, err)
		}
	}
	return nil
}

// objectMembers reads an -object.
func objectMembers(opt config.Options) (o *qapi.Object, err error) {
	if opt.JSON {
		o, err = qapi.ParseOption("ObjectOptions", opt.Text, "")
	} else {
		var pairs [][2]string
		for _, p := range opt.Pairs {
			text, _ := p.Value.(string)
			pairs = append(pairs, [2]string{p.Key, text})
		}
		o, err = qapi.FromOpts("ObjectOptions", pairs)
	}
	if err == nil {
		err = qapi.Decode("ObjectOptions", o, nil)
	}
	return o, err
}

// rngObject is an object of type rng-random or rng-builtin.
type rngObject struct {
	id, kind, filename string
	source             *rng.Source
}

// Complete implements userobj.Object.
func (r *rngObject) Complete() (err error) {
	if r.kind == "rng-builtin" {
		r.source = rng.NewBuiltin(r.id)
		return nil
	}
	r.source, err = rng.NewRandom(r.id, r.filename)
	return err
}

// Close implements userobj.Object.
func (r *rngObject) Close() {
	if r.source != nil {
		r.source.Close()
	}
}

// Value implements userobj.Stand.
func (r *rngObject) Value() any { return r.source }

func rngType(kind string) *userobj.Type {
	t := &userobj.Type{Name: kind, Parents: []string{"rng-backend"}, Late: true, New: func(id string) userobj.Object { return &rngObject{id: id, kind: kind} },
		Props: []userobj.Property{userobj.Constant("opened", "bool", true)}}
	if kind == "rng-random" {
		t.Props = append(t.Props, userobj.Field("filename", "string", "", func(r *rngObject) *string { return &r.filename }, func(r *rngObject, _ string) error {
			if r.source != nil {
				return errors.New("Property 'filename' can no longer be set")
			}
			return nil
		}))
		t.New = func(id string) userobj.Object { return &rngObject{id: id, kind: kind, filename: rng.DefaultFile} }
	}
	return t
}

// objectLinks lets device properties name the objects.
func objectLinks(s *userobj.Set, l *qdev.Links) {
	linkObject[*rng.Source](s, l)
	linkObject[*iothread.Thread](s, l)
	linkObject[*hostmem.Backend](s, l)
}

// linkObject lets properties of type T name objects that are Ts.
func linkObject[T any](s *userobj.Set, l *qdev.Links) {
	qdev.Link(l, func(id string) (T, bool) { o, ok := s.Find(id).(T); return o, ok })
}

func objectHelp(typ string) (string, error) {
	for _, t := range knownObjectTypes() {
		if t.Name == typ {
			return t.Help(), nil
		}
	}
	return "", fmt.Errorf("-object %s,help: Parameter 'qom-type' does not accept value '%s'", typ, typ)
}

func objectNames() (names []string) {
	for _, t := range knownObjectTypes() {
		names = append(names, t.Name)
	}
	return names
}
