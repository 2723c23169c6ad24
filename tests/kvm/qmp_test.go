package kvm

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// machine is an emulator that is driven over QMP and runs a program.
type machine struct {
	t       *testing.T
	in      io.Writer
	out     *bufio.Reader
	console string // file
	cmd     *exec.Cmd
	errs    *strings.Builder
}

// launch starts goemu with a program as its firmware.
func launch(t *testing.T, image string, args ...string) *machine {
	t.Helper()
	return launchOf(t, testprog.Goemu(t), image, args...)
}

// launchOf is launch for any emulator.
func launchOf(t *testing.T, emulator, image string, args ...string) *machine {
	t.Helper()
	m := &machine{t: t, console: filepath.Join(t.TempDir(), "console"), errs: new(strings.Builder)}
	m.cmd = exec.Command(emulator, append([]string{"-m", "16", "-bios", image, "-display", "none", "-vga", "none", "-net", "none", "-cpu", "qemu64,-pni",
		"-debugcon", "file:" + m.console, "-qmp", "stdio"}, args...)...)
	m.cmd.Stderr = m.errs
	in, err := m.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := m.cmd.StdoutPipe()
	require.NoError(t, err)
	m.in, m.out = in, bufio.NewReader(out)
	require.NoError(t, m.cmd.Start())
	timer := time.AfterFunc(limit, func() { _ = m.cmd.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		if t.Failed() {
			t.Logf("the emulator says: %s", m.errs)
		}
	})
	_, err = m.out.ReadString('\n')
	require.NoError(t, err)
	m.do("qmp_capabilities", "")
	return m
}

// do executes a command and returns the answer.
func (m *machine) do(command, arguments string) json.RawMessage {
	m.t.Helper()
	line := `{"execute":"` + command + `"`
	if arguments != "" {
		line += `,"arguments":` + arguments
	}
	_, err := io.WriteString(m.in, line+"}\n")
	require.NoError(m.t, err)
	for {
		text, err := m.out.ReadBytes('\n')
		require.NoError(m.t, err, command)
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		require.NoError(m.t, json.Unmarshal(text, &answer))
		if answer.Error != nil {
			require.Fail(m.t, answer.Error.Desc, command)
		}
		if answer.Return != nil {
			return answer.Return
		}
	}
}

// hmp executes a command of the human monitor.
func (m *machine) hmp(line string) string {
	m.t.Helper()
	var s string
	require.NoError(m.t, json.Unmarshal(m.do("human-monitor-command", `{"command-line":"`+line+`"}`), &s))
	return s
}

// ticks waits until the console has n more dots and n more commas than it has now, and nothing else.
func (m *machine) ticks(n int) {
	m.t.Helper()
	count := func() (dots, commas int) {
		b, _ := os.ReadFile(m.console)
		s := string(b)
		dots, commas = strings.Count(s, "."), strings.Count(s, ",")
		require.Equal(m.t, len(s), dots+commas, "the console has %q", s)
		return dots, commas
	}
	d0, c0 := count()
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		d, c := count()
		if d >= d0+n && c >= c0+n {
			return
		}
		require.True(m.t, time.Now().Before(end), "%d and %d ticks, from %d and %d on", d, c, d0, c0)
	}
}

// save writes the machine's state to a file and ends it.
func (m *machine) save(file string) {
	m.t.Helper()
	m.do("migrate", `{"uri":"exec:cat > `+file+`"}`)
	m.migrated()
	m.do("quit", "")
	_ = m.cmd.Wait()
}

// migrated waits for the end of a migration.
func (m *machine) migrated() {
	m.t.Helper()
	for {
		var info struct{ Status string }
		require.NoError(m.t, json.Unmarshal(m.do("query-migrate", ""), &info))
		require.NotEqual(m.t, "failed", info.Status)
		if info.Status == "completed" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
