package runcmd

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/internal/mainloop"
	"goemu/qapi"
)

// bench is a service with a machine and a graph, and the events that the machine sends.
type bench struct {
	*Service
	vm     *mainloop.VM
	events []string
	mu     sync.Mutex
}

func newBench(t *testing.T) *bench {
	b := &bench{Service: NewService(), vm: mainloop.NewVM(mainloop.Main)}
	b.SetVM(b.vm)
	Forward(b.vm, func(e qapi.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e.EventName())
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mainloop.Main.Run(ctx) }()
	t.Cleanup(func() {
		mainloop.Lock.Lock()
		b.vm.Stop(mainloop.StatePaused) // the virtual clock is the process's
		mainloop.Lock.Unlock()
		cancel()
		<-done
	})
	return b
}

func (b *bench) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.events
	b.events = nil
	return e
}

func (b *bench) state(t *testing.T) qapi.RunState {
	info, err := b.QueryStatus(t.Context())
	require.NoError(t, err)
	assert.Equal(t, info.Status == qapi.RunStateRunning, info.Running)
	return info.Status
}

func TestStopAndCont(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	require.NoError(t, b.Cont(ctx))
	require.NoError(t, b.Cont(ctx))
	assert.Equal(t, []string{"RESUME"}, b.take())
	require.NoError(t, b.Stop(ctx))
	require.NoError(t, b.Stop(ctx))
	assert.Equal(t, []string{"STOP"}, b.take())
	assert.Equal(t, qapi.RunStatePaused, b.state(t))
}

// TestContRefused: states that cont does not leave (R13 among them), and obstacles.
func TestContRefused(t *testing.T) {
	for _, c := range []struct {
		state mainloop.RunState
		want  string
	}{
		{mainloop.StateFinishMigrate, "Migration is not finalized yet"},
		{mainloop.StateShutdown, "Resetting the Virtual Machine is required"},
		{mainloop.StateInternalError, "Resetting the Virtual Machine is required"},
	} {
		b := newBench(t)
		mainloop.Lock.Lock()
		b.vm.Start()
		b.vm.SetState(c.state)
		mainloop.Lock.Unlock()
		b.take()
		assert.EqualError(t, b.Cont(t.Context()), c.want)
		assert.EqualValues(t, c.state, b.state(t))
		assert.Empty(t, b.take())
	}
	b := newBench(t)
	b.Obstacles = append(b.Obstacles, func() error { return qapi.Errorf("There is a dump in process, please wait.") })
	assert.EqualError(t, b.Cont(t.Context()), "There is a dump in process, please wait.")
}

// incoming gives the bench a machine that is coming in with a guest's disk on a node that somebody else may write to.
func incoming(t *testing.T, b *bench) (other *block.Backend) {
	path := filepath.Join(t.TempDir(), "a.img")
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<16), 0o600))
	drives := driver.NewDrives()
	t.Cleanup(func() { drives.Close() })
	g := drives.Graph
	b.Graph = g
	g.Lock()
	defer g.Unlock()
	g.SetInMigrate(true)
	n, err := g.Open(t.Context(), "", block.OptionsOf("driver", "raw", "node-name", "fmt", "file.driver", "file", "file.filename", path), block.Mode{Inactive: true})
	require.NoError(t, err)
	disk := g.NewBackend("drive0", "", block.PermConsistentRead|block.PermWrite, block.PermConsistentRead|block.PermWriteUnchanged|block.PermResize)
	disk.AttachDevice(&block.Device{Name: "vd0"})
	require.NoError(t, disk.Insert(n))
	require.NoError(t, n.Activate(t.Context()))
	other = g.NewBackend("", "", block.PermConsistentRead|block.PermWrite, block.PermAll)
	require.NoError(t, other.Insert(n), "R1: the disk does not keep others from writing yet")
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	b.vm.Autostart = false
	b.vm.SetState(mainloop.StateInMigrate)
	return other
}

const conflict = "Permission conflict on node 'fmt': permissions 'write' are both required by an unnamed block device (uses node 'fmt' as 'root' child) " +
	"and unshared by block device 'drive0' (uses node 'fmt' as 'root' child)."

// TestContWhileComingIn is R14: the conflict is reported, and without one the machine will run by itself, the disk's rights being kept.
func TestContWhileComingIn(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	other := incoming(t, b)
	assert.EqualError(t, b.Cont(ctx), conflict)
	assert.False(t, b.vm.Autostart)
	b.Graph.Lock()
	other.Remove()
	b.Graph.Unlock()
	require.NoError(t, b.Cont(ctx))
	assert.True(t, b.vm.Autostart)
	assert.Equal(t, qapi.RunStateInmigrate, b.state(t))
	assert.True(t, b.Graph.FindBackend("drive0").Disabled())
	require.NoError(t, b.Stop(ctx))
	assert.False(t, b.vm.Autostart)
	assert.Empty(t, b.take())
}

// TestContAfterwards is R4 and R6: a conflict refuses the resume as often as it is tried; when it is gone the machine runs.
func TestContAfterwards(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	other := incoming(t, b)
	mainloop.Lock.Lock()
	b.vm.SetState(mainloop.StatePaused)
	mainloop.Lock.Unlock()
	b.Graph.SetInMigrate(false)
	for range 2 {
		assert.EqualError(t, b.Cont(ctx), conflict)
		assert.Equal(t, qapi.RunStatePaused, b.state(t))
		assert.Empty(t, b.take())
	}
	b.Graph.Lock()
	other.Remove()
	b.Graph.Unlock()
	require.NoError(t, b.Cont(ctx))
	assert.Equal(t, []string{"RESUME"}, b.take())
	b.Graph.Lock()
	defer b.Graph.Unlock()
	assert.False(t, b.Graph.FindBackend("drive0").Disabled())
	late := b.Graph.NewBackend("", "", block.PermConsistentRead|block.PermWrite, block.PermAll)
	defer late.Delete()
	assert.EqualError(t, late.Insert(b.Graph.Find("fmt")), conflict, "the disk's rights are applied now")
}

func TestActions(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	reboot, shutdown, panicked := qapi.RebootActionShutdown, qapi.ShutdownActionPause, qapi.PanicActionNone
	require.NoError(t, b.SetAction(ctx, &qapi.SetActionArg{Reboot: &reboot, Shutdown: &shutdown, Panic: &panicked}))
	require.NoError(t, b.WatchdogSetAction(ctx, &qapi.WatchdogSetActionArg{Action: qapi.WatchdogActionPause}))
	assert.True(t, b.vm.NoReboot && b.vm.NoShutdown)
	assert.Equal(t, mainloop.PanicNone, b.vm.OnPanic)
	assert.Equal(t, mainloop.WatchdogPause, b.vm.OnWatchdog)
	require.NoError(t, b.Cont(ctx))
	require.NoError(t, b.SystemReset(ctx)) // a reset is a shutdown now, and that a stop
	assert.Equal(t, []string{"RESUME", "SHUTDOWN", "STOP"}, b.take())
	assert.Equal(t, qapi.RunStateShutdown, b.state(t))
	assert.EqualError(t, b.SystemWakeup(ctx), "Unable to wake up: guest is not in suspended state")
}
