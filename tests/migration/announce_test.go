package migration

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestAnnounced: a machine that has come in tells the network where its cards are, as often as the parameters say, with QEMU's frame.
func TestAnnounced(t *testing.T) {
	kernel := assemble(t, ".l: hlt\njmp .l\n")
	frames := func(bin string) (got []string) {
		dir := t.TempDir()
		host, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "host"), Net: "unixgram"})
		require.NoError(t, err)
		defer host.Close()
		socket := filepath.Join(dir, "mig")
		args := func(dev string, more ...string) []string {
			return append([]string{"-M", "pc-i440fx-7.2", "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none", "-kernel", kernel, "-netdev", dev,
				"-device", "e1000,netdev=n,mac=52:54:00:01:02:03"}, more...)
		}
		src := launch(t, "", args("hubport,id=n,hubid=0")...)
		src.on("events")
		src.becomes("running")
		dst := launch(t, bin, args("dgram,id=n,local.type=unix,local.path="+filepath.Join(dir, "guest")+",remote.type=unix,remote.path="+filepath.Join(dir, "host"), "-incoming", "defer")...)
		dst.must("migrate-set-parameters", map[string]any{"announce-initial": 1, "announce-rounds": 3, "announce-step": 1})
		dst.must("migrate-incoming", map[string]any{"uri": "unix:" + socket})
		src.must("migrate", map[string]any{"uri": "unix:" + socket})
		require.Equal(t, "completed", src.until("completed", "failed")["status"], dst.errs)
		require.NoError(t, host.SetReadDeadline(time.Now().Add(limit)))
		for range 3 {
			b := make([]byte, 2048)
			n, err := host.Read(b)
			require.NoError(t, err)
			got = append(got, string(b[:n]))
		}
		return got
	}
	got := frames("")
	require.Equal(t, []byte("\xff\xff\xff\xff\xff\xff\x52\x54\x00\x01\x02\x03\x80\x35"), []byte(got[0][:14]))
	qemu := testprog.QEMU(t)
	require.Equal(t, frames(qemu), got)
}
