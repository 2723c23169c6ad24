package qmp

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestCommitBelowLimits commits an image whose readers wait for a limit of speed that lies below it, and would wait for hours: the job begins and
// ends at once.
func TestCommitBelowLimits(t *testing.T) {
	dir := t.TempDir()
	bin := testprog.Goemu(t)
	image := func(name string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, exec.Command(bin, "img", "create", "-q", "-f", "qcow2", path, "1M").Run())
		return path
	}
	m := start(t, bin, "-qmp", "-M", "none", "-object", "throttle-group,x-bps-read=1,id=g", "-blockdev", "null-co,size=1048576,read-zeroes=on,node-name=null",
		"-blockdev", "throttle,throttle-group=g,file=null,node-name=base", "-blockdev", "qcow2,backing=base,node-name=mid,file.driver=file,file.filename="+image("mid"),
		"-drive", "if=none,id=top,driver=qcow2,backing=mid,file="+image("top"))
	m.say("")
	m.say(`{"execute": "qmp_capabilities"}`)
	said := func(command string) string { return strings.Join(m.say(command), "\n") }
	read := func() {
		for range 2 {
			said(`{"execute": "human-monitor-command", "arguments": {"command-line": "qemu-io top \"aio_read -q 0 4k\""}}`)
		}
	}
	until := func(status string) {
		for end := time.Now().Add(50 * time.Second); !strings.Contains(said(`{"execute": "query-jobs"}`), status); time.Sleep(5 * time.Millisecond) {
			require.True(t, time.Now().Before(end), status)
		}
	}
	read()
	require.Contains(t, said(`{"execute": "block-commit", "arguments": {"device": "top", "top-node": "mid", "job-id": "j", "auto-finalize": false}}`), `{"return": {}}`)
	until(`"status": "pending"`)
	read()
	require.Contains(t, said(`{"execute": "job-finalize", "arguments": {"id": "j"}}`), `{"return": {}}`)
	until(`{"return": []}`)
}
