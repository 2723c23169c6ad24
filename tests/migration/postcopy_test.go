package migration

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// postcopyPair are two machines whose disk has dirty bitmaps of 16 MiB each.
type postcopyPair struct{ src, dst *process }

// startPostcopy migrates a machine with the bitmaps "recording" and "still", up to the moment when the destination has it and the bitmaps, held
// back by a limit, are on their way. Empty names of programs are goemu.
func startPostcopy(t *testing.T, from, to string) postcopyPair {
	t.Helper()
	kernel, socket := assemble(t, ".l: hlt\njmp .l\n"), filepath.Join(t.TempDir(), "mig")
	start := func(bin string, more ...string) *process {
		p := launch(t, bin, append([]string{"-M", "pc-i440fx-7.2", "-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none", "-S", "-kernel", kernel,
			"-blockdev", "driver=null-co,node-name=disk,size=68719476736", "-device", "virtio-blk-pci,drive=disk,id=vd0"}, more...)...)
		p.on("events", "dirty-bitmaps")
		return p
	}
	p := postcopyPair{src: start(from), dst: start(to, "-incoming", "unix:"+socket)}
	p.src.refused("Postcopy must be started after migration has been started", "migrate-start-postcopy")
	p.src.must("cont", nil)
	for _, name := range []string{"recording", "still"} {
		p.src.must("block-dirty-bitmap-add", map[string]any{"node": "disk", "name": name, "granularity": 512})
	}
	write(p.src, "write -q -z 0 1G")
	p.src.must("block-dirty-bitmap-disable", map[string]any{"node": "disk", "name": "still"})
	p.src.must("migrate-set-parameters", map[string]any{"max-postcopy-bandwidth": 1000})
	p.src.must("migrate", map[string]any{"uri": "unix:" + socket})
	p.src.must("migrate-start-postcopy", nil)
	p.src.until("postcopy-active")
	p.dst.becomes("paused")
	for _, one := range []*process{p.src, p.dst} {
		for _, name := range []string{"recording", "still"} {
			_, desc := one.do("block-dirty-bitmap-remove", map[string]any{"node": "disk", "name": name})
			require.Equal(t, "Bitmap '"+name+"' is currently in use by another operation and cannot be used", desc)
		}
	}
	return p
}

func write(p *process, what string) {
	p.must("human-monitor-command", map[string]any{"command-line": `qemu-io -d vd0/virtio-backend "` + what + `"`})
}

// TestPostcopyBitmaps migrates bitmaps that follow behind the machine: what the guest writes before they are there is in them, too.
func TestPostcopyBitmaps(t *testing.T) {
	qemu := testprog.QEMU(t)
	for name, bins := range map[string][2]string{"goemu": {"", ""}, "to QEMU": {"", qemu}, "from QEMU": {qemu, ""}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPostcopy(t, bins[0], bins[1])
			p.dst.must("cont", nil)
			write(p.dst, "write -q 2G 4k")
			p.src.must("migrate-set-parameters", map[string]any{"max-postcopy-bandwidth": 1 << 30})
			p.src.until("completed")
			p.dst.until("completed")
			require.Equal(t, "postmigrate", p.src.state())
			require.Subset(t, p.dst.events, []string{"MIGRATION postcopy-active", "MIGRATION completed", "RESUME"})
			sum := func(name string) any {
				return p.dst.must("x-debug-block-dirty-bitmap-sha256", map[string]any{"node": "disk", "name": name})
			}
			p.dst.must("block-dirty-bitmap-add", map[string]any{"node": "disk", "name": "same", "granularity": 512})
			write(p.dst, "write -q -z 0 1G")
			require.Equal(t, sum("same"), sum("still"))
			write(p.dst, "write -q 2G 4k")
			require.Equal(t, sum("same"), sum("recording"))
			p.dst.must("block-dirty-bitmap-remove", map[string]any{"node": "disk", "name": "recording"})
		})
	}
}

// TestPostcopyBroken cuts the channel while bitmaps are on their way: the destination goes on without them, the source keeps them and does not run.
func TestPostcopyBroken(t *testing.T) {
	t.Run("source", func(t *testing.T) {
		t.Parallel()
		p := startPostcopy(t, "", "")
		require.NoError(t, p.src.cmd.Process.Kill())
		p.dst.until("completed")
		p.dst.prints("Some dirty bitmaps may be lost")
		_, desc := p.dst.do("block-dirty-bitmap-clear", map[string]any{"node": "disk", "name": "recording"})
		require.Equal(t, "Dirty bitmap 'recording' not found", desc)
		p.dst.must("cont", nil)
	})
	t.Run("destination", func(t *testing.T) {
		t.Parallel()
		p := startPostcopy(t, "", "")
		require.NoError(t, p.dst.cmd.Process.Kill())
		p.src.until("failed")
		p.src.becomes("postmigrate")
		p.src.must("block-dirty-bitmap-clear", map[string]any{"node": "disk", "name": "recording"})
		p.src.must("cont", nil)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		p := startPostcopy(t, "", "")
		p.src.must("migrate_cancel", nil)
		p.src.until("cancelled")
		require.Equal(t, "postmigrate", p.src.state())
		p.dst.until("completed")
	})
}
