package qcow2_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/internal/secret"
	"goemu/internal/testprog"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// cryptGraph is a graph with the secret s.
func cryptGraph(t *testing.T) *block.Graph {
	set := new(userobj.Set)
	set.Types = []*userobj.Type{secret.Type(set.Find)}
	require.NoError(t, set.Add(qapi.NewObject("qom-type", "secret", "id", "s", "data", "correct horse")))
	g := block.NewGraph(driver.All())
	g.Object = set.Find
	return g
}

// TestEncryption: what is written at random to encrypted images, QEMU reads, and the file does not have it in plain.
func TestEncryption(t *testing.T) {
	const size = 4 << 20
	for _, c := range []struct {
		format string
		pairs  []any
	}{
		{"luks", []any{"encrypt.iter-time", int64(1)}},
		{"luks", []any{"encrypt.iter-time", int64(1), "encrypt.cipher-mode", "cbc", "encrypt.ivgen-alg", "essiv", "cluster_size", int64(4096)}},
		{"aes", nil},
	} {
		t.Run(c.format, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.qcow2")
			g := cryptGraph(t)
			g.Lock()
			o := block.OptionsOf(append([]any{"encrypt.format", c.format, "encrypt.key-secret", "s"}, c.pairs...)...)
			require.NoError(t, g.Create(t.Context(), g.FindDriver("qcow2"), name, size, o))
			n, err := g.Open(t.Context(), "", block.OptionsOf("driver", "qcow2", "encrypt.key-secret", "s", "file.driver", "file", "file.filename", name), block.Mode{})
			require.NoError(t, err)
			b := g.NewBackend("", "", block.PermConsistentRead|block.PermWrite, block.PermAll)
			require.NoError(t, b.Insert(n))
			g.Unref(n)
			g.Unlock()
			model := make([]byte, size)
			r := rand.New(rand.NewPCG(3, 3))
			text := []byte("nobody may read this in the file")
			for range 40 {
				off := r.Int64N(size - 200_000)
				part := bytes.Repeat(text, 1+r.IntN(3000))
				require.NoError(t, b.Write(t.Context(), off, part, 0))
				copy(model[off:], part)
			}
			got := make([]byte, size)
			require.NoError(t, b.Read(t.Context(), 0, got))
			require.True(t, bytes.Equal(model, got))
			require.False(t, b.Root().CanCopyRange(n.Child("file")))
			require.ErrorIs(t, b.CopyRange(t.Context(), 0, b, 0, size), block.ErrUnmapped)
			g.Lock()
			b.Delete()
			g.Unlock()
			stored, err := os.ReadFile(name)
			require.NoError(t, err)
			require.False(t, bytes.Contains(stored, text))

			testprog.Need(t, "qemu-img")
			raw := name + ".raw"
			require.NoError(t, os.WriteFile(raw, model, 0o600))
			out, err := exec.Command("qemu-img", "compare", "--object", "secret,id=s,data=correct horse", "--image-opts",
				"driver=qcow2,encrypt.key-secret=s,file.filename="+name, "driver=raw,file.filename="+raw).CombinedOutput()
			require.NoError(t, err, "%s", out)
			out, err = exec.Command("qemu-img", "check", "--object", "secret,id=s,data=correct horse", "--image-opts",
				"driver=qcow2,encrypt.key-secret=s,file.filename="+name).CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
