package acpi

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"goemu/internal/testprog"
)

// pc is a PC with n CPUs as QEMU builds it by default.
func pc(n int) *Machine {
	m := &Machine{
		HPET: true, FWCfg: true,
		ISA:     []ISADevice{{Kind: ISAPanic, Port: 0x505}, {Kind: ISAKeyboard}, {Kind: ISAMouse}, {Kind: ISASerial, Index: 1, Port: 0x2f8, IRQ: 3}, {Kind: ISASerial, Port: 0x3f8, IRQ: 4}, {Kind: ISAClock}},
		PCI:     &PCI{Hole32Start: 256 << 20, Hole32End: 0xfebfffff, Hole64Start: 1 << 32, Hole64End: 1<<32 + 2<<30 - 1, Root: board(), Hotplug: 0xae00, HotplugBridges: true},
		PM:      &PM{Base: 0x600, GPE: 0xafe0, GPEBytes: 4, SCI: 9, SMICmd: 0xb2, CMOSCent: 0x32, S3: true, S4: true, S4Value: 2},
		IOAPICs: []IOAPIC{{Addr: 0xfec00000}},
	}
	for i := range n {
		m.CPUs = append(m.CPUs, CPU{APICID: uint32(i), Enabled: true})
	}
	return m
}

// board is the root bus with what is on it by default.
func board() Bus {
	return Bus{Devices: []PCIDevice{{}, {DevFn: 0x08, Kind: PCIISABridge}, {DevFn: 0x09}, {DevFn: 0x0b}}}
}

// microvm is a hardware-reduced machine.
func microvm() *Machine {
	m := &Machine{FWCfg: true, ISA: []ISADevice{{Kind: ISASerial, Port: 0x3f8, IRQ: 4}, {Kind: ISAClock}}, GED: &GED{Base: 0xfea00000, IRQ: 9, Register: 0xfea00200},
		IOAPICs: []IOAPIC{{Addr: 0xfec00000}}, CPUs: []CPU{{Enabled: true}}}
	for i := range 3 {
		m.VirtioMMIO = append(m.VirtioMMIO, VirtioMMIO{UID: uint64(i), Addr: 0xfeb00000 + uint32(i)*0x200, Size: 0x200, IRQ: 16 + uint32(i)})
	}
	return m
}

// tables cuts a blob into its tables by signature.
func tables(t *testing.T, b *Blob) map[string][]byte {
	t.Helper()
	le := binary.LittleEndian
	at := func(addr uint64) []byte {
		d := b.Data[addr-b.Addr:]
		return d[:le.Uint32(d[4:])]
	}
	out := map[string][]byte{}
	root := at(b.Root)
	out[string(root[:4])] = root
	for i := headerSize; i < len(root); {
		var a uint64
		if b.XSDT {
			a = le.Uint64(root[i:])
			i += 8
		} else {
			a = uint64(le.Uint32(root[i:]))
			i += 4
		}
		out[string(at(a)[:4])] = at(a)
	}
	f := out["FACP"]
	dsdt := uint64(le.Uint32(f[fadtDSDT:]))
	if b.XSDT {
		dsdt = le.Uint64(f[fadtXDSDT:])
	} else if fa := at(uint64(le.Uint32(f[fadtFACS:]))); string(fa[:4]) != "FACS" {
		t.Errorf("no FACS: % x", fa[:8])
	}
	out["DSDT"] = at(dsdt)
	for sig, d := range out {
		sum := byte(0)
		for _, c := range d {
			sum += c
		}
		if sum != 0 {
			t.Errorf("%s: checksum off by %#x", sig, sum)
		}
	}
	return out
}

// TestAgainstQEMU compares with tables taken from a guest under QEMU 7.2 (256 MiB, pc).
func TestAgainstQEMU(t *testing.T) {
	got := tables(t, Build(pc(1), 0xffe0000))
	for sig, want := range map[string]string{
		"APIC": "415049437800000001ec424f434853204258504320202020010000004258504301000000" +
			"0000e0fe010000000008000001000000010c00000000c0fe00000000020a00000200000000000" + "20a000505000000" +
			"0d00020a000909000000" + "0d00020a000a0a0000000d00020a000b0b0000000d000406ff000001",
		"HPET": "485045543800000001b4424f43485320425850432020202001000000425850430100000001a286800000000000" + "00d0fe0000000000000000",
		"WAET": "57414554280000000139424f4348532042585043202020200100000042585043010000000200000",
	} {
		w, _ := hex.DecodeString(want + "0"[:len(want)%2])
		if sig == "APIC" {
			w[9] = got[sig][9] // the checksum is tested above
		}
		if !bytes.Equal(got[sig], w) {
			t.Errorf("%s\ngot  %x\nwant %x", sig, got[sig], w)
		}
	}
	f := got["FACP"]
	if len(f) != 116 || binary.LittleEndian.Uint32(f[112:]) != 0x80a5 || f[108] != 0x32 || binary.LittleEndian.Uint32(f[80:]) != 0xafe0 {
		t.Errorf("FACP % x", f)
	}
	r := pc(1).RSDP(Build(pc(1), 0xffe0000))
	if string(r[:8]) != "RSD PTR " || len(r) != 20 || r[15] != 0 {
		t.Errorf("RSDP % x", r)
	}
}

// TestDisassembly has iasl read every table and compile the AML again.
func TestDisassembly(t *testing.T) {
	iasl := testprog.Need(t, "iasl")
	many := pc(300)
	for i := range many.CPUs {
		many.CPUs[i].Node = uint32(i % 2)
	}
	many.Nodes = []Node{{Memory: []Range{{0, 640 << 10}, {1 << 20, 127 << 20}}, Distance: []uint8{10, 30}}, {Memory: []Range{{128 << 20, 128 << 20}}, Distance: []uint8{30, 10}}}
	for name, m := range map[string]*Machine{"pc": pc(2), "many": many, "microvm": microvm()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for sig, d := range tables(t, Build(m, 0xffe0000)) {
				f := filepath.Join(dir, sig+".aml")
				if err := os.WriteFile(f, d, 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command(iasl, "-d", f).CombinedOutput()
				text, _ := os.ReadFile(filepath.Join(dir, sig+".dsl"))
				if err != nil || bytes.Contains(out, []byte("Error")) || bytes.Contains(text, []byte("Invalid")) || bytes.Contains(text, []byte("**** ")) && sig != "DSDT" && sig != "FACP" {
					t.Errorf("%s: %v\n%s\n%s", sig, err, out, text)
					continue
				}
				if sig != "DSDT" {
					continue
				}
				if out, err := exec.Command(iasl, "-p", filepath.Join(dir, "again"), filepath.Join(dir, "DSDT.dsl")).CombinedOutput(); err != nil || !strings.Contains(string(out), " 0 Errors, ") {
					t.Errorf("the disassembly does not compile: %v\n%s", err, out)
				}
			}
		})
	}
}

func TestPkgLength(t *testing.T) {
	for _, n := range []int{0, 62, 63, 64, 4093, 4094, 4095, 1 << 20} {
		b := pkg(make([]byte, n))
		got := int(b[0] & 0x3f)
		if c := int(b[0] >> 6); c > 0 {
			got &= 15
			for i := range c {
				got |= int(b[1+i]) << (4 + 8*i)
			}
		}
		if got != len(b) {
			t.Errorf("body of %d: length %d, really %d", n, got, len(b))
		}
	}
}

func TestNames(t *testing.T) {
	for n, want := range map[string]string{"_SB": "5f53425f", "\\": "5c00", "\\_SB.PCI0": "5c2e5f53425f50434930", "A.B.C": "2f03415f5f5f425f5f5f435f5f5f"} {
		if got := hex.EncodeToString(path(n)); got != want {
			t.Errorf("%s: %s, want %s", n, got, want)
		}
	}
	if got := hex.EncodeToString(eisaID("PNP0A03")); got != "0c41d00a03" {
		t.Errorf("EISA id %s", got)
	}
}
