package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBadProcessOptions: options about the process are refused in QEMU's words.
func TestBadProcessOptions(t *testing.T) {
	qemu := findQEMU(t)
	goemu := buildGoemu(t)
	for _, args := range [][]string{{"-overcommit", "x=1"}, {"-overcommit", "mem-lock=7"}, {"-msg", "foo=1"}, {"-msg", "timestamp=z"}, {"-sandbox", "foo=1"},
		{"-sandbox", "on,spawn=x"}, {"-sandbox", "z"}, {"-audiodev", "none"}, {"-audiodev", "none,id=a,foo=1"}, {"-audiodev", "foo,id=a"}} {
		assert.Equal(t, failure(t, qemu, args...), failure(t, goemu, args...), "%v", args)
	}
}

// TestMessagePrefix: -msg puts the time and the guest's name before a message.
func TestMessagePrefix(t *testing.T) {
	cmd := exec.Command(buildGoemu(t), "-M", "none", "-display", "none", "-name", "vm1", "-msg", "timestamp=on,guest-name=on", "-object", "iothread,id=i,poll-max-ns=-1")
	var text bytes.Buffer
	cmd.Stderr = &text
	require.Error(t, cmd.Run())
	require.Regexp(t, regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z vm1 goemu: poll-max-ns value must be in range \[0, \d+\]\n$`), text.String())
}

// TestSandbox: the filter is on all threads; the machine runs with it, and what it forbids kills.
func TestSandbox(t *testing.T) {
	cmd := exec.Command(buildGoemu(t), "-M", "none", "-display", "none", "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-object", "iothread,id=i", "-qmp", "stdio")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", cmd.Process.Pid))
	require.NoError(t, err)
	for _, task := range tasks {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", cmd.Process.Pid, task.Name()))
		if err == nil { // the thread is still there
			require.Contains(t, string(status), "Seccomp:\t2\n")
		}
	}
	_, err = in.Write([]byte(`{"execute":"qmp_capabilities"}{"execute":"migrate","arguments":{"uri":"exec:cat"}}` + "\n"))
	require.NoError(t, err)
	for lines.Scan() {
		require.False(t, strings.Contains(lines.Text(), `"completed"`), "a process was started")
	}
	require.ErrorContains(t, cmd.Wait(), "signal: bad system call")
}
