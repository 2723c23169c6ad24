package qdev

import (
	"fmt"
	"slices"
	"strings"

	"goemu/internal/qom"
)

// BusNode is any bus: a bus package's own type with a Bus embedded.
type BusNode interface{ QBus() *Bus }

// Bus is the part of a bus that this package looks after.
type Bus struct {
	name    string
	typ     string
	max     int // devices, 0 for no limit
	node    BusNode
	parent  Device
	devices []Device
	qnode   *qom.Node
	links   int // numbers given to devices, which are not used again
	numbers map[Device]int
}

// QBus implements BusNode.
func (b *Bus) QBus() *Bus { return b }

// InitBus makes node a bus of type typ that parent (nil for the root) provides. Without a name it gets its parent's identifier or its
// type, and a number. max limits the number of devices if not zero.
func InitBus(node BusNode, parent Device, typ, name string, max int) {
	b := node.QBus()
	if name == "" {
		name = parent.Dev().busName(typ)
	}
	b.name, b.typ, b.node, b.parent, b.max = name, typ, node, parent, max
	b.qnode, b.numbers = qom.New(typ, node), map[Device]int{}
	if parent != nil {
		p := parent.Dev()
		p.buses = append(p.buses, b)
		if p.node != nil {
			p.node.MustAdd(name, b.qnode)
		}
	}
}

// busName is the name of the next bus of a type.
func (b *Base) busName(typ string) string {
	if b.id != "" {
		return fmt.Sprintf("%s.%d", b.id, len(b.buses))
	}
	n := 0
	if b.tree != nil {
		n = b.tree.busNumbers[typ]
		b.tree.busNumbers[typ]++
	}
	return fmt.Sprintf("%s.%d", strings.ToLower(typ), n)
}

// TypedBus is a bus that takes devices made for another type, too.
type TypedBus interface{ TakesType(typ string) bool }

// takes tells whether devices for a type of bus can go on the bus.
func (b *Bus) takes(typ string) bool {
	t, ok := b.node.(TypedBus)
	return b.typ == typ || ok && t.TakesType(typ)
}

// QOM returns the bus's place in the tree of objects.
func (b *Bus) QOM() *qom.Node { return b.qnode }

// Name returns the bus's name, as bus= takes it.
func (b *Bus) Name() string { return b.name }

// Type returns the bus's type.
func (b *Bus) Type() string { return b.typ }

// Node returns the whole bus.
func (b *Bus) Node() BusNode { return b.node }

// Owner returns the device that provides the bus.
func (b *Bus) Owner() Device { return b.parent }

// Devices returns the devices on the bus.
func (b *Bus) Devices() []Device { return b.devices }

// Full tells whether no further device fits.
func (b *Bus) Full() bool { return b.max != 0 && len(b.devices) >= b.max }

func (b *Bus) attach(d Device) {
	b.devices = append(b.devices, d)
	n := d.Dev().node
	if n == nil {
		return
	}
	b.numbers[d] = b.links
	b.qnode.AddProperty(qom.Property{Name: childName(b.links), Type: "link<" + n.Type() + ">", Get: func() any { return n.Path() }})
	b.links++
}

// Move puts a device on another bus than the one it was made for. Only its Realize may call it.
func Move(d Device, to BusNode) { d.Dev().bus = to }

func childName(n int) string { return fmt.Sprintf("child[%d]", n) }

func (b *Bus) detach(d Device) {
	if n, ok := b.numbers[d]; ok {
		b.qnode.RemoveProperty(childName(n))
		delete(b.numbers, d)
	}
	b.devices = slices.DeleteFunc(b.devices, func(x Device) bool { return x == d })
}

// Reset resets all devices on the bus, the newest first.
func (b *Bus) Reset() {
	for _, d := range slices.Backward(slices.Clone(b.devices)) {
		if d.Dev().bus != nil { // else it has left with the reset of another
			Reset(d)
		}
	}
	if r, ok := b.node.(interface{ BusReset() }); ok {
		r.BusReset()
	}
}

// Walk calls f for every device below the bus, parents first, until f returns false.
func (b *Bus) Walk(f func(Device) bool) bool {
	for _, d := range b.devices {
		if !f(d) {
			return false
		}
		for _, sub := range d.Dev().buses {
			if !sub.Walk(f) {
				return false
			}
		}
	}
	return true
}

// find returns the first bus at or below b that matches; it looks at the newest devices first.
func (b *Bus) find(match func(*Bus) bool) *Bus {
	if match(b) {
		return b
	}
	return findBelow(b.devices, match)
}

// findBelow returns the first bus at or below the devices that matches.
func findBelow(list []Device, match func(*Bus) bool) *Bus {
	for _, d := range slices.Backward(list) {
		for _, sub := range d.Dev().buses {
			if m := sub.find(match); m != nil {
				return m
			}
		}
	}
	return nil
}
