package loader

import (
	"encoding/binary"
	"strings"
	"testing"
)

// elfImage builds an executable of the given class with one loadable segment at 1 MiB and one note segment.
func elfImage(class byte, machine uint16, note []byte) []byte {
	le := binary.LittleEndian
	hdr, phsize := elfHeader32, phEntry32
	if class == elfClass64 {
		hdr, phsize = elfHeader64, phEntry64
	}
	code := hdr + 2*phsize
	b := make([]byte, code+64)
	copy(b, elfMagic)
	b[4], b[5], b[6] = class, elfDataLE, 1
	le.PutUint16(b[16:], elfTypeExec)
	le.PutUint16(b[18:], machine)
	ph := func(i int, kind uint32, off, size int, paddr, msize uint64) {
		p := b[hdr+i*phsize:]
		le.PutUint32(p, kind)
		if class == elfClass64 {
			for o, v := range map[int]uint64{8: uint64(off), 16: paddr, 24: paddr, 32: uint64(size), 40: msize, 48: 4} {
				le.PutUint64(p[o:], v)
			}
			return
		}
		for o, v := range map[int]uint64{4: uint64(off), 8: paddr, 12: paddr, 16: uint64(size), 20: msize, 28: 4} {
			le.PutUint32(p[o:], uint32(v))
		}
	}
	if class == elfClass64 {
		le.PutUint64(b[24:], 0x100010)
		le.PutUint64(b[32:], uint64(hdr))
		le.PutUint16(b[54:], uint16(phsize))
		le.PutUint16(b[56:], 2)
	} else {
		le.PutUint32(b[24:], 0x100010)
		le.PutUint32(b[28:], uint32(hdr))
		le.PutUint16(b[42:], uint16(phsize))
		le.PutUint16(b[44:], 2)
	}
	ph(0, ptLoad, code, 64, 0x100000, 0x5000)
	ph(1, ptNote, len(b), len(note), 0, 0)
	return append(b, note...)
}

func elfNote(owner string, kind uint32, desc []byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(owner)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, kind)
	b = append(b, owner...)
	b = append(b, make([]byte, 4-len(owner)%4)...)
	return append(b, desc...)
}

// elfKernel has a foreign note before the PVH one.
func elfKernel(class byte) []byte {
	note := elfNote("GNU", 3, make([]byte, 20))
	return elfImage(class, elfMachineX8664, append(note, elfNote("Xen", notePhys32Entry, []byte{0x20, 0, 0x10, 0, 0, 0, 0, 0})...))
}

func multibootELF() []byte {
	b := elfImage(elfClass32, elfMachine386, nil)
	h := make([]byte, 12)
	magic := uint32(mbHeaderMagic)
	binary.LittleEndian.PutUint32(h, magic)
	binary.LittleEndian.PutUint32(h[8:], -magic)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return append(b, h...)
}

func TestPVH(t *testing.T) {
	le := binary.LittleEndian
	for _, class := range []byte{elfClass32, elfClass64} {
		cfg := &Config{Kernel: write(t, "k", elfKernel(class)), Initrd: write(t, "i", []byte("hello")), Cmdline: "quiet", Memory: pcMemory(64), RSDP: 0xf1230}
		im := load(t, cfg)
		if im.Kind != KindPVH || im.CPU.RIP != 0x100020 || im.CPU.Mode != Protected32 || im.CPU.RBX != infoAddr {
			t.Fatalf("class %d: %v %+v", class, im.Kind, im.CPU)
		}
		if k := im.find("kernel"); k.Addr != 0x100000 || k.Size != 0x5000 || len(k.Data) != 64 {
			t.Errorf("kernel %#x+%#x", k.Addr, k.Size)
		}
		b := im.find("PVH start info").Data
		if le.Uint32(b) != 0x336ec578 || le.Uint32(b[4:]) != 1 || le.Uint32(b[12:]) != 1 || le.Uint64(b[24:]) != cmdlineAddr || le.Uint64(b[32:]) != 0xf1230 {
			t.Errorf("start info % x", b[:56])
		}
		mod := b[le.Uint64(b[16:])-infoAddr:]
		if le.Uint64(mod) != im.find("initrd").Addr || le.Uint64(mod[8:]) != 5 {
			t.Errorf("module % x", mod[:32])
		}
		mm := b[le.Uint64(b[40:])-infoAddr:]
		if n := le.Uint32(b[48:]); int(n) != len(cfg.Memory) || len(mm) != int(n)*24 || le.Uint64(mm[3*24:]) != 0x100000 || le.Uint32(mm[24+16:]) != 2 {
			t.Errorf("memory map % x", mm)
		}
	}
}

func TestMultiboot(t *testing.T) {
	le := binary.LittleEndian
	m1, m2 := write(t, "a,b", []byte("first")), write(t, "m2", make([]byte, 5000))
	cfg := &Config{Kernel: write(t, "k", multibootELF()), Initrd: strings.ReplaceAll(m1, ",", ",,") + " x y," + m2, Cmdline: "opt", Memory: pcMemory(64)}
	im := load(t, cfg)
	if im.Kind != KindMultiboot || im.CPU.RIP != 0x100010 || im.CPU.RAX != 0x2badb002 || im.CPU.RBX != infoAddr {
		t.Fatalf("%v %+v", im.Kind, im.CPU)
	}
	b := im.find("multiboot info").Data
	str := func(addr uint32) string {
		s, _, _ := strings.Cut(string(b[addr-infoAddr:]), "\x00")
		return s
	}
	if le.Uint32(b)&0x24f != 0x24f || le.Uint32(b[4:]) != 639 || le.Uint32(b[8:]) != 62<<10+896 {
		t.Errorf("flags %#x lower %d upper %d", le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]))
	}
	if got := str(le.Uint32(b[16:])); got != cfg.Kernel+" opt" {
		t.Errorf("command line %q", got)
	}
	if le.Uint32(b[20:]) != 2 {
		t.Fatalf("%d modules", le.Uint32(b[20:]))
	}
	mods := b[le.Uint32(b[24:])-infoAddr:]
	if s, e := le.Uint32(mods), le.Uint32(mods[4:]); s != 0x105000 || e != s+5 || str(le.Uint32(mods[8:])) != m1+" x y" {
		t.Errorf("module 1 %#x..%#x %q", s, e, str(le.Uint32(mods[8:])))
	}
	if s, e := le.Uint32(mods[16:]), le.Uint32(mods[20:]); s != 0x106000 || e != s+5000 {
		t.Errorf("module 2 %#x..%#x", s, e)
	}
	mm := b[le.Uint32(b[48:])-infoAddr:]
	if le.Uint32(b[44:]) != uint32(24*len(cfg.Memory)) || le.Uint32(mm) != 20 || le.Uint64(mm[3*24+4:]) != 0x100000 {
		t.Errorf("memory map % x", mm[:24*6])
	}
	if _, err := Load(&Config{Kernel: cfg.Kernel, Initrd: "/nonexistent/m x", Memory: cfg.Memory}); err == nil || err.Error() != "Failed to open file '/nonexistent/m'" {
		t.Errorf("missing module: %v", err)
	}
	bad := elfImage(elfClass64, elfMachineX8664, multibootELF()[elfHeader32+2*phEntry32+64:])
	if _, err := Load(&Config{Kernel: write(t, "bad", bad), Memory: cfg.Memory}); err == nil || err.Error() != "Cannot load x86-64 image, give a 32bit one." {
		t.Errorf("64-bit ELF: %v", err)
	}
}
