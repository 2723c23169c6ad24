package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"goemu/hw/pc"
	"goemu/internal/cli"
	"goemu/internal/config"
	"goemu/internal/hostmem"
)

// errMixedMemory refuses nodes with memory of both kinds.
var errMixedMemory = errors.New("numa configuration should use either mem= or memdev=,mixing both is not allowed")

// numaNodes reads -numa node,… options; memory that no node names is spread over them. find finds objects.
func numaNodes(list []config.Options, ram uint64, cpus int, find func(id string) any) ([]pc.NUMANode, error) {
	var nodes []pc.NUMANode
	total, named, backends := uint64(0), 0, 0
	for _, o := range list {
		if t, _ := o.Get("type"); t != "node" {
			return nil, at(o.Origin, fmt.Errorf("Parameter 'type' does not accept value '%s'", t))
		}
		n := pc.NUMANode{}
		for _, p := range o.Without("type").Pairs {
			v := p.Value.(string)
			var err error
			switch p.Key {
			case "mem":
				if n.Memory, err = cli.ParseSize("mem", v, 1<<20); err == nil {
					total, named = total+n.Memory, named+1
				}
			case "memdev":
				b, ok := find(v).(*hostmem.Backend)
				if !ok {
					err = fmt.Errorf("memdev=%s is ambiguous", v)
					break
				}
				n.Memory, n.Backend = b.Size(), b
				total, backends = total+n.Memory, backends+1
			case "cpus":
				n.CPUs, err = cpuRange(n.CPUs, v, cpus)
			case "nodeid":
				if v != fmt.Sprint(len(nodes)) {
					err = fmt.Errorf("numa: Node ID missing or out of order: %s", v)
				}
			default:
				err = fmt.Errorf("Parameter '%s' is unexpected", p.Key)
			}
			if err != nil {
				return nil, at(o.Origin, err)
			}
		}
		if named != 0 && backends != 0 {
			return nil, at(o.Origin, errMixedMemory)
		}
		nodes = append(nodes, n)
	}
	switch {
	case len(nodes) == 0:
		return nil, nil
	case named+backends == 0:
		share := ram / uint64(len(nodes)) &^ (8<<20 - 1)
		for i := range nodes {
			nodes[i].Memory = share
		}
		nodes[len(nodes)-1].Memory = ram - share*uint64(len(nodes)-1)
	case total != ram:
		return nil, fmt.Errorf("total memory for NUMA nodes (%#x) should equal RAM size (%#x)", total, ram)
	}
	return nodes, nil
}

// cpuRange adds "first" or "first-last" to a list of CPUs.
func cpuRange(list []int, s string, cpus int) ([]int, error) {
	first, last, isRange := strings.Cut(s, "-")
	a, err := strconv.Atoi(first)
	b := a
	if err == nil && isRange {
		b, err = strconv.Atoi(last)
	}
	switch {
	case err != nil || a < 0 || b < a:
		return nil, fmt.Errorf("Invalid parameter value '%s' for cpus", s)
	case b >= cpus:
		return nil, fmt.Errorf("CPU index (%d) should be smaller than maxcpus (%d)", b, cpus)
	}
	for ; a <= b; a++ {
		list = append(list, a)
	}
	return list, nil
}
