package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPflash gives the machine its two flash chips with -pflash and asks what is in them.
func TestPflash(t *testing.T) {
	dir := t.TempDir()
	code, vars := filepath.Join(dir, "co,de"), filepath.Join(dir, "vars")
	for _, path := range []string{code, vars} {
		require.NoError(t, os.WriteFile(path, make([]byte, 64<<10), 0o644))
	}
	programs := []string{buildGoemu(t)}
	if qemu, err := exec.LookPath("qemu-system-x86_64"); err == nil {
		programs = append(programs, qemu)
	}
	for _, program := range programs {
		cmd := exec.Command(program, "-accel", "tcg", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio", "-pflash", code, "-pflash", vars)
		cmd.Stdin = strings.NewReader(`{"execute":"qmp_capabilities"}{"execute":"query-block","id":1}{"execute":"quit"}`)
		out, err := cmd.Output()
		require.NoError(t, err, program)
		files := map[string]string{}
		for line := range strings.Lines(string(out)) {
			var reply struct {
				ID     int
				Return []struct {
					Device   string
					Inserted struct{ File string }
				}
			}
			if json.Unmarshal([]byte(line), &reply) == nil && reply.ID == 1 {
				for _, d := range reply.Return {
					files[d.Device] = d.Inserted.File
				}
			}
		}
		require.Equal(t, map[string]string{"pflash0": code, "pflash1": vars}, files, program)
	}
	out, err := exec.Command(programs[0], "-display", "none", "-pflash", code, "-pflash", vars, "-pflash", code).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "machine type does not support if=pflash,bus=0,unit=2")
}
