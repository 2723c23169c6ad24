package migration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// resetting is firmware that resets the machine by the keyboard controller, over and over.
func resetting(t *testing.T) string {
	t.Helper()
	rom := make([]byte, 64<<10)
	copy(rom[len(rom)-16:], "\xb0\xfe\xe6\x64\xf4\xeb\xfd") // mov al, 0xfe; out 0x64, al; hlt; jmp back to hlt
	file := filepath.Join(t.TempDir(), "rom")
	require.NoError(t, os.WriteFile(file, rom, 0o600))
	return file
}

// TestResets saves, loads and moves a machine that resets itself all the time: a reset that was asked for is neither lost nor done to a machine
// whose state is being saved or loaded.
func TestResets(t *testing.T) {
	if testing.Short() {
		t.Skip("processes take seconds each")
	}
	args := []string{"-M", "pc-i440fx-7.2", "-m", "16", "-nodefaults", "-display", "none", "-bios", resetting(t)}
	again := func(p *process) {
		t.Helper()
		p.events = nil
		p.event("RESET")
	}
	disk := newImage(t)
	p := launch(t, "", append(args, "-drive", "if=virtio,format=qcow2,file="+disk)...)
	for range 8 {
		for _, line := range []string{"savevm s1", "loadvm s1"} {
			require.Empty(t, p.must("human-monitor-command", map[string]any{"command-line": line}))
			again(p)
		}
	}
	p.must("quit", nil)
	p.wait()
	checkImage(t, disk)

	src := launch(t, "", args...)
	for range 3 {
		uri := map[string]any{"uri": "unix:" + filepath.Join(t.TempDir(), "mig")}
		dst := launch(t, "", append(args, "-incoming", "defer")...)
		dst.must("migrate-incoming", uri)
		src.must("migrate", uri)
		src.until("completed")
		dst.becomes("running")
		again(dst)
		src = dst
	}
}
