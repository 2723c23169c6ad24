package migration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// times is how often something random is tried: a few times, or often with -migration.long.
func times(few, often int) int {
	if *long {
		return often
	}
	return few
}

// TestInterrupted cancels migrations at any time, kills the destination, cuts the channel and lets it be full: the guest goes on in the
// source, which can say why, unless it has arrived; its disk is clean.
func TestInterrupted(t *testing.T) {
	disk := newImage(t)
	socket := filepath.Join(t.TempDir(), "mig")
	src := countingMachine(t, "", disk)
	src.after(3)
	for i := range times(8, 100) {
		src.must("migrate-set-parameters", map[string]any{"max-bandwidth": 1 << (17 + rand.IntN(10)), "downtime-limit": 1 + rand.IntN(50)})
		way := i % 4
		var dst *counter
		uri := "unix:" + socket
		switch way {
		case 2:
			uri = fmt.Sprintf("exec:head -c %d >/dev/null", 1+rand.IntN(400000))
		case 3:
			uri = "exec:cat >/dev/full"
		default:
			dst = countingMachine(t, "", disk, "-incoming", uri)
		}
		src.must("migrate", map[string]any{"uri": uri})
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		switch way {
		case 0:
			src.must("migrate_cancel", nil)
		case 1:
			require.NoError(t, dst.cmd.Process.Kill())
		}
		status := src.until("completed", "failed", "cancelled")
		if status["status"] == "completed" {
			src.becomes("postmigrate")
			if way == 0 { // it was too late
				dst.becomes("running")
				src.must("quit", nil)
				src.wait()
				src = dst
				continue
			}
			if dst != nil {
				dst.wait()
			}
			src.must("cont", nil) // nobody else has the disk
		}
		src.becomes("running")
		if status["status"] == "failed" {
			require.NotEmpty(t, status["error-desc"])
		}
		if dst != nil {
			require.NotZero(t, dst.wait())
			require.NotContains(t, dst.errs.String(), "goroutine")
		}
		n := len(src.counts())
		src.after(n + 2)
	}
	list := src.counts()
	for i := 1; i < len(list); i++ {
		require.EqualValues(t, 1, list[i]-list[i-1], "the program counts on")
	}
	src.must("quit", nil)
	src.wait()
	checkImage(t, disk)
}

// TestCorrupted changes bytes of a stream and cuts it: the destination ends with status 1 and a reason, or has a machine; it neither hangs
// nor breaks down.
func TestCorrupted(t *testing.T) {
	disk := newImage(t)
	dir := t.TempDir()
	src := countingMachine(t, "", disk)
	src.after(2)
	src.must("migrate", map[string]any{"uri": "exec:cat >" + filepath.Join(dir, "good")})
	src.until("completed")
	src.must("quit", nil)
	src.wait()
	good, err := os.ReadFile(filepath.Join(dir, "good"))
	require.NoError(t, err)
	devices := strings.LastIndex(string(good[:strings.LastIndex(string(good), `{"page_size"`)]), "cpu_common") // what is before is RAM
	for i := range times(6, 300) {
		b := append([]byte(nil), good...)
		switch i % 3 {
		case 0:
			b = b[:rand.IntN(len(b))]
		case 1:
			b[rand.IntN(len(b))] ^= byte(1 + rand.IntN(255))
		default:
			for range 1 + rand.IntN(4) {
				b[devices+rand.IntN(len(b)-devices)] ^= byte(1 + rand.IntN(255))
			}
		}
		bad := filepath.Join(dir, "bad")
		require.NoError(t, os.WriteFile(bad, b, 0o600))
		dst := countingMachine(t, "", disk, "-S", "-incoming", "defer")
		if dst.arrives("exec:cat " + bad) {
			dst.must("quit", nil)
			require.Zero(t, dst.wait(), "%s", dst.errs)
			continue
		}
		require.Equal(t, 1, dst.wait(), "%s", dst.errs)
		require.Contains(t, dst.errs.String(), "load of migration failed: ")
		require.NotContains(t, dst.errs.String(), "goroutine")
	}
	checkImage(t, disk)
}

// arrives lets a machine come in from a channel; false if the process ends instead.
func (p *process) arrives(uri string) bool {
	p.t.Helper()
	_, _ = fmt.Fprintf(p.in, `{"execute": "migrate-incoming", "arguments": {"uri": %q}}`+"\n", uri)
	for {
		_, _ = p.in.Write([]byte(`{"execute": "query-status"}` + "\n"))
		for {
			m, ok := p.line()
			if !ok {
				return false
			}
			if r, ok := m.Return.(map[string]any); ok && r["status"] != nil { // else it is the answer to migrate-incoming
				if r["status"] != "inmigrate" {
					return true
				}
				break
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestThereAndBack migrates a working Linux guest from process to process.
func TestThereAndBack(t *testing.T) {
	l := newLinux(t, "", []string{"virtio_pci", "virtio_blk", "virtio-rng"}, "vda", "-M", "pc-i440fx-7.2", "-smp", "2",
		"-drive", "if=none,id=d,format=raw,file="+rawImage(t, 1<<20), "-device", "virtio-blk-pci,drive=d", "-device", "virtio-rng-pci")
	for range times(2, 100) {
		l.moveTo("")
	}
}
