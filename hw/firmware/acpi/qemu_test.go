package acpi

import (
	"bytes"
	"encoding/binary"
	"testing"

	"goemu/hw/qdev/qtest"
)

// fromQEMU takes the tables out of a QEMU by its firmware configuration device, by signature.
func fromQEMU(t *testing.T, args ...string) map[string][]byte {
	q := qtest.Start(t, args...)
	read := func(key, n int) []byte {
		q.Out(0x510, 2, uint32(key))
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(q.In(0x511, 1))
		}
		return b
	}
	n := int(binary.BigEndian.Uint32(read(0x19, 4)))
	dir := read(0x19, 4+64*n)[4:]
	for ; len(dir) > 0; dir = dir[64:] {
		if string(dir[8:8+len(FileTables)+1]) != FileTables+"\x00" {
			continue
		}
		size := min(int(binary.BigEndian.Uint32(dir)), 16<<10)
		b := read(int(binary.BigEndian.Uint16(dir[4:])), size)
		out := map[string][]byte{}
		for len(b) > headerSize && b[0] != 0 {
			l := int(binary.LittleEndian.Uint32(b[4:]))
			if l > len(b) {
				break
			}
			out[string(b[:4])] = b[:l]
			b = b[l:]
		}
		return out
	}
	t.Fatal("QEMU has no tables")
	return nil
}

// blank zeroes the checksum and the pointers of a table.
func blank(sig string, b []byte) []byte {
	b = bytes.Clone(b)
	b[headerChecksum] = 0
	if sig == "FACP" {
		clear(b[fadtFACS : fadtDSDT+4])
		if len(b) > fadtXDSDT {
			clear(b[fadtXDSDT : fadtXDSDT+8])
		}
	}
	return b
}

// TestTablesOfQEMU compares our tables with those of a running QEMU byte by byte.
func TestTablesOfQEMU(t *testing.T) {
	numa := pc(4)
	for i := range numa.CPUs {
		numa.CPUs[i].Node = uint32(i / 2)
	}
	numa.Nodes = []Node{{Memory: []Range{{0, 640 << 10}, {1 << 20, 127 << 20}}, Distance: []uint8{10, 30}}, {Memory: []Range{{128 << 20, 128 << 20}}, Distance: []uint8{30, 10}}}
	plain := pc(3)
	plain.PM.Base = 0 // QEMU's firmware has not placed the ports yet
	guid := [16]byte{0xaf, 0x6e, 0x4e, 0x32, 0xd1, 0xd1, 0xf6, 0x4b, 0xbf, 0x41, 0xb9, 0xbb, 0x6c, 0x91, 0xfb, 0x87}
	copied := pc(1)
	copied.Generation = &guid
	speeds := pc(2)
	speeds.CPUs[1].Node = 1
	speeds.Nodes = []Node{{Memory: []Range{{0, 640 << 10}, {1 << 20, 127 << 20}}}, {}, {Memory: []Range{{128 << 20, 128 << 20}}}}
	speeds.HMAT = &HMAT{Nodes: []HMATNode{{CPUs: true}, {CPUs: true, Initiator: 1}, {Initiator: 1}},
		Localities: []Locality{{Type: 0, Base: 10, Values: []LocalityValue{{0, 0, 50}, {1, 2, 70}}}, {Level: 1, Type: FirstBandwidth, Base: 1 << 31, Values: []LocalityValue{{0, 2, 2 << 30}, {0, 0, 6 << 30}}}},
		Caches:     []SideCache{{Node: 2, Level: 1, Associativity: 1, Policy: 1, Line: 8, Size: 10 << 10}, {Node: 2, Level: 2, Associativity: 2, Policy: 2, Line: 16, Size: 20 << 10}}}
	slots := pc(1)
	slots.Nodes = []Node{{Memory: []Range{{0, 640 << 10}, {1 << 20, 255 << 20}}}}
	slots.DeviceMemory = Range{4 << 30, 768<<20 + 2<<30}
	micro := microvm()
	micro.ISA = micro.ISA[1:]
	micro.CPUs = append(micro.CPUs, CPU{APICID: 1, Enabled: true})
	micro.IOAPICs = append(micro.IOAPICs, IOAPIC{ID: 1, Addr: 0xfec10000, Base: 24})
	micro.VirtioMMIO = []VirtioMMIO{{UID: 23, Addr: 0xfeb02e00, Size: 0x200, IRQ: 47}}
	for _, c := range []struct {
		name string
		m    *Machine
		args []string
		sigs []string
	}{
		{"pc", plain, []string{"-M", "pc", "-nodefaults", "-smp", "3", "-m", "256"}, []string{"FACP", "APIC", "HPET", "WAET"}},
		{"generation", copied, []string{"-M", "pc", "-nodefaults", "-m", "256", "-device", "vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"}, []string{"SSDT", "APIC"}},
		{"numa", numa, []string{"-M", "pc", "-nodefaults", "-smp", "4", "-m", "256", "-object", "memory-backend-ram,id=a,size=128M", "-object", "memory-backend-ram,id=b,size=128M",
			"-numa", "node,cpus=0-1,memdev=a", "-numa", "node,cpus=2-3,memdev=b", "-numa", "dist,src=0,dst=1,val=30"}, []string{"SRAT", "SLIT", "APIC"}},
		{"hmat", speeds, []string{"-M", "pc,hmat=on", "-nodefaults", "-smp", "2,sockets=2", "-m", "256", "-object", "memory-backend-ram,id=a,size=128M", "-object", "memory-backend-ram,id=b,size=128M",
			"-numa", "node,memdev=a", "-numa", "node", "-numa", "node,memdev=b,initiator=1", "-numa", "cpu,node-id=0,socket-id=0", "-numa", "cpu,node-id=1,socket-id=1",
			"-numa", "hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-latency,latency=50", "-numa", "hmat-lb,initiator=1,target=2,hierarchy=memory,data-type=access-latency,latency=70",
			"-numa", "hmat-lb,initiator=0,target=2,hierarchy=first-level,data-type=access-bandwidth,bandwidth=2G", "-numa", "hmat-lb,initiator=0,target=0,hierarchy=first-level,data-type=access-bandwidth,bandwidth=6G",
			"-numa", "hmat-cache,node-id=2,size=10K,level=1,associativity=direct,policy=write-back,line=8", "-numa", "hmat-cache,node-id=2,size=20K,level=2,associativity=complex,policy=write-through,line=16"},
			[]string{"HMAT", "SRAT"}},
		{"modules", slots, []string{"-M", "pc", "-nodefaults", "-m", "256,slots=2,maxmem=1G"}, []string{"SRAT", "APIC"}},
		{"microvm", micro, []string{"-M", "microvm,rtc=on", "-nodefaults", "-smp", "2", "-device", "virtio-rng-device"}, []string{"FACP", "APIC", "DSDT"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fromQEMU(t, c.args...)
			got := tables(t, Build(c.m, 0x10000))
			for _, sig := range c.sigs {
				if w, g := blank(sig, want[sig]), blank(sig, got[sig]); !bytes.Equal(g, w) {
					t.Errorf("%s\ngot  %x\nwant %x", sig, g, w)
				}
			}
		})
	}
}

// TestLoader follows the script as firmware does, with checksums made in OVMF's way, and compares with tables built for the place.
func TestLoader(t *testing.T) {
	le := binary.LittleEndian
	copied := pc(1)
	copied.Generation = &[16]byte{1, 2, 3}
	for _, m := range []*Machine{pc(2), microvm(), copied} {
		b := Build(m, 0)
		files := Files(m)
		files[FileTables] = files[FileTables][:len(b.Data)]
		const place = 0x7fe0000
		places := map[string]uint64{FileTables: place}
		want := Build(m, place)
		if m.Generation != nil {
			id := m.PlaceGeneration(want)
			places[FileGeneration] = id - generationOffset
			want.Data = want.Data[:len(b.Data)]
			files[FileGenerationAddress] = make([]byte, 8)
			defer func() {
				if got := le.Uint64(files[FileGenerationAddress]); got != id {
					t.Errorf("the loader wrote %#x for the place of the identifier, not %#x", got, id)
				}
			}()
		}
		name := func(p []byte) string { s, _, _ := bytes.Cut(p[:loaderName], []byte{0}); return string(s) }
		for c := files[FileLoader]; len(c) > 0; c = c[loaderCommand:] {
			f := files[name(c[4:])]
			switch le.Uint32(c) {
			case loaderAddPointer:
				p := f[le.Uint32(c[pointerOffset:]):]
				at := places[name(c[pointerSource:])]
				if c[pointerSize] == 8 {
					le.PutUint64(p, le.Uint64(p)+at)
				} else {
					le.PutUint32(p, le.Uint32(p)+uint32(at))
				}
			case loaderWritePointer:
				le.PutUint64(f[le.Uint32(c[pointerOffset:]):], places[name(c[pointerSource:])]+uint64(le.Uint32(c[writeSource:])))
			case loaderAddChecksum:
				start, sum := le.Uint32(c[checksumStart:]), byte(0)
				for _, v := range f[start : start+le.Uint32(c[checksumLength:])] {
					sum -= v
				}
				f[le.Uint32(c[checksumOffset:])] = sum
			}
		}
		if !bytes.Equal(files[FileTables], want.Data) || !bytes.Equal(files[FileRSDP], m.RSDP(want)) {
			t.Errorf("the loader's result differs from tables built for the place")
		}
	}
}

// TestProcessorsOfQEMU looks for the objects of CPUs that come and go in the code of a running QEMU.
func TestProcessorsOfQEMU(t *testing.T) {
	part := pc(4)
	part.MemorySlots, part.MemoryHotplug, part.Nodes = 3, 0xa00, make([]Node, 1)
	part.CPUs[3].Enabled = false
	placed := pc(4)
	for i := range placed.CPUs {
		placed.CPUs[i].Node = uint32(i % 2)
	}
	placed.Nodes = make([]Node, 2)
	for _, c := range []struct {
		name string
		m    *Machine
		port uint16
		args []string
	}{
		{"pc", part, 0xaf00, []string{"-M", "pc", "-nodefaults", "-smp", "3,maxcpus=4", "-m", "256,slots=3,maxmem=1G"}},
		{"q35", placed, 0xcd8, []string{"-M", "q35", "-nodefaults", "-smp", "4,sockets=4", "-m", "256", "-object", "memory-backend-ram,id=a,size=128M", "-object", "memory-backend-ram,id=b,size=128M",
			"-numa", "node,memdev=a", "-numa", "node,memdev=b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.m.CPUHotplug = c.port
			dsdt := fromQEMU(t, c.args...)["DSDT"]
			if want := c.m.processors(); !bytes.Contains(dsdt, want) {
				t.Errorf("not in QEMU's table:\n%x\n%x", want, dsdt)
			}
			if want := c.m.memoryModules(); !bytes.Contains(dsdt, want) {
				t.Errorf("not in QEMU's table:\n%x\n%x", want, dsdt)
			}
		})
	}
}
