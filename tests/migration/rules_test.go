package migration

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// pair is a source that runs a program which halts, and how to start destinations for it; both use one image.
type pair struct {
	t              *testing.T
	kernel, socket string
	disk           string
	src            *process
}

func (p *pair) args(more ...string) []string {
	a := []string{"-M", "pc-i440fx-7.2", "-m", "16", "-nodefaults", "-display", "none", "-kernel", p.kernel,
		"-blockdev", "driver=file,node-name=prot,filename=" + p.disk, "-blockdev", "driver=raw,node-name=fmt,file=prot", "-device", "virtio-blk-pci,drive=fmt,id=vd0"}
	return append(a, more...)
}

func newPair(t *testing.T, capabilities ...string) *pair {
	t.Helper()
	if testing.Short() {
		t.Skip("processes take seconds each")
	}
	dir := t.TempDir()
	p := &pair{t: t, kernel: assemble(t, ".l: hlt\njmp .l\n"), socket: filepath.Join(dir, "mig"), disk: filepath.Join(dir, "disk.img")}
	require.NoError(t, os.WriteFile(p.disk, make([]byte, 1<<20), 0o600))
	p.src = launch(t, "", p.args()...)
	p.src.on(append([]string{"events"}, capabilities...)...)
	p.src.becomes("running")
	return p
}

// destination starts another process that waits for the machine.
func (p *pair) destination(capabilities []string, more ...string) *process {
	p.t.Helper()
	d := launch(p.t, "", p.args(append(more, "-incoming", "defer")...)...)
	d.on(append([]string{"events"}, capabilities...)...)
	d.must("migrate-incoming", map[string]any{"uri": "unix:" + p.socket})
	return d
}

func (p *pair) migrate() {
	p.t.Helper()
	p.src.must("migrate", map[string]any{"uri": "unix:" + p.socket})
}

const lock = `Failed to get "write" lock`

// TestHandOver: events and states of both sides; the image belongs to the destination afterwards and can be taken back when that is gone
// (R11); cont during the migration is checked against the source's lock (R14).
func TestHandOver(t *testing.T) {
	for _, late := range []bool{false, true} {
		p := newPair(t, "return-path")
		caps := []string{"return-path"}
		if late {
			caps = append(caps, "late-block-activate")
		}
		d := p.destination(caps, "-S")
		require.Equal(t, "inmigrate", d.state())
		d.refused(lock, "cont")
		d.must("stop", nil)
		p.migrate()
		i := p.src.until("completed")
		require.Contains(t, i, "downtime")
		require.Equal(t, "postmigrate", p.src.state())
		d.becomes("paused")
		seen := slices.DeleteFunc(p.src.events, func(e string) bool { return e == "MIGRATION_PASS" })
		require.Equal(t, []string{"MIGRATION setup", "MIGRATION active", "STOP", "MIGRATION completed"}, seen)
		if late { // nothing is locked yet, so either side may run, and then the other may not (R12)
			p.src.must("cont", nil)
			d.refused(lock, "cont")
			require.Equal(t, "paused", d.state())
			continue
		}
		p.src.refused(lock, "cont")
		require.Equal(t, "postmigrate", p.src.state())
		d.must("cont", nil)
		require.Equal(t, "RESUME", d.events[len(d.events)-1])
		require.Equal(t, "running", d.state())
		require.NoError(t, d.cmd.Process.Kill())
		d.wait()
		p.src.must("cont", nil)
		require.Equal(t, "running", p.src.state())
	}
}

// TestAutostart: without -S the destination runs at once.
func TestAutostart(t *testing.T) {
	p := newPair(t)
	d := p.destination(nil)
	p.migrate()
	p.src.until("completed")
	d.becomes("running")
	require.Equal(t, "completed", d.until("completed")["status"])
	require.Empty(t, d.errs.String())
}

// TestPauseBeforeSwitchover: the machine waits with its disks, cannot be continued (R13), and goes on when it is told to, or runs again
// when the migration is cancelled.
func TestPauseBeforeSwitchover(t *testing.T) {
	p := newPair(t, "pause-before-switchover")
	d := p.destination(nil, "-S")
	p.migrate()
	p.src.until("pre-switchover")
	require.Equal(t, "finish-migrate", p.src.state())
	p.src.refused("Migration is not finalized yet", "cont")
	_, desc := p.src.do("migrate-continue", map[string]any{"state": "device"})
	require.Equal(t, "Migration not in expected state: pre-switchover", desc)
	p.src.must("migrate_cancel", nil)
	p.src.until("cancelled")
	p.src.becomes("running")
	require.Equal(t, 1, d.wait())
	require.Contains(t, d.errs.String(), "load of migration failed: Input/output error")

	d = p.destination(nil, "-S")
	p.migrate()
	p.src.until("pre-switchover")
	p.src.must("migrate-continue", map[string]any{"state": "pre-switchover"})
	p.src.until("completed")
	d.becomes("paused")
	d.must("cont", nil)
	p.src.refused(lock, "cont")
}

// TestBroken: the source goes on, with its disks, whatever happens to the destination, and can say why.
func TestBroken(t *testing.T) {
	p := newPair(t, "return-path")
	p.src.must("migrate-set-parameters", map[string]any{"max-bandwidth": 4096})
	d := p.destination([]string{"return-path"}, "-S")
	p.migrate()
	p.src.until("active")
	_, desc := p.src.do("migrate", map[string]any{"uri": "unix:" + p.socket})
	require.Equal(t, "There's a migration process in progress", desc)
	require.NoError(t, d.cmd.Process.Kill())
	d.wait()
	require.NotEmpty(t, p.src.until("failed")["error-desc"])
	require.Equal(t, "running", p.src.state())

	p.src.must("migrate-set-parameters", map[string]any{"max-bandwidth": 1 << 30})
	p.migrate() // nobody listens
	require.Contains(t, p.src.until("failed")["error-desc"], "Failed to connect to '"+p.socket+"'")
	require.Equal(t, "running", p.src.state())

	// A destination that lacks a device says so, and its words come back.
	d = launch(t, "", "-M", "pc-i440fx-7.2", "-m", "16", "-nodefaults", "-display", "none", "-kernel", p.kernel, "-incoming", "unix:"+p.socket)
	p.migrate()
	require.Contains(t, p.src.until("failed")["error-desc"], "Unknown savevm section or instance '0000:00:02.0/virtio-blk' 0")
	require.Equal(t, 1, d.wait())
	require.Contains(t, d.errs.String(), "load of migration failed: Invalid argument")
	p.src.becomes("running")

	_, desc = p.src.do("migrate", map[string]any{"uri": "exec:cat >/dev/full"})
	require.Empty(t, desc)
	require.NotEmpty(t, p.src.until("failed")["error-desc"])
	p.src.becomes("running")
}

// TestDamaged: a stream that is cut or changed is refused, and the process ends.
func TestDamaged(t *testing.T) {
	p := newPair(t)
	file := filepath.Join(t.TempDir(), "stream")
	p.src.must("migrate", map[string]any{"uri": "exec:cat >" + file})
	p.src.until("completed")
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   string
	}{
		{"cut", func(b []byte) []byte { return b[:len(b)/2] }, "Input/output error"},
		{"magic", func(b []byte) []byte { b[0] = 'X'; return b }, "Not a migration stream"},
		{"machine", func(b []byte) []byte { b[14] = 'X'; return b }, "Machine type received is"},
		{"kind", func(b []byte) []byte { b[13+13] = 0x55; return b }, "Unknown savevm section type 85"},
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		require.NoError(t, os.WriteFile(bad, c.change(append([]byte(nil), good...)), 0o600))
		d := launch(t, "", p.args("-S", "-incoming", "exec:cat "+bad)...)
		require.Equal(t, 1, d.wait(), c.name)
		require.Contains(t, d.errs.String(), c.want, c.name)
	}
}
