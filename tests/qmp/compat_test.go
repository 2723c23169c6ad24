package qmp

import (
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// marked is a conversation in the part of the interface that is deprecated or unstable, and beside it.
var marked = []string{
	`{"execute": "nbd-server-add", "arguments": {"device": "n"}}`, `{"execute": "nbd-server-add", "arguments": {"nosuch": "n"}}`,
	`{"execute": "nbd-server-remove", "arguments": {"name": "n"}}`,
	`{"execute": "x-debug-query-block-graph", "arguments": {"nosuch": 1}}`, `{"execute": "x-query-roms"}`,
	`{"exec-oob": "x-query-roms"}`, `{"execute": "nosuch"}`,
	`{"execute": "drive-backup"}`, `{"execute": "eject", "arguments": {"device": "n"}}`, `{"execute": "eject", "arguments": {"device": 1}}`,
	`{"execute": "eject", "arguments": {"device": "n", "nosuch": 1}}`, `{"execute": "eject", "arguments": {"id": "n"}}`,
	`{"execute": "eject", "arguments": {"id": 1, "device": "n"}}`,
	`{"execute": "block-commit", "arguments": {"device": "n", "base": "x"}}`, `{"execute": "block-commit", "arguments": {"base": "x"}}`,
	`{"execute": "block_set_io_throttle", "arguments": {"device": "n", "bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0}}`,
	`{"execute": "transaction", "arguments": {"actions": [{"type": "drive-backup", "data": {"device": "n", "target": "x", "sync": "full"}}]}}`,
	`{"execute": "transaction", "arguments": {"actions": [{"type": "abort", "data": {}}, {"type": "drive-backup"}]}}`,
	`{"execute": "blockdev-backup", "arguments": {"device": "n", "target": "x", "sync": "full", "x-perf": {}}}`,
	`{"execute": "blockdev-add", "arguments": {"driver": "file", "node-name": "f", "filename": "/nonexistent", "x-check-cache-dropped": true}}`,
	`{"execute": "blockdev-add", "arguments": {"driver": "raw", "file": {"driver": "file", "filename": "/nonexistent", "x-check-cache-dropped": true}}}`,
	`{"execute": "blockdev-add", "arguments": {"driver": "file", "x-check-cache-dropped": true}}`,
	`{"execute": "object-add", "arguments": {"qom-type": "secret", "id": "s", "data": "x", "loaded": true}}`,
	`{"execute": "object-add", "arguments": {"qom-type": "throttle-group", "id": "t", "x-iops-total": 5}}`,
	`{"execute": "object-add", "arguments": {"qom-type": "throttle-group", "id": "u", "limits": {"iops-total": 5}}}`,
	`{"execute": "device_add", "arguments": {"driver": "nosuch", "x-check-cache-dropped": true}}`,
	`{"execute": "human-monitor-command", "arguments": {"command-line": "eject n"}}`,
	`{"execute": "query-status"}`, `{"execute": "query-block-jobs"}`, `{"execute": "query-name"}`, `{"execute": "stop"}`, `{"execute": "query-machines", "arguments": {"x": 1}}`,
}

// TestCompat compares what each policy lets through.
func TestCompat(t *testing.T) {
	testprog.QEMU(t)
	for _, policy := range []string{"deprecated-input=accept", "deprecated-input=reject", "unstable-input=reject",
		`{"deprecated-input": "reject", "unstable-input": "reject", "deprecated-output": "hide", "unstable-output": "hide"}`} {
		t.Run(policy, func(t *testing.T) {
			args := []string{"-M", "none", "-compat", "deprecated-input=reject", "-compat", policy}
			q, g := start(t, oracle, "-qmp", args...), start(t, testprog.Goemu(t), "-qmp", args...)
			for _, text := range append([]string{"", `{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}`}, marked...) {
				assert.Equal(t, q.say(text), g.say(text), text)
			}
		})
	}
}

// TestCompatSchema: what is deprecated is not described if it is hidden, what is unstable is.
func TestCompatSchema(t *testing.T) {
	testprog.QEMU(t)
	ask := func(bin string) (text string, s schema) {
		m := start(t, bin, "-qmp", "-M", "none", "-compat", "deprecated-output=hide,unstable-output=hide")
		m.say("")
		m.say(`{"execute": "qmp_capabilities"}`)
		text = m.say(`{"execute": "query-qmp-schema"}`)[0]
		var reply struct{ Return []map[string]any }
		require.NoError(t, json.Unmarshal([]byte(text), &reply))
		return text, newSchema(reply.Return)
	}
	text, g := ask(testprog.Goemu(t))
	_, q := ask(oracle)
	assert.Empty(t, compare(g, q))
	assert.NotContains(t, text, `"values"`)
	assert.NotContains(t, text, `"nbd-server-add"`)
	assert.Contains(t, text, `"x-query-roms"`)
}

// TestCompatErrors compares what is said of the option, and how the emulator ends if it is to crash.
func TestCompatErrors(t *testing.T) {
	testprog.QEMU(t)
	for _, v := range []string{"help", "crash", "nosuch=1", "deprecated-input=hide", "unstable-output=crash", `{"deprecated-input": 1}`, `{"x": 1}`, "{", "[]"} {
		said := func(bin string) string {
			out, err := exec.Command(bin, "-M", "none", "-compat", v).CombinedOutput()
			assert.Error(t, err, v)
			_, text, _ := strings.Cut(string(out), ": ")
			return text
		}
		assert.Equal(t, said(oracle), said(testprog.Goemu(t)), v)
	}
	m := start(t, testprog.Goemu(t), "-qmp", "-M", "none", "-compat", "unstable-input=crash")
	m.say("")
	m.say(`{"execute": "qmp_capabilities"}`)
	m.say(`{"execute": "nosuch"}`)
	_, err := m.in.Write([]byte(`{"execute": "x-query-roms"}`))
	require.NoError(t, err)
	_ = m.cmd.Wait()
	status, _ := m.cmd.ProcessState.Sys().(syscall.WaitStatus)
	assert.Equal(t, syscall.SIGABRT, status.Signal())
}
