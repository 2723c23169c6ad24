// Package qmp compares conversations with the monitors of QEMU and goemu, and the interfaces they describe.
package qmp

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

const oracle = "qemu-system-x86_64"

func TestMain(m *testing.M) { testprog.Main(m) }

// machine is an emulator whose monitor is on its standard input and output.
type machine struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t *testing.T, bin, monitor string, args ...string) *machine {
	t.Helper()
	m := &machine{t: t}
	m.launch(bin, append([]string{"-nodefaults", "-display", "none", monitor, "stdio"}, args...)...)
	return m
}

// launch starts the emulator; it ends with the test.
func (m *machine) launch(bin string, args ...string) {
	t := m.t
	t.Helper()
	m.cmd = exec.Command(bin, args...)
	var err error
	m.in, err = m.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := m.cmd.StdoutPipe()
	require.NoError(t, err)
	m.out = bufio.NewReader(out)
	require.NoError(t, m.cmd.Start())
	timer := time.AfterFunc(60*time.Second, func() { _ = m.cmd.Process.Kill() })
	t.Cleanup(func() {
		m.in.Close()
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		timer.Stop()
	})
}

var (
	stamp   = regexp.MustCompile(`"timestamp": \{[^}]*\}`)
	variant = regexp.MustCompile(`"package": "[^"]*"`)
)

// say sends a command and returns what comes up to and including its reply.
func (m *machine) say(text string) (lines []string) {
	m.t.Helper()
	_, err := io.WriteString(m.in, text)
	require.NoError(m.t, err)
	for {
		s, err := m.out.ReadString('\n')
		require.NoError(m.t, err, "after %q", text)
		s = strings.TrimSuffix(s, "\n")
		lines = append(lines, variant.ReplaceAllString(stamp.ReplaceAllString(s, `"timestamp": T`), `"package": P`))
		if !strings.Contains(s, `"event": `) {
			return lines
		}
	}
}

// conversation is what both monitors must answer alike, byte by byte.
var conversation = []string{
	`{"execute": "query-status"}`,
	`{"execute": "qmp_capabilities", "arguments": {"enable": ["nosuch"]}}`,
	`{"execute": "qmp_capabilities", "arguments": {"nosuch": 1}}`,
	`{"execute": "qmp_capabilities", "arguments": {"enable": 1}}`,
	`{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}`,
	`{"execute": "qmp_capabilities"}`,
	`{"execute": "query-version", "id": "x"}`,
	`{"execute": "query-status", "id": {"b": 1, "a": [true, null, 1.5]}}`,
	`{"execute": "query-name"}`,
	`{"execute": "query-uuid"}`,
	`{"execute": "stop"}`, `{"execute": "stop"}`, `{"execute": "query-status"}`,
	`{"execute": "cont", "id": 7}`, `{"execute": "cont"}`, `{"execute": "query-status"}`,
	`{"execute": "system_reset"}`, `{"execute": "system_wakeup"}`, `{"execute": "system_powerdown"}`,
	`{"execute": "set-action", "arguments": {"reboot": "nosuch"}}`,
	`{"execute": "set-action", "arguments": {"reboot": "shutdown", "shutdown": "pause", "panic": "none", "watchdog": "pause"}}`,
	`{"execute": "system_reset"}`, `{"execute": "query-status"}`, `{"execute": "cont"}`,
	`{"execute": "watchdog-set-action", "arguments": {"action": 1}}`,
	`{"execute": "x-exit-preconfig"}`,
	`{"execute": "human-monitor-command", "arguments": {"command-line": "info status"}}`,
	`{"execute": "human-monitor-command", "arguments": {"command-line": "nosuch"}}`,
	`{"execute": "human-monitor-command", "arguments": {"command-line": "info status", "cpu-index": 5}}`,
	`{"execute": "human-monitor-command", "arguments": {"command-line": 1}}`,
	`{"execute": "human-monitor-command"}`,
	`{"execute": "chardev-add", "arguments": {"id": "r", "backend": {"type": "ringbuf", "data": {"size": 3}}}}`,
	`{"execute": "chardev-add", "arguments": {"id": "r", "backend": {"type": "ringbuf", "data": {"size": "3"}}}}`,
	`{"execute": "chardev-add", "arguments": {"id": "r", "backend": {"type": "nosuch", "data": {}}}}`,
	`{"execute": "chardev-add", "arguments": {"id": "r", "backend": {"type": "ringbuf"}}}`,
	`{"execute": "chardev-add", "arguments": {"id": "r", "backend": {"type": "ringbuf", "data": {"size": 4, "nosuch": 1}}}}`,
	`{"execute": "chardev-add", "arguments": {"id": "r", "backend": {"type": "ringbuf", "data": {"size": 4}}}}`,
	`{"execute": "chardev-add", "arguments": {"id": "r", "backend": {"type": "null", "data": {}}}}`,
	`{"execute": "ringbuf-write", "arguments": {"device": "r", "data": "abcdefg"}}`,
	`{"execute": "ringbuf-write", "arguments": {"device": "r", "data": "aGVq", "format": "base64"}}`,
	`{"execute": "ringbuf-write", "arguments": {"device": "nosuch", "data": "x"}}`,
	`{"execute": "ringbuf-read", "arguments": {"device": "r", "size": 0}}`,
	`{"execute": "ringbuf-read", "arguments": {"device": "r", "size": 2}}`,
	`{"execute": "ringbuf-read", "arguments": {"device": "r", "size": 9, "format": "base64"}}`,
	`{"execute": "chardev-change", "arguments": {"id": "r", "backend": {"type": "null", "data": {}}}}`,
	`{"execute": "chardev-change", "arguments": {"id": "nosuch", "backend": {"type": "null", "data": {}}}}`,
	`{"execute": "ringbuf-read", "arguments": {"device": "r", "size": 9}}`,
	`{"execute": "chardev-send-break", "arguments": {"id": "r"}}`, `{"execute": "chardev-send-break", "arguments": {"id": "nosuch"}}`,
	`{"execute": "chardev-remove", "arguments": {"id": "r"}}`, `{"execute": "chardev-remove", "arguments": {"id": "r"}}`,
	`{"execute": "chardev-remove", "arguments": {"id": "compat_monitor0"}}`,
	`{"execute": "chardev-add", "arguments": {"id": "s", "backend": {"type": "socket", "data": {"addr": {"type": "unix", "data": {"path": "/nonexistent/x"}}}}}}`,
	`{"execute": "chardev-add", "arguments": {"id": "s", "backend": {"type": "socket", "data": {"addr": {"type": "unix", "data": {}}}}}}`,
	`{"execute": "chardev-add", "arguments": {"id": "s", "backend": {"type": "socket", "data": {"addr": {"type": "inet", "data": {"host": "127.0.0.1", "port": "1", "to": 70000}}}}}}`,
	`{"execute": "chardev-add", "arguments": {"id": "f", "backend": {"type": "file", "data": {"out": "/nonexistent/x"}}}}`,
	`{"execute": "getfd", "arguments": {"fdname": "x"}}`, `{"execute": "closefd", "arguments": {"fdname": "x"}}`,
	`{"execute": "add-fd"}`, `{"execute": "remove-fd", "arguments": {"fdset-id": 1}}`, `{"execute": "remove-fd", "arguments": {"fdset-id": 1, "fd": 2}}`,
	`{"execute": "query-fdsets"}`,
	`{"execute": "yank", "arguments": {"instances": [{"type": "chardev", "id": "nosuch"}]}}`, `{"execute": "query-yank"}`,
	`{"execute": "trace-event-get-state", "arguments": {"name": "nosuch"}}`, `{"execute": "trace-event-get-state", "arguments": {"name": "handle_?mp_command"}}`,
	`{"execute": "trace-event-set-state", "arguments": {"name": "nosuch", "enable": true}}`,
	`{"execute": "trace-event-set-state", "arguments": {"name": "vm_state_not*", "enable": true}}`,
	`{"execute": "trace-event-get-state", "arguments": {"name": "vm_state_notify"}}`,
	`{"execute": "query-command-line-options", "arguments": {"option": "nosuch"}}`,
	`{"execute": "query-command-line-options", "arguments": {"option": "mon"}}`,
	`{"execute": "query-command-line-options", "arguments": {"option": "add-fd"}}`,
	`{"execute": "query-command-line-options", "arguments": {"option": "action"}}`,
	`{"exec-oob": "query-yank", "id": 1}`, `{"exec-oob": "query-status", "id": 1}`,
	`{"execute": "query-status", "exec-oob": "query-status"}`,
	`{"execute": "nosuch", "id": 1}`, `{"execute": "query-status", "arguments": {"x": 1}}`, `{"execute": "query-status", "arguments": 1}`,
	`{"execute": 1}`, `{}`, `[]`, "1 ", `{"arguments": {}}`, `{"execute": "query-status", "nosuch": 1}`,
	`{"execute": nosuch}`, `{"execute": "x", "execute": "y"}`, `{"a" 1}`, `{"a": "\ud800"}`, `{"a": }`, `{"a": 1 "b": 2}`, `@ }`, "{\x01}", `{'execute': 'query-status'}`,
}

func TestConversation(t *testing.T) {
	testprog.QEMU(t)
	args := []string{"-M", "none", "-name", "vm1", "-uuid", "b8dac1b2-7ec3-4b2e-8e1f-9f0f3a5e0001"}
	q, g := start(t, oracle, "-qmp", args...), start(t, testprog.Goemu(t), "-qmp", args...)
	for _, text := range append([]string{""}, conversation...) {
		assert.Equal(t, q.say(text), g.say(text), text)
	}
}

// known are the differences from QEMU's interface, with their reasons. Keys are what Compare reports.
var known = map[string]string{}

// TestSchema: what goemu describes of its interface is part of what QEMU describes, in the same form.
func TestSchema(t *testing.T) {
	testprog.QEMU(t)
	ask := func(bin string) schema {
		m := start(t, bin, "-qmp", "-M", "none")
		m.say("")
		m.say(`{"execute": "qmp_capabilities"}`)
		var reply struct{ Return []map[string]any }
		lines := m.say(`{"execute": "query-qmp-schema"}`)
		require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &reply))
		return newSchema(reply.Return)
	}
	found := map[string]bool{}
	for _, d := range compare(ask(testprog.Goemu(t)), ask(oracle)) {
		found[d] = true
		if _, ok := known[d]; !ok {
			t.Error(d)
		}
	}
	for d := range known {
		if !found[d] {
			t.Errorf("no longer different: %s", d)
		}
	}
}

// TestSlowReader: replies longer than the device holds wait for a client that reads late, and other clients do not wait for it.
func TestSlowReader(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	m := start(t, testprog.Goemu(t), "-qmp", "-M", "none", "-qmp", "unix:"+sock+",server=on,wait=off")
	m.say("")
	m.say(`{"execute": "qmp_capabilities"}`)
	slow, err := net.Dial("unix", sock)
	require.NoError(t, err)
	defer slow.Close()
	const n = 20
	_, err = io.WriteString(slow, `{"execute": "qmp_capabilities"}`+strings.Repeat(`{"execute": "query-qmp-schema"}`, n))
	require.NoError(t, err)
	for range 50 {
		m.say(`{"execute": "query-status"}`)
	}
	require.NoError(t, slow.SetReadDeadline(time.Now().Add(time.Minute)))
	r := bufio.NewReader(slow)
	for i := range n + 2 {
		line, err := r.ReadBytes('\n')
		require.NoError(t, err, "reply %d", i)
		require.True(t, json.Valid(line), "reply %d", i)
	}
}

// TestSharedTerminal: with -nographic the serial port and a monitor share the terminal; what appears on it is the same, byte by byte.
func TestSharedTerminal(t *testing.T) {
	testprog.QEMU(t)
	transcript := func(bin string) (all string) {
		m := &machine{t: t}
		m.launch(bin, "-M", "pc", "-m", "32", "-nographic", "-S")
		for _, keys := range []string{"\x01c", "info status\n", "nosuch\n", "info na\t\x17\x17stop\n", "\x01c\x01c", "info uuid\n"} {
			_, err := io.WriteString(m.in, keys)
			require.NoError(t, err)
			prompts := strings.Count(keys, "\n") + strings.Count(keys, "\x01c\x01c")
			if keys == "\x01c" {
				prompts = 1
			}
			for text := ""; !strings.HasSuffix(text, "(qemu) ") || strings.Count(text, "(qemu) ") < prompts; {
				c, err := m.out.ReadByte()
				require.NoError(t, err, "%s: %q", bin, all+text)
				text += string(c)
				all += string(c)
			}
		}
		return all
	}
	assert.Equal(t, transcript(oracle), transcript(testprog.Goemu(t)))
}
