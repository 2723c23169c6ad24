package kvm

import "goemu/target/x86"

// Registers of the architectural performance counters (Intel SDM volume 4, table 2-2).
const (
	pmuCounter, pmuSelect, pmuFixed        = 0xc1, 0x186, 0x309
	pmuFixedControl, pmuStatus, pmuControl = 0x38d, 0x38e, 0x38f
	pmuOverflow                            = 0x390
	leafPMU                                = 0xa
	pmuVersionMask, pmuNumberShift         = 0xff, 8
	pmuFixedMask                           = 0x1f
)

// counters is how many there are: as many as the leaf of the guest's CPUID says, and the migrated form has room for.
type counters struct {
	version, general, fixed uint32
}

// findCounters reads them from the leaf.
func findCounters(leaf x86.Regs) (p counters) {
	p.version = leaf[0] & pmuVersionMask
	if p.version > 0 {
		p.general = min(leaf[0]>>pmuNumberShift&pmuVersionMask, x86.MaxCounters)
	}
	if p.version > 1 {
		p.fixed = min(leaf[3]&pmuFixedMask, x86.MaxFixedCounters)
	}
	return p
}

// counterRegisters are in the order in which they are set: the counters begin to count with the last two.
func counterRegisters() (list []msr) {
	add := func(index uint32, p func(*x86.State) *uint64) { list = append(list, whole(at(index, p))) }
	for i := range uint32(x86.MaxFixedCounters) {
		add(pmuFixed+i, func(s *x86.State) *uint64 { return &s.PMU.Fixed[i] })
	}
	for i := range uint32(x86.MaxCounters) {
		add(pmuCounter+i, func(s *x86.State) *uint64 { return &s.PMU.Counter[i] })
		add(pmuSelect+i, func(s *x86.State) *uint64 { return &s.PMU.Select[i] })
	}
	add(pmuStatus, func(s *x86.State) *uint64 { return &s.PMU.Status })
	add(pmuOverflow, func(s *x86.State) *uint64 { return &s.PMU.OverflowControl })
	add(pmuFixedControl, func(s *x86.State) *uint64 { return &s.PMU.FixedControl })
	add(pmuControl, func(s *x86.State) *uint64 { return &s.PMU.Control })
	return list
}

// isCounter tells whether a register is one of these.
func isCounter(index uint32) bool {
	return index >= pmuCounter && index < pmuCounter+x86.MaxCounters || index >= pmuSelect && index < pmuSelect+x86.MaxCounters ||
		index >= pmuFixed && index < pmuFixed+x86.MaxFixedCounters || index >= pmuFixedControl && index <= pmuOverflow
}

// has tells whether there is such a register.
func (p counters) has(index uint32) bool {
	switch {
	case index >= pmuFixedControl && index <= pmuOverflow:
		return p.version > 1
	case index >= pmuFixed && index < pmuFixed+x86.MaxFixedCounters:
		return index-pmuFixed < p.fixed
	case index >= pmuSelect:
		return index-pmuSelect < p.general
	}
	return index-pmuCounter < p.general
}

// stop keeps the counters from counting while they are set.
func (p counters) stop() []msrEntry {
	if p.version < 2 {
		return nil
	}
	return []msrEntry{{Index: pmuFixedControl}, {Index: pmuControl}}
}
