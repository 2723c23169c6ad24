package qcow2_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/block"
)

// promise is what a sector may contain: all its bytes are one of the values.
type promise struct {
	now     []byte // what a read may find
	durable []byte // what the last successful flush kept
	since   []byte // what was written after it
}

// pledge is what was told to a guest that writes whole sectors of one byte each.
type pledge []promise

func newPledge(size int64) pledge {
	p := make(pledge, size/512)
	for i := range p {
		p[i] = promise{now: []byte{0}, durable: []byte{0}}
	}
	return p
}

// wrote notes a request that made n bytes at off v, or may have if it failed.
func (p pledge) wrote(off, n int64, v byte, err error) {
	for i := off / 512; i < (off+n)/512; i++ {
		if err == nil {
			p[i].now = []byte{v}
		} else {
			p[i].now = append(slices.Clone(p[i].now), v)
		}
		p[i].since = append(p[i].since, v)
	}
}

func (p pledge) flushed() {
	for i := range p {
		p[i].durable, p[i].since = p[i].now, nil
	}
}

// check compares the content of the disk from off on; only what a flush kept counts if the image has been closed meanwhile.
func (p pledge) check(t *testing.T, off int64, b []byte, closed bool) {
	t.Helper()
	for ; len(b) > 0; b, off = b[512:], off+512 {
		s := p[off/512]
		allowed := s.now
		if closed {
			allowed = append(slices.Clone(s.durable), s.since...)
		}
		require.Contains(t, allowed, b[0], "at %#x", off)
		require.Equal(t, bytes.Repeat(b[:1], 512), b[:512], "at %#x", off)
	}
}

// TestFaults lets reads or writes of the image file fail, once or for good, some of them half done, at each of the first requests. Nothing
// that a flush acknowledged is lost, no read shows what was never written, and the image has leaks at most.
func TestFaults(t *testing.T) {
	const size = 1 << 20
	faults := []fault{{errno: unix.EIO, reads: true}, {errno: unix.EIO, reads: true, forGood: true}, {errno: unix.ENOSPC}, {errno: unix.ENOSPC, forGood: true},
		{errno: unix.EIO, torn: true}, {errno: unix.EIO, torn: true, forGood: true}}
	runs := 10
	if testing.Short() {
		runs = 5
	}
	perRound(t, crashVariants, func(t *testing.T, i int, v string, seed uint64) {
		base := memImage(t, size, v)
		for k, f := range faults {
			t.Run(strconv.Itoa(k), func(t *testing.T) {
				for run := range runs {
					m := &memDisk{b: bytes.Clone(base.b)}
					d, err := openMem(t, m, "l2-cache-size=1k", block.Mode{Unmap: true})
					require.NoError(t, err)
					m.fault = f
					m.in = 1 + run*run/2
					r := rand.New(rand.NewPCG(seed, uint64(run/4)))
					p := newPledge(size)
					for range 40 {
						off := r.Int64N(size/512) * 512
						n := min(int64(1+r.IntN(100))*512, size-off)
						switch value := byte(1 + r.IntN(255)); r.IntN(8) {
						case 0, 1, 2:
							p.wrote(off, n, value, d.b.Write(ctx, off, bytes.Repeat([]byte{value}, int(n)), 0))
						case 3:
							p.wrote(off, n, 0, d.b.WriteZeroes(ctx, off, n, block.MayUnmap))
						case 4:
							info, _ := d.n.Info()
							at := off / info.ClusterSize * info.ClusterSize
							p.wrote(at, info.ClusterSize, value, d.b.WriteCompressed(ctx, at, [][]byte{bytes.Repeat([]byte{value}, int(info.ClusterSize))}))
						case 5:
							if d.b.Flush(ctx) == nil {
								p.flushed()
							}
						default:
							b := make([]byte, n)
							if d.b.Read(ctx, off, b) == nil {
								p.check(t, off, b, false)
							}
						}
					}
					d.close()
					m.fault = fault{}
					leaksOnly(t, m.b, i == 3)
					d, err = openMem(t, m, "", block.Mode{})
					require.NoError(t, err)
					p.check(t, 0, d.read(0, size), true)
					d.close()
				}
			})
		}
	})
}
