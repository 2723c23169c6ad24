package term

import (
	"testing"

	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestRaw(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreTopFunction("os/signal.signal_recv"), goleak.IgnoreTopFunction("os/signal.loop"))
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo terminal: ", err)
	}
	defer master.Close()
	defer slave.Close()
	fd := int(slave.Fd())
	mode := func() unix.Termios {
		m, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return *m
	}
	before := mode()
	for _, signals := range []bool{false, true} {
		r, err := MakeRaw(fd, signals)
		if err != nil {
			t.Fatal(err)
		}
		m := mode()
		if m.Lflag&(unix.ECHO|unix.ICANON) != 0 || m.Iflag&unix.ICRNL != 0 || m.Oflag&unix.OPOST == 0 || (m.Lflag&unix.ISIG != 0) != signals {
			t.Errorf("signals %v: mode %+v", signals, m)
		}
		RestoreAll()
		r.Restore()
		if mode() != before {
			t.Errorf("not restored: %+v, was %+v", mode(), before)
		}
	}
	if IsTerminal(int(master.Fd())+100) || !IsTerminal(fd) {
		t.Error("IsTerminal is wrong")
	}
}
