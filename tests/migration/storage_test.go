package migration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// storagePair are a source with a running machine and a destination that waits for it, each with an image of its own.
type storagePair struct {
	t        *testing.T
	src, dst *process
	nbd, mig string
	images   [2]string
	format   string
}

const driveLine = "if=none,id=drive0,format=%s,file=%s"

func newStoragePair(t *testing.T, format string, device string, args ...string) *storagePair {
	t.Helper()
	if testing.Short() {
		t.Skip("processes take seconds each")
	}
	dir := t.TempDir()
	p := &storagePair{t: t, nbd: filepath.Join(dir, "nbd"), mig: filepath.Join(dir, "mig"), format: format,
		images: [2]string{filepath.Join(dir, "src.img"), filepath.Join(dir, "dst.img")}}
	kernel := assemble(t, ".l: hlt\njmp .l\n")
	for _, f := range p.images {
		out, err := exec.Command("qemu-img", "create", "-q", "-f", format, f, "16M").CombinedOutput()
		require.NoError(t, err, string(out))
	}
	out, err := exec.Command("qemu-io", "-f", format, "-c", "write -P 0x5a 1M 3M", "-c", "write -P 7 12M 64k", p.images[0]).CombinedOutput()
	require.NoError(t, err, string(out))
	start := func(i int, more ...string) *process {
		a := []string{"-M", "pc-i440fx-7.2", "-m", "16", "-nodefaults", "-display", "none", "-kernel", kernel,
			"-drive", fmt.Sprintf(driveLine, format, p.images[i]), "-device", device}
		d := launch(t, "", append(a, more...)...)
		d.on("events")
		return d
	}
	p.src = start(0)
	p.dst = start(1, append(args, "-incoming", "unix:"+p.mig)...)
	require.Equal(t, "inmigrate", p.dst.state())
	return p
}

// copyStorage lets the source's disk be mirrored to an export of the destination, writable as the destination is still coming in.
func (p *storagePair) copyStorage() {
	p.t.Helper()
	p.dst.must("nbd-server-start", map[string]any{"addr": map[string]any{"type": "unix", "data": map[string]any{"path": p.nbd}}})
	p.dst.must("nbd-server-add", map[string]any{"device": "drive0", "writable": true})
	p.src.must("drive-mirror", map[string]any{"device": "drive0", "target": "nbd+unix:///drive0?socket=" + p.nbd, "sync": "full", "format": "raw",
		"mode": "existing", "job-id": "mirror0"})
	p.src.event("BLOCK_JOB_READY")
}

func (p *storagePair) equal() {
	p.t.Helper()
	out, err := exec.Command("qemu-img", "compare", "-U", "-f", p.format, "-F", p.format, p.images[0], p.images[1]).CombinedOutput()
	require.NoError(p.t, err, string(out))
}

// TestStorageMigration: the guest's device does not keep the export from writing while the machine comes in (R1, R3); resuming is refused as
// long as the export could write, repeatably, and goes on when it is gone (R4 to R7).
func TestStorageMigration(t *testing.T) {
	testprog.Need(t, "qemu-img")
	for _, format := range []string{"qcow2", "raw"} {
		for _, autostart := range []bool{false, true} {
			t.Run(fmt.Sprint(format, " autostart ", autostart), func(t *testing.T) {
				args := []string{"-S"}
				if autostart {
					args = nil
				}
				p := newStoragePair(t, format, "virtio-blk-pci,drive=drive0,id=vd0", args...)
				p.copyStorage()
				p.src.must("migrate", map[string]any{"uri": "unix:" + p.mig})
				p.src.until("completed")
				require.Equal(t, "postmigrate", p.src.state())
				p.dst.becomes("paused")
				const conflict = "permissions 'write' are both required by an unnamed block device (uses node '"
				for range 2 {
					_, desc := p.dst.do("cont", nil)
					require.Contains(t, desc, conflict)
					require.Equal(t, "paused", p.dst.state())
				}
				if autostart {
					p.dst.prints(conflict)
				}
				p.src.must("block-job-cancel", map[string]any{"device": "mirror0"})
				p.src.event("BLOCK_JOB_COMPLETED")
				p.dst.must("nbd-server-stop", nil)
				require.Contains(t, p.dst.events, "BLOCK_EXPORT_DELETED")
				p.dst.must("cont", nil)
				require.Equal(t, "RESUME", p.dst.events[len(p.dst.events)-1])
				require.Equal(t, "running", p.dst.state())
				p.equal()
				_, desc := p.dst.do("nbd-server-start", map[string]any{"addr": map[string]any{"type": "unix", "data": map[string]any{"path": p.nbd}}})
				require.Empty(t, desc)
				_, desc = p.dst.do("nbd-server-add", map[string]any{"device": "drive0", "writable": true})
				require.Contains(t, desc, "Permission conflict on node '")
				_, desc = p.dst.do("nbd-server-add", map[string]any{"device": "drive0"})
				require.Empty(t, desc)
			})
		}
	}
}

// TestSharedStorageMigration: a device that lets others write conflicts with nobody (R9).
func TestSharedStorageMigration(t *testing.T) {
	testprog.Need(t, "qemu-img")
	p := newStoragePair(t, "qcow2", "virtio-blk-pci,drive=drive0,id=vd0,share-rw=on")
	p.copyStorage()
	p.src.must("migrate", map[string]any{"uri": "unix:" + p.mig})
	p.src.until("completed")
	p.dst.becomes("running")
	require.Empty(t, p.dst.errs.String())
}
