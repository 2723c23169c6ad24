package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestPflash gives the machine its two flash chips with -pflash and asks what is in them.
func TestPflash(t *testing.T) {
	dir := t.TempDir()
	code, vars := filepath.Join(dir, "co,de"), filepath.Join(dir, "vars")
	for _, path := range []string{code, vars} {
		require.NoError(t, os.WriteFile(path, make([]byte, 64<<10), 0o644))
	}
	for _, program := range []string{testprog.Goemu(t), testprog.QEMU(t)} {
		args := []string{"-accel", "tcg", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio", "-pflash", code, "-pflash", vars}
		var reply struct {
			Return []struct {
				Device   string
				Inserted struct{ File string }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(talkQMP(t, program, args, []string{`{"execute":"query-block"}`})[0]), &reply))
		files := map[string]string{}
		for _, d := range reply.Return {
			files[d.Device] = d.Inserted.File
		}
		require.Equal(t, map[string]string{"pflash0": code, "pflash1": vars}, files, program)
	}
	out, err := exec.Command(testprog.Goemu(t), "-display", "none", "-pflash", code, "-pflash", vars, "-pflash", code).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "machine type does not support if=pflash,bus=0,unit=2")
}
