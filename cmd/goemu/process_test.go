package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/internal/testprog"
)

// TestBadProcessOptions: options about the process are refused in QEMU's words.
func TestBadProcessOptions(t *testing.T) {
	qemu := testprog.QEMU(t)
	goemu := testprog.Goemu(t)
	for _, args := range [][]string{{"-overcommit", "x=1"}, {"-overcommit", "mem-lock=7"}, {"-msg", "foo=1"}, {"-msg", "timestamp=z"}, {"-sandbox", "foo=1"},
		{"-sandbox", "on,spawn=x"}, {"-sandbox", "z"}, {"-runas", "nosuchuser"}, {"-runas", "1:"}, {"-chroot", "/nonexistent"}, {"-audiodev", "none"}, {"-audiodev", "none,id=a,foo=1"}, {"-audiodev", "foo,id=a"}} {
		assert.Equal(t, failure(t, qemu, args...), failure(t, goemu, args...), "%v", args)
	}
}

// TestMessagePrefix: -msg puts the time and the guest's name before a message.
func TestMessagePrefix(t *testing.T) {
	cmd := exec.Command(testprog.Goemu(t), "-M", "none", "-display", "none", "-name", "vm1", "-msg", "timestamp=on,guest-name=on", "-object", "iothread,id=i,poll-max-ns=-1")
	var text bytes.Buffer
	cmd.Stderr = &text
	require.Error(t, cmd.Run())
	require.Regexp(t, regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z vm1 goemu: poll-max-ns value must be in range \[0, \d+\]\n$`), text.String())
}

// TestSandbox: the filter is on all threads; the machine runs with it, and what it forbids kills.
func TestSandbox(t *testing.T) {
	cmd := exec.Command(testprog.Goemu(t), "-M", "none", "-display", "none", "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
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

// TestThreads: each CPU has a thread of its own, and none has the process's first.
func TestThreads(t *testing.T) {
	in, lines, end := talkTo(t, testprog.Goemu(t), "-M", "pc", "-accel", "tcg", "-smp", "8", "-display", "none", "-nodefaults", "-S", "-qmp", "stdio")
	defer end()
	_, err := in.Write([]byte(`{"execute":"qmp_capabilities"}{"execute":"query-cpus-fast"}` + "\n"))
	require.NoError(t, err)
	var reply struct {
		Return []struct {
			ThreadID int `json:"thread-id"`
		}
	}
	for len(reply.Return) == 0 && lines.Scan() {
		_ = json.Unmarshal(lines.Bytes(), &reply) // what others return has another form
	}
	seen := map[int]bool{}
	for _, c := range reply.Return {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.ThreadID))
		require.NoError(t, err)
		require.NotContains(t, string(status), fmt.Sprintf("Tgid:\t%d\n", c.ThreadID))
		seen[c.ThreadID] = true
	}
	require.Len(t, seen, 8)
}

// TestRunAs: the emulator gives up its user and its root directory and takes on the name it is told to; a daemon has the name by which it
// was called, as killall and pgrep need it.
func TestRunAs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	dir := t.TempDir()
	link := dir + "/qemu-system-x"
	require.NoError(t, os.Symlink(testprog.Goemu(t), link))
	for _, c := range []struct{ name, comm, user, root string }{
		{"vm,process=hello", "hello", "7\t7\t7\t7", dir},
		{"vm", "qemu-system-x", "65534\t65534\t65534\t65534", "/"},
	} {
		user := "7:8"
		if c.root == "/" {
			user = "nobody"
		}
		pid := dir + "/pid-" + c.comm
		out, err := exec.Command(link, "-M", "none", "-display", "none", "-daemonize", "-pidfile", pid, "-name", c.name, "-runas", user, "-chroot", c.root).CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, err := os.ReadFile(pid)
		require.NoError(t, err)
		proc := "/proc/" + strings.TrimSpace(string(text))
		status, err := os.ReadFile(proc + "/status")
		require.NoError(t, err)
		require.Contains(t, string(status), "Name:\t"+c.comm+"\n")
		require.Contains(t, string(status), "Uid:\t"+c.user+"\n")
		root, err := os.Readlink(proc + "/root")
		require.NoError(t, err)
		assert.Equal(t, c.root, root)
		n, err := strconv.Atoi(proc[6:])
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(n, syscall.SIGKILL))
	}
}

// TestCoreSignals: Ctrl-\\ ends the emulator as a signal does, without a word, and leaves the terminal as it was.
func TestCoreSignals(t *testing.T) {
	bin := testprog.Goemu(t)
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT} {
		master, slave, err := pty.Open()
		if err != nil {
			t.Skip("no pseudo terminal: ", err)
		}
		before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		require.NoError(t, err)
		cmd := exec.Command(bin, "-M", "none", "-display", "none", "-monitor", "stdio")
		var text bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = slave, slave, &text, t.TempDir()
		require.NoError(t, cmd.Start())
		_, err = bufio.NewReader(master).ReadString('\n') // the monitor's greeting: the terminal is raw
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Signal(sig))
		err = cmd.Wait()
		require.ErrorContains(t, err, "signal: "+sig.String())
		assert.Empty(t, text.String())
		after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		require.NoError(t, err)
		assert.Equal(t, before, after)
		master.Close()
		slave.Close()
	}
}
