package nbd

import (
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestActivation serves on a socket that a service manager has made, as systemd passes it, and refuses what makes no sense then as QEMU does.
func TestActivation(t *testing.T) {
	testprog.Need(t, "qemu-nbd", "nbdinfo")
	b := newBench(t)
	b.must("qemu-img", "create", "-q", "-f", "raw", "disk.raw", "8M")
	for _, server := range [][]string{{"qemu-nbd"}, {b.goemu, "nbd"}} {
		l, err := net.Listen("unix", b.path("sock"))
		require.NoError(t, err)
		passed, err := l.(*net.UnixListener).File()
		require.NoError(t, err)
		start := func(args ...string) *exec.Cmd {
			cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh"}, append(server, args...)...)...)
			cmd.ExtraFiles, cmd.Dir = []*os.File{passed}, b.dir
			return cmd
		}
		out, err := start("-f", "raw", "-k", b.path("other"), "disk.raw").CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "nbd: Unix socket can't be set when using socket activation\n")
		cmd := start("-f", "raw", "-t", "disk.raw")
		require.NoError(t, cmd.Start())
		for range 2 { // the socket was there before the server
			require.Equal(t, "8388608\n", b.must("nbdinfo", "--size", "nbd+unix:///?socket="+b.path("sock")))
		}
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		_ = cmd.Wait() // the status of a server that was interrupted is not the question
		passed.Close()
		l.Close()
	}
}
