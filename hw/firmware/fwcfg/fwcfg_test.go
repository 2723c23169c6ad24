package fwcfg

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"strings"
	"testing"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

type rig struct {
	mem, ports *memory.AddressSpace
	f          *FWCfg
}

func newRig(t testing.TB) *rig {
	t.Helper()
	root, io := memory.NewContainer("mem", memory.Whole), memory.NewContainer("io", 0x10000)
	ram, err := memory.NewRAM("ram", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ram.RAM().Free() })
	root.Add(ram, 0, 0)
	r := &rig{mem: memory.NewAddressSpace("mem", root), ports: memory.NewAddressSpace("io", io)}
	if r.f, err = New(qdev.NewTree(qdev.NewRegistry([]*qdev.Class{&Class})), io, r.mem); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) in(port uint16, size int) uint32 {
	v, _ := r.ports.Load(uint64(port), size)
	return uint32(v)
}

func (r *rig) out(port uint16, size int, v uint32) { r.ports.Store(uint64(port), size, uint64(v)) }

func (r *rig) read(key uint16, n int) []byte {
	r.out(0x510, 2, uint32(key))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.in(0x511, 1))
	}
	return b
}

// dma runs a request at 0x1000 and returns its status.
func (r *rig) dma(control, length uint32, addr uint64) uint32 {
	be := binary.BigEndian
	req := be.AppendUint64(be.AppendUint32(be.AppendUint32(nil, control), length), addr)
	r.mem.Write(0x1000, req)
	r.out(0x514, 4, 0)
	r.out(0x518, 4, 0x00100000) // 0x1000, big endian
	r.mem.Read(0x1000, req[:4])
	return be.Uint32(req)
}

func TestItems(t *testing.T) {
	r := newRig(t)
	r.f.SetU16(KeyCPUs, 3)
	for _, n := range []string{"opt/b", "opt/a", "etc/x"} {
		if err := r.f.AddFile(n, []byte(n+"!")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.f.AddFile("opt/a", nil); err == nil || err.Error() != "duplicate fw_cfg file name: opt/a" {
		t.Errorf("duplicate: %v", err)
	}
	if err := r.f.AddFile(strings.Repeat("x", 56), nil); err == nil || err.Error() != "name too long (max. 55 char)" {
		t.Errorf("long name: %v", err)
	}
	for _, c := range []struct {
		key  uint16
		want string
	}{{KeySignature, "QEMU\x00"}, {KeyID, "\x03\x00\x00\x00\x00"}, {KeyCPUs, "\x03\x00\x00"}, {0x20, "etc/x!\x00"}, {0x21, "opt/a!"}, {0x22, "opt/b!"}, {0x55, "\x00\x00"}, {0x4000, "QEMU"}} {
		if got := r.read(c.key, len(c.want)); string(got) != c.want {
			t.Errorf("item %#x: %q, want %q", c.key, got, c.want)
		}
	}
	dir := r.read(KeyFileDir, 4+3*64)
	if binary.BigEndian.Uint32(dir) != 3 || !bytes.HasPrefix(dir[4+64+8:], []byte("opt/a\x00")) || binary.BigEndian.Uint16(dir[4+64+4:]) != 0x21 || binary.BigEndian.Uint32(dir[4:]) != 6 {
		t.Errorf("directory % x", dir)
	}
}

func TestDMA(t *testing.T) {
	r := newRig(t)
	if err := r.f.AddFile("opt/a", []byte("hello, world")); err != nil {
		t.Fatal(err)
	}
	if r.in(0x514, 4) != 0x554d4551 || r.in(0x518, 4) != 0x47464320 {
		t.Errorf("signature %#x %#x", r.in(0x514, 4), r.in(0x518, 4))
	}
	r.mem.Write(0x2000, bytes.Repeat([]byte{0xff}, 32))
	if s := r.dma(0x20<<16|dmaSelect|dmaSkip, 7, 0); s != 0 {
		t.Errorf("skip: status %#x", s)
	}
	if s := r.dma(dmaRead, 10, 0x2000); s != 0 {
		t.Errorf("read: status %#x", s)
	}
	got := make([]byte, 11)
	r.mem.Read(0x2000, got)
	if string(got) != "world\x00\x00\x00\x00\x00\xff" {
		t.Errorf("read %q", got)
	}
	for _, c := range []struct {
		name    string
		control uint32
		length  uint32
		addr    uint64
		want    uint32
	}{
		{"write", 0x20<<16 | dmaSelect | dmaWrite, 4, 0x2000, dmaError},
		{"to nowhere", 0x20<<16 | dmaSelect | dmaRead, 4, 1 << 40, dmaError},
		{"huge", 0x20<<16 | dmaSelect | dmaRead, 0xffffffff, 0x80000, dmaError},
		{"select only", 0x20<<16 | dmaSelect, 5, 0x2000, 0},
	} {
		if s := r.dma(c.control, c.length, c.addr); s != c.want {
			t.Errorf("%s: status %#x, want %#x", c.name, s, c.want)
		}
	}
}

// TestAgainstQEMU compares replies to random accesses; both have the same two files.
func TestAgainstQEMU(t *testing.T) {
	q := qtest.Start(t, "-M", "pc", "-nodefaults")
	r := newRig(t)
	rnd := rand.New(rand.NewSource(3))
	for _, key := range []uint16{KeySignature, KeyID, KeyUUID, 0x1f, 0x3fff, 0xffff, 0x7f} {
		q.Out(0x510, 2, uint32(key))
		r.out(0x510, 2, uint32(key))
		for i := range 24 {
			port, size := uint16(0x510+rnd.Intn(2)), 1
			if i%8 == 7 {
				port, size = 0x514+4*uint16(rnd.Intn(2)), 4
			}
			if want, got := q.In(port, size), r.in(port, size); got != want && key != KeyUUID {
				t.Errorf("item %#x, byte %d, port %#x: %#x, QEMU has %#x", key, i, port, got, want)
			}
		}
	}
}

func TestOption(t *testing.T) {
	for _, c := range []struct{ name, file, text, want string }{
		{"", "", "x", "name, plus exactly one of file, string and gen_id, are needed"},
		{"opt/a", "f", "x", "name, plus exactly one of file, string and gen_id, are needed"},
		{"opt/a", "", "", "name, plus exactly one of file, string and gen_id, are needed"},
		{"opt/a", "/nonexistent", "", "can't load /nonexistent: Failed to open file “/nonexistent”: No such file or directory"},
		{strings.Repeat("a", 60), "", "x", "name too long (max. 55 char)"},
	} {
		if _, err := Load(c.name, c.file, c.text); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
	it, err := Load("etc/a", "", "text")
	if err != nil || string(it.Data) != "text" || it.Warning == "" {
		t.Errorf("%+v %v", it, err)
	}
}

func TestState(t *testing.T) {
	vmstatetest.Compare(t, "pc", "fw_cfg_io", state.Layout())
	a, b := newRig(t), newRig(t)
	a.read(KeySignature, 2)
	var w vmstate.Writer
	a.f.State().Save(&w)
	if err := b.f.State().Load(vmstate.NewReader(w.Bytes()), 2); err != nil {
		t.Fatal(err)
	}
	if c := b.in(0x511, 1); c != 'M' {
		t.Errorf("reading goes on with %#x", c)
	}
}

func FuzzFWCfg(f *testing.F) {
	f.Add([]byte{0, 0x19, 0x20, 1, 0, 0, 2, 0, 0}, []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, ops, req []byte) {
		r := newRig(t)
		_ = r.f.AddFile("opt/a", []byte("hello"))
		if len(req) > 4096 {
			return
		}
		r.mem.Write(0x1000, req)
		for i := 0; i+2 < len(ops); i += 3 {
			v := uint32(ops[i+1]) | uint32(ops[i+2])<<8
			switch ops[i] % 6 {
			case 0:
				r.out(0x510, 2, v)
			case 1:
				r.in(0x510+uint16(v&1), 1)
			case 2:
				r.out(0x514, 4, 0)
				r.out(0x518, 4, v<<8)
			case 3:
				r.out(0x514, 4, v)
			case 4:
				r.in(0x514+uint16(v&7), []int{1, 2, 4}[v>>3%3])
			default:
				r.out(0x510+uint16(v&7), 1, v)
			}
		}
	})
}
