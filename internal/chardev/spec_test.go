package chardev

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"goemu/internal/testprog"
)

// TestErrors compares error texts; the expectations were taken from QEMU 7.2, and TestErrorsAgainstQEMU checks them again.
var errorCases = []struct{ option, value, want string }{
	{"-chardev", "foo,id=a", "'foo' is not a valid char driver name"},
	{"-chardev", "stdio", "chardev: no id specified"},
	{"-chardev", "id=a", "chardev: \"a\" missing backend"},
	{"-chardev", "file,id=a", "chardev: file: no filename given"},
	{"-chardev", "file,id=a,path=/nonexistent/x", "Could not open '/nonexistent/x': No such file or directory"},
	{"-chardev", "file,id=a,path=x,append=z", "Parameter 'append' expects 'on' or 'off'"},
	{"-chardev", "socket,id=a", "Unable to parse FD number "},
	{"-chardev", "socket,id=a,path=/nonexistent/s", "Failed to connect to '/nonexistent/s': No such file or directory"},
	{"-chardev", "socket,id=a,host=127.0.0.1", "chardev: socket: no port given"},
	{"-chardev", "socket,id=a,host=127.0.0.1,port=1", "Failed to connect to '127.0.0.1:1': Connection refused"},
	{"-chardev", "socket,id=a,host=127.0.0.1,port=b", "address resolution failed for 127.0.0.1:b: Servname not supported for ai_socktype"},
	{"-chardev", "socket,id=a,path=x,host=y", "None or one of 'path', 'fd' or 'host' option required."},
	{"-chardev", "socket,id=a,path=x,wait=off", "'wait' option is incompatible with socket in client connect mode"},
	{"-chardev", "socket,id=a,path=x,server=on,reconnect=1", "'reconnect' option is incompatible with socket in server listen mode"},
	{"-chardev", "null,id=a,bar=1", "Invalid parameter 'bar'"},
	{"-chardev", "null,id=1a", "Parameter 'id' expects an identifier\nIdentifiers consist of letters, digits, '-', '.', '_', starting with a letter."},
	{"-chardev", "null,id=a,mux=maybe", "Parameter 'mux' expects 'on' or 'off'"},
	{"-chardev", "ringbuf,id=a,size=1000", "size of ringbuf chardev must be power of two"},
	{"-chardev", "ringbuf,id=a,size=x", "Parameter 'size' expects a non-negative number below 2^64\nOptional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively."},
	{"-chardev", "pipe,id=a,path=/nonexistent/p", "Could not open '/nonexistent/p': No such file or directory"},
	{"-chardev", "serial,id=a,path=/nonexistent/tty", "Could not open '/nonexistent/tty': No such file or directory"},
	{"-serial", "foo", "'foo' is not a valid char driver"},
	{"-serial", "stdio,foo", "'stdio,foo' is not a valid char driver"},
	{"-serial", "mon:foo", "'foo' is not a valid char driver"},
	{"-chardev", "socket,id=a,fd=99", "File descriptor '99' is not a socket"},
	{"-chardev", "null,id=a,logfile=/nonexistent/l", "Could not create '/nonexistent/l': No such file or directory"},
	{"-serial", "file:", "Could not open '': No such file or directory"},
	{"-serial", "unix:/nonexistent/s", "Failed to connect to '/nonexistent/s': No such file or directory"},
	{"-serial", "tcp:127.0.0.1:1", "Failed to connect to '127.0.0.1:1': Connection refused"},
	{"-serial", "tcp::4444,server=on,wait=off,foo=1", "Invalid parameter 'foo'"},
}

func openCase(cs *Set, option, value string) error {
	if option == "-serial" {
		_, err := cs.OpenLegacy("", "serial0", value)
		return err
	}
	s, err := Parse(value)
	if err == nil {
		_, err = cs.Open(s)
	}
	return err
}

func TestErrors(t *testing.T) {
	cs := NewSet(newLoop(t), Hooks{})
	defer cs.Close()
	for _, c := range errorCases {
		if err := openCase(cs, c.option, c.value); err == nil || err.Error() != c.want {
			t.Errorf("%s %s: %v\nwant %s", c.option, c.value, err, c.want)
		}
	}
	if err := openCase(cs, "-chardev", "null,id=a"); err != nil {
		t.Error(err)
	}
	if err := openCase(cs, "-chardev", "null,id=a"); err == nil || err.Error() != "Duplicate ID 'a' for chardev" {
		t.Errorf("duplicate: %v", err)
	}
	if b, err := cs.OpenLegacy("", "serial0", "none"); b != nil || err != nil {
		t.Errorf("none: %v %v", b, err)
	}
	if b, err := cs.OpenLegacy("", "serial0", "chardev:a"); err != nil || b.ID != "a" {
		t.Errorf("chardev:a: %v %v", b, err)
	}
	if err := cs.Remove("a"); err != nil {
		t.Error(err)
	}
	if err := cs.Remove("a"); err == nil || err.Error() != "Chardev 'a' not found" {
		t.Errorf("remove twice: %v", err)
	}
}

func TestErrorsAgainstQEMU(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a QEMU for each case")
	}
	qemu := testprog.QEMU(t)
	for _, c := range errorCases {
		out, _ := exec.Command(qemu, "-display", "none", "-monitor", "none", "-S", c.option, c.value).CombinedOutput()
		if want := qemu[strings.LastIndexByte(qemu, '/')+1:] + ": " + c.option + " " + c.value + ": " + c.want; !strings.HasPrefix(string(out), want) {
			t.Errorf("QEMU says %s\nwanted %s", out, want)
		}
	}
}

func TestLegacy(t *testing.T) {
	for _, c := range []struct {
		text, kind string
		mux        bool
		opts       map[string]string
	}{
		{"stdio", "stdio", false, nil},
		{"mon:stdio", "stdio", true, map[string]string{"signal": "off"}},
		{"file:/tmp/a,b", "file", false, map[string]string{"path": "/tmp/a,b"}},
		{"tcp:host:80,server,nowait", "socket", false, map[string]string{"host": "host", "port": "80", "server": "on", "wait": "off"}},
		{"tcp:[::1]:80,nodelay", "socket", false, map[string]string{"host": "::1", "port": "80", "nodelay": "on"}},
		{"unix:/a,server=on,wait=off", "socket", false, map[string]string{"path": "/a", "server": "on", "wait": "off"}},
		{"/dev/ttyS0", "serial", false, map[string]string{"path": "/dev/ttyS0"}},
		{"null", "null", false, nil},
		{"pty", "pty", false, nil},
	} {
		s, err := ParseLegacy("serial0", c.text)
		if err != nil || s.Kind != c.kind || s.Mux != c.mux || len(s.opts) != len(c.opts) || s.ID != "serial0" {
			t.Errorf("%s: %+v %v", c.text, s, err)
			continue
		}
		for k, v := range c.opts {
			if s.opts[k] != v {
				t.Errorf("%s: %s=%q, want %q", c.text, k, s.opts[k], v)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("socket,id=a,host=b,port=c,server,nowait")
	f.Add("ringbuf,id=a,size=0x10k,,")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := Parse(text); err == nil {
			_, _ = s.size("size", 0)
			_, _ = parseSocketAddr(s)
		}
		_, _ = ParseLegacy("x", text)
	})
}

// TestMessages checks what the user is told: deprecated forms for -chardev only, waiting with the option's name, notices as plain output.
func TestMessages(t *testing.T) {
	told := make(chan string, 9)
	var printed []string
	cs := NewSet(newLoop(t), Hooks{Tell: func(s string) { told <- s }, Print: func(s string) { printed = append(printed, s) }})
	defer cs.Close()
	path := filepath.Join(t.TempDir(), "s")
	go func() {
		want := "-serial o: info: QEMU waiting for connection on: disconnected:unix:" + path + ",server=on"
		if got := <-told; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	}()
	if _, err := cs.OpenLegacy("-serial o", "serial0", "unix:"+path+",server"); err != nil {
		t.Fatal(err)
	}
	spec, err := Parse("socket,id=a,host=127.0.0.1,port=0,server,nowait")
	if err != nil {
		t.Fatal(err)
	}
	spec.Origin = "-chardev o"
	if _, err := cs.OpenOption(spec); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"-chardev o: warning: short-form boolean option 'server' deprecated\nPlease use server=on instead",
		"-chardev o: warning: short-form boolean option 'nowait' deprecated\nPlease use wait=off instead",
	} {
		if got := <-told; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	if _, err := cs.OpenLegacy("-qmp o", "q", "unix:"+path+"2,reconnect=1000"); err != nil {
		t.Fatal(err)
	}
	if got, want := <-told, "Unable to connect character device q: Failed to connect to '"+path+"2': No such file or directory"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if len(told) > 0 || len(printed) > 0 {
		t.Errorf("%d more messages, printed %q", len(told), printed)
	}
}

// TestOddEndpoints opens what QEMU takes although it looks wrong: a socket without a path, a serial port that is no terminal.
func TestOddEndpoints(t *testing.T) {
	cs := NewSet(newLoop(t), Hooks{})
	defer cs.Close()
	for i, text := range []string{"unix:,server=on,wait=off", "/dev/null", "vc:80Cx24C", "vc:640x480", "tcp::0,server,nowait"} {
		b, err := cs.OpenLegacy("", fmt.Sprint("serial", i), text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if text[:4] == "unix" && !strings.HasPrefix(b.Name(), "disconnected:unix:"+os.TempDir()+"/qemu-socket-") {
			t.Errorf("%s: %s", text, b.Name())
		}
		if text[:3] == "tcp" && !strings.HasPrefix(b.Name(), "disconnected:tcp:0.0.0.0:") {
			t.Errorf("%s: %s", text, b.Name())
		}
	}
}

func TestConsoleSize(t *testing.T) {
	for _, text := range []string{"vc:foo", "vc:80x", "vc:x", "vc:80Cx25"} {
		if _, err := ParseLegacy("s", text); err == nil || err.Error() != "'"+text+"' is not a valid char driver" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDetached(t *testing.T) {
	cs := NewSet(newLoop(t), Hooks{Detached: true})
	defer cs.Close()
	if _, err := cs.OpenLegacy("", "serial0", "stdio"); err == nil || err.Error() != "cannot use stdio with -daemonize" {
		t.Errorf("stdio: %v", err)
	}
}
