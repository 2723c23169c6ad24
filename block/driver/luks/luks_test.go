package luks_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/internal/secret"
	"goemu/internal/testprog"
	"goemu/internal/userobj"
	"goemu/qapi"
)

var ctx = context.Background()

// password is the one of the tests, and what QEMU's tools are told of it.
const password = "correct horse"

var object = []string{"--object", "secret,id=s,data=" + password}

func newGraph(t testing.TB) *block.Graph {
	set := new(userobj.Set)
	set.Types = []*userobj.Type{secret.Type(set.Find)}
	require.NoError(t, set.Add(qapi.NewObject("qom-type", "secret", "id", "s", "data", password)))
	g := block.NewGraph(driver.All())
	g.Object = set.Find
	return g
}

// disk opens an image with a backend on it.
func disk(t testing.TB, name string) (*block.Backend, func()) {
	g := newGraph(t)
	g.Lock()
	defer g.Unlock()
	n, err := g.Open(ctx, "", block.OptionsOf("driver", "luks", "key-secret", "s", "file.driver", "file", "file.filename", name), block.Mode{})
	require.NoError(t, err)
	b := g.NewBackend("", "", block.PermConsistentRead|block.PermWrite|block.PermResize, block.PermAll)
	require.NoError(t, b.Insert(n))
	g.Unref(n)
	return b, func() { g.Lock(); b.Delete(); g.Unlock() }
}

func create(t testing.TB, name string, size int64, pairs ...any) {
	g := newGraph(t)
	g.Lock()
	defer g.Unlock()
	o := block.OptionsOf(append([]any{"key-secret", "s", "iter-time", int64(1)}, pairs...)...)
	require.NoError(t, g.Create(ctx, g.FindDriver("luks"), name, size, o))
}

func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	for range 20 { // QEMU measures the processor, and gives up at odd results, as when others use it
		if err == nil || !bytes.Contains(out, []byte("accurate CPU usage")) {
			break
		}
		out, err = exec.Command("qemu-img", args...).CombinedOutput()
	}
	require.NoError(t, err, "%s", out)
}

// TestInterop: what one makes, the other reads and writes, to the byte.
func TestInterop(t *testing.T) {
	testprog.Need(t, "qemu-img")
	const size = 3<<20 + 512
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	raw := filepath.Join(t.TempDir(), "raw")
	require.NoError(t, os.WriteFile(raw, content, 0o600))
	options := func(name string) string { return "driver=luks,key-secret=s,file.filename=" + name }
	for i, kind := range [][]any{
		{"cipher-alg", "aes-128", "cipher-mode", "cbc", "ivgen-alg", "essiv", "hash-alg", "sha1"}, {},
		{"cipher-alg", "aes-192", "ivgen-alg", "plain", "hash-alg", "sha512"},
	} {
		ours, theirs := filepath.Join(t.TempDir(), "ours"), filepath.Join(t.TempDir(), "theirs")
		create(t, ours, size, kind...)
		b, closed := disk(t, ours)
		require.NoError(t, b.Write(ctx, 0, content, 0))
		closed()
		qemuImg(t, append([]string{"compare", "--image-opts"}, append(object, options(ours), "driver=raw,file.filename="+raw)...)...)

		if i > 0 {
			continue // QEMU takes seconds to make one
		}
		list := "key-secret=s,iter-time=1"
		for k := 0; k < len(kind); k += 2 {
			list += "," + kind[k].(string) + "=" + kind[k+1].(string)
		}
		qemuImg(t, append([]string{"convert", "-O", "luks", "-o", list, "-f", "raw"}, append(object, raw, theirs)...)...)
		b, closed = disk(t, theirs)
		got := make([]byte, size)
		require.NoError(t, b.Read(ctx, 0, got))
		closed()
		require.True(t, bytes.Equal(content, got))
	}
}

// TestModel writes and reads at random from several sides and compares with a plain array.
func TestModel(t *testing.T) {
	const size, workers, share = 8 << 20, 4, 2 << 20
	name := filepath.Join(t.TempDir(), "a")
	create(t, name, size)
	b, closed := disk(t, name)
	defer closed()
	var wg sync.WaitGroup
	for w := range int64(workers) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			model := make([]byte, share)
			_ = b.WriteZeroes(ctx, w*share, share, 0)
			for range 30 {
				off := r.Int64N(share)
				part := make([]byte, 1+r.Int64N(share-off))
				if r.IntN(2) == 0 {
					for i := range part {
						part[i] = byte(r.Uint32())
					}
					if b.Write(ctx, w*share+off, part, 0) != nil {
						t.Error("a write failed")
					}
					copy(model[off:], part)
				} else if b.Read(ctx, w*share+off, part) != nil || !bytes.Equal(part, model[off:][:len(part)]) {
					t.Errorf("wrong at %#x", off)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Truncate(ctx, size+4096, true, block.PreallocOff, false))
	n, err := b.Length(ctx)
	require.NoError(t, err)
	require.EqualValues(t, size+4096, n)
}
