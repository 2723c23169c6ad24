// Package filter has the objects that stand in the way of a netdev's frames: filter-dump writes them to a file, filter-buffer holds them
// back, filter-mirror copies them to a character device, filter-redirector sends them away through one and takes others in.
package filter

import (
	"errors"
	"fmt"
	"strings"

	"goemu/internal/netdev"
	"goemu/internal/userobj"
)

// kind is what a type of filters does.
type kind interface {
	// open puts the filter into operation; pass and close as netdev.Filter wants them.
	open(b *base) error
	pass(b *base, sender *netdev.Client, data []byte, tx bool) (taken bool)
	close(b *base)
	// details are the properties of the type's own, for info network.
	details() string
}

// base is an object of any of the types.
type base struct {
	kind
	typ, id                                 string
	netdev, queue, status, position, insert string
	filter                                  netdev.Filter
	attached                                bool
}

// directions are the values of queue.
var directions = map[string]netdev.Direction{"all": netdev.All, "rx": netdev.RX, "tx": netdev.TX}

// Complete implements userobj.Object.
func (b *base) Complete() error {
	if b.netdev == "" {
		return errors.New("Parameter 'netdev' is required")
	}
	p, ok := netdev.Main.Peer(b.netdev)
	switch {
	case !ok:
		return errors.New("Parameter 'netdev' expects a network backend id")
	case p.Queues() > 1:
		return errors.New("multiqueue is not supported")
	}
	c, _ := netdev.Main.Find(b.netdev)
	at, err := b.place(c)
	if err != nil {
		return err
	}
	if err := b.open(b); err != nil {
		return err
	}
	b.filter = netdev.Filter{ID: b.id, Type: b.typ, Dir: directions[b.queue],
		Pass: func(sender *netdev.Client, data []byte, tx bool) bool { return b.pass(b, sender, data, tx) },
		Info: func() string {
			return fmt.Sprintf(",netdev=%s,queue=%s,status=%s,position=%s,insert=%s%s", b.netdev, b.queue, b.status, b.position, b.insert, b.details())
		},
		Off:  func() bool { return b.status == "off" },
		Gone: func() { Forget(b.id) },
	}
	c.Attach(&b.filter, at, b.insert == "behind", b.position == "head")
	b.attached = true
	return nil
}

// Forget is told of filters that went with their netdev; the emulator sets it.
var Forget = func(id string) {}

// place finds the filter that position names, nil for an end of the list.
func (b *base) place(c *netdev.Client) (*netdev.Filter, error) {
	if b.position == "head" || b.position == "tail" {
		return nil, nil
	}
	id, ok := strings.CutPrefix(b.position, "id=")
	if !ok {
		return nil, errors.New("Parameter 'position' expects 'head', 'tail' or 'id=<id>'")
	}
	for _, o := range netdev.Main.Clients() {
		for _, f := range o.Filters() {
			if f.ID != id {
				continue
			}
			if o != c {
				return nil, fmt.Errorf("filter '%s' belongs to a different netdev", id)
			}
			return f, nil
		}
	}
	return nil, fmt.Errorf("filter '%s' not found", id)
}

// Close implements userobj.Object.
func (b *base) Close() {
	if !b.attached {
		return
	}
	b.attached = false
	b.kind.close(b) // what it held goes on from its place
	b.filter.Detach()
}

// newType makes a type with the properties that all have and its own.
func newType(name string, fresh func() kind, own ...userobj.Property) *userobj.Type {
	fixed := func(b *base, _ string) error {
		if b.attached {
			return errors.New("Insufficient permission to perform this operation")
		}
		return nil
	}
	props := []userobj.Property{
		userobj.Field("netdev", "string", "", func(b *base) *string { return &b.netdev }, fixed),
		userobj.Field("queue", "NetFilterDirection", "", func(b *base) *string { return &b.queue }, func(_ *base, v string) error {
			if _, ok := directions[v]; !ok {
				return fmt.Errorf("Invalid parameter '%s'", v)
			}
			return nil
		}),
		userobj.Field("status", "string", "", func(b *base) *string { return &b.status }, func(b *base, v string) error {
			if v != "on" && v != "off" {
				return errors.New("Invalid value for netfilter status, should be 'on' or 'off'")
			}
			if c, ok := b.kind.(interface{ switched(*base) }); ok && b.attached && v != b.status {
				defer c.switched(b)
			}
			return nil
		}),
		userobj.Field("position", "string", "", func(b *base) *string { return &b.position }, fixed),
		userobj.Field("insert", "string", "", func(b *base) *string { return &b.insert }, func(b *base, v string) error {
			if v != "behind" && v != "before" {
				return errors.New("Invalid value for netfilter insert, should be 'before' or 'behind'")
			}
			return nil
		}),
	}
	return &userobj.Type{Name: name, Parents: []string{"netfilter"}, Late: true, Props: append(props, own...), New: func(id string) userobj.Object {
		return &base{kind: fresh(), typ: name, id: id, queue: "all", status: "on", position: "tail", insert: "behind"}
	}}
}

// Types are the types of this package.
func Types() []*userobj.Type {
	return []*userobj.Type{bufferType(), dumpType(), mirrorType(), redirectorType()}
}
