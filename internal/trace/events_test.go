package trace

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEvents(t *testing.T) {
	defer SetEvents("*", false)
	var out bytes.Buffer
	SetOutput(&out)
	defer SetOutput(os.Stderr)
	RunStateSet.Log("current_run_state %d", 1)
	assert.Equal(t, 2, SetEvents("handle_?mp_*", true))
	assert.Equal(t, []EventState{{"handle_qmp_command", true}, {"handle_hmp_command", true}}, Events("handle*"))
	assert.Empty(t, Events("nosuch"))
	assert.Empty(t, Events("handle_?mp_command"))
	HandleQMPCommand.Log("req: %s", "{}")
	assert.Equal(t, "handle_qmp_command req: {}\n", out.String())

	path := filepath.Join(t.TempDir(), "events")
	require.NoError(t, os.WriteFile(path, []byte("# all but one\n*\n-runstate_set\nnosuch\n"), 0o600))
	var bad []string
	require.NoError(t, EnableFile(path, func(s string) { bad = append(bad, s) }))
	assert.Equal(t, []string{"nosuch"}, bad)
	assert.True(t, VMStateNotify.Traced())
	assert.False(t, RunStateSet.Traced())
	assert.ErrorContains(t, EnableFile("/nonexistent", nil), "No such file or directory")
}

func TestConfigure(t *testing.T) {
	defer SetEvents("*", false)
	options := map[string]string{"enable": "nosuch", "events": filepath.Join(t.TempDir(), "events")}
	get := func(key string) (string, bool) { v, ok := options[key]; return v, ok }
	require.NoError(t, os.WriteFile(options["events"], []byte("bdrv_*\n"), 0o600))
	var bad []string
	require.NoError(t, Configure(get, func(s string) { bad = append(bad, s) }))
	assert.Equal(t, []string{"nosuch"}, bad)
	assert.True(t, BlockRead.Traced())
	options["file"] = "/nonexistent/log"
	assert.ErrorContains(t, Configure(get, func(string) {}), "Error opening logfile /nonexistent/log: No such file or directory")
	options["events"] = "/nonexistent"
	assert.ErrorContains(t, Configure(get, func(string) {}), "/nonexistent")
}

// TestEventNames: every event has a name.
func TestEventNames(t *testing.T) {
	for i := range events {
		assert.NotEmpty(t, events[i].name)
	}
}
