package mptable

import (
	"encoding/binary"
	"testing"
)

func TestBuild(t *testing.T) {
	m := &Machine{APICIDs: []uint8{0, 1, 2}, IOAPICID: 0, IOAPICAddr: 0xfec00000, LocalAPIC: 0xfee00000, PCI: true, LevelISA: []uint8{5, 9, 10, 11},
		Route: func(devfn uint8, pin int) uint8 { return []uint8{11, 10, 10, 11}[(int(devfn>>3)+pin)&3] }}
	b := Build(m)
	if checksum(b) != 0 || string(b[:4]) != "PCMP" || int(binary.LittleEndian.Uint16(b[4:])) != len(b) {
		t.Fatalf("header % x", b[:headerSize])
	}
	sizes := map[byte]int{entryProcessor: 20, entryBus: 8, entryIOAPIC: 8, entryInterrupt: 8, entryLocal: 8}
	counts := map[byte]int{}
	n := 0
	for e := b[headerSize:]; len(e) > 0; n++ {
		size := sizes[e[0]]
		if size == 0 || size > len(e) {
			t.Fatalf("entry %d: type %d, %d bytes left", n, e[0], len(e))
		}
		counts[e[0]]++
		if e[0] == entryInterrupt && e[4] == busPCI && e[5] == 3<<2|1 && (e[2] != activeHigh || e[7] != 11) {
			t.Errorf("slot 3, INTB: % x", e[:8])
		}
		if e[0] == entryInterrupt && e[4] == busISA && (e[5] == 0 && e[7] != 2 || e[5] == 9 || e[5] == 4 && e[7] != 4) {
			t.Errorf("ISA: % x", e[:8])
		}
		e = e[size:]
	}
	if n != int(binary.LittleEndian.Uint16(b[34:])) || counts[entryProcessor] != 3 || counts[entryInterrupt] != 11+31*4 || counts[entryBus] != 2 {
		t.Errorf("%d entries: %v", n, counts)
	}
	if f := Floating(0xf1234); checksum(f) != 0 || binary.LittleEndian.Uint32(f[4:]) != 0xf1234 {
		t.Errorf("pointer % x", f)
	}
}
