package qcow2_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/block/driver"
)

// powerLog is the order in which requests reach several disks.
type powerLog struct {
	mu  sync.Mutex
	ops []powerOp
}

// powerOp is a request to one of the disks.
type powerOp struct {
	disk int
	memOp
}

// of returns what a disk calls with each of its requests.
func (l *powerLog) of(disk int) func(memOp) {
	return func(op memOp) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ops = append(l.ops, powerOp{disk, op})
	}
}

// rig is an image, perhaps with an external data file, on disks that lose power.
type rig struct {
	t      *testing.T
	disks  []*memDisk
	start  [][]byte
	log    powerLog
	r      *rand.Rand
	events []guestEvent
	idle   [][2]int // between the start of closing the image and the end of opening it
}

// guestEvent is what the guest did and where the log stood before and behind it.
type guestEvent struct {
	from, to int
	off      int64
	data     []byte // written; nil for a flush
	free     bool   // a discard: the old content may stay
}

func newRig(t *testing.T, size int64, v string, seed uint64) *rig {
	dir := t.TempDir()
	name := filepath.Join(dir, "t.qcow2")
	makeImage(t, name, size, variant(v, dir))
	g := &rig{t: t, r: rand.New(rand.NewPCG(seed, 9))}
	for _, f := range []string{name, filepath.Join(dir, "data")} {
		if b, err := os.ReadFile(f); err == nil {
			g.disks = append(g.disks, &memDisk{b: b})
			g.start = append(g.start, bytes.Clone(b))
		}
	}
	require.Len(t, g.disks, 1+strings.Count(v, "data_file="), dir)
	return g
}

// open opens the image on some disks; o are options.
func (g *rig) open(disks []*memDisk, o string, log *powerLog) *disk {
	var drivers []*block.Driver
	op := opts("driver=qcow2,file.driver=mem0," + o)
	for i, m := range disks {
		name := "mem" + string(rune('0'+i))
		drivers = append(drivers, &block.Driver{Name: name, Protocol: true,
			Open: func(context.Context, *block.Node, *block.Options) (block.Instance, error) { return m, nil }})
		if log != nil {
			m.note = log.of(i)
		}
		if i == 1 {
			op.Set("data-file.driver", name)
		}
	}
	graph := block.NewGraph(driver.All(), drivers)
	var msg bytes.Buffer
	graph.Messages = &msg
	graph.Lock()
	defer graph.Unlock()
	n, err := graph.Open(ctx, "", op, block.Mode{Unmap: true})
	require.NoError(g.t, err)
	b := graph.NewBackend("", "", block.PermConsistentRead|block.PermWrite, block.PermAll)
	require.NoError(g.t, b.Insert(n))
	graph.Unref(n)
	return &disk{t: g.t, g: graph, n: n, b: b, msg: &msg}
}

func (g *rig) at() int {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	return len(g.log.ops)
}

// step lets the guest do something.
func (g *rig) step(d *disk, size, cluster int64) {
	off := g.r.Int64N(size/512) * 512
	n := min(int64(1+g.r.IntN(300))*512, size-off)
	e := guestEvent{from: g.at(), off: off, data: make([]byte, n)}
	var err error
	switch k := g.r.IntN(16); {
	case k < 7:
		e.data = pattern(int(n), byte(g.r.Uint32()))
		err = d.b.Write(ctx, off, e.data, 0)
	case k < 10:
		err = d.b.WriteZeroes(ctx, off, n, block.MayUnmap)
	case k < 12:
		e.free = true
		err = d.b.Discard(ctx, off, n)
	case k < 13:
		e.off = off / cluster * cluster
		e.data = bytes.Repeat([]byte{byte(g.r.Uint32()), 1, 2, 3}, int(min(cluster, size-e.off)/4))
		if err = d.b.WriteCompressed(ctx, e.off, [][]byte{e.data}); err != nil {
			return // not with a data file, nor over something
		}
	case k < 14 && len(d.n.Bitmaps()) < 4:
		g.toggleBitmap(d)
		return
	default:
		e.data = nil
		err = d.b.Flush(ctx)
	}
	require.NoError(g.t, err)
	e.to = g.at()
	g.events = append(g.events, e)
}

// toggleBitmap adds a persistent bitmap or removes one.
func (g *rig) toggleBitmap(d *disk) {
	d.g.Lock()
	defer d.g.Unlock()
	name := string(rune('a' + g.r.IntN(3)))
	if b := d.n.FindBitmap(name); b != nil {
		d.n.RemoveBitmap(b)
	} else if b, err := d.n.AddBitmap(ctx, name, 4096); err == nil {
		b.Change(func(s *bitmap.State) { s.Persistent = true })
	}
}

// lose gives what is on the disks if power fails when the log stands at at: what was flushed, and any part of the rest.
func (g *rig) lose(at int) (disks []*memDisk) {
	for i := range g.disks {
		flushed := 0
		for k, op := range g.log.ops[:at] {
			if op.disk == i && op.n < 0 {
				flushed = k
			}
		}
		b := bytes.Clone(g.start[i])
		for k, op := range g.log.ops[:at] {
			switch {
			case op.disk != i || op.n < 0:
			case k < flushed || g.r.IntN(2) == 0:
				b = op.apply(b)
			case op.data != nil && op.off+op.n > int64(len(b)): // the file's length is kept, as journals do
				b = append(b, make([]byte, op.off+op.n-int64(len(b)))...)
			}
		}
		disks = append(disks, &memDisk{b: b})
	}
	return disks
}

// verify opens what a power failure left. What the guest wrote before the last flush that it knows of is there. Sectors that it wrote later may
// hold anything: new clusters are entered into the tables without waiting for their content.
func (g *rig) verify(at int, size int64) {
	disks := g.lose(at)
	d := g.open(disks, "", nil)
	got := make([][]byte, size/512) // nil where compressed data was lost
	for s := range got {
		if b := make([]byte, 512); d.b.Read(ctx, int64(s)*512, b) == nil {
			got[s] = b
		}
	}
	for _, b := range d.n.Bitmaps() {
		require.True(g.t, b.State().Inconsistent || g.closed(at), "power lost at %d of %d: bitmap %s claims to be right", at, len(g.log.ops), b.Name())
	}
	d.close()
	require.NotContains(g.t, d.msg.String(), "corrupt")
	flushed := 0
	for i, e := range g.events {
		if e.data == nil && e.to <= at {
			flushed = i
		}
	}
	may := make([][][]byte, size/512) // nil for any content
	for s := range may {
		may[s] = [][]byte{make([]byte, 512)}
	}
	for i, e := range g.events {
		if e.from > at {
			break
		}
		for k := int64(0); k < int64(len(e.data)); k += 512 {
			switch s, now := (e.off+k)/512, e.data[k:k+512]; {
			case i >= flushed:
				may[s] = nil
			case e.free:
				may[s] = append(may[s], now)
			default:
				may[s] = [][]byte{now}
			}
		}
	}
	for s, list := range may {
		ok := list == nil || slices.ContainsFunc(list, func(b []byte) bool { return bytes.Equal(b, got[s]) })
		require.True(g.t, ok, "power lost at %d of %d: sector %d is not what was flushed", at, len(g.log.ops), s)
	}
	if len(disks) == 1 {
		leaksOnly(g.t, disks[0].b, false)
	}
}

// TestPowerLossReuse frees the space of compressed clusters of which most is kept, and fills what is free. The rest of the clusters was
// flushed, so it is there whenever power fails.
func TestPowerLossReuse(t *testing.T) {
	const size, cluster = 1 << 20, 64 << 10
	g := newRig(t, size, "cluster_size=64k", 1)
	d := g.open(g.disks, "", &g.log)
	do := func(off int64, data []byte, f func() error) {
		e := guestEvent{from: g.at(), off: off, data: data}
		require.NoError(t, f())
		e.to = g.at()
		g.events = append(g.events, e)
	}
	write := func(off int64, n int) {
		b := pattern(n, byte(off>>16))
		do(off, b, func() error { return d.b.Write(ctx, off, b, 0) })
	}
	for i := range int64(4) {
		b := bytes.Repeat([]byte{byte(i), 1, 2, 3}, cluster/4)
		do(i*cluster, b, func() error { return d.b.WriteCompressed(ctx, i*cluster, [][]byte{b}) })
		write((i+4)*cluster, 512) // the next compressed cluster does not stand in the same one
	}
	do(0, nil, func() error { return d.b.Flush(ctx) })
	flushed := g.at()
	for i := range int64(4) {
		write(i*cluster, 512)
		write((i+8)*cluster, cluster)
	}
	for at := flushed; at <= g.at(); at++ {
		for range 4 {
			g.verify(at, size)
		}
	}
	d.close()
}

// closed tells whether the image was not open at a point of the log.
func (g *rig) closed(at int) bool {
	return slices.ContainsFunc(g.idle, func(i [2]int) bool { return at >= i[0] && at <= i[1] })
}

// TestPowerLoss lets power fail at any request, with everything after the last flush of each file in doubt.
func TestPowerLoss(t *testing.T) {
	variants := []string{"cluster_size=4k", "extended_l2=on,cluster_size=16k", "lazy_refcounts=on,cluster_size=4k", "cluster_size=64k,compression_type=zstd",
		"data_file=DIR/data,cluster_size=4k", "data_file=DIR/data,data_file_raw=on", "data_file=DIR/data,extended_l2=on"}
	perRound(t, variants, func(t *testing.T, _ int, v string, seed uint64) {
		const size = 1 << 20
		g := newRig(t, size, v, seed)
		closing := 0
		for range 3 { // the image is closed twice on the way
			d := g.open(g.disks, "l2-cache-size=1k", &g.log)
			g.idle = append(g.idle, [2]int{closing, g.at()})
			info, _ := d.n.Info()
			for range 25 {
				g.step(d, size, info.ClusterSize)
			}
			closing = g.at()
			d.close()
			require.Empty(t, d.msg.String())
		}
		g.idle = append(g.idle, [2]int{closing, g.at()})
		require.Greater(t, len(g.log.ops), 20)
		for range 60 {
			g.verify(1+g.r.IntN(len(g.log.ops)), size)
		}
	})
}
