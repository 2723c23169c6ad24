package ide

import (
	"encoding/binary"
	"math/bits"
)

var le = binary.LittleEndian

// Words 82 and 85 of the identification.
const (
	wordCommands   = 1<<14 | 1 // NOP and SMART
	wordWriteCache = 1 << 5
)

// word sets a word of the identification.
func (d *Drive) word(n int, v uint16) { le.PutUint16(d.identify[2*n:], v) }

// text puts a string into n words, the bytes of each swapped and the rest filled with blanks.
func (d *Drive) text(word, n int, s string) {
	for i := range 2 * n {
		c := byte(' ')
		if i < len(s) {
			c = s[i]
		}
		d.identify[2*word+i^1] = c
	}
}

// words sets many.
func (d *Drive) words(list [][2]uint16) {
	for _, w := range list {
		d.word(int(w[0]), w[1])
	}
}

// identifyDisk fills the buffer with the answer to IDENTIFY DEVICE (ATA8-ACS, §7.16.7).
func (d *Drive) identifyDisk() {
	if d.identified == 0 {
		clear(d.identify[:])
		geo := [3]uint16{uint16(d.geo.Cyls), uint16(d.heads), uint16(d.sectors)}
		old := uint32(geo[0]) * uint32(geo[1]) * uint32(geo[2])
		d.words([][2]uint16{
			{0, 0x40}, {1, geo[0]}, {3, geo[1]}, {4, SectorSize * geo[2]}, {5, SectorSize}, {6, geo[2]},
			{20, 3}, {21, 512}, {22, 4}, {47, 0x8000 | maxMultiple}, {48, 1}, {49, 1<<11 | 1<<9 | 1<<8}, {51, 0x200}, {52, 0x200}, {53, 7},
			{54, geo[0]}, {55, geo[1]}, {56, geo[2]}, {57, uint16(old)}, {58, uint16(old >> 16)},
			{62, 7}, {63, 7}, {64, 3}, {65, 120}, {66, 120}, {67, 120}, {68, 120},
			{80, 0xf0}, {81, 0x16}, {82, wordCommands | wordWriteCache}, {83, 1<<14 | 1<<13 | 1<<12 | 1<<10}, {84, 1 << 14},
			{85, wordCommands}, {86, 1<<13 | 1<<12 | 1<<10}, {87, 1 << 14}, {88, 0x3f | 1<<13}, {93, 1 | 1<<14 | 1<<13},
		})
		d.names()
		if d.multiple != 0 {
			d.word(59, 0x100|uint16(d.multiple))
		}
		if d.dev.DiscardGrain != 0 {
			d.words([][2]uint16{{69, 1 << 14}, {169, 1}})
		}
		d.queueing()
		if d.backend.WriteCache() {
			d.word(85, wordCommands|wordWriteCache)
		}
		d.word(106, 0x6000|uint16(bits.Len64(uint64(d.dev.PhysicalBlock)/uint64(d.dev.LogicalBlock))-1))
		if d.wwn != 0 {
			d.words([][2]uint16{{84, 1<<14 | 1<<8}, {87, 1<<14 | 1<<8}})
			d.name64()
		}
		d.word(217, d.dev.Rotation)
		d.sizes()
		d.identified = 1
	}
	copy(d.buf, d.identify[:])
}

// sizes sets what tells the size of the disk.
func (d *Drive) sizes() {
	n := d.sectorsTotal
	short := min(n, 1<<28-1)
	d.words([][2]uint16{{60, uint16(short)}, {61, uint16(short >> 16)}, {100, uint16(n)}, {101, uint16(n >> 16)}, {102, uint16(n >> 32)}, {103, uint16(n >> 48)}})
}

// names sets serial number, version and model.
func (d *Drive) names() {
	d.text(10, 10, d.serial)
	d.text(23, 4, d.version)
	d.text(27, 20, d.model)
}

// queueing says how many commands can be queued.
func (d *Drive) queueing() {
	if d.ncq > 0 {
		d.words([][2]uint16{{75, uint16(d.ncq - 1)}, {76, 1 << 8}})
	}
}

// name64 sets the world wide name.
func (d *Drive) name64() {
	for i := range 4 {
		d.word(108+i, uint16(d.wwn>>(48-16*i)))
	}
}

// identifyCD fills the buffer with the answer to IDENTIFY PACKET DEVICE (§7.17.7).
func (d *Drive) identifyCD() {
	if d.identified == 0 {
		clear(d.identify[:])
		d.words([][2]uint16{
			{0, 2<<14 | 5<<8 | 1<<7 | 2<<5}, {20, 3}, {21, 512}, {22, 4}, {48, 1}, {49, 1<<9 | 1<<8}, {53, 7}, {62, 7}, {63, 7},
			{64, 3}, {65, 0xb4}, {66, 0xb4}, {67, 0x12c}, {68, 0xb4}, {71, 30}, {72, 30}, {80, 0x1e}, {88, 0x3f | 1<<13},
		})
		d.names()
		d.queueing()
		if d.wwn != 0 {
			d.words([][2]uint16{{84, 1 << 8}, {87, 1 << 8}})
			d.name64()
		}
		d.identified = 1
	}
	copy(d.buf, d.identify[:])
}
