// Package formattest makes, opens and judges images of one format, for the tests of the format's driver.
package formattest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/internal/testprog"
)

const sector = 512

var ctx = context.Background()

// Format is a driver's name.
type Format string

// Open opens an image and puts a backend on it, which closed takes away.
func (f Format) Open(t testing.TB, name string, m block.Mode) (b *block.Backend, closed func(), err error) {
	g := block.NewGraph(driver.All())
	g.Messages, g.Report = new(bytes.Buffer), func(string) {}
	g.Lock()
	defer g.Unlock()
	n, err := g.Open(ctx, "", block.OptionsOf("driver", string(f), "file.driver", "file", "file.filename", name), m)
	if err != nil {
		return nil, nil, err
	}
	perm := block.PermConsistentRead
	if !m.ReadOnly {
		perm |= block.PermWrite
	}
	b = g.NewBackend("", "", perm, block.PermAll)
	require.NoError(t, b.Insert(n))
	g.Unref(n)
	return b, func() { g.Lock(); b.Delete(); g.Unlock() }, nil
}

// Create makes an image of size bytes with options, names and values in turn.
func (f Format) Create(t testing.TB, name string, size int64, options ...any) {
	t.Helper()
	g := block.NewGraph(driver.All())
	g.Lock()
	defer g.Unlock()
	require.NoError(t, g.Create(ctx, g.FindDriver(string(f)), name, size, block.OptionsOf(options...)))
}

// CreateParent makes an image that is empty but for its second MiB, and returns its content.
func (f Format) CreateParent(t testing.TB, name string, size int64) (content []byte) {
	t.Helper()
	f.Create(t, name, size)
	b, closed, err := f.Open(t, name, block.Mode{})
	require.NoError(t, err)
	content = make([]byte, size)
	copy(content[1<<20:], bytes.Repeat([]byte{0xbb}, 1<<20))
	require.NoError(t, b.Write(ctx, 0, content, 0))
	closed()
	return content
}

// Judge lets QEMU check an image, where it can, and compare its content.
func (f Format) Judge(t testing.TB, name string, content []byte) {
	t.Helper()
	const cannotCheck = 63
	out, err := exec.Command(testprog.Need(t, "qemu-img"), "check", "-f", string(f), name).CombinedOutput()
	if e := (*exec.ExitError)(nil); !errors.As(err, &e) || e.ExitCode() != cannotCheck {
		require.NoError(t, err, "%s", out)
	}
	f.Compare(t, name, content)
}

// Compare lets QEMU compare the content of an image.
func (f Format) Compare(t testing.TB, name string, content []byte) {
	t.Helper()
	raw := name + ".raw"
	require.NoError(t, os.WriteFile(raw, content, 0o600))
	out, err := exec.Command(testprog.Need(t, "qemu-img"), "compare", "-f", string(f), "-F", "raw", name, raw).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// Work writes and reads an image that has the content of model at random, up to longest sectors at once, and closes it now and then. What
// is in it is always what is in model, QEMU says so, too.
func (f Format) Work(t *testing.T, name string, model []byte, longest int64) {
	t.Helper()
	size := int64(len(model))
	r := rand.New(rand.NewPCG(1, 1))
	for range 3 {
		b, closed, err := f.Open(t, name, block.Mode{})
		require.NoError(t, err)
		for range 25 {
			off := r.Int64N(size/sector) * sector
			n := min((1+r.Int64N(longest))*sector, size-off)
			part := make([]byte, n)
			switch r.IntN(4) {
			case 0, 1:
				part = bytes.Repeat([]byte{byte(1 + r.IntN(255))}, int(n))
				require.NoError(t, b.Write(ctx, off, part, 0))
				copy(model[off:], part)
			case 2:
				require.NoError(t, b.WriteZeroes(ctx, off, n, 0))
				clear(model[off : off+n])
			case 3:
				require.NoError(t, b.Read(ctx, off, part))
				require.True(t, bytes.Equal(model[off:off+n], part), "at %#x", off)
			}
		}
		closed()
		f.Judge(t, name, model)
	}
}

// Model makes an image and works on it, see Work.
func (f Format) Model(t *testing.T, size, longest int64, options ...any) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a."+string(f))
	f.Create(t, name, size, options...)
	f.Work(t, name, make([]byte, size), longest)
}

// Parallel lets many write to the same parts of a new image at once, each to step bytes of its own, which size is a multiple of.
func (f Format) Parallel(t *testing.T, size, step int64, options ...any) {
	t.Helper()
	const writers = 8
	name := filepath.Join(t.TempDir(), "a."+string(f))
	f.Create(t, name, size, options...)
	b, closed, err := f.Open(t, name, block.Mode{})
	require.NoError(t, err)
	model := make([]byte, size)
	var wg sync.WaitGroup
	for w := range int64(writers) {
		wg.Go(func() {
			for off := w * step; off < size; off += writers * step {
				part := model[off : off+step]
				for i := range part {
					part[i] = byte(off/step) | 1
				}
				if b.Write(ctx, off, part, 0) != nil {
					t.Error("a write failed")
				}
			}
		})
	}
	wg.Wait()
	closed()
	f.Judge(t, name, model)
}

// Reads reads an image, whole and in pieces, and lets QEMU read it, too.
func (f Format) Reads(t *testing.T, image, content []byte) {
	t.Helper()
	name := f.file(t, image)
	b, closed, err := f.Open(t, name, block.Mode{ReadOnly: true})
	require.NoError(t, err)
	n, err := b.Length(ctx)
	require.NoError(t, err)
	require.EqualValues(t, len(content), n)
	for _, step := range []int{len(content), sector, sector * 7} {
		for off := 0; off < len(content); off += step {
			got := make([]byte, min(step, len(content)-off))
			require.NoError(t, b.Read(ctx, int64(off), got))
			require.True(t, bytes.Equal(content[off:off+len(got)], got), "at %#x", off)
		}
	}
	closed()
	f.Compare(t, name, content)
}

// Refuses opens a broken image and compares the error with QEMU's.
func (f Format) Refuses(t *testing.T, image []byte) {
	t.Helper()
	name := f.file(t, image)
	_, _, err := f.Open(t, name, block.Mode{ReadOnly: true})
	require.Error(t, err)
	out, _ := exec.Command(testprog.Need(t, "qemu-img"), "info", "-f", string(f), name).CombinedOutput()
	said := strings.TrimSpace(string(out))
	said = said[strings.Index(said, "qemu-img: "):] // modules that are missing are told of before
	require.Equal(t, said, "qemu-img: Could not open '"+name+"': "+err.Error())
}

func (f Format) file(t testing.TB, image []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a."+string(f))
	require.NoError(t, os.WriteFile(name, image, 0o600))
	return name
}

// FuzzRead opens what changes of a seed give, and reads.
func (f Format) FuzzRead(fz *testing.F, seed []byte) {
	dir := fz.TempDir()
	fz.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(seed)
		copy(b[int(at)%len(b):], patch)
		f.Try(t, filepath.Join(dir, "f"), b, block.Mode{ReadOnly: true}, nil)
	})
}

// FuzzChanged opens what changes of the seeds that were added give, images of least bytes or more, with the mode, and reads and writes, see
// Try. fix, if any, makes of what was changed an image that the driver looks at further.
func (f Format) FuzzChanged(fz *testing.F, least int, m block.Mode, fix func(image []byte), use func(b *block.Backend)) {
	dir := fz.TempDir()
	fz.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		b = append(bytes.Clone(b), make([]byte, max(0, least-len(b)))...)
		copy(b[int(at)%len(b):], patch)
		if fix != nil {
			fix(b)
		}
		f.Try(t, filepath.Join(dir, "f"), b, m, use)
	})
}

// Try opens a possibly broken image in a file and, if that is possible, calls use, if any, reads its beginning and its end, and writes to
// the end unless the mode is read-only.
func (f Format) Try(t testing.TB, name string, image []byte, m block.Mode, use func(b *block.Backend)) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, image, 0o600))
	b, closed, err := f.Open(t, name, m)
	if err != nil {
		return
	}
	defer closed()
	if use != nil {
		use(b)
	}
	if n, err := b.Length(ctx); err == nil && n >= 2*sector {
		last := (n - sector) &^ (sector - 1)
		_ = b.Read(ctx, 0, make([]byte, 2*sector))
		_ = b.Read(ctx, last, make([]byte, sector))
		if !m.ReadOnly {
			_ = b.Write(ctx, last, make([]byte, sector), 0)
		}
	}
}

// Check lets the driver look for faults in an image, for Try.
func Check(b *block.Backend) { _, _ = b.Node().State().(block.Checker).Check(ctx, 0) }
