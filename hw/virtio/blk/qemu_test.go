package blk

import (
	"os/exec"
	"strings"
	"testing"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/transport"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/memory"
)

// image makes a disk image and opens it.
func image(t testing.TB) (path string, b *block.Backend) {
	t.Helper()
	path = virtiotest.Image(t, 0, 10<<20)
	g := driver.NewDrives()
	t.Cleanup(func() { g.Close() })
	d, err := g.AddDrive("if=none,id=x,format=raw,file="+path, "ide")
	if err != nil {
		t.Fatal(err)
	}
	g.Graph.Lock()
	defer g.Graph.Unlock()
	if err := d.Backend.SetPerm(0, block.PermAll); err != nil { // QEMU opens the image too
		t.Fatal(err)
	}
	return path, d.Backend
}

// TestPCIConfig compares the configuration space, the BAR sizes and the common configuration with QEMU's.
func TestPCIConfig(t *testing.T) {
	for _, c := range []string{
		"virtio-blk-pci",
		"virtio-blk-pci-transitional",
		"virtio-blk-pci-non-transitional",
		"virtio-blk-pci,disable-modern=on",
		"virtio-blk-pci,disable-legacy=on",
		"virtio-blk-pci,vectors=0",
		"virtio-blk-pci,page-per-vq=on",
		"virtio-blk-pci,modern-pio-notify=on,num-queues=8",
		"virtio-blk-pci,num-queues=200,config-wce=off,discard=off",
		"virtio-blk-pci,write-zeroes=off,event_idx=off,indirect_desc=off,any_layout=off,notify_on_empty=off,queue_reset=off",
		"virtio-blk-pci,logical_block_size=4096,physical_block_size=4096,min_io_size=8192,opt_io_size=65536,discard_granularity=16384,cyls=10,heads=4,secs=17",
		"virtio-blk-pci,seg-max-adjust=off,queue-size=64,class=0x180",
	} {
		t.Run(c, func(t *testing.T) {
			path, disk := image(t)
			q := qtest.Start(t, "-M", "pc", "-nodefaults", "-drive", "if=none,id=d,format=raw,file.locking=off,file="+path, "-device", c+",drive=d,addr=5")
			name, rest, _ := strings.Cut(c, ",")
			m := virtiotest.NewMachine(t, Classes())
			src := block.SourceOf("d", disk)
			qdev.Link(&m.Tree.Links, func(id string) (*block.Source, bool) { return src, id == "d" })
			pairs := []string{"drive", "d", "addr", "5"}
			for _, p := range strings.Split(rest, ",") {
				if k, v, ok := strings.Cut(p, "="); ok {
					pairs = append(pairs, k, v)
				}
			}
			if _, err := m.Add(name, pairs...); err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			for reg := uint32(0); reg < 256; reg += 4 {
				if got, want := m.Config(devfn, reg, 4), q.Config(devfn, reg, 4); got != want {
					t.Errorf("config %02x: %08x, want %08x", reg, got, want)
				}
			}
			for reg := uint32(0x10); reg < 0x28; reg += 4 {
				m.SetConfig(devfn, reg, 4, ^uint32(0))
				q.SetConfig(devfn, reg, 4, ^uint32(0))
				if got, want := m.Config(devfn, reg, 4), q.Config(devfn, reg, 4); got != want {
					t.Errorf("size of BAR at %02x: %08x, want %08x", reg, got, want)
				}
			}
			compareModern(t, m, q)
			compareLegacy(t, m, q)
		})
	}
}

// compareModern holds one conversation through the modern interface with both devices.
func compareModern(t *testing.T, m *virtiotest.Machine, q *qtest.QEMU) {
	if m.Config(devfn, 0x20, 4) == 0 {
		return
	}
	f := m.Map(devfn)
	q.SetConfig(devfn, 0x20, 4, uint32(f.Modern))
	q.SetConfig(devfn, 0x24, 4, 0)
	q.SetConfig(devfn, 4, 4, 7)
	for _, s := range modernScript {
		at := f.Modern + s.at
		if s.write {
			m.Mem.Store(at, s.size, s.v)
			q.Store(at, s.size, s.v)
			continue
		}
		got, _ := m.Mem.Load(at, s.size)
		if want := q.Load(at, s.size); got != want {
			t.Errorf("read %d at %#x: %#x, want %#x", s.size, s.at, got, want)
		}
	}
}

type access struct {
	write bool
	at    uint64
	size  int
	v     uint64
}

// modernScript visits every register of the modern interface.
var modernScript = func() (s []access) {
	rd := func(at uint64, size int) { s = append(s, access{false, at, size, 0}) }
	wr := func(at uint64, size int, v uint64) { s = append(s, access{true, at, size, v}) }
	all := func() {
		for at := uint64(0); at < 64; at += 4 {
			rd(at, 4)
		}
		for _, at := range []uint64{16, 18, 22, 24, 26, 28, 30, 58} {
			rd(at, 2)
		}
		rd(20, 1)
		rd(21, 1)
	}
	all()
	for i := range uint64(3) {
		wr(0, 4, i)
		rd(4, 4)
	}
	for at := uint64(0); at < 64; at++ {
		rd(0x2000+at, 1)
	}
	for at := uint64(0); at < 64; at += 4 {
		rd(0x2000+at, 4)
	}
	wr(20, 1, 1)
	wr(20, 1, 3)
	for i, v := range []uint64{0x30000654, 1} {
		wr(8, 4, uint64(i))
		wr(12, 4, v)
		rd(12, 4)
	}
	wr(20, 1, 11)
	all()
	wr(22, 2, 0)
	wr(24, 2, 128)
	wr(26, 2, 1)
	wr(16, 2, 0)
	wr(26, 2, 300)
	rd(26, 2)
	for i := range uint64(6) {
		wr(32+4*i, 4, 0x1000*(i+1)&^(0xffffffff*(i&1)))
	}
	all()
	wr(28, 2, 1)
	all()
	wr(22, 2, 1)
	all()
	wr(22, 2, 2000)
	rd(22, 2)
	wr(0x2000+32, 1, 0)
	rd(0x2000+32, 1)
	rd(0x1000, 1)
	rd(0x3000, 4)
	wr(22, 2, 0)
	wr(58, 2, 1)
	rd(58, 2)
	rd(28, 2)
	wr(20, 1, 0)
	all()
	rd(0x2000+32, 1)
	return s
}()

// compareLegacy does the same through the legacy interface.
func compareLegacy(t *testing.T, m *virtiotest.Machine, q *qtest.QEMU) {
	if m.Config(devfn, 0x10, 4) == 0 {
		return
	}
	f := m.Map(devfn)
	q.SetConfig(devfn, 0x10, 4, uint32(f.Legacy))
	q.SetConfig(devfn, 4, 4, 7)
	rd := func(off uint64, size int) {
		got, _ := m.IO.Load(f.Legacy+off, size)
		if want := uint64(q.In(uint16(f.Legacy+off), size)); got != want {
			t.Errorf("legacy read %d at %d: %#x, want %#x", size, off, got, want)
		}
	}
	wr := func(off uint64, size int, v uint64) {
		m.IO.Store(f.Legacy+off, size, v)
		q.Out(uint16(f.Legacy+off), size, uint32(v))
	}
	all := func() {
		for _, r := range []struct {
			off  uint64
			size int
		}{{0, 4}, {4, 4}, {8, 4}, {12, 2}, {14, 2}, {16, 2}, {18, 1}, {19, 1}} {
			rd(r.off, r.size)
		}
		for off := uint64(20); off < 100; off++ {
			rd(off, 1)
		}
	}
	all()
	wr(18, 1, 1)
	wr(18, 1, 3)
	wr(4, 4, 0x6000f)
	all()
	wr(14, 2, 1)
	all()
	wr(14, 2, 0)
	wr(8, 4, 0x20)
	all()
	wr(4, 4, 0xffffffff)
	rd(4, 4)
	wr(18, 1, 0)
	all()
}

// TestMMIO compares the MMIO transport, legacy and modern, with QEMU's microvm.
func TestMMIO(t *testing.T) {
	for _, legacy := range []string{"true", "false"} {
		t.Run("legacy "+legacy, func(t *testing.T) {
			path, disk := image(t)
			q := qtest.Start(t, "-M", "microvm", "-nodefaults", "-global", "virtio-mmio.force-legacy="+legacy,
				"-drive", "if=none,id=d,format=raw,file.locking=off,file="+path, "-device", "virtio-blk-device,drive=d")
			m := virtiotest.NewMachine(t, Classes(), []*qdev.Class{transport.MMIOClass})
			m.Tree.Globals = []qdev.Global{{Driver: "virtio-mmio", Property: "force-legacy", Value: legacy}}
			src := block.SourceOf("d", disk)
			qdev.Link(&m.Tree.Links, func(id string) (*block.Source, bool) { return src, id == "d" })
			const full, empty = 0xfeb02e00, 0xfeb02c00
			for i, at := range []uint64{empty, full} { // a device goes to the last one
				tr, err := transport.NewMMIO(m.Tree, 22+i, m.Mem, nil)
				if err != nil {
					t.Fatal(err)
				}
				m.Mem.Root().Add(tr.Region(), at, 1)
			}
			if _, err := m.Add("virtio-blk-device", "drive", "d"); err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			compareMMIO(t, m.Mem, q, full, empty)
		})
	}
}

func compareMMIO(t *testing.T, mem *memory.AddressSpace, q *qtest.QEMU, full, empty uint64) {
	rd := func(at uint64, size int, note string) {
		got, _ := mem.Load(at, size)
		if want := q.Load(at, size); got != want {
			t.Errorf("%s: read %d at %#x: %#x, want %#x", note, size, at, got, want)
		}
	}
	base := full
	wr := func(off, v uint64) {
		mem.Store(base+off, 4, v)
		q.Store(base+off, 4, v)
	}
	all := func(note string) {
		for off := uint64(0); off < 0x140; off += 4 {
			rd(base+off, 4, note)
		}
	}
	all("start")
	rd(base, 1, "small access")
	rd(base+0x100, 1, "config")
	wr(0x14, 1)
	all("second half of the features")
	wr(0x14, 0)
	wr(0x70, 1)
	wr(0x70, 3)
	wr(0x24, 0)
	wr(0x20, 0x30000654)
	wr(0x24, 1)
	wr(0x20, 1)
	wr(0x70, 11)
	all("features")
	wr(0x28, 4096)
	wr(0x70, 0) // the page size outlives this
	wr(0x70, 3)
	wr(0x30, 0)
	wr(0x38, 64)
	wr(0x3c, 4096)
	wr(0x40, 0x20)
	wr(0x80, 0x20000)
	wr(0x90, 0x21000)
	wr(0xa0, 0x22000)
	wr(0x44, 1)
	all("queue")
	wr(0x30, 7)
	all("no queue")
	wr(0x64, 3)
	wr(0x70, 0)
	all("reset")
	base = empty
	all("empty")
}

// TestHelp: every option of ours is QEMU's, with the same type and default.
func TestHelp(t *testing.T) {
	for _, c := range Classes() {
		t.Run(c.Name, func(t *testing.T) {
			want := deviceHelp(t, c.Name)
			for _, line := range strings.Split(strings.TrimSpace(qdev.Help(c)), "\n")[1:] {
				if !strings.Contains(want, line+"\n") {
					name, _, _ := strings.Cut(strings.TrimSpace(line), "=")
					_, theirs, _ := strings.Cut(want, "  "+name+"=")
					theirs, _, _ = strings.Cut(theirs, "\n")
					t.Errorf("\n%s\n  %s=%s", line, name, theirs)
				}
			}
			if n := strings.Count(qdev.Help(c), "\n"); n < 30 {
				t.Errorf("only %d lines", n)
			}
		})
	}
}

// deviceHelp is what QEMU says about the options of a device type.
func deviceHelp(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("qemu-system-x86_64", "-device", name+",help").Output()
	if err != nil {
		t.Skip("SKIPPED: qemu-system-x86_64: ", err)
	}
	return string(out)
}
