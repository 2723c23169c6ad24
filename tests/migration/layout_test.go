package migration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

// dumpOf returns what an emulator writes with -dump-vmstate, by device types.
func dumpOf(t *testing.T, machine string) map[string]json.RawMessage {
	t.Helper()
	bin := testprog.Goemu(t)
	file := filepath.Join(t.TempDir(), "dump")
	out, err := exec.Command(bin, "-M", machine, "-dump-vmstate", file).CombinedOutput()
	require.NoError(t, err, string(out))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	all := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal(b, &all), string(b))
	return all
}

// TestDumpVMState compares the layouts of all device types with QEMU's, on each kind of machine.
func TestDumpVMState(t *testing.T) {
	for machine, name := range map[string]string{"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2", "microvm": "microvm"} {
		all := dumpOf(t, machine)
		require.JSONEq(t, `{"Name":"`+name+`"}`, string(all["vmschkmachine"]))
		delete(all, "vmschkmachine")
		require.Greater(t, len(all), 20)
		for device, text := range all {
			var e struct {
				Name        string
				Version     int `json:"version_id"`
				MinVersion  int `json:"minimum_version_id"`
				Description *vmstate.Layout
			}
			require.NoError(t, json.Unmarshal(text, &e))
			assert.Equal(t, device, e.Name)
			assert.Equal(t, []int{e.Version, e.MinVersion}, []int{e.Description.Version, e.Description.MinVersion}, device)
			vmstatetest.Compare(t, machine, device, e.Description)
		}
		// Whatever can be made with -device has a layout where QEMU's has.
		bin := testprog.Goemu(t)
		out, err := exec.Command(bin, "-M", machine, "-device", "help").Output()
		require.NoError(t, err)
		for _, line := range strings.Split(string(out), "\n") {
			rest, ok := strings.CutPrefix(line, `name "`)
			device, _, _ := strings.Cut(rest, `"`)
			if ok && vmstatetest.Has(t, machine, device) {
				assert.Contains(t, all, device)
			}
		}
	}
}

// TestDumpVMStateErrors: no file, no machine, two files.
func TestDumpVMStateErrors(t *testing.T) {
	bin := testprog.Goemu(t)
	for _, c := range []struct{ args, want string }{
		{"-dump-vmstate /nonexistent/file", "open /nonexistent/file: No such file or directory"},
		{"-dump-vmstate /dev/null -M nope", "unsupported machine type"},
		{"-dump-vmstate /dev/null -dump-vmstate /dev/null", "only one '-dump-vmstate' option may be given"},
	} {
		out, err := exec.Command(bin, strings.Fields(c.args)...).CombinedOutput()
		assert.Error(t, err, c.args)
		assert.Contains(t, string(out), c.want)
	}
}
