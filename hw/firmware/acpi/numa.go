package acpi

import "encoding/binary"

// SRAT entries (ACPI 5.2.16).
const (
	sratAPIC, sratMemory, sratX2APIC = 0, 1, 2
	sratEnabled, sratHotpluggable    = 1 << 0, 1 << 1
	sratSpare                        = 2 // disabled memory entries bring the number up to that of the nodes and so many more
	localDistance, remoteDistance    = 10, 20
)

// srat tells which node CPUs and memory belong to.
func (m *Machine) srat() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 1)
	b = append(b, make([]byte, 8)...)
	for _, c := range m.CPUs {
		if c.APICID < x2apicFirst {
			b = append(b, sratAPIC, 16, byte(c.Node), byte(c.APICID), sratEnabled, 0, 0, 0, 0, byte(c.Node>>8), byte(c.Node>>16), byte(c.Node>>24), 0, 0, 0, 0)
			continue
		}
		b = append(b, sratX2APIC, 24, 0, 0)
		for _, v := range []uint32{c.Node, c.APICID, sratEnabled, 0, 0} {
			b = le.AppendUint32(b, v)
		}
	}
	entries := 0
	memory := func(node int, r Range, flags uint32) {
		e := make([]byte, 40)
		e[0], e[1] = sratMemory, 40
		le.PutUint32(e[2:], uint32(node))
		le.PutUint64(e[8:], r.Addr)
		le.PutUint64(e[16:], r.Size)
		le.PutUint32(e[28:], flags)
		b = append(b, e...)
		entries++
	}
	for n, node := range m.Nodes {
		for _, r := range node.Memory {
			memory(n, r, sratEnabled)
		}
	}
	for entries < len(m.Nodes)+sratSpare {
		memory(0, Range{}, 0)
	}
	if m.DeviceMemory.Size != 0 { // modules say by themselves which node they belong to
		memory(len(m.Nodes)-1, m.DeviceMemory, sratEnabled|sratHotpluggable)
	}
	return m.table("SRAT", 1, b)
}

// slit gives the distances between the nodes.
func (m *Machine) slit() []byte {
	n := len(m.Nodes)
	b := binary.LittleEndian.AppendUint64(nil, uint64(n))
	for i, node := range m.Nodes {
		for j := range n {
			d := byte(remoteDistance)
			switch {
			case j < len(node.Distance) && node.Distance[j] != 0:
				d = node.Distance[j]
			case i == j:
				d = localDistance
			}
			b = append(b, d)
		}
	}
	return m.table("SLIT", 1, b)
}

// distances tells whether the user gave any.
func (m *Machine) distances() bool {
	for _, n := range m.Nodes {
		if len(n.Distance) != 0 {
			return true
		}
	}
	return false
}
