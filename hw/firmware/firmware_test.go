package firmware

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/loader"
	"goemu/hw/firmware/mptable"
	"goemu/hw/firmware/smbios"
	"goemu/internal/testprog"
)

// pc describes QEMU's default machine with n processors.
func pc(below, above uint64, n int) *Machine {
	p := smbios.Product{Manufacturer: "QEMU", Product: "Standard PC (i440FX + PIIX, 1996)", Version: "pc-i440fx-7.2"}
	m := &Machine{
		Below4G: below, Above4G: above, ROMSize: 0x40000, AMDHole: true, PhysBits: 40, SerialPorts: []uint16{0x3f8},
		ACPI: &acpi.Machine{
			HPET: true, FWCfg: true,
			PCI: &acpi.PCI{Hole32Start: below, Hole32End: 0xfebfffff, Hole64Start: 1 << 33, Hole64End: 1<<33 + 2<<30 - 1,
				Root: acpi.Bus{Selector: acpi.NoSelector, Devices: []acpi.PCIDevice{{}, {DevFn: 0x08, Kind: acpi.PCIISABridge}}}},
			PM:      &acpi.PM{Base: 0x600, GPE: 0xafe0, GPEBytes: 4, SCI: 9, SMICmd: 0xb2, CMOSCent: 0x32},
			IOAPICs: []acpi.IOAPIC{{Addr: 0xfec00000}}, ISA: []acpi.ISADevice{{Kind: acpi.ISAKeyboard}, {Kind: acpi.ISAMouse}, {Kind: acpi.ISASerial, Port: 0x3f8, IRQ: 4}, {Kind: acpi.ISAClock}},
		},
		SMBIOS: &smbios.System{BIOS: smbios.BIOS{Vendor: "goemu", Version: "1", Date: "04/01/2014"}, System: p, Chassis: p,
			CPU: smbios.Processor{Manufacturer: "QEMU", Version: p.Version, Cores: n, Threads: 1}, Sockets: 1, RAMSize: below + above, Memory: []smbios.Range{{Addr: 0, Size: below}}},
		MP: &mptable.Machine{IOAPICAddr: 0xfec00000, LocalAPIC: 0xfee00000, PCI: true, LevelISA: []uint8{5, 9, 10, 11}},
	}
	for i := range n {
		m.ACPI.CPUs = append(m.ACPI.CPUs, acpi.CPU{APICID: uint32(i), Enabled: true})
		m.MP.APICIDs = append(m.MP.APICIDs, uint8(i))
	}
	return m
}

func build(t *testing.T, m *Machine) *Setup {
	t.Helper()
	s, err := Build(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMemoryMap compares with the maps that Linux prints under QEMU 7.2.
func TestMemoryMap(t *testing.T) {
	const usable, reserved, nvs = loader.RAMUsable, loader.RAMReserved, loader.RAMNVS
	low := []loader.E820{{Addr: 0, Size: 0x9fc00, Type: usable}, {Addr: 0x9fc00, Size: 0x400, Type: reserved}}
	bios := loader.E820{Addr: 0xf0000, Size: 0x10000, Type: reserved}
	rom, ht := loader.E820{Addr: 0xfffc0000, Size: 0x40000, Type: reserved}, loader.E820{Addr: 0xfd00000000, Size: 0x300000000, Type: reserved}
	micro := &Machine{Below4G: 256 << 20, LowTables: true, ACPI: &acpi.Machine{GED: &acpi.GED{}}}
	for _, c := range []struct {
		name string
		m    *Machine
		want []loader.E820
	}{
		{"256M", pc(256<<20, 0, 1), append(low[:2:2], bios, loader.E820{Addr: 1 << 20, Size: 0xfee0000, Type: usable},
			loader.E820{Addr: 0xffe0000, Size: 0x20000, Type: reserved}, rom, ht)},
		{"5G", pc(3<<30, 2<<30, 4), append(low[:2:2], bios, loader.E820{Addr: 1 << 20, Size: 0xbfee0000, Type: usable},
			loader.E820{Addr: 0xbffe0000, Size: 0x20000, Type: reserved}, rom, loader.E820{Addr: 1 << 32, Size: 2 << 30, Type: usable}, ht)},
		{"microvm", micro, append(low[:2:2], loader.E820{Addr: 0xd0000, Size: 0x20000, Type: nvs}, bios, loader.E820{Addr: 1 << 20, Size: 0xff00000, Type: usable})},
	} {
		got := build(t, c.m).E820
		if len(got) != len(c.want) {
			t.Errorf("%s: %d entries, want %d", c.name, len(got), len(c.want))
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: entry %d is %x, want %x", c.name, i, got[i], c.want[i])
			}
		}
	}
}

func TestSegments(t *testing.T) {
	for _, n := range []int{1, 4, 255} {
		s := build(t, pc(256<<20, 0, n))
		at := map[string]*loader.Segment{}
		for i := range s.Segments {
			g := &s.Segments[i]
			at[g.Name] = g
			for _, o := range s.Segments[:i] {
				if g.Addr < o.End() && o.Addr < g.End() {
					t.Errorf("%d CPUs: %s overlaps %s", n, g.Name, o.Name)
				}
			}
			if strings.Contains(g.Name, "SMBIOS") || strings.Contains(g.Name, "MP ") {
				if g.Addr&15 != 0 || g.End() > 0x100000 {
					t.Errorf("%d CPUs: %s at %#x", n, g.Name, g.Addr)
				}
			}
		}
		le := binary.LittleEndian
		if r := at["RSDP"]; r == nil || r.Addr != s.RSDP || string(r.Data[:8]) != "RSD PTR " {
			t.Fatalf("%d CPUs: RSDP %+v", n, r)
		}
		tables := at["ACPI tables"]
		if root := uint64(le.Uint32(at["RSDP"].Data[16:])); string(tables.Data[root-tables.Addr:][:4]) != "RSDT" {
			t.Errorf("%d CPUs: the root pointer does not point to a table", n)
		}
		if mp := at["MP pointer"]; uint64(le.Uint32(mp.Data[4:])) != at["MP table"].Addr {
			t.Errorf("%d CPUs: MP pointer % x, table at %#x", n, mp.Data, at["MP table"].Addr)
		}
		if sm := at["SMBIOS entry point"]; uint64(le.Uint32(sm.Data[24:])) != at["SMBIOS tables"].Addr {
			t.Errorf("%d CPUs: SMBIOS entry point % x", n, sm.Data)
		}
	}
	if _, err := Build(&Machine{Below4G: 1 << 20}); err == nil {
		t.Error("1 MiB of memory is enough")
	}
}

// kernel finds a Linux image to boot.
func kernel(t *testing.T) string {
	for _, pattern := range []string{os.Getenv("GOEMU_KERNEL"), "/boot/vmlinuz-*", filepath.Join(os.Getenv("HOME"), ".cache/goemu/vmlinuz*")} {
		if m, _ := filepath.Glob(pattern); len(m) > 0 {
			return m[len(m)-1]
		}
	}
	t.Skip("SKIPPED: no kernel (set GOEMU_KERNEL), tables and loader are not tried with Linux")
	return ""
}

// boot runs Linux on QEMU's hardware with our tables and our way of starting the kernel, and returns what it prints.
func boot(t *testing.T, m *Machine, use32 bool, args ...string) string {
	if testing.Short() {
		t.Skip("whole boots take seconds each")
	}
	qemu, nasm := testprog.QEMU(t), testprog.Need(t, "nasm")
	s := build(t, m)
	im, err := loader.Load(&loader.Config{Kernel: kernel(t), Memory: s.E820, RSDP: s.RSDP, Use32: use32,
		Cmdline: "console=ttyS0 panic=-1 ignore_loglevel"})
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	source := file("stub.asm", []byte(stub(s, im)))
	if out, err := exec.Command(nasm, "-f", "bin", "-o", filepath.Join(dir, "stub"), source).CombinedOutput(); err != nil {
		t.Fatalf("nasm: %s", out)
	}
	code, err := os.ReadFile(filepath.Join(dir, "stub"))
	if err != nil {
		t.Fatal(err)
	}
	bios := make([]byte, 0x20000)
	copy(bios[0x1f000:], code)
	args = append([]string{"-accel", "tcg", "-M", "pc", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"}, args...)
	for i, g := range append(s.Segments, im.Segments...) {
		if g.Addr >= 0xe0000 && g.End() <= 0x100000 {
			copy(bios[g.Addr-0xe0000:], g.Data)
			continue
		}
		name := "seg" + strconv.Itoa(i)
		args = append(args, "-device", "loader,force-raw=on,addr=0x"+strconv.FormatUint(g.Addr, 16)+",file="+file(name, g.Data))
	}
	args = append(args, "-bios", file("bios", bios))
	cmd := exec.Command(qemu, args...)
	timer := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// stub is a firmware of 4 KiB at 0xff000 that makes the settings and enters the kernel.
func stub(s *Setup, im *loader.Image) string {
	hex := func(v uint64) string { return "0x" + strconv.FormatUint(v, 16) }
	var b strings.Builder
	b.WriteString(`bits 16
org 0xf000
start:	cli
	o32 lgdt [cs:gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword 8:0xf0000+pm
bits 32
pm:	mov eax, 24
	mov ds, eax
	mov es, eax
	mov ss, eax
`)
	for _, x := range pcSettings(0x600, 0x700) {
		if x.Fn >= 0 && (x.Fn != fnHost) { // the BIOS area stays ROM: the tables are in it
			b.WriteString("mov dx, 0xcf8\nmov eax, " + hex(1<<31|uint64(x.Fn)<<8|uint64(x.Reg&^3)) + "\nout dx, eax\nmov dx, " + hex(0xcfc+uint64(x.Reg&3)) + "\n")
		} else if x.Fn < 0 {
			b.WriteString("mov dx, " + hex(uint64(x.Port)) + "\n")
		} else {
			continue
		}
		b.WriteString("mov eax, " + hex(uint64(x.Value)) + "\nout dx, " + map[int]string{1: "al", 2: "ax", 4: "eax"}[x.Size] + "\n")
	}
	for _, x := range s.MSRs {
		b.WriteString("mov ecx, " + hex(uint64(x.Index)) + "\nmov eax, " + hex(x.Value&0xffffffff) + "\nmov edx, " + hex(x.Value>>32) + "\nwrmsr\n")
	}
	c := im.CPU
	if c.Mode == loader.Long {
		b.WriteString("mov eax, 0x20\nmov cr4, eax\nmov eax, " + hex(c.CR3) + "\nmov cr3, eax\nmov ecx, 0xc0000080\nmov eax, 0x100\nxor edx, edx\nwrmsr\n" +
			"mov eax, 0x80000001\nmov cr0, eax\njmp 16:0xf0000+lm\nbits 64\nlm:\n")
	}
	b.WriteString("lgdt [0xf0000+kgdtr]\nmov eax, " + hex(uint64(c.DS)) + "\nmov ds, eax\nmov es, eax\nmov fs, eax\nmov gs, eax\nmov ss, eax\n" +
		"xor ebp, ebp\nxor edi, edi\nmov ebx, " + hex(c.RBX) + "\nmov esp, " + hex(c.RSP) + "\nmov esi, " + hex(c.RSI) + "\n" +
		"push " + hex(uint64(c.CS)) + "\npush " + hex(c.RIP) + "\nmov eax, " + hex(c.RAX) + "\n")
	if c.Mode == loader.Long {
		b.WriteString("o64 retf\n")
	} else {
		b.WriteString("retf\n")
	}
	b.WriteString(`align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	dw 31
	dd 0xf0000+gdt
kgdtr:	dw ` + hex(uint64(c.GDTLimit)) + "\n	dq " + hex(c.GDTBase) + `
	times 0xff0-($-$$) db 0
bits 16
	jmp 0xf000:start
	times 0x1000-($-$$) db 0
`)
	return b.String()
}

// complaints are lines that mean that a table or a setting is wrong.
var complaints = regexp.MustCompile(`(?i)(ACPI (Error|Warning|BIOS)|firmware bug|mtrr: |invalid\b|unexpected|WARNING:|\bOops|conflict)`)

func TestBootLinux(t *testing.T) {
	for _, c := range []struct {
		name  string
		use32 bool
		m     *Machine
		args  []string
	}{
		{"long", false, pc(256<<20, 0, 2), []string{"-m", "256", "-smp", "2"}},
		{"protected", true, pc(3<<30, 1<<30, 1), []string{"-m", "4G", "-cpu", "max"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := boot(t, c.m, c.use32, c.args...)
			for _, want := range []string{"BIOS-e820: [mem 0x0000000000100000-", "ACPI: RSDP 0x00000000000F5900", "SMBIOS 2.8 present", "DMI: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1 04/01/2014",
				"ACPI: Interpreter enabled", "ACPI: PCI: Interrupt link LNKA configured for IRQ 10", "ACPI: PCI: Interrupt link LNKS configured for IRQ 9", "clocksource: hpet: mask", "Unable to mount root fs"} {
				if !strings.Contains(out, want) {
					t.Errorf("Linux does not print %q", want)
				}
			}
			for _, l := range strings.Split(out, "\n") {
				if complaints.MatchString(l) && !(len(c.m.ACPI.CPUs) > 1 && strings.Contains(l, "mtrr: ")) { // the stub sets up one CPU only
					t.Error("Linux complains: ", l)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}
