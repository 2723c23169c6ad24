package acpi

import "encoding/binary"

// HMAT is what the heterogeneous memory attribute table tells: how fast the memory of nodes is.
type HMAT struct {
	Nodes      []HMATNode
	Localities []Locality // in the order of their levels and types
	Caches     []SideCache
}

// HMATNode is a node: whether it has CPUs, and the node whose CPUs are nearest to its memory, NoInitiator for none.
type HMATNode struct {
	CPUs      bool
	Initiator uint32
}

// NoInitiator is no node.
const NoInitiator = 128

// Locality is how fast memory, or a level of the caches on its side, is between nodes (ACPI 6.3, 5.2.27.4).
type Locality struct {
	Level, Type uint8
	Base        uint64 // unit of the values, in ns or bytes per second
	Values      []LocalityValue
}

// LocalityValue is a latency in ns, or a bandwidth in bytes per second.
type LocalityValue struct {
	Initiator, Target int
	Value             uint64
}

// FirstBandwidth is the first type of localities that is a bandwidth; those before are latencies.
const FirstBandwidth = 3

// SideCache is a cache on the side of a node's memory (ACPI 6.3, 5.2.27.5).
type SideCache struct {
	Node                         int
	Level, Associativity, Policy uint8
	Line                         uint16
	Size                         uint64
}

// The table's structures.
const (
	hmatProximity, hmatLocality, hmatCache         = 0, 1, 2
	hmatProximitySize, hmatLocalitySize            = 40, 32
	hmatCacheSize                                  = 32
	hmatInitiatorValid                             = 1 << 0
	hmatLevel, hmatAssociative, hmatPolicy, hmatLn = 4, 8, 12, 16 // shifts of cache attributes
	picoseconds                                    = 1000
	mebibyte                                       = 1 << 20
)

// hmat builds the table.
func (m *Machine) hmat() []byte {
	le := binary.LittleEndian
	h := m.HMAT
	b := make([]byte, 4)
	for i, n := range h.Nodes {
		e := hmatEntry(hmatProximity, hmatProximitySize)
		if n.Initiator != NoInitiator {
			e[8] = hmatInitiatorValid
		}
		le.PutUint32(e[12:], n.Initiator)
		le.PutUint32(e[16:], uint32(i))
		b = append(b, e...)
	}
	for i := range h.Localities {
		b = append(b, h.locality(&h.Localities[i])...)
	}
	for i := range h.Nodes {
		total := uint32(0)
		for _, c := range h.Caches {
			if c.Node == i {
				total++
			}
		}
		for level := range total {
			for _, c := range h.Caches {
				if c.Node != i || uint32(c.Level) != level+1 {
					continue
				}
				e := hmatEntry(hmatCache, hmatCacheSize)
				le.PutUint32(e[8:], uint32(i))
				le.PutUint64(e[16:], c.Size)
				le.PutUint32(e[24:], total|uint32(c.Level)<<hmatLevel|uint32(c.Associativity)<<hmatAssociative|uint32(c.Policy)<<hmatPolicy|uint32(c.Line)<<hmatLn)
				b = append(b, e...)
			}
		}
	}
	return m.table("HMAT", 2, b)
}

// hmatEntry is the start of a structure.
func hmatEntry(kind uint16, size int) []byte {
	e := make([]byte, size)
	binary.LittleEndian.PutUint16(e, kind)
	binary.LittleEndian.PutUint32(e[4:], uint32(size))
	return e
}

// locality is a matrix of all nodes with CPUs by all nodes.
func (h *HMAT) locality(l *Locality) []byte {
	le := binary.LittleEndian
	row := map[int]int{}
	var initiators []int
	for i, n := range h.Nodes {
		if n.CPUs {
			row[i] = len(initiators)
			initiators = append(initiators, i)
		}
	}
	targets := len(h.Nodes)
	matrix := hmatLocalitySize + 4*len(initiators) + 4*targets
	e := hmatEntry(hmatLocality, matrix+2*len(initiators)*targets)
	e[8], e[9] = l.Level, l.Type
	le.PutUint32(e[12:], uint32(len(initiators)))
	le.PutUint32(e[16:], uint32(targets))
	base := uint32(l.Base * picoseconds)
	if l.Type >= FirstBandwidth {
		base = uint32(l.Base / mebibyte)
	}
	le.PutUint64(e[24:], uint64(base))
	at := hmatLocalitySize
	for _, n := range initiators {
		le.PutUint32(e[at:], uint32(n))
		at += 4
	}
	for n := range targets {
		le.PutUint32(e[at:], uint32(n))
		at += 4
	}
	for _, v := range l.Values {
		le.PutUint16(e[matrix+2*(row[v.Initiator]*targets+v.Target):], uint16(v.Value/l.Base))
	}
	return e
}
