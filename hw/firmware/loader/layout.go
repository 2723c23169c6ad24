package loader

import "encoding/binary"

// Where the loader puts its own structures, all in conventional memory below the EBDA and clear of the interrupt table and the BIOS
// data area.
const (
	gdtAddr       = 0x0600
	stackTop      = 0x6ff0
	zeroPageAddr  = 0x7000
	pageTableAddr = 0x9000 // PML4, PDPT, 4 page directories
	infoAddr      = 0x10000
	cmdlineAddr   = 0x20000
	cmdlineRoom   = 0x10000
)

// The descriptor table that the Linux boot protocol wants: __BOOT_CS is 0x10, __BOOT_DS is 0x18; both flat. A TSS follows.
const (
	linuxCS      = 0x10
	linuxDS      = 0x18
	linuxTR      = 0x20
	linuxGDTSize = 6 * 8

	descCode32 = 0x00cf9b000000ffff // present, ring 0, execute/read, accessed, 4 GiB, 32-bit
	descCode64 = 0x00af9b000000ffff // the same with L set and D clear
	descData   = 0x00cf93000000ffff // present, ring 0, read/write, accessed, 4 GiB
	descTSS    = 0x00008b0000000067 // present busy 32-bit TSS, base 0, limit 0x67
)

// linuxGDT builds the descriptor table.
func linuxGDT(long bool) []byte {
	b := make([]byte, linuxGDTSize)
	code := uint64(descCode32)
	if long {
		code = descCode64
	}
	binary.LittleEndian.PutUint64(b[linuxCS:], code)
	binary.LittleEndian.PutUint64(b[linuxDS:], descData)
	binary.LittleEndian.PutUint64(b[linuxTR:], descTSS)
	return b
}

// Bits of a page table entry.
const (
	ptePresent  = 1 << 0
	pteWrite    = 1 << 1
	pteAccessed = 1 << 5
	pteDirty    = 1 << 6
	pteLarge    = 1 << 7

	pdCount      = 4 // 4 GiB
	entriesPerPT = 512
	largePage    = 2 << 20
)

// identityTables maps the low 4 GiB one to one with 2 MiB pages.
func identityTables() []byte {
	b := make([]byte, (2+pdCount)*pageSize)
	put := func(off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }
	const table = ptePresent | pteWrite | pteAccessed
	put(0, pageTableAddr+pageSize|table)
	for i := range pdCount {
		put(pageSize+8*i, uint64(pageTableAddr+(2+i)*pageSize)|table)
		for j := range entriesPerPT {
			put((2+i)*pageSize+8*j, uint64(i*entriesPerPT+j)*largePage|table|pteDirty|pteLarge)
		}
	}
	return b
}
