package nbd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/internal/testprog"
	"goemu/internal/tool"
	"goemu/internal/userobj"
)

// run calls the tool in this process.
func run(args ...string) (out, errOut string, status int) {
	var o, e bytes.Buffer
	t := &tool.Tool{Name: "qemu-nbd", Command: "qemu-nbd", Ctx: context.Background(), Out: bufio.NewWriter(&o), Err: &e,
		Graph: block.NewGraph(driver.All()), Objects: new(userobj.Set)}
	status = Main(t, append([]string{"qemu-nbd"}, args...))
	return o.String(), e.String(), status
}

// mistakes are command lines that end at once, with the same message and status as QEMU's tool.
var mistakes = []string{
	"", "a b", "--bogus", "-L x", "-L -o 5", "-L --fork", "-L -f raw", "-L -A", "-k rel x", "--cache=foo x", "-n --cache=none x", "--aio=foo x",
	"--aio=threads --aio=threads x", "--discard=foo x", "--discard=unmap --discard=unmap x", "--detect-zeroes=unmap x", "-o foo x", "-o 5k x",
	"-e foo x", "-e -1 x", "--tls-creds=x y", "--tls-authz=x y", "--tls-hostname=x y", "--tls-creds=t -c /dev/nbd0 x", "-p", "-d /nonexistent",
	"-f raw --image-opts -k %/s file.filename=x", "-k %/s -f raw %/none", "-k %/s -f nonsense %/img", "-k %/s -r -f raw -B nope %/img",
	"-k /nonexistent/s -f raw %/img", "-L -k %/nothing", "-L -k /" + strings.Repeat("x", 120), "-f raw -k /" + strings.Repeat("x", 120) + " %/img", "--selinux-label=system_u:object_r:svirt_t:s0 x", "-L --selinux-label=x", "-f raw -k %/s --selinux-label=nonsense %/img", "-x " + strings.Repeat("x", 4097) + " y", "-D " + strings.Repeat("x", 4097) + " y",
}

func TestMistakes(t *testing.T) {
	prog := testprog.Need(t, "qemu-nbd")
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "img"), make([]byte, 512), 0o600))
	for _, line := range mistakes {
		args := strings.Fields(strings.ReplaceAll(line, "%", dir))
		cmd := exec.Command(prog, args...)
		cmd.Args[0] = "qemu-nbd"
		var o, e bytes.Buffer
		cmd.Stdout, cmd.Stderr = &o, &e
		status := 0
		var exit *exec.ExitError
		if errors.As(cmd.Run(), &exit) {
			status = exit.ExitCode()
		}
		gotOut, gotErr, gotStatus := run(args...)
		require.Equal(t, e.String(), gotErr, "%.60s", line)
		require.Equal(t, o.String(), gotOut, "%.60s", line)
		require.Equal(t, status, gotStatus, "%.60s", line)
	}
}

func TestHelp(t *testing.T) {
	prog := testprog.Need(t, "qemu-nbd")
	cmd := exec.Command(prog, "--help")
	cmd.Args[0] = "qemu-nbd"
	want, err := cmd.Output()
	require.NoError(t, err)
	got, _, status := run("--help")
	require.Zero(t, status)
	require.Equal(t, string(want), got)
}
