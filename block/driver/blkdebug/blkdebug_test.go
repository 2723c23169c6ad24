package blkdebug_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/driver"
)

// open opens a raw node over blkdebug over null-co, with the options of blkdebug given.
func open(t *testing.T, options ...any) (*block.Node, error) {
	t.Helper()
	g := block.NewGraph(driver.All())
	g.Lock()
	t.Cleanup(g.Unlock)
	o := block.OptionsOf("driver", "raw", "file.driver", "blkdebug", "file.image.driver", "null-co", "file.image.read-zeroes", "on")
	for i := 0; i < len(options); i += 2 {
		o.Set("file."+options[i].(string), options[i+1])
	}
	n, err := g.Open(context.Background(), "", o, block.Mode{})
	if err == nil {
		t.Cleanup(func() { g.Unref(n) })
	}
	return n, err
}

func filter(t *testing.T, options ...any) (*block.Node, *block.Child) {
	t.Helper()
	n, err := open(t, options...)
	require.NoError(t, err)
	return n, n.Child("file")
}

func TestInjectedError(t *testing.T) {
	ctx, sector := context.Background(), make([]byte, 512)
	_, c := filter(t, "inject-error.0.event", "l2_load", "inject-error.0.errno", int64(unix.ENOSPC),
		"inject-error.0.sector", int64(2), "inject-error.0.once", "on", "inject-error.0.iotype", "write")
	require.NoError(t, c.Write(ctx, 1024, sector, 0), "the event has not happened yet")
	c.DebugEvent("l2_load")
	require.NoError(t, c.Write(ctx, 0, sector, 0), "another sector")
	require.NoError(t, c.Read(ctx, 1024, sector), "another kind of request")
	require.ErrorIs(t, c.Write(ctx, 1024, sector, 0), unix.ENOSPC)
	c.DebugEvent("l2_load")
	require.NoError(t, c.Write(ctx, 1024, sector, 0), "only once, however often the event happens")
}

func TestStates(t *testing.T) {
	ctx, sector := context.Background(), make([]byte, 512)
	_, c := filter(t, "inject-error.0.event", "write_aio", "inject-error.0.state", int64(2),
		"set-state.0.event", "cluster_alloc", "set-state.0.state", int64(1), "set-state.0.new_state", int64(2))
	c.DebugEvent("write_aio")
	require.NoError(t, c.Write(ctx, 0, sector, 0))
	c.DebugEvent("cluster_alloc")
	c.DebugEvent("write_aio")
	require.ErrorIs(t, c.Write(ctx, 0, sector, 0), unix.EIO)
	require.ErrorIs(t, c.Write(ctx, 0, sector, 0), unix.EIO, "again and again")
}

func TestAtOnce(t *testing.T) {
	_, c := filter(t, "inject-error.0.event", "none", "inject-error.0.iotype", "read")
	require.ErrorIs(t, c.Read(context.Background(), 0, make([]byte, 512)), unix.EIO)
}

func TestConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules")
	require.NoError(t, os.WriteFile(file, []byte("# comment\n[inject-error]\nevent = \"none\"\nerrno = \"28\"\niotype = \"flush\"\n\n[set-state]\n"+
		"event = \"l1_update\"\nnew_state = \"3\"\n"), 0o600))
	_, c := filter(t, "config", file)
	require.NoError(t, c.Flush(context.Background()), "nothing was written")
	require.NoError(t, c.Write(context.Background(), 0, make([]byte, 512), 0))
	require.ErrorIs(t, c.Flush(context.Background()), unix.ENOSPC)

	require.NoError(t, os.WriteFile(file, []byte("[inject-error]\nevent = none\n"), 0o600))
	_, err := open(t, "config", file)
	require.EqualError(t, err, file+":2: parse error")
}

func TestRefusals(t *testing.T) {
	for _, row := range []struct {
		options []any
		err     string
	}{
		{[]any{"inject-error.0.event", "lunch"}, `Invalid event name "lunch"`},
		{[]any{"inject-error.0.errno", int64(5)}, "Missing event name for rule"},
		{[]any{"inject-error.event", "none", "inject-error.lunch", "1"}, "Unknown option 'lunch' for [inject-error]"},
		{[]any{"inject-error.lunch", "1"}, "Unused option 'lunch' for [inject-error]"},
		{[]any{"inject-error.0.event", "none", "inject-error.0.lunch", "1"}, "[inject-error] section doesn't support the option 'lunch'"},
		{[]any{"align", int64(12345)}, "Cannot meet constraints with align 12345"},
		{[]any{"align", int64(4096), "max-transfer", int64(512)}, "Cannot meet constraints with max-transfer 512"},
	} {
		_, err := open(t, row.options...)
		require.EqualError(t, err, row.err)
	}
}

func TestBreakpoint(t *testing.T) {
	n, c := filter(t)
	p := n.Breakpoints()
	require.ErrorIs(t, p.Breakpoint("lunch", "A"), unix.ENOENT)
	require.NoError(t, p.Breakpoint("write_aio", "A"))
	done := make(chan struct{})
	go func() { c.DebugEvent("write_aio"); close(done) }()
	require.Eventually(t, func() bool { return p.Suspended("A") }, 10*time.Second, time.Millisecond)
	c.DebugEvent("write_aio") // the breakpoint is used up
	require.NoError(t, p.ResumeRequest("A"))
	<-done
	require.False(t, p.Suspended("A"))
	require.ErrorIs(t, p.ResumeRequest("A"), unix.ENOENT)
	require.NoError(t, p.Breakpoint("write_aio", "B"))
	require.NoError(t, p.RemoveBreakpoint("B"))
	require.ErrorIs(t, p.RemoveBreakpoint("B"), unix.ENOENT)
}

func FuzzConfig(f *testing.F) {
	f.Add("[inject-error]\nevent = \"none\"\nsector = \"1\"\n")
	f.Add("[set-state]\nstate = \"99999999999999999999\"\n[x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "rules")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, _ = open(t, "config", file)
	})
}
