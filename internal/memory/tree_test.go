package memory

import (
	"strings"
	"testing"
)

// TestPrint shows a tree with aliases and hidden regions, and what it looks like from outside, as QEMU does.
func TestPrint(t *testing.T) {
	root := NewContainer("system", Whole)
	ram, err := NewRAM("pc.ram", 0x3000)
	if err != nil {
		t.Fatal(err)
	}
	rom := NewROMView("pc.rom", ram)
	low := NewAlias("low", ram, 0x1000, 0x2000)
	hidden := NewIO("hidden", 1, nil)
	device := NewIO("device", 0x10, nil)
	for _, s := range []*Region{low, rom, hidden} {
		root.Add(s, 0x1000, 0)
	}
	rom.SetOffset(0x10000)
	hidden.SetEnabled(false)
	root.Add(device, 0x1800, 1)
	as, other := NewAddressSpace("memory", root), NewAddressSpace("cpu-memory-0", root)
	none := NewAddressSpace("none", NewContainer("nothing", 16))
	defer as.Close()
	defer other.Close()
	defer none.Close()
	const hole = "    0000000000001000-0000000000001000 (prio 0, i/o): hidden [disabled]\n"
	const want = `address-space: cpu-memory-0
address-space: memory
  0000000000000000-ffffffffffffffff (prio 0, i/o): system
` + hole + `    0000000000001000-0000000000002fff (prio 0, ram): alias low @pc.ram 0000000000001000-0000000000002fff
    0000000000001800-000000000000180f (prio 1, i/o): device
    0000000000010000-0000000000012fff (prio 0, rom): pc.rom

`
	for name, c := range map[string]struct {
		print func(*strings.Builder)
		want  []string
	}{
		"all":  {func(b *strings.Builder) { PrintTrees(b, true) }, []string{want, "memory-region: pc.ram\n  0000000000000000-0000000000002fff (prio 0, ram): pc.ram\n\n"}},
		"tree": {func(b *strings.Builder) { PrintTrees(b, false) }, []string{strings.ReplaceAll(want, hole, "")}},
		"views": {func(b *strings.Builder) { PrintViews(b) }, []string{` AS "cpu-memory-0", root: system
 AS "memory", root: system
 Root memory region: system
  0000000000001000-00000000000017ff (prio 0, ram): pc.ram @0000000000001000
  0000000000001800-000000000000180f (prio 1, i/o): device
  0000000000001810-0000000000002fff (prio 0, ram): pc.ram @0000000000001810
  0000000000010000-0000000000012fff (prio 0, rom): pc.rom

`, " AS \"none\", root: nothing\n Root memory region: (none)\n  No rendered FlatView\n"}},
	} {
		var b strings.Builder
		c.print(&b)
		for _, w := range c.want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%s: no\n%s\nin\n%s", name, w, b.String())
			}
		}
	}
}

func TestPrintBlocks(t *testing.T) {
	l := NewBlockList()
	for _, n := range []uint64{0x1000, 0x200000} {
		if _, err := NewRAM("b", n); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	l.Print(&b)
	const want = `              Block Name    PSize              Offset               Used              Total
                       b    4 KiB  0x0000000000040000 0x0000000000200000 0x0000000000200000
                       b    4 KiB  0x0000000000000000 0x0000000000001000 0x0000000000001000
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}
