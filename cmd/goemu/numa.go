package main

import (
	"errors"
	"fmt"
	"strings"

	"goemu/hw/firmware/acpi"
	"goemu/hw/pc"
	"goemu/internal/cli"
	"goemu/internal/config"
	"goemu/internal/hostmem"
	"goemu/qapi"
	"goemu/target/x86"
)

// maxNUMANodes is the number of nodes that a machine can have.
const maxNUMANodes = 128

// numaMap is what -numa and set-numa-node have said so far.
type numaMap struct {
	typ      *pc.Type
	topology x86.Topology
	find     func(id string) any // finds objects
	warn     func(text string)

	nodes         map[int]*pc.NUMANode
	cpus          []int // the node of each CPU that there can be, noNode where none is given
	distances     bool
	mem, backends bool // some node's memory is given as a size or as an object

	needed     bool        // there is to be a node
	hmat       bool        // speeds of memory may be given
	initiators map[int]int // of nodes, by number
	hasCPU     map[int]bool
	localities map[[2]int]*locality // by level and type
	caches     []acpi.SideCache
}

// noNode stands for the node of a CPU without one.
const noNode = -1

// readNUMA reads the -numa options.
func (s *session) readNUMA() error {
	t := s.vm.SMP
	n := &numaMap{typ: s.typ, find: s.object, warn: func(string) {}, nodes: map[int]*pc.NUMANode{}, hmat: s.config.Props.HMAT, initiators: map[int]int{}, hasCPU: map[int]bool{}, localities: map[[2]int]*locality{}, cpus: make([]int, t.MaxCPUs),
		topology: x86.Topology{Sockets: t.Sockets, Dies: t.Dies, Cores: t.Cores, Threads: t.Threads}}
	if s.vm.QTest.Value == "" {
		n.warn = warn
	}
	for i := range n.cpus {
		n.cpus[i] = noNode
	}
	s.numa = n
	for _, opt := range s.vm.NUMA {
		o, err := numaOptions(opt)
		if err == nil {
			err = n.set(o)
		}
		if err != nil {
			return at(opt.Origin, err)
		}
	}
	return nil
}

// numaOptions reads one -numa; sizes without a suffix are in MiB.
func numaOptions(opt config.Options) (*qapi.NumaOptions, error) {
	var pairs [][2]string
	for _, p := range opt.Pairs {
		text, _ := p.Value.(string)
		if p.Key == "mem" {
			size, err := cli.ParseSize(p.Key, text, 1<<20)
			if err != nil {
				return nil, err
			}
			text = fmt.Sprint(size)
		}
		pairs = append(pairs, [2]string{p.Key, text})
	}
	o, err := qapi.FromOpts("NumaOptions", pairs)
	if err != nil {
		return nil, err
	}
	n := new(qapi.NumaOptions)
	return n, qapi.Decode("NumaOptions", o, n)
}

// set takes one option.
func (n *numaMap) set(o *qapi.NumaOptions) error {
	switch {
	case n.typ.Empty:
		return errors.New("NUMA is not supported by this machine-type")
	case o.Node != nil:
		return n.addNode(o.Node)
	case o.Dist != nil:
		return n.setDistance(int(o.Dist.Src), int(o.Dist.Dst), o.Dist.Val)
	case o.HmatLb != nil:
		return n.setLocality(o.HmatLb)
	case o.HmatCache != nil:
		return n.addCache(o.HmatCache)
	}
	return n.setCPU(o.Cpu)
}

// addNode takes a node.
func (n *numaMap) addNode(o *qapi.NumaNodeOptions) error {
	id, node := len(n.nodes), &pc.NUMANode{}
	if o.Nodeid != nil {
		id = int(*o.Nodeid)
	}
	switch {
	case id >= maxNUMANodes:
		return fmt.Errorf("Max number of NUMA nodes reached: %d", id)
	case n.nodes[id] != nil:
		return fmt.Errorf("Duplicate NUMA nodeid: %d", id)
	}
	for _, c := range o.Cpus {
		if int(c) >= len(n.cpus) {
			return fmt.Errorf("CPU index (%d) should be smaller than maxcpus (%d)", c, len(n.cpus))
		}
		if err := n.assign(int(c), id); err != nil {
			return err
		}
	}
	n.mem, n.backends = n.mem || o.Mem != nil, n.backends || o.Memdev != nil
	switch {
	case n.mem && n.backends:
		return errors.New("numa configuration should use either mem= or memdev=,mixing both is not allowed")
	case o.Mem != nil && !n.typ.NUMAMem:
		return errors.New("Parameter -numa node,mem is not supported by this machine type\nUse -numa node,memdev instead")
	case o.Mem != nil:
		n.warn("Parameter -numa node,mem is deprecated, use -numa node,memdev instead")
		node.Memory = *o.Mem
	case o.Memdev != nil:
		b, ok := n.find(*o.Memdev).(*hostmem.Backend)
		if !ok {
			return fmt.Errorf("memdev=%s is ambiguous", *o.Memdev)
		}
		node.Memory, node.Backend = b.Size(), b
	}
	if o.Initiator != nil {
		if err := n.setInitiator(id, int(*o.Initiator)); err != nil {
			return err
		}
	}
	n.nodes[id] = node
	return nil
}

// setDistance takes the distance from one node to another.
func (n *numaMap) setDistance(src, dst int, val uint8) error {
	switch {
	case src >= maxNUMANodes:
		return fmt.Errorf("Parameter 'src' expects an integer between 0 and %d", maxNUMANodes-1)
	case dst >= maxNUMANodes:
		return fmt.Errorf("Parameter 'dst' expects an integer between 0 and %d", maxNUMANodes-1)
	case n.nodes[src] == nil || n.nodes[dst] == nil:
		return errors.New("Source/Destination NUMA node is missing. Please use '-numa node' option to declare it first.")
	case val < pc.LocalDistance:
		return fmt.Errorf("NUMA distance (%d) is invalid, it shouldn't be less than %d.", val, pc.LocalDistance)
	case src == dst && val != pc.LocalDistance:
		return fmt.Errorf("Local distance of node %d should be %d.", src, pc.LocalDistance)
	}
	d := &n.nodes[src].Distance
	if *d == nil {
		*d = make([]uint8, maxNUMANodes)
	}
	(*d)[dst], n.distances = val, true
	return nil
}

// setCPU takes the node of all CPUs at a place.
func (n *numaMap) setCPU(o *qapi.NumaCpuOptions) error {
	switch {
	case o.NodeId == nil:
		return errors.New("Missing mandatory node-id property")
	case *o.NodeId < 0 || *o.NodeId >= maxNUMANodes || n.nodes[int(*o.NodeId)] == nil:
		return fmt.Errorf("Invalid node-id=%d, NUMA node must be defined with -numa node,nodeid=ID before it's used with -numa cpu,node-id=ID", *o.NodeId)
	case o.ClusterId != nil:
		return errors.New("cluster-id is not supported")
	case o.DieId != nil && n.topology.Dies <= 1:
		return errors.New("die-id is not supported")
	}
	differs := func(want *int64, is int) bool { return want != nil && *want != int64(is) }
	match := false
	for cpu := range n.cpus {
		p := n.topology.Place(cpu)
		if differs(o.SocketId, p.Socket) || differs(o.DieId, p.Die) || differs(o.CoreId, p.Core) || differs(o.ThreadId, p.Thread) {
			continue
		}
		if err := n.assign(cpu, int(*o.NodeId)); err != nil {
			return err
		}
		match = true
	}
	if !match {
		return errors.New("no match found")
	}
	return nil
}

// assign puts a CPU into a node.
func (n *numaMap) assign(cpu, node int) error {
	if old := n.cpus[cpu]; old != noNode && old != node {
		return fmt.Errorf("CPU is already assigned to node-id: %d", old)
	}
	if init, ok := n.initiators[node]; ok && init != node {
		return fmt.Errorf("The initiator of CPU NUMA node %d should be itself (got %d)", node, init)
	}
	n.cpus[cpu], n.hasCPU[node] = node, true
	return nil
}

// need makes a node of the whole machine if there is none.
func (n *numaMap) need() { n.needed = true }

// finish returns the nodes of a machine with so much RAM. CPUs that no option names are spread over the nodes by socket, or belong to
// the first node if an option names others.
func (n *numaMap) finish(ram uint64) ([]pc.NUMANode, error) {
	if len(n.nodes) == 0 && n.needed {
		n.nodes[0] = &pc.NUMANode{Memory: ram}
	}
	last, total := noNode, uint64(0)
	for id, node := range n.nodes {
		last, total = max(last, id), total+node.Memory
	}
	nodes := make([]pc.NUMANode, last+1)
	for id := last; id >= 0; id-- {
		if n.nodes[id] == nil {
			return nil, fmt.Errorf("numa: Node ID missing: %d", id)
		}
		nodes[id] = *n.nodes[id]
	}
	switch {
	case len(nodes) == 0:
		return nil, nil
	case total != ram:
		return nil, fmt.Errorf("total memory for NUMA nodes (%#x) should equal RAM size (%#x)", total, ram)
	case n.distances:
		if err := completeDistances(nodes); err != nil {
			return nil, err
		}
	}
	n.placeCPUs(nodes)
	return nodes, n.checkInitiators(nodes)
}

// placeCPUs gives each CPU its node.
func (n *numaMap) placeCPUs(nodes []pc.NUMANode) {
	named := false
	for _, node := range n.cpus {
		named = named || node != noNode
	}
	var missing []string
	for cpu, node := range n.cpus {
		p := n.topology.Place(cpu)
		switch {
		case node != noNode:
		case named:
			node = 0
			die := ""
			if n.topology.Dies > 1 {
				die = fmt.Sprintf(", die-id: %d", p.Die)
			}
			missing = append(missing, fmt.Sprintf("CPU %d [socket-id: %d%s, core-id: %d, thread-id: %d]", cpu, p.Socket, die, p.Core, p.Thread))
		default:
			node = p.Socket % len(nodes)
		}
		nodes[node].CPUs = append(nodes[node].CPUs, cpu)
	}
	if missing != nil {
		n.warn("CPU(s) not present in any NUMA nodes: " + strings.Join(missing, ", "))
		n.warn("All CPU(s) up to maxcpus should be described in NUMA config, ability to start up with partial NUMA mappings is obsoleted and will be removed in future")
	}
}

// completeDistances fills in distances that are not given: a node is near itself, and ways back are as long unless some pair's differ.
func completeDistances(nodes []pc.NUMANode) error {
	given := func(i, j int) uint8 {
		if d := nodes[i].Distance; d != nil {
			return d[j]
		}
		return 0
	}
	asymmetric, incomplete := false, false
	for i := range nodes {
		for j := range i {
			there, back := given(j, i), given(i, j)
			if there == 0 && back == 0 {
				return fmt.Errorf("The distance between node %d and %d is missing, at least one distance value between each nodes should be provided.", j, i)
			}
			asymmetric = asymmetric || there != 0 && back != 0 && there != back
			incomplete = incomplete || there == 0 || back == 0
		}
	}
	if asymmetric && incomplete {
		return errors.New("At least one asymmetrical pair of distances is given, please provide distances for both directions of all node pairs.")
	}
	full := make([][]uint8, len(nodes))
	for i := range nodes {
		full[i] = make([]uint8, len(nodes))
		for j := range nodes {
			full[i][j] = given(i, j)
			switch {
			case i == j:
				full[i][j] = pc.LocalDistance
			case full[i][j] == 0:
				full[i][j] = given(j, i)
			}
		}
	}
	for i := range nodes {
		nodes[i].Distance = full[i]
	}
	return nil
}
