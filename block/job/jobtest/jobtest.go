// Package jobtest helps to test jobs: chains of qcow2 images in a temporary folder, a model of what they contain, and Debian's tools as
// judges.
package jobtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/block/job"
)

// Size is the length of the images in bytes, and Cluster that of their clusters.
const (
	Size    = 4 << 20
	Cluster = 65536
)

// Bench is a graph with a list of jobs, a folder for images and a log of the jobs' events.
type Bench struct {
	*testing.T
	Graph *block.Graph
	Jobs  *job.List
	Dir   string

	mu     sync.Mutex
	events []string
}

// New makes a bench, which checks at the end that all nodes are closed.
func New(t *testing.T) *Bench {
	b := &Bench{T: t, Graph: block.NewGraph(driver.All()), Dir: t.TempDir()}
	b.Jobs = job.NewList(b.Graph, func(r job.Report) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if r.Event == job.EventStatus {
			b.events = append(b.events, r.Job.Status.String())
		} else {
			b.events = append(b.events, fmt.Sprint("event", r.Event))
		}
	})
	t.Cleanup(func() {
		b.Jobs.CancelAll()
		b.Locked(func() { require.Empty(t, b.Graph.Nodes(), "nodes left open") })
	})
	return b
}

// Locked runs f with the graph lock.
func (b *Bench) Locked(f func()) {
	b.Graph.Lock()
	defer b.Graph.Unlock()
	f()
}

// Path is the name of an image.
func (b *Bench) Path(name string) string { return filepath.Join(b.Dir, name+".qcow2") }

// Create makes an image; backing is the name of another one, or empty.
func (b *Bench) Create(name, backing string) {
	b.Helper()
	o := block.NewOptions()
	if backing != "" {
		o = block.OptionsOf("backing_file", b.Path(backing), "backing_fmt", "qcow2")
	}
	b.Locked(func() {
		require.NoError(b, b.Graph.Create(context.Background(), b.Graph.FindDriver("qcow2"), b.Path(name), Size, o))
	})
}

// Open opens an image with its chain, or the node that the options describe in place of its file. It is closed at the end of the test.
func (b *Bench) Open(name string, options ...any) (n *block.Node) {
	b.Helper()
	b.Locked(func() {
		var err error
		o := block.OptionsOf("driver", "qcow2", "node-name", name, "discard", "unmap")
		if len(options) == 0 {
			options = []any{"file.driver", "file", "file.filename", b.Path(name)}
		}
		o.Merge(block.OptionsOf(options...), true)
		n, err = b.Graph.Open(context.Background(), "", o, block.Mode{})
		require.NoError(b, err)
	})
	b.Cleanup(func() { b.Locked(func() { b.Graph.Unref(n) }) })
	return n
}

// Disk puts a backend on a node as a guest's disk has one.
func (b *Bench) Disk(n *block.Node) (d *block.Backend) {
	b.Helper()
	b.Locked(func() {
		const read = block.PermConsistentRead
		d = b.Graph.NewBackend("drive0", "", read|block.PermWrite, read|block.PermWriteUnchanged|block.PermResize)
		require.NoError(b, d.Insert(n))
	})
	b.Cleanup(func() { b.Locked(d.Delete) })
	return d
}

// Scribble writes random clusters through a disk and into the model.
func (b *Bench) Scribble(d *block.Backend, model []byte, seed uint64, times int) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range times {
		off := r.Int64N(Size/512) * 512
		n := min((1+r.Int64N(200))*512, Size-off)
		data := make([]byte, n)
		if r.IntN(4) > 0 {
			v := byte(1 + r.IntN(255))
			for i := range data {
				data[i] = v
			}
		}
		require.NoError(b, d.Write(context.Background(), off, data, 0))
		copy(model[off:], data)
	}
}

// Chain makes images base, mid and top with random content in each, and returns what top shows.
func (b *Bench) Chain() (model []byte) {
	b.Helper()
	model = make([]byte, Size)
	below := ""
	for i, name := range []string{"base", "mid", "top"} {
		b.Create(name, below)
		below = name
		var n *block.Node
		var d *block.Backend
		b.Locked(func() {
			var err error
			n, err = b.Graph.Open(context.Background(), b.Path(name), block.OptionsOf("driver", "qcow2"), block.Mode{})
			require.NoError(b, err)
			d = b.Graph.NewBackend("", "", block.PermConsistentRead|block.PermWrite, block.PermAll)
			require.NoError(b, d.Insert(n))
		})
		b.Scribble(d, model, uint64(i), 12)
		b.Locked(func() { d.Delete(); b.Graph.Unref(n) })
	}
	return model
}

// Content reads the whole disk.
func (b *Bench) Content(d *block.Backend) []byte {
	b.Helper()
	out := make([]byte, Size)
	require.NoError(b, d.Read(context.Background(), 0, out))
	return out
}

// Start makes and starts a job.
func (b *Bench) Start(f func() (*job.Job, error)) (j *job.Job) {
	b.Helper()
	b.Locked(func() {
		var err error
		j, err = f()
		require.NoError(b, err)
		j.Start()
	})
	return j
}

// Events are the states that jobs went through so far, and other events as "eventN".
func (b *Bench) Events() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.events...)
}

// Judge lets qemu-img check an image, if it is installed.
func (b *Bench) Judge(name string) {
	b.Helper()
	tool, err := exec.LookPath("qemu-img")
	if err != nil {
		b.Log("SKIPPED: qemu-img is not installed, the image is not checked by it")
		return
	}
	out, err := exec.Command(tool, "check", "-U", b.Path(name)).CombinedOutput()
	require.NoError(b, err, "%s", out)
}
