package tcg

import "goemu/target/x86"

// Nested paging (AMD64 APM volume 2, 15.25): the addresses that a nested guest takes for physical are translated by tables of its host.

// nestedPaging tells whether it is in force.
func (c *CPU) nestedPaging() bool {
	return c.svm.mode2&x86.Mode2NPT != 0 && c.env.HFlags&x86.HFGuest != 0
}

// nestedModes maps what the host's paging mode is made of to bits of x86.SVMState.PagingMode.
var nestedModes = [...]struct {
	mode      uint32
	cr4, efer uint64
}{
	{x86.PagingPAE, x86.CR4PAE, 0}, {x86.PagingPSE, x86.CR4PSE, 0}, {x86.PagingLA57, x86.CR4LA57, 0}, {x86.PagingSMEP, x86.CR4SMEP, 0},
	{x86.PagingLMA, 0, x86.EFERLMA}, {x86.PagingNXE, 0, x86.EFERNXE},
}

// pagingMode is the present paging mode, which VMRUN makes that of the nested tables.
func (c *CPU) pagingMode() (mode uint32) {
	for _, m := range nestedModes {
		if c.env.CR[4]&m.cr4 != 0 || c.env.EFER&m.efer != 0 {
			mode |= m.mode
		}
	}
	return mode
}

// translateNested replaces a nested guest's page and its rights by what the nested tables say; low are the address bits within the page.
// On failure it records the guest's end and reports false.
func (c *CPU) translateNested(m *mapping, low uint64, acc access) bool {
	return c.nested(m, low, acc, x86.SVMNPFFinal)
}

// translateTable does so for a page of the guest's own tables, whose accesses count as writes.
func (c *CPU) translateTable(m *mapping, low uint64) bool {
	return c.nested(m, low, accWrite, x86.SVMNPFTable)
}

func (c *CPU) nested(m *mapping, low uint64, acc access, what uint64) bool {
	w := walker{c: c, addr: m.phys, acc: acc, mmu: x86.MMUUser, cr3: c.svm.NestedCR3, top: pteG}
	for _, n := range nestedModes {
		if c.svm.PagingMode&n.mode != 0 {
			w.cr4 |= n.cr4
			w.efer |= n.efer
		}
	}
	var n mapping
	code, ok := uint32(0), false
	if w.efer&x86.EFERLMA != 0 || m.phys>>32 == 0 {
		code, ok = w.walk(&n)
	}
	if !ok {
		c.ev = event{kind: evExit, exit: vmexit{x86.SVMExitNPF, uint64(code|w.accessCode()) | what, m.phys | low&^pageMask}}
		return false
	}
	m.phys, m.prot = n.phys, m.prot&n.prot
	return true
}
