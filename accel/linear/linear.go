// Package linear reads and writes guest memory at the linear addresses of a CPU, as debuggers and dumps do: whatever a page's rights are,
// and without a trace in the page tables.
package linear

import (
	"encoding/binary"

	"goemu/internal/memory"
	"goemu/target/x86"
)

// Map is the page map of a CPU in state st that sees as.
func Map(as *memory.AddressSpace, st *x86.State) *x86.PageMap {
	return st.PageMap(func(addr uint64, size int) uint64 {
		var b [8]byte
		as.Read(addr, b[:size])
		return binary.LittleEndian.Uint64(b[:])
	})
}

// Access reads or writes at a linear address; false if a page is not mapped.
func Access(as *memory.AddressSpace, st *x86.State, addr uint64, p []byte, write bool) bool {
	m := Map(as, st)
	for len(p) > 0 {
		page, ok := m.Lookup(addr)
		if !ok {
			return false
		}
		off := addr & (page.Size - 1)
		n := int(min(uint64(len(p)), page.Size-off))
		if !Physical(as, page.Phys+off, p[:n], write) {
			return false
		}
		p, addr = p[n:], addr+uint64(n)
	}
	return true
}

// Physical reads or writes physical memory, ROM included; false where nothing answers.
func Physical(as *memory.AddressSpace, addr uint64, p []byte, write bool) bool {
	if !write {
		return as.Read(addr, p) == memory.OK
	}
	return as.WriteROM(addr, p) == memory.OK || as.Write(addr, p) == memory.OK
}
