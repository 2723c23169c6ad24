package qmp

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// nodes are the names of nodes that nobody named; sizes are those on the host's disk.
var nodes, sizes = regexp.MustCompile(`#block\d+`), regexp.MustCompile(`"actual-size": \d+`)

// TestMedium: discs come and go in CD-ROM drives of all kinds, with QEMU's replies and events.
func TestMedium(t *testing.T) {
	testprog.QEMU(t)
	iso := filepath.Join(t.TempDir(), "c.iso")
	require.NoError(t, os.WriteFile(iso, make([]byte, 1<<16), 0o600))
	commands := []string{`{"execute": "query-block"}`, `{"execute": "blockdev-open-tray", "arguments": {"id": "cd"}}`,
		`{"execute": "blockdev-open-tray", "arguments": {"id": "cd"}}`, `{"execute": "blockdev-remove-medium", "arguments": {"id": "cd"}}`,
		`{"execute": "query-block"}`, `{"execute": "blockdev-close-tray", "arguments": {"id": "cd"}}`, `{"execute": "blockdev-remove-medium", "arguments": {"id": "cd"}}`,
		`{"execute": "blockdev-change-medium", "arguments": {"id": "cd", "filename": "/nosuch/x"}}`,
		`{"execute": "blockdev-change-medium", "arguments": {"id": "cd", "filename": "ISO", "format": "raw"}}`, `{"execute": "query-block"}`,
		`{"execute": "eject", "arguments": {"id": "cd"}}`, `{"execute": "query-block"}`, `{"execute": "eject", "arguments": {"id": "nosuch"}}`,
		`{"execute": "human-monitor-command", "arguments": {"command-line": "change x ISO raw"}}`,
		`{"execute": "human-monitor-command", "arguments": {"command-line": "change x ISO raw nosuch"}}`,
		`{"execute": "human-monitor-command", "arguments": {"command-line": "eject x"}}`}
	for _, devices := range []string{"-device ide-cd,bus=ide.0,unit=0,id=cd", "-device virtio-scsi-pci -device scsi-cd,id=cd",
		"-drive media=cdrom,if=none,id=x -device ide-cd,drive=x,id=cd,bus=ide.1", "-drive media=cdrom,if=none,id=x,file=ISO,format=raw -device ide-cd,drive=x,id=cd,bus=ide.1"} {
		args := append([]string{"-accel", "tcg", "-M", "pc", "-S"}, strings.Fields(strings.ReplaceAll(devices, "ISO", iso))...)
		q, g := start(t, oracle, "-qmp", args...), start(t, testprog.Goemu(t), "-qmp", args...)
		for _, m := range []*machine{q, g} {
			m.say("")
			m.say(`{"execute": "qmp_capabilities"}`)
		}
		clean := func(lines []string) string {
			return sizes.ReplaceAllString(nodes.ReplaceAllString(strings.Join(lines, "\n"), "#N"), `"actual-size": N`)
		}
		for _, c := range commands {
			c = strings.ReplaceAll(c, "ISO", iso)
			assert.Equal(t, clean(q.say(c)), clean(g.say(c)), "%s: %s", devices, c)
		}
	}
}
