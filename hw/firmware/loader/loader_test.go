package loader

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pcMemory is the map of a PC with the given MiB of low memory, its top 128 KiB kept for tables.
func pcMemory(mib uint64) []E820 {
	top := mib << 20
	return []E820{
		{0, 0x9fc00, RAMUsable}, {0x9fc00, 0x400, RAMReserved}, {0xf0000, 0x10000, RAMReserved},
		{0x100000, top - 0x20000 - 0x100000, RAMUsable}, {top - 0x20000, 0x20000, RAMReserved}, {0xfffc0000, 0x40000, RAMReserved},
	}
}

// bzImage makes a small image with a valid setup header; edit changes it before the size is set.
func bzImage(edit func(b []byte)) []byte {
	le := binary.LittleEndian
	b := make([]byte, 5*sectorSize+0x2000)
	b[setupSects] = 4
	le.PutUint16(b[setupBootFlag:], bootFlagMagic)
	b[setupJump] = 0x6a
	le.PutUint32(b[setupMagic:], linuxMagic)
	le.PutUint16(b[setupVersion:], 0x020f)
	b[setupLoadFlags] = loadedHigh
	le.PutUint32(b[setupInitrdMax:], 0x7fffffff)
	le.PutUint32(b[setupAlignment:], 0x200000)
	b[setupRelocatable] = 1
	le.PutUint16(b[setupXLoadFlags:], xlfKernel64|xlfAbove4G)
	le.PutUint32(b[setupCmdlineSize:], 2047)
	le.PutUint64(b[setupPrefAddress:], 0x1000000)
	le.PutUint32(b[setupInitSize:], 0x800000)
	le.PutUint32(b[setupSysSize:], 0x2000/paragraphSize)
	for i := range 0x2000 {
		b[5*sectorSize+i] = byte(i * 7)
	}
	if edit != nil {
		edit(b)
	}
	return b
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func load(t testing.TB, cfg *Config) *Image {
	t.Helper()
	im, err := Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

func (im *Image) find(name string) *Segment {
	for i := range im.Segments {
		if im.Segments[i].Name == name {
			return &im.Segments[i]
		}
	}
	return nil
}

func TestLinuxLayout(t *testing.T) {
	le := binary.LittleEndian
	initrd := bytes.Repeat([]byte("initrd.."), 1000)
	cfg := &Config{Kernel: write(t, "k", bzImage(nil)), Initrd: write(t, "i", initrd), Cmdline: "console=ttyS0", Memory: pcMemory(256), RSDP: 0xf5000}
	im := load(t, cfg)
	if im.Kind != KindLinux || im.Protocol != 0x20f {
		t.Errorf("kind %v protocol %#x", im.Kind, im.Protocol)
	}
	if c := im.CPU; c.Mode != Long || c.RIP != 0x1000200 || c.RSI != zeroPageAddr || c.CR3 != pageTableAddr {
		t.Errorf("CPU %+v", c)
	}
	if k := im.find("kernel"); k.Addr != 0x1000000 || len(k.Data) != 0x2000 || k.Data[1] != 7 {
		t.Errorf("kernel at %#x", k.Addr)
	}
	z, ird := im.find("zero page").Data, im.find("initrd")
	if ird.Addr&0xfff != 0 || ird.End() > 256<<20-0x20000 || ird.End()+pageSize <= 256<<20-0x20000 {
		t.Errorf("initrd at %#x", ird.Addr)
	}
	for _, f := range []struct {
		name      string
		got, want uint64
	}{
		{"ramdisk_image", uint64(le.Uint32(z[0x218:])), ird.Addr},
		{"ramdisk_size", uint64(le.Uint32(z[0x21c:])), uint64(len(initrd))},
		{"cmd_line_ptr", uint64(le.Uint32(z[0x228:])), im.find("command line").Addr},
		{"acpi_rsdp_addr", le.Uint64(z[0x70:]), 0xf5000},
		{"e820_entries", uint64(z[0x1e8]), 6},
		{"e820[3].size", le.Uint64(z[0x2d0+3*20+8:]), 256<<20 - 0x120000},
		{"e820[4].type", uint64(le.Uint32(z[0x2d0+4*20+16:])), 2},
		{"version", uint64(le.Uint16(z[0x206:])), 0x20f},
		{"type_of_loader", uint64(z[0x210]), 0xb0},
		{"code32_start", uint64(le.Uint32(z[0x214:])), 0x1000000},
	} {
		if f.got != f.want {
			t.Errorf("%s = %#x, want %#x", f.name, f.got, f.want)
		}
	}
	if got := im.find("command line").Data; string(got) != "console=ttyS0\x00" {
		t.Errorf("command line %q", got)
	}
}

func TestIdentityTables(t *testing.T) {
	b := identityTables()
	at := func(addr uint64) uint64 { return binary.LittleEndian.Uint64(b[addr-pageTableAddr:]) }
	for _, va := range []uint64{0, 0x1000200, 0x7fffffff, 0xfee00000, 0xffffffff} {
		e := uint64(pageTableAddr)
		for shift := 39; shift >= 21; shift -= 9 {
			e = at(e&^0xfff + va>>shift&511*8)
			if e&ptePresent == 0 || e&pteWrite == 0 {
				t.Fatalf("%#x: not mapped at shift %d", va, shift)
			}
		}
		if got := e&^(largePage-1) | va&(largePage-1); e&pteLarge == 0 || got != va {
			t.Errorf("%#x maps to %#x", va, got)
		}
	}
}

func TestLinuxEntry(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func([]byte)
		use32 bool
		mib   uint64
		mode  Mode
		rip   uint64
	}{
		{"64-bit", nil, false, 128, Long, 0x1000200},
		{"32-bit entry asked for", nil, true, 128, Protected32, 0x1000000},
		{"32-bit kernel", func(b []byte) { b[setupXLoadFlags] = 0 }, false, 128, Protected32, 0x1000000},
		{"protocol 2.06", func(b []byte) { b[setupVersion] = 6 }, false, 128, Protected32, 0x100000},
		{"little memory", nil, false, 16, Long, 0x200200},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := load(t, &Config{Kernel: write(t, "k", bzImage(c.edit)), Memory: pcMemory(c.mib), Use32: c.use32})
			if im.CPU.Mode != c.mode || im.CPU.RIP != c.rip {
				t.Errorf("mode %d rip %#x", im.CPU.Mode, im.CPU.RIP)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	good := bzImage(nil)
	flat := func(f [5]uint32) []byte {
		b := make([]byte, 4096)
		flags := uint32(mbHasAddresses)
		magic := uint32(mbHeaderMagic)
		for i, v := range append([]uint32{magic, flags, -(magic + flags)}, f[:]...) {
			binary.LittleEndian.PutUint32(b[4*i:], v)
		}
		return b
	}
	elf64 := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 200)...)
	binary.LittleEndian.PutUint16(elf64[16:], elfTypeExec)
	binary.LittleEndian.PutUint64(elf64[32:], 64)
	binary.LittleEndian.PutUint16(elf64[54:], phEntry64)
	binary.LittleEndian.PutUint16(elf64[56:], 1)
	for _, c := range []struct {
		name    string
		data    []byte
		cmdline string
		want    string
	}{
		{"one byte", []byte{1}, "", "invalid kernel header"},
		{"garbage", bytes.Repeat([]byte{0x5a}, 4096), "", "invalid kernel header"},
		{"header cut", good[:0x210], "", "invalid kernel header"},
		{"only setup", good[:5*sectorSize], "", "invalid kernel header"},
		{"cut off", good[:5*sectorSize+0x1000], "", "invalid kernel header: the file is cut off (4096 bytes of code, the header says 8192)"},
		{"old", bzImage(func(b []byte) { b[setupVersion] = 5 }), "", "linux kernel too old: boot protocol 2.05, at least 2.06 is needed"},
		{"zImage", bzImage(func(b []byte) { b[setupLoadFlags] = 0 }), "", "linux kernel too old: a zImage cannot be booted, only a bzImage"},
		{"too big", bzImage(func(b []byte) { b[setupInitSize+3] = 0x10 }), "", "it needs 264 MiB of memory from 0x1000000 on"},
		{"long command line", good, strings.Repeat("a", 2048), "kernel command line is too long: 2048 bytes, the kernel takes 2047"},
		{"ELF cut", []byte("\x7fELF"), "", "Error while loading elf kernel"},
		{"ELF without note", elf64, "", "Error loading uncompressed kernel without PVH ELF Note"},
		{"flat load", flat([5]uint32{0x100000, 0x200000}), "", "invalid load_addr address"},
		{"flat header", flat([5]uint32{0x100010, 0x100000}), "", "invalid header_addr address"},
		{"flat end", flat([5]uint32{0x100000, 0x100000, 1}), "", "invalid load_end_addr address"},
		{"flat long", flat([5]uint32{0x100000, 0x100000, 0x200000}), "", "load_end_addr lies after its end"},
		{"flat bss", flat([5]uint32{0x100000, 0x100000, 0x100800, 0x100400}), "", "invalid bss_end_addr address"},
		{"flat high", flat([5]uint32{0xf0000000, 0xf0000000}), "", "kernel at 0xf0000000 (0x1000 bytes) does not fit in the machine's memory"},
		{"flat on info", flat([5]uint32{infoAddr, infoAddr}), "", "kernel and multiboot info overlap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			im, err := Load(&Config{Kernel: write(t, "k", c.data), Cmdline: c.cmdline, Memory: pcMemory(128)})
			if err == nil {
				im.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want %q", err, c.want)
			}
		})
	}
}

func TestFileErrors(t *testing.T) {
	k := write(t, "k", bzImage(nil))
	for _, c := range []struct{ kernel, initrd, want string }{
		{"/nonexistent/k", "", "could not open kernel file '/nonexistent/k': No such file or directory"},
		{"/", "", "could not load kernel '/': Is a directory"},
		{os.DevNull, "", "could not load kernel '/dev/null': the file is empty"},
		{k, "/nonexistent/i", "error reading initrd /nonexistent/i: Failed to open file “/nonexistent/i”: open() failed: No such file or directory"},
		{k, "/", "error reading initrd /: Is a directory"},
		{k, write(t, "big", make([]byte, 200<<20)), "initrd is too large, cannot support.(max: 134086655, need 209715200)"},
	} {
		im, err := Load(&Config{Kernel: c.kernel, Initrd: c.initrd, Memory: pcMemory(128)})
		if err == nil {
			im.Close()
			t.Errorf("%s: no error", c.want)
		} else if err.Error() != c.want {
			t.Errorf("got  %q\nwant %q", err, c.want)
		}
	}
}

func TestNoLongMode(t *testing.T) {
	k := write(t, "k", bzImage(nil))
	if _, err := Load(&Config{Kernel: k, Memory: pcMemory(128), NoLong: true}); err == nil || !strings.HasSuffix(err.Error(), "this kernel requires an x86-64 CPU") {
		t.Errorf("64-bit kernel: %v", err)
	}
	im := load(t, &Config{Kernel: write(t, "k32", bzImage(func(b []byte) { b[setupXLoadFlags] = 0 })), Memory: pcMemory(128), NoLong: true})
	if im.CPU.Mode != Protected32 {
		t.Errorf("32-bit kernel starts in mode %d", im.CPU.Mode)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(bzImage(nil))
	f.Add(elfKernel(elfClass64))
	f.Add(elfKernel(elfClass32))
	f.Add(multibootELF())
	mem := pcMemory(64)
	f.Fuzz(func(t *testing.T, data []byte) {
		im := new(Image)
		if im.load(&Config{Kernel: "k", Cmdline: "a b", Memory: mem}, data) != nil || im.check(mem) != nil {
			return
		}
		for _, s := range im.Segments {
			if !usable(mem, s.Addr, s.Size) || s.Size < uint64(len(s.Data)) {
				t.Fatalf("segment %s at %#x, %d of %d bytes", s.Name, s.Addr, len(s.Data), s.Size)
			}
		}
	})
}
