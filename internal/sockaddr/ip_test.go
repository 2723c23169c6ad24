package sockaddr

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestParseIPv4(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0.0.0.0", "127.1": "127.0.0.1", "0x7f000001": "127.0.0.1", "10.0.010.15": "10.0.8.15", "1.2.3.4": "1.2.3.4", "1.2.772": "1.2.3.4",
		"": "", "a": "", "1.2.3.4.5": "", "256.1": "", "1.2.3.256": "", "1_0": "", "4294967296": "", "1..2": "",
	} {
		a, ok := ParseIPv4(text)
		if ok != (want != "") || ok && a.String() != want {
			t.Errorf("%q: %v %v, want %q", text, a, ok, want)
		}
	}
}

// TestAnyAddress listens and connects as -incoming tcp:0:PORT and tcp:127.1:PORT do.
func TestAnyAddress(t *testing.T) {
	a, err := ParseInet("0:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := (&Addr{Type: Inet, Host: "127.1", Port: port}).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestUnixFile: the file of a listening socket goes with it.
func TestUnixFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := (&Addr{Type: Unix, Path: path}).Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	l.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}
