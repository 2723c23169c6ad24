package main

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"goemu/hw/firmware/acpi"
	"goemu/hw/pc"
	"goemu/qapi"
)

// Names in the order of the numbers that the table has for them.
var (
	hmatLevels     = []qapi.HmatLBMemoryHierarchy{"memory", "first-level", "second-level", "third-level"}
	hmatTypes      = []qapi.HmatLBDataType{"access-latency", "read-latency", "write-latency", "access-bandwidth", "read-bandwidth", "write-bandwidth"}
	hmatAssociated = []qapi.HmatCacheAssociativity{"none", "direct", "complex"}
	hmatPolicies   = []qapi.HmatCacheWritePolicy{"none", "write-back", "write-through"}
)

// maxHMATValue is what a value must be below in units of its table.
const maxHMATValue = 0xffff

var errNoHMAT = errors.New("ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable it with -machine hmat=on before using any of hmat specific options")

// locality is the values of one level and type so far.
type locality struct {
	base   uint64 // their unit, 0 before there is any
	span   uint64 // of latencies the greatest in units, of bandwidths all bits that are set in any
	values []acpi.LocalityValue
}

// setInitiator takes the node whose CPUs are nearest to a node's memory.
func (n *numaMap) setInitiator(node, initiator int) error {
	switch {
	case !n.hmat:
		return errNoHMAT
	case initiator >= maxNUMANodes:
		return fmt.Errorf("The initiator id %d expects an integer between 0 and %d", initiator, maxNUMANodes-1)
	}
	n.initiators[node] = initiator
	return nil
}

// setLocality takes a latency or a bandwidth.
func (n *numaMap) setLocality(o *qapi.NumaHmatLBOptions) error {
	init, target := int(o.Initiator), int(o.Target)
	switch {
	case !n.hmat:
		return errNoHMAT
	case init > len(n.nodes):
		return fmt.Errorf("Invalid initiator=%d, it should be less than %d", init, len(n.nodes))
	case target > len(n.nodes):
		return fmt.Errorf("Invalid target=%d, it should be less than %d", target, len(n.nodes))
	case !n.hasCPU[init] || n.nodes[init] == nil:
		return fmt.Errorf("Invalid initiator=%d, it isn't an initiator proximity domain", init)
	case n.nodes[target] == nil:
		return fmt.Errorf("The target=%d should point to an existing node", target)
	}
	key := [2]int{slices.Index(hmatLevels, o.Hierarchy), slices.Index(hmatTypes, o.DataType)}
	l := n.localities[key]
	if l == nil {
		l = new(locality)
		n.localities[key] = l
	}
	value, add := o.Latency, l.addLatency
	if key[1] >= acpi.FirstBandwidth {
		value, add = o.Bandwidth, l.addBandwidth
	}
	what, other, rest := "latency", "bandwidth", o.Bandwidth
	if key[1] >= acpi.FirstBandwidth {
		what, other, rest = other, what, o.Latency
	}
	switch {
	case value == nil:
		return fmt.Errorf("Missing '%s' option", what)
	case rest != nil:
		return fmt.Errorf("Invalid option '%s' since the data type is %s", other, what)
	case key[1] >= acpi.FirstBandwidth && *value%(1<<20) != 0:
		return fmt.Errorf("Bandwidth %d between initiator=%d and target=%d should be 1MB aligned", *value, init, target)
	case slices.ContainsFunc(l.values, func(v acpi.LocalityValue) bool { return v.Initiator == init && v.Target == target }):
		return fmt.Errorf("Duplicate configuration of the %s for initiator=%d and target=%d", what, init, target)
	}
	return add(acpi.LocalityValue{Initiator: init, Target: target, Value: *value})
}

// addLatency takes a latency: the unit is a power of ten that divides all.
func (l *locality) addLatency(v acpi.LocalityValue) error {
	if l.base == 0 {
		l.base = math.MaxUint64
	}
	if v.Value != 0 {
		unit := uint64(1)
		for rest := v.Value; rest%10 == 0; rest /= 10 {
			unit *= 10
		}
		most := max(l.span, v.Value/l.base)
		if most >= maxHMATValue {
			return fmt.Errorf("Latency %d between initiator=%d and target=%d should not differ from previously entered min or max values on more than %d", v.Value, v.Initiator, v.Target, maxHMATValue-1)
		}
		l.base, l.span = min(l.base, unit), most
	}
	l.values = append(l.values, v)
	return nil
}

// addBandwidth takes a bandwidth: the unit is a power of two that divides all.
func (l *locality) addBandwidth(v acpi.LocalityValue) error {
	if l.base == 0 {
		l.base = 1
	}
	if v.Value != 0 {
		span := l.span | v.Value
		first, last := bits.TrailingZeros64(span), bits.Len64(span)
		if last-first > 16 || v.Value>>first >= maxHMATValue {
			return fmt.Errorf("Bandwidth %d between initiator=%d and target=%d should not differ from previously entered values on more than %d", v.Value, v.Initiator, v.Target, maxHMATValue-1)
		}
		l.base, l.span = 1<<first, span
	}
	l.values = append(l.values, v)
	return nil
}

// addCache takes a cache.
func (n *numaMap) addCache(o *qapi.NumaHmatCacheOptions) error {
	node, level := int(o.NodeId), int(o.Level)
	switch {
	case !n.hmat:
		return errNoHMAT
	case node >= len(n.nodes):
		return fmt.Errorf("Invalid node-id=%d, it should be less than %d", node, len(n.nodes))
	case !n.measured(node):
		return fmt.Errorf("The latency and bandwidth information of node-id=%d should be provided before memory side cache attributes", node)
	case level < 1 || level >= len(hmatLevels):
		return fmt.Errorf("Invalid level=%d, it should be larger than 0 and less than or equal to %d", level, len(hmatLevels)-1)
	case n.cache(node, level) != nil:
		return fmt.Errorf("Duplicate configuration of the side cache for node-id=%d and level=%d", node, level)
	case level > 1 && n.cache(node, level-1) == nil:
		return fmt.Errorf("Cache level=%d shall be defined first", level-1)
	}
	if c := n.cache(node, level-1); c != nil && o.Size <= c.Size {
		return fmt.Errorf("Invalid size=%d, the size of level=%d should be larger than the size(%d) of level=%d", o.Size, level, c.Size, level-1)
	}
	n.caches = append(n.caches, acpi.SideCache{Node: node, Level: o.Level, Associativity: uint8(slices.Index(hmatAssociated, o.Associativity)),
		Policy: uint8(slices.Index(hmatPolicies, o.Policy)), Line: o.Line, Size: o.Size})
	return nil
}

// cache is a node's cache of a level, nil if there is none.
func (n *numaMap) cache(node, level int) *acpi.SideCache {
	for i := range n.caches {
		if c := &n.caches[i]; c.Node == node && int(c.Level) == level {
			return c
		}
	}
	return nil
}

// measured tells whether a latency and a bandwidth of a node's memory are known.
func (n *numaMap) measured(node int) bool {
	var found [2]bool
	for key, l := range n.localities {
		for _, v := range l.values {
			if v.Target == node && v.Value != 0 {
				found[key[1]/acpi.FirstBandwidth] = true
			}
		}
	}
	return found[0] && found[1]
}

// checkInitiators makes sure that initiators are nodes with CPUs.
func (n *numaMap) checkInitiators(nodes []pc.NUMANode) error {
	for i := range nodes {
		switch init, ok := n.initiators[i]; {
		case !ok:
		case init >= len(nodes):
			return fmt.Errorf("NUMA node %d is missing, use '-numa node' option to declare it first", init)
		case len(nodes[init].CPUs) == 0:
			return fmt.Errorf("The initiator of NUMA node %d is invalid", i)
		}
	}
	return nil
}

// table is what was said about speeds, nil if the machine is not to tell.
func (n *numaMap) table(nodes []pc.NUMANode) *acpi.HMAT {
	if !n.hmat || len(nodes) == 0 {
		return nil
	}
	h := &acpi.HMAT{Caches: n.caches}
	for i, node := range nodes {
		e := acpi.HMATNode{CPUs: len(node.CPUs) > 0, Initiator: acpi.NoInitiator}
		if init, ok := n.initiators[i]; ok {
			e.Initiator = uint32(init)
		} else if e.CPUs {
			e.Initiator = uint32(i)
		}
		h.Nodes = append(h.Nodes, e)
	}
	for level := range hmatLevels {
		for typ := range hmatTypes {
			if l := n.localities[[2]int{level, typ}]; l != nil && len(l.values) > 0 {
				h.Localities = append(h.Localities, acpi.Locality{Level: uint8(level), Type: uint8(typ), Base: l.base, Values: l.values})
			}
		}
	}
	return h
}
