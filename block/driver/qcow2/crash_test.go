package qcow2_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/driver"
)

// openMem opens the image in a memDisk.
func openMem(t testing.TB, m *memDisk, o string, mode block.Mode) (*disk, error) {
	g := block.NewGraph(driver.All(), []*block.Driver{memDriver(m)})
	var msg bytes.Buffer
	g.Messages = &msg
	g.Lock()
	defer g.Unlock()
	op := opts(o)
	op.Set("driver", "qcow2")
	op.Set("file.driver", "mem")
	n, err := g.Open(ctx, "", op, mode)
	if err != nil {
		return nil, err
	}
	b := g.NewBackend("", "", block.PermConsistentRead, block.PermAll)
	err = b.Insert(n)
	g.Unref(n)
	return &disk{t: t, g: g, n: n, b: b, msg: &msg}, err
}

// memImage makes an image in a file and loads it.
func memImage(t testing.TB, size int64, o string) *memDisk {
	name := filepath.Join(t.TempDir(), "t.qcow2")
	makeImage(t, name, size, o)
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return &memDisk{b: b}
}

// storm does random things to an image and returns what the guest was told is durable at each point of the log. Errors are collected.
type storm struct {
	d       *disk
	r       *rand.Rand
	size    int64
	cluster int64
	errs    int
}

func (s *storm) step() {
	off := s.r.Int64N(s.size/512) * 512
	n := min(int64(1+s.r.IntN(400))*512, s.size-off)
	var err error
	switch k := s.r.IntN(20); {
	case k < 9:
		err = s.d.b.Write(ctx, off, pattern(int(n), byte(k)), 0)
	case k < 12:
		err = s.d.b.WriteZeroes(ctx, off, n, block.MayUnmap)
	case k < 14:
		err = s.d.b.Discard(ctx, off, n)
	case k < 16:
		err = s.d.b.Flush(ctx)
	case k < 17:
		c := off / s.cluster * s.cluster
		err = s.d.b.WriteCompressed(ctx, c, [][]byte{bytes.Repeat([]byte{byte(k)}, int(min(s.cluster, s.size-c)))})
	case k < 18:
		err = s.snapshotter().SnapshotCreate(ctx, &block.Snapshot{Name: "s"})
	case k < 19:
		err = s.oneSnapshot(func(id string) error { return s.snapshotter().SnapshotGoto(ctx, id) })
	default:
		err = s.oneSnapshot(func(id string) error { return s.snapshotter().SnapshotDelete(ctx, id, "") })
	}
	if err != nil {
		s.errs++
	}
}

func (s *storm) snapshotter() block.Snapshotter { return s.d.n.State().(block.Snapshotter) }

func (s *storm) oneSnapshot(f func(string) error) error {
	list, err := s.snapshotter().Snapshots()
	if err != nil || len(list) == 0 {
		return err
	}
	return f(list[s.r.IntN(len(list))].ID)
}

// leaksOnly checks what a crash left: it may have leaks, and after a repair nothing. Lazy refcounts are repaired by opening.
func leaksOnly(t *testing.T, b []byte, lazy bool) {
	m := &memDisk{b: bytes.Clone(b)}
	if lazy {
		d, err := openMem(t, m, "", block.Mode{})
		require.NoError(t, err)
		d.close()
	}
	d, err := openMem(t, m, "", block.Mode{Check: true})
	require.NoError(t, err)
	c := d.n.State().(block.Checker)
	// A crash while a snapshot is made leaves copied flags that are wrong only because of leaks; they are repaired with these.
	res, err := c.Check(ctx, block.FixLeaks)
	if err != nil || res.Corruptions > 0 || res.CheckErrors > 0 || res.Leaks > 0 {
		name := filepath.Join(os.TempDir(), "crash.qcow2")
		os.WriteFile(name, b, 0o644)
		require.Fail(t, "corrupt after a crash", "%s\n%s", name, d.msg.String())
	}
	d.close()
}

// crashVariants are the creation options of the crash tests.
var crashVariants = []string{"cluster_size=4k", "cluster_size=512", "extended_l2=on,cluster_size=16k", "lazy_refcounts=on,cluster_size=4k", "refcount_bits=64,cluster_size=4k"}

// rounds makes the tests below try other crashes and errors each time.
var rounds = flag.Int("qcow2.rounds", 1, "how often the tests of crashes, errors and power failures run, each time at random in other ways")

// perRound runs a test of creation options for each of them in each round; the seed is another one each time.
func perRound(t *testing.T, variants []string, f func(t *testing.T, i int, v string, seed uint64)) {
	for round := range *rounds {
		for i, v := range variants {
			t.Run(title(v), func(t *testing.T) { f(t, i, v, uint64(round*1000+i)) })
		}
	}
}

func TestCrash(t *testing.T) {
	perRound(t, crashVariants, func(t *testing.T, i int, v string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		const size = 2 << 20
		m := memImage(t, size, v)
		start := bytes.Clone(m.b)
		var log []memOp
		m.note = func(op memOp) { log = append(log, op) }
		d, err := openMem(t, m, "l2-cache-size=1k", block.Mode{Unmap: true})
		require.NoError(t, err)
		info, _ := d.n.Info()
		s := &storm{d: d, r: r, size: size, cluster: info.ClusterSize}
		for range 60 {
			s.step()
		}
		d.close()
		require.NotContains(t, d.msg.String(), "corrupt")
		checked := 0
		for at, op := range log {
			if op.n < 0 && (checked < 40 || r.IntN(20) == 0) {
				leaksOnly(t, crash(start, log, at+1, r), i == 3)
				checked++
			}
		}
		require.Greater(t, checked, 10)
		leaksOnly(t, m.b, false)
	})
}

// TestWriteErrors lets requests to the file fail, one in each run. Whatever happens, the image must not become corrupt, and a flush that
// succeeded must have kept what was written before.
func TestWriteErrors(t *testing.T) {
	runs := 150
	if testing.Short() {
		runs = 20
	}
	perRound(t, crashVariants[:3], func(t *testing.T, _ int, v string, seed uint64) {
		const size = 2 << 20
		base := memImage(t, size, v)
		for run := range runs {
			m := &memDisk{b: bytes.Clone(base.b), fail: map[int]unix.Errno{}}
			errno := unix.EIO
			if run%2 == 0 {
				errno = unix.ENOSPC
			}
			m.fail[1+run] = errno
			d, err := openMem(t, m, "l2-cache-size=1k", block.Mode{Unmap: true})
			require.NoError(t, err)
			info, _ := d.n.Info()
			s := &storm{d: d, r: rand.New(rand.NewPCG(seed, uint64(run/5))), size: size, cluster: info.ClusterSize}
			for range 30 {
				s.step()
			}
			d.close()
			leaksOnly(t, m.b, false)
		}
	})
}
