package acpi

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// userOptions are -acpitable options; D is a folder with a file "body" and one with a whole table, "table".
var userOptions = []string{
	"sig=SLIC,oem_id=ME,oem_table_id=MYTABLE,data=D/body:D/body", "file=D/table,rev=7,oem_rev=0x10203", "sig=TST2,asl_compiler_id=X,asl_compiler_rev=9,data=D/body",
}

func userFiles(t *testing.T) (dir string) {
	dir = t.TempDir()
	table := []byte(userHeader + "abc")
	copy(table, "TST1")
	for name, data := range map[string][]byte{"body": []byte("some body"), "table": table, "short": []byte("hi"), "big": make([]byte, 1<<16)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func userTable(dir, option string) ([]byte, []string, error) {
	var members [][2]string
	for _, m := range strings.Split(strings.ReplaceAll(option, "D/", dir+"/"), ",") {
		name, value, _ := strings.Cut(m, "=")
		members = append(members, [2]string{name, value})
	}
	return UserTable(members)
}

// TestUserTablesOfQEMU compares the tables of -acpitable with QEMU's, and who is said to have made the tables that must agree with a SLIC.
func TestUserTablesOfQEMU(t *testing.T) {
	dir := userFiles(t)
	m := pc(1)
	args := []string{"-M", "pc", "-nodefaults", "-m", "256"}
	for _, o := range userOptions {
		table, _, err := userTable(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		m.User = append(m.User, table)
		args = append(args, "-acpitable", strings.ReplaceAll(o, "D/", dir+"/"))
	}
	want, got := fromQEMU(t, args...), tables(t, Build(m, 0x10000))
	for _, sig := range []string{"SLIC", "TST1", "TST2"} {
		if !bytes.Equal(got[sig], want[sig]) {
			t.Errorf("%s\ngot  %x\nwant %x", sig, got[sig], want[sig])
		}
	}
	for _, sig := range []string{"FACP", "RSDT", "APIC"} {
		if g, w := got[sig][10:24], want[sig][10:24]; !bytes.Equal(g, w) {
			t.Errorf("%s is by %q, in QEMU by %q", sig, g, w)
		}
	}
}

func TestUserTableMistakes(t *testing.T) {
	dir := userFiles(t)
	for option, want := range map[string]string{
		"sig=ABCD":          "'-acpitable' requires one of 'data' or 'file'",
		"data=a,file=b":     "'-acpitable' requires one of 'data' or 'file'",
		"data=D/none":       "can't open file D/none: No such file or directory",
		"file=D/short":      "ACPI table claiming to have header is too short, available: 2, expected: 36",
		"data=D/big":        "ACPI table too big, requested: 65572, max: 65535",
		"data=D/body,foo=1": "Invalid parameter 'foo'",
		"data=D/body,rev=x": "Parameter 'rev' expects uint8",
	} {
		_, _, err := userTable(dir, option)
		if want = strings.ReplaceAll(want, "D/", dir+"/"); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", option, err, want)
		}
	}
	for option, want := range map[string]string{
		"data=D/body":             "ACPI table: no headers are specified",
		"file=D/table":            "ACPI table has wrong length, header says 0, actual size 39 bytes",
		"sig=A,rev=3,data=D/body": "",
	} {
		if _, warnings, err := userTable(dir, option); err != nil || strings.Join(warnings, "") != want {
			t.Errorf("%s: %q %v, want %q", option, warnings, err, want)
		}
	}
}
