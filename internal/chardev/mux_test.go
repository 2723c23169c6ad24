package chardev

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestMux(t *testing.T) {
	l := newLoop(t)
	sock := filepath.Join(t.TempDir(), "s")
	var exits, saves atomic.Int32
	_, b := open(t, l, "socket,id=m,mux=on,server=on,wait=off,path="+sock, Hooks{
		Exit: func() { exits.Add(1) }, SaveDisks: func() { saves.Add(1) },
	})
	mon, ser := &fakeFront{room: 100}, &fakeFront{room: 100}
	attach(t, l, b, mon)
	p := attach(t, l, b, ser)
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("one\x01\x01two\x01b\x01cmon\x01"))
	eventually(t, "monitor input", func() bool { return mon.text() == "mon" })
	if got := ser.text(); got != "one\x01two" {
		t.Errorf("serial got %q", got)
	}
	if !ser.saw(Break) || !ser.saw(MuxIn) || !ser.saw(MuxOut) || !mon.saw(MuxIn) {
		t.Errorf("events: serial %v monitor %v", ser.events, mon.events)
	}
	c.Write([]byte("x"))
	eventually(t, "exit", func() bool { return exits.Load() == 1 })
	read := func(want string) {
		t.Helper()
		buf := make([]byte, len(want))
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
			t.Errorf("read %q %v, want %q", buf, err, want)
		}
	}
	read("QEMU: Terminated\n\r")
	c.Write([]byte("\x01h"))
	read("\n\rC-a h    print this help\n\rC-a x    exit emulator\n\rC-a s    save disk data back to file (if -snapshot)\n\r" +
		"C-a t    toggle console timestamps\n\rC-a b    send break (magic sysrq)\n\rC-a c    switch between console and monitor\n\rC-a C-a  sends C-a\n\r")
	c.Write([]byte("\x01t\x01s"))
	eventually(t, "save", func() bool { return saves.Load() == 1 })
	p.Write([]byte("a\nb"))
	buf := make([]byte, len("a\n[00:00:00.000] b"))
	if _, err := io.ReadFull(c, buf); err != nil || !strings.HasPrefix(string(buf), "a\n[00:00:0") || !strings.HasSuffix(string(buf), "] b") {
		t.Errorf("stamped output %q %v", buf, err)
	}
	// A console that reads nothing does not keep C-a x from working.
	c.Write([]byte("\x01c" + strings.Repeat("z", 1000) + "\x01x"))
	eventually(t, "exit with a full console", func() bool { return exits.Load() == 2 })
	for range 2 {
		attach(t, l, b, &fakeFront{})
	}
	if _, err := b.Attach(&fakeFront{}); err == nil || err.Error() != "too many uses of multiplexed chardev 'm' (maximum is 4)" {
		t.Errorf("fifth frontend: %v", err)
	}
}

func TestTimestamp(t *testing.T) {
	if got := string(timestamp(3*time.Hour + 25*time.Minute + 45*time.Second + 678*time.Millisecond)); got != "[03:25:45.678] " {
		t.Errorf("%q", got)
	}
}
