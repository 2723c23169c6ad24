package boot

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/internal/testprog"
)

// terminal is a terminal with goemu in front of it.
type terminal struct {
	t     *testing.T
	ptmx  *os.File
	slave *os.File
	mu    sync.Mutex
	seen  bytes.Buffer
	at    int // how much of it expect has passed
}

// openTerminal makes a pair of pseudo-terminals.
func openTerminal(t *testing.T) *terminal {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	fd := int(ptmx.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	tt := &terminal{t: t, ptmx: ptmx, slave: slave}
	t.Cleanup(func() { slave.Close(); ptmx.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := ptmx.Read(buf)
			if err != nil {
				return
			}
			tt.mu.Lock()
			tt.seen.Write(buf[:n])
			tt.mu.Unlock()
		}
	}()
	return tt
}

// expect waits until text appears after all that was expected before.
func (tt *terminal) expect(text string) {
	tt.t.Helper()
	tt.await(text, func(seen []byte) (left []byte, found bool) {
		left = seen[tt.at:]
		i := bytes.Index(left, []byte(text))
		if i >= 0 {
			tt.at += i + len(text)
		}
		return left, i >= 0
	})
}

// expectShown waits until text is in a line of the screen that a program paints.
func (tt *terminal) expectShown(text string) {
	tt.t.Helper()
	tt.await(text, func(seen []byte) (left []byte, found bool) {
		s := screen(seen)
		return s, bytes.Contains(s, []byte(text))
	})
}

// await waits until look finds text in what was seen; else left is what it searched.
func (tt *terminal) await(text string, look func(seen []byte) (left []byte, found bool)) {
	tt.t.Helper()
	var left []byte
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		tt.mu.Lock()
		var found bool
		left, found = look(tt.seen.Bytes())
		tt.mu.Unlock()
		if found {
			return
		}
	}
	tt.t.Fatalf("%q does not appear in\n%s", text, tail(left))
}

// control is a sequence that begins with an escape character, with its numbers and what it does.
var control = regexp.MustCompile("^\x1b\\[([0-9;?]*)([a-zA-Z])")

// screen is what a terminal of 25 lines of 80 characters shows after some output, of which only cursor movements and text count.
func screen(seen []byte) []byte {
	const rows, columns = 25, 80
	cells := bytes.Repeat([]byte(strings.Repeat(" ", columns)+"\n"), rows)
	row, column := 1, 1
	for len(seen) > 0 {
		if m := control.FindSubmatch(seen); m != nil {
			if string(m[2]) == "H" {
				row, column = 1, 1
				_, _ = fmt.Sscanf(string(m[1]), "%d;%d", &row, &column)
			}
			seen = seen[len(m[0]):]
			continue
		}
		if row <= rows && column <= columns {
			cells[(row-1)*(columns+1)+column-1] = seen[0]
		}
		column++
		seen = seen[1:]
	}
	return cells
}

func (tt *terminal) send(text string) {
	_, err := tt.ptmx.WriteString(text)
	require.NoError(tt.t, err)
}

const ctrlA = "\x01"

// TestTerminal uses a guest's shell on a terminal with the commands behind Ctrl-A, ends with Ctrl-A x and finds the terminal as it was.
func TestTerminal(t *testing.T) {
	f := prepare(t, "cloud-amd64")
	tt := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(tt.slave.Fd()), unix.TCGETS)
	require.NoError(t, err)
	cmd := exec.Command(f.goemu, "-cpu", "max", "-m", "384", "-nographic", "-kernel", f.kernel.Image, "-initrd", f.initrd, "-append", "console=ttyS0 no_timer_check")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tt.slave, tt.slave, tt.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()

	tt.expect("a shell of busybox")
	tt.send("echo $((6*7))-typed\n")
	tt.expect("42-typed")
	tt.send(ctrlA + "h")
	tt.expect("C-a h    print this help")
	tt.expect("C-a x    exit emulator")
	tt.expect("C-a c    switch between console and monitor")
	tt.send(ctrlA + "?")
	tt.expect("C-a C-a  sends C-a")
	tt.send("echo now; read -r x; echo got-$x | cat -v; cat\n")
	tt.expect("\nnow")
	tt.send("a" + ctrlA + ctrlA + "b\n")
	tt.expect("got-a^Ab")
	tt.send("\x03") // Ctrl-C is the guest's
	tt.expect("# ")
	tt.send("echo 1 >/proc/sys/kernel/sysrq; echo still $((40+2))\n")
	tt.expect("still 42")
	tt.send(ctrlA + "b" + "h") // a break, then the system request's key
	tt.expect("sysrq: HELP")
	tt.send(ctrlA + "t\necho\n")
	tt.expect("\n[00:00:0")
	tt.send(ctrlA + "t" + ctrlA + "x")
	tt.expect("QEMU: Terminated")

	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		require.NoError(t, err, "Ctrl-A x ends goemu with status 0")
	case <-time.After(20 * time.Second):
		t.Fatal("goemu does not end")
	}
	after, err := unix.IoctlGetTermios(int(tt.slave.Fd()), unix.TCGETS)
	require.NoError(t, err)
	require.Equal(t, before, after, "the terminal's mode")
	require.NotContains(t, strings.ToLower(tt.seen.String()), "goroutine")
}

// TestCurses shows SeaBIOS in a terminal and opens its menu.
func TestCurses(t *testing.T) {
	tt := openTerminal(t)
	cmd := exec.Command(testprog.Goemu(t), "-accel", "tcg", "-m", "32", "-display", "curses", "-nodefaults", "-vga", "std", "-boot", "menu=on,splash-time=60000")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tt.slave, tt.slave, tt.slave
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	tt.expectShown("SeaBIOS (version")
	tt.expectShown("Press ESC for boot menu.")
	tt.send("\x1b")
	tt.expectShown("Select boot device:")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	tt.expect("\x1b[?1049l")
}

// TestTextConsoles goes from the screen to the monitor, which is on a text console of its own, and quits there.
func TestTextConsoles(t *testing.T) {
	tt := openTerminal(t)
	cmd := exec.Command(testprog.Goemu(t), "-accel", "tcg", "-S", "-m", "32", "-display", "curses", "-net", "none")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tt.slave, tt.slave, tt.slave
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	tt.expectShown("VGA Blank mode")
	tt.send("\x1b2")
	tt.expectShown("(qemu)")
	tt.send("info status\r")
	tt.expectShown("VM status: paused")
	tt.send("info chardev\r")
	tt.expectShown("serial0: filename=vc")
	tt.send("\x1b1")
	tt.expectShown("VGA Blank mode")
	tt.send("\x1b2q\r")
	require.NoError(t, cmd.Wait())
}
