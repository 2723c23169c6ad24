package driver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"goemu/block"
	"goemu/internal/testprog"
)

// newDir makes a directory with a raw disk d.img and goes there, so that messages contain the same names in every run.
func newDir(t testing.TB) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("d.img", make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
}

// badDrives are -drive options with mistakes; the messages are compared with QEMU's.
var badDrives = []string{
	"file=nope.img,if=none,format=raw",
	"file=nope.img,if=none",
	"file=d.img,if=none,format=foo",
	"file=d.img,if=none,format=raw,cache=foo",
	"file=d.img,if=none,format=raw,aio=foo",
	"file=d.img,if=none,format=raw,discard=foo",
	"file=d.img,if=none,format=raw,bogus=1",
	"file=d.img,if=none,format=raw,readonly=maybe",
	"file=d.img,if=foo,format=raw",
	"file=d.img,if=none,format=raw,aio=native",
	"if=none,format=raw",
	"file=/tmp,if=none,format=raw",
	"file=d.img,if=none,id=1a,format=raw",
	"file=d.img,if=none,id=a,format=raw,werror=foo",
	"file=d.img,if=none,id=a,format=raw,rerror=enospc",
	"file=d.img,if=none,id=a,format=raw,detect-zeroes=foo",
	"file=d.img,if=none,id=a,format=raw,media=foo",
	"file=d.img,if=none,id=a,format=raw,index=1,unit=1",
	"file=d.img,if=ide,id=a,format=raw,unit=2",
	"file=d.img,if=none,format=raw,offset=512,size=1G",
}

// badBlockdevs are the same for -blockdev.
var badBlockdevs = []string{
	"driver=raw,file.driver=file,file.filename=d.img",
	"driver=raw,node-name=a,file.driver=file",
	"driver=raw,node-name=a,file.driver=file,file.filename=nope",
	"driver=raw,node-name=a,file.driver=foo,file.filename=nope",
	"driver=foo,node-name=a,file.driver=foo,file.filename=nope",
	"driver=raw,node-name=a,file.driver=file,file.filename=d.img,bogus=2",
	"driver=raw,node-name=a,file.driver=file,file.filename=d.img,file.bogus=2",
	"driver=raw,node-name=a",
	"driver=raw,node-name=a,file=zz",
	`{"driver":"raw","node-name":"a","file":{"driver":"file","filename":"d.img"}`,
	"node-name=a",
	"driver=raw,node-name=a,file.driver=file,file.filename=d.img,cache.direct=foo",
	"driver=raw,node-name=a,file.driver=file,file.filename=d.img,offset=512,size=1000000000",
	"driver=raw,node-name=a,file.driver=file,file.filename=d.img,offset=512,size=1000",
}

// qemuMessage starts QEMU with one option and returns its complaint.
func qemuMessage(t *testing.T, option, value string) string {
	t.Helper()
	cmd := exec.Command("qemu-system-x86_64", "-M", "none", "-S", "-display", "none", "-nodefaults", option, value)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait()
	_, msg, ok := strings.Cut(out.String(), option+" "+value+": ")
	if !ok {
		t.Fatalf("QEMU accepts %s: %s", value, out.String())
	}
	return strings.TrimSpace(msg)
}

func TestMessages(t *testing.T) {
	testprog.QEMU(t)
	newDir(t)
	check := func(option string, values []string, add func(*Drives, string) error) {
		for _, v := range values {
			t.Run(v, func(t *testing.T) {
				g := NewDrives()
				defer g.Close()
				err := add(g, v)
				if err == nil {
					t.Fatal("accepted")
				}
				if want := qemuMessage(t, option, v); err.Error() != want {
					t.Errorf("\ngoemu: %s\nQEMU:  %s", err, want)
				}
			})
		}
	}
	check("-drive", badDrives, func(g *Drives, v string) error { _, err := g.AddDrive(v, "ide"); return err })
	check("-blockdev", badBlockdevs, (*Drives).AddBlockdev)
}

func TestProbing(t *testing.T) {
	newDir(t)
	g := NewDrives()
	defer g.Close()
	var messages strings.Builder
	g.Graph.Messages = &messages
	if _, err := g.AddDrive("file=d.img,if=none,id=a", "ide"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(messages.String(), "WARNING: Image format was not specified for 'd.img' and probing guessed raw.") {
		t.Errorf("messages: %q", &messages)
	}
}

func TestNames(t *testing.T) {
	newDir(t)
	g := NewDrives()
	defer g.Close()
	for _, c := range []struct{ opt, id, err string }{
		{"file=d.img,format=raw", "ide0-hd0", ""},
		{"file=d.img,format=raw", "ide0-hd1", ""},
		{"file=d.img,format=raw,media=cdrom", "ide1-cd0", ""},
		{"file=d.img,format=raw,if=virtio", "virtio0", ""},
		{"file=d.img,format=raw,if=none,id=x", "x", ""},
		{"file=d.img,format=raw,if=none,id=x", "", "Duplicate ID 'x' for drive"},
	} {
		d, err := g.AddDrive(c.opt, "ide")
		if err != nil {
			if err.Error() != c.err {
				t.Errorf("%s: %v", c.opt, err)
			}
			continue
		}
		if d.ID != c.id {
			t.Errorf("%s: ID %s, want %s", c.opt, d.ID, c.id)
		}
	}
}

// TestUnits: where buses have one unit each, every drive has a bus.
func TestUnits(t *testing.T) {
	newDir(t)
	g := NewDrives()
	defer g.Close()
	g.SetUnits("ide", 1)
	for opt, id := range map[string]string{"index=2,media=cdrom": "ide2-cd0", "bus=1,unit=0": "ide1-hd0"} {
		d, err := g.AddDrive(opt, "ide")
		if err != nil {
			t.Fatal(err)
		}
		if d.ID != id {
			t.Errorf("%s: ID %s, want %s", opt, d.ID, id)
		}
	}
	if _, err := g.AddDrive("bus=0,unit=1", "ide"); err == nil || err.Error() != "unit 1 too big (max is 0)" {
		t.Errorf("a second unit: %v", err)
	}
}

func TestClaim(t *testing.T) {
	newDir(t)
	g := NewDrives()
	defer g.Close()
	for _, v := range []string{"driver=file,node-name=f,filename=d.img", "driver=raw,node-name=r,file=f",
		`{"driver":"raw","node-name":"j","read-only":true,"file":{"driver":"file","filename":"d.img"}}`} {
		if err := g.AddBlockdev(v); err != nil {
			t.Fatalf("%s: %v", v, err)
		}
	}
	if _, err := g.AddDrive("file=d.img,format=raw,if=none,id=d,cache=writethrough", "ide"); err != nil {
		t.Fatal(err)
	}
	claim := func(name string) (*block.Backend, error) {
		src, ok := g.Source(name)
		if !ok {
			t.Fatalf("%s is not there", name)
		}
		return src.Claim("dev")
	}
	for _, name := range []string{"f", "r", "j", "d"} {
		b, err := claim(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n, _ := b.Length(t.Context()); n != 10<<20 {
			t.Errorf("%s: length %d", name, n)
		}
		if b.ReadOnly() != (name == "j") || b.WriteCache() != (name != "d") {
			t.Errorf("%s: read-only %t, write cache %t", name, b.ReadOnly(), b.WriteCache())
		}
	}
	src, _ := g.Source("d")
	src.Release()
	if _, err := claim("d"); err != nil {
		t.Fatal(err)
	}
	if _, err := claim("d"); err == nil || err.Error() != "Drive 'd' is already in use by another device" {
		t.Error(err)
	}
	src.Release()
	if _, err := claim("d"); err != nil {
		t.Error(err)
	}
	if _, ok := g.Source("nope"); ok {
		t.Error("found something")
	}
}

func TestSnapshot(t *testing.T) {
	newDir(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	g := NewDrives()
	d, err := g.AddDrive("file=d.img,format=raw,if=none,snapshot=on", "ide")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Backend.WriteV(t.Context(), 0, [][]byte{[]byte("changed")}, 0); err != nil {
		t.Fatal(err)
	}
	if d.Backend.ReadOnly() {
		t.Error("read only")
	}
	if err := errors.Join(d.Backend.Flush(t.Context()), g.Close()); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile("d.img"); b[0] != 0 {
		t.Error("the image changed")
	}
	if left, _ := filepath.Glob(tmp + "/*"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("file=a,,b,if=none")
	f.Add(`{"a":{"b":true}}`)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseOptions(s)
		if err == nil && d == nil {
			t.Error("neither options nor error")
		}
		d.takeSize("size")
	})
}
