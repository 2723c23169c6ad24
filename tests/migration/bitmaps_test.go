package migration

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestDirtyBitmaps migrates dirty bitmaps, recording, not recording and persistent ones, from goemu to QEMU and back: content and state stay,
// and recording goes on. After the first way the stream has other names for all of them, which either side turns into its own.
func TestDirtyBitmaps(t *testing.T) {
	qemu := testprog.QEMU(t)
	dir, disk := t.TempDir(), newImage(t)
	var now *process
	start := func(bin string, more ...string) *process {
		p := launch(t, bin, append([]string{"-M", "pc-i440fx-7.2", "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none", "-S", "-kernel", filepath.Join(dir, "kernel"),
			"-blockdev", "driver=file,node-name=prot,filename=" + disk, "-blockdev", "driver=qcow2,node-name=fmt,file=prot", "-device", "virtio-blk-pci,drive=fmt,id=vd0"}, more...)...)
		p.on("events", "dirty-bitmaps")
		return p
	}
	require.NoError(t, exec.Command("cp", assemble(t, ".l: hlt\njmp .l\n"), filepath.Join(dir, "kernel")).Run())
	write := func(what string) {
		now.must("human-monitor-command", map[string]any{"command-line": `qemu-io -d vd0/virtio-backend "` + what + `"`})
	}
	sums := func() (list []any) {
		for _, name := range []string{"recording", "still", "stored"} {
			list = append(list, now.must("x-debug-block-dirty-bitmap-sha256", map[string]any{"node": "fmt", "name": name}))
		}
		return list
	}
	aliases := []any{map[string]any{"node-name": "fmt", "alias": "disk", "bitmaps": []any{
		map[string]any{"name": "recording", "alias": "still"}, map[string]any{"name": "still", "alias": "x", "transform": map[string]any{}},
		map[string]any{"name": "stored", "alias": "recording", "transform": map[string]any{"persistent": true}}}}}
	now = start("")
	now.must("cont", nil)
	for _, b := range []map[string]any{{"name": "recording", "granularity": 4096}, {"name": "still"}, {"name": "stored", "persistent": true}} {
		b["node"] = "fmt"
		now.must("block-dirty-bitmap-add", b)
	}
	write("write -q 1M 100k")
	now.must("block-dirty-bitmap-disable", map[string]any{"node": "fmt", "name": "still"})
	write("write -q 5M 4k")
	for i, bin := range []string{qemu, "", "", qemu} {
		before := sums()
		socket := filepath.Join(dir, "mig")
		src := now
		now = start(bin, "-incoming", "unix:"+socket)
		if i > 0 { // goemu reads the names that QEMU writes, and the other way about
			for _, p := range []*process{src, now} {
				p.must("migrate-set-parameters", map[string]any{"block-bitmap-mapping": aliases})
			}
			require.Equal(t, src.must("human-monitor-command", map[string]any{"command-line": "info migrate_parameters"}),
				now.must("human-monitor-command", map[string]any{"command-line": "info migrate_parameters"}))
		}
		src.must("migrate", map[string]any{"uri": "unix:" + socket})
		status := src.until("completed", "failed")
		if status["status"] != "completed" {
			now.wait()
			require.Fail(t, "the migration fails", "%s", now.errs)
		}
		now.becomes("paused")
		require.Equal(t, before, sums(), "hop %d", i)
		src.must("quit", nil)
		src.wait()
		now.must("cont", nil)
		write("write -q 9M 4k")
		after := sums()
		if i == 0 {
			require.NotEqual(t, before[0], after[0])
			require.NotEqual(t, before[2], after[2])
		}
		require.Equal(t, before[1], after[1])
	}
	now.must("quit", nil)
	now.wait()
	out, err := exec.Command("qemu-img", "info", disk).CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(out), "name: stored")
	checkImage(t, disk)
}
