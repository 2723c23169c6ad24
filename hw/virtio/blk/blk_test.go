package blk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver"
	"goemu/hw/disk"
	"goemu/hw/qdev"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/mainloop"
)

// ramDisk is a backend in memory that can be told to fail.
type ramDisk struct {
	b      []byte
	fail   error
	wce    bool
	ro     bool
	flush  int
	cached bool // TryReadV answers
	block  chan struct{}
	mu     sync.Mutex // guards b and flush while requests are served
}

// settled waits for requests in progress; the guest learns of their end through memory, which orders nothing for a test.
func (r *ramDisk) settled() *ramDisk {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r
}

// Length implements block.Lengther.
func (r *ramDisk) Length(context.Context) (int64, error) { return int64(len(r.b)), nil }

// TryReadV implements block.TryReader.
func (r *ramDisk) TryReadV(off int64, iov [][]byte) bool {
	if !r.cached || r.fail != nil {
		return false
	}
	block.IovScatter(iov, r.b[off:])
	return true
}

// ReadV implements block.Reader.
func (r *ramDisk) ReadV(_ context.Context, off int64, iov [][]byte, _ block.Flags) error {
	if r.block != nil {
		<-r.block
	}
	block.IovScatter(iov, r.b[off:])
	return r.fail
}

// WriteV implements block.Writer.
func (r *ramDisk) WriteV(_ context.Context, off int64, iov [][]byte, _ block.Flags) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail == nil {
		block.IovGather(r.b[off:], iov)
	}
	return r.fail
}

// FlushToOS implements block.Flusher.
func (r *ramDisk) FlushToOS(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush++
	return r.fail
}

// Discard implements block.Discarder.
func (r *ramDisk) Discard(_ context.Context, off, n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.b[off : off+n])
	return r.fail
}

// WriteZeroes implements block.ZeroWriter.
func (r *ramDisk) WriteZeroes(ctx context.Context, off, n int64, _ block.Flags) error {
	return r.Discard(ctx, off, n)
}

// Close implements block.Instance.
func (r *ramDisk) Close() {}

// backend puts the disk into a graph of its own.
func (r *ramDisk) backend(t testing.TB) *block.Backend {
	t.Helper()
	g := block.NewGraph([]*block.Driver{{Name: "ram", Protocol: true, Open: func(context.Context, *block.Node, *block.Options) (block.Instance, error) {
		return r, nil
	}}})
	g.Lock()
	defer g.Unlock()
	n, err := g.Open(t.Context(), "", block.OptionsOf("driver", "ram"), block.Mode{ReadOnly: r.ro, Unmap: true})
	if err != nil {
		t.Fatal(err)
	}
	b := g.NewBackend("", "", 0, block.PermAll)
	if err := b.Insert(n); err != nil {
		t.Fatal(err)
	}
	g.Unref(n)
	b.SetWriteCache(r.wce)
	return b
}

const devfn = 5 << 3

// newBlk makes a machine with a virtio-blk-pci over disk in slot 5.
func newBlk(t testing.TB, disk *ramDisk, props ...string) *virtiotest.Function {
	t.Helper()
	return newBlkOver(t, disk.backend(t), props...)
}

// newBlkOver is newBlk over any backend.
func newBlkOver(t testing.TB, b *block.Backend, props ...string) *virtiotest.Function {
	t.Helper()
	m := virtiotest.NewMachine(t, Classes())
	src := block.SourceOf("d", b)
	qdev.Link(&m.Tree.Links, func(id string) (*block.Source, bool) { return src, id == "d" })
	if _, err := m.Add("virtio-blk-pci", append([]string{"drive", "d", "addr", "5"}, props...)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m.Map(devfn)
}

// client is a guest's block driver.
type client struct {
	*virtiotest.Function
	q *virtiotest.Driver
}

const (
	ringAt = 0x10000
	hdrAt  = 0x40000 // 64 bytes for each slot: header, then status at 32
	dataAt = 0x100000
)

func start(t testing.TB, f *virtiotest.Function, want uint64) *client {
	f.EnableMSIX(2)
	got := f.Negotiate(want)
	q := virtiotest.NewDriver(f.Mem, ringAt, 64, got>>29&1 != 0)
	f.SetupQueue(0, q, 1)
	f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
	return &client{f, q}
}

// submit makes a request available; data is in guest memory at dataAt.
func (c *client) submit(slot int, kind uint32, sector uint64, bufs ...virtiotest.Buf) {
	at := uint64(hdrAt + 64*slot)
	c.Mem.Store(at, 4, uint64(kind))
	c.Mem.Store(at+4, 4, 0)
	c.Mem.Store(at+8, 8, sector)
	c.Mem.Store(at+32, 1, 0xff)
	chain := append([]virtiotest.Buf{{Addr: at, Len: 16}}, bufs...)
	c.q.Add(append(chain, virtiotest.Buf{Addr: at + 32, Len: 1, Write: true})...)
}

// wait waits for a completion.
func (c *client) wait(t testing.TB) (written uint32) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		if _, n, ok := c.q.Next(); ok {
			return n
		}
		select {
		case <-c.Interrupts():
		case <-deadline:
			t.Fatal("no completion")
		}
	}
}

// do makes one request and returns its status.
func (c *client) do(t testing.TB, kind uint32, sector uint64, bufs ...virtiotest.Buf) (status uint8, written uint32) {
	t.Helper()
	c.submit(0, kind, sector, bufs...)
	c.Kick(0)
	n := c.wait(t)
	st, _ := c.Mem.Load(hdrAt+32, 1)
	return uint8(st), n
}

func in(n uint32) virtiotest.Buf  { return virtiotest.Buf{Addr: dataAt, Len: n, Write: true} }
func out(n uint32) virtiotest.Buf { return virtiotest.Buf{Addr: dataAt, Len: n} }

const allFeatures = ^uint64(0) &^ (1 << 33)

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>9 + i*7)
	}
	return b
}

func TestReadWrite(t *testing.T) {
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprint("cached ", cached), func(t *testing.T) {
			disk := &ramDisk{b: pattern(1 << 20), cached: cached}
			c := start(t, newBlk(t, disk), allFeatures&^(1<<29)) // every completion interrupts
			got := make([]byte, 8192)
			if st, n := c.do(t, typeIn, 3, in(8192)); st != statusOK || n != 8193 {
				t.Fatalf("status %d, %d bytes", st, n)
			}
			c.Mem.Read(dataAt, got)
			if !bytes.Equal(got, disk.b[3*512:3*512+8192]) {
				t.Error("wrong data")
			}
			c.Mem.Write(dataAt, bytes.Repeat([]byte{0xa5}, 4096))
			if st, n := c.do(t, typeOut, 100, virtiotest.Buf{Addr: dataAt, Len: 1000}, virtiotest.Buf{Addr: dataAt + 1000, Len: 3096}); st != statusOK || n != 1 {
				t.Fatalf("status %d, %d bytes", st, n)
			}
			if !bytes.Equal(disk.settled().b[51200:51200+4096], bytes.Repeat([]byte{0xa5}, 4096)) || disk.b[51200+4096] == 0xa5 {
				t.Error("wrong data on disk")
			}
			require.Eventually(t, func() bool { return c.Messages(0x41) >= 2 }, 10*time.Second, time.Millisecond, "interrupts")
		})
	}
}

func TestRequests(t *testing.T) {
	seg := func(sector uint64, n, flags uint32) []byte {
		b := le.AppendUint64(nil, sector)
		return le.AppendUint32(le.AppendUint32(b, n), flags)
	}
	for _, c := range []struct {
		name   string
		kind   uint32
		sector uint64
		data   []byte
		bufs   []virtiotest.Buf
		status uint8
		check  func(d *ramDisk, c *client) bool
	}{
		{"flush", typeFlush, 0, nil, nil, statusOK, func(d *ramDisk, _ *client) bool { return d.flush == 1 }},
		{"serial", typeGetID, 0, nil, []virtiotest.Buf{in(20)}, statusOK, func(_ *ramDisk, c *client) bool {
			b := make([]byte, 20)
			c.Mem.Read(dataAt, b)
			return string(b) == "disk-number-one\x00\x00\x00\x00\x00"
		}},
		{"discard", typeDiscard, 0, seg(8, 4, 0), []virtiotest.Buf{out(16)}, statusOK, func(d *ramDisk, _ *client) bool {
			return bytes.Equal(d.b[8*512:12*512], make([]byte, 2048))
		}},
		{"zeroes", typeWriteZeroes, 0, seg(8, 4, 1), []virtiotest.Buf{out(16)}, statusOK, func(d *ramDisk, _ *client) bool {
			return bytes.Equal(d.b[8*512:12*512], make([]byte, 2048))
		}},
		{"discard with flag", typeDiscard, 0, seg(8, 4, 1), []virtiotest.Buf{out(16)}, statusUnsupp, nil},
		{"zeroes with strange flag", typeWriteZeroes, 0, seg(8, 4, 2), []virtiotest.Buf{out(16)}, statusUnsupp, nil},
		{"discard beyond the end", typeDiscard, 0, seg(2047, 2, 0), []virtiotest.Buf{out(16)}, statusIOErr, nil},
		{"two segments", typeDiscard, 0, append(seg(0, 1, 0), seg(2, 1, 0)...), []virtiotest.Buf{out(32)}, statusUnsupp, nil},
		{"read beyond the end", typeIn, 2047, nil, []virtiotest.Buf{in(1024)}, statusIOErr, nil},
		{"read far beyond", typeIn, ^uint64(0), nil, []virtiotest.Buf{in(512)}, statusIOErr, nil},
		{"write at the end", typeOut, 2047, nil, []virtiotest.Buf{out(512)}, statusOK, nil},
		{"odd size", typeIn, 0, nil, []virtiotest.Buf{in(100)}, statusIOErr, nil},
		{"scsi", typeSCSI, 0, nil, []virtiotest.Buf{out(6), in(96), in(16)}, statusUnsupp, func(_ *ramDisk, c *client) bool {
			v, _ := c.Mem.Load(dataAt, 4)
			return v == scsiRefused
		}},
		{"scsi without an answer", typeSCSI, 0, nil, []virtiotest.Buf{in(96)}, statusIOErr, nil},
		{"unknown", 77, 0, nil, nil, statusUnsupp, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &ramDisk{b: pattern(1 << 20), wce: true}
			cl := start(t, newBlk(t, d, "serial", "disk-number-one"), allFeatures)
			cl.Mem.Write(dataAt, c.data)
			if st, _ := cl.do(t, c.kind, c.sector, c.bufs...); st != c.status {
				t.Errorf("status %d, want %d", st, c.status)
			}
			if c.check != nil && !c.check(d.settled(), cl) {
				t.Error("not done")
			}
		})
	}
}

func TestErrors(t *testing.T) {
	d := &ramDisk{b: pattern(1 << 20), wce: true, fail: errors.New("broken")}
	c := start(t, newBlk(t, d), allFeatures)
	if st, _ := c.do(t, typeIn, 0, in(512)); st != statusIOErr {
		t.Errorf("status %d", st)
	}
	d = &ramDisk{b: pattern(1 << 20), wce: true, fail: errors.New("broken")}
	c = start(t, newBlk(t, d, "rerror", "ignore"), allFeatures)
	if st, _ := c.do(t, typeIn, 0, in(512)); st != statusOK {
		t.Errorf("rerror=ignore: status %d", st)
	}
	d = &ramDisk{b: pattern(1 << 20), ro: true}
	f := newBlk(t, d)
	c = start(t, f, allFeatures)
	if st, _ := c.do(t, typeOut, 0, out(512)); st != statusIOErr {
		t.Errorf("read-only: status %d", st)
	}
}

// TestStop: with werror=stop a failed request is kept and tried again when the machine goes on.
func TestStop(t *testing.T) {
	stopped := make(chan bool, 1)
	disk.StopMachine = func() { stopped <- true }
	defer func() { disk.StopMachine = nil }()
	d := &ramDisk{b: make([]byte, 1<<20), wce: true, fail: errors.New("broken")}
	f := newBlk(t, d, "werror", "stop")
	c := start(t, f, allFeatures)
	c.Mem.Write(dataAt, []byte("kept"))
	c.submit(0, typeOut, 5, out(512))
	c.Kick(0)
	<-stopped
	dev := f.Bus.Function(devfn).(interface{ VirtioDevice() *Model }).VirtioDevice()
	dev.SetRunning(false)
	if _, _, ok := c.q.Next(); ok {
		t.Fatal("completed")
	}
	d.fail = nil
	dev.SetRunning(true)
	c.wait(t)
	if st, _ := c.Mem.Load(hdrAt+32, 1); st != statusOK || string(d.b[5*512:5*512+4]) != "kept" {
		t.Errorf("status %d, data %q", st, d.b[5*512:5*512+4])
	}
}

// TestParallel: a request that waits for the host does not hold up the others.
func TestParallel(t *testing.T) {
	d := &ramDisk{b: pattern(1 << 20)}
	f := newBlk(t, d)
	d.block = make(chan struct{}) // from now on: the device has read the first sector to guess a geometry
	c := start(t, f, allFeatures)
	for i := range 8 {
		c.submit(i, typeIn, uint64(i), virtiotest.Buf{Addr: dataAt + uint64(i)*4096, Len: 512, Write: true})
	}
	c.submit(8, typeFlush, 0)
	c.Kick(0)
	c.wait(t) // the flush, which does not block
	if st, _ := c.Mem.Load(hdrAt+64*8+32, 1); st != statusOK {
		t.Error("not the flush")
	}
	close(d.block)
	for range 8 {
		c.wait(t)
	}
}

// TestReset: a reset waits for the requests that are under way, and the device works again after it.
func TestReset(t *testing.T) {
	d := &ramDisk{b: pattern(1 << 20)}
	f := newBlk(t, d)
	d.block = make(chan struct{}) // from now on: the device has read the first sector to guess a geometry
	c := start(t, f, allFeatures)
	c.submit(0, typeIn, 0, in(512))
	c.Kick(0)
	go func() { time.Sleep(20 * time.Millisecond); close(d.block) }()
	mainloop.Lock.Lock()
	c.SetCom(virtiotest.ComStatus, 1, 0)
	mainloop.Lock.Unlock()
	if c.Com(virtiotest.ComStatus, 1) != 0 {
		t.Error("status is not zero")
	}
	c = start(t, c.Function, allFeatures)
	if st, _ := c.do(t, typeIn, 0, in(512)); st != statusOK {
		t.Errorf("status %d", st)
	}
}

func TestBroken(t *testing.T) {
	for name, bufs := range map[string][]virtiotest.Buf{
		"no status":    {{Addr: hdrAt, Len: 16}},
		"short header": {{Addr: hdrAt, Len: 15}, in(1)},
		"no memory":    {{Addr: 1 << 40, Len: 16}, in(1)},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, newBlk(t, &ramDisk{b: make([]byte, 4096)}), allFeatures)
			c.q.Add(bufs...)
			c.Kick(0)
			for range 1000 {
				if c.Com(virtiotest.ComStatus, 1)&0x40 != 0 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if st := c.Com(virtiotest.ComStatus, 1); st&0x40 == 0 {
				t.Fatalf("status %#x: the device does not ask for a reset", st)
			}
			c = start(t, c.Function, allFeatures)
			if st, _ := c.do(t, typeIn, 0, in(512)); st != statusOK {
				t.Errorf("after reset: status %d", st)
			}
		})
	}
}

// TestLegacy drives the device through the legacy interface with the interrupt pin.
func TestLegacy(t *testing.T) {
	disk := &ramDisk{b: pattern(1 << 20)}
	f := newBlk(t, disk)
	io := func(off uint64, size int) (v uint64) {
		virtiotest.Locked(func() { v, _ = f.IO.Load(f.Legacy+off, size) })
		return v
	}
	set := func(off uint64, size int, v uint64) { virtiotest.Locked(func() { f.IO.Store(f.Legacy+off, size, v) }) }
	set(legStatusPort, 1, 0)
	set(legStatusPort, 1, 3)
	if v := io(0, 4); v>>featureSCSI&1 != 0 {
		t.Errorf("features %#x", v)
	}
	set(4, 4, 0)
	if n := io(12, 2); n != 256 {
		t.Fatalf("queue size %d", n)
	}
	q := virtiotest.NewDriver(f.Mem, ringAt, 256, false)
	set(8, 4, ringAt>>12)
	set(legStatusPort, 1, 7)
	c := &client{f, q}
	c.submit(0, typeIn, 1, in(512))
	set(16, 2, 0)
	c.wait(t)
	if !f.Line(1) { // slot 5, pin A
		mainloop.Main.RunPending()
	}
	if !f.Line(1) {
		t.Error("no interrupt")
	}
	if v := io(19, 1); v != 1 {
		t.Errorf("interrupt status %d", v)
	}
	if f.Line(1) || io(19, 1) != 0 {
		t.Error("reading the status does not clear it")
	}
	if v := io(20, 4); v != 2048 {
		t.Errorf("capacity %d", v)
	}
	f.EnableMSIX(2)
	if v := io(24, 4); v != 2048 {
		t.Errorf("capacity with MSI-X %d", v)
	}
}

// TestResize lets the medium change its length: the driver is told to look at the capacity again.
func TestResize(t *testing.T) {
	b := (&ramDisk{b: pattern(1 << 20)}).backend(t)
	f := newBlkOver(t, b)
	isr := func() (v uint64) {
		virtiotest.Locked(func() { v, _ = f.IO.Load(f.Legacy+19, 1) })
		return v
	}
	status := func(v uint64) { virtiotest.Locked(func() { f.IO.Store(f.Legacy+legStatusPort, 1, v) }) }
	for _, c := range []struct{ status, want uint64 }{{3, 0}, {7, 3}} {
		status(c.status)
		b.OnResize()
		mainloop.Main.RunPending()
		if v := isr(); v != c.want {
			t.Errorf("interrupt status %d with status %d, want %d", v, c.status, c.want)
		}
	}
}

const legStatusPort = 18

func TestOptionErrors(t *testing.T) {
	m := virtiotest.NewMachine(t, Classes())
	d := block.SourceOf("a", (&ramDisk{b: make([]byte, 1<<20)}).backend(t))
	qdev.Link(&m.Tree.Links, func(id string) (*block.Source, bool) { return d, id == "a" })
	for _, c := range []struct{ props, want string }{
		{"", "drive property not set"},
		{"drive=b", "Property 'virtio-blk-device.drive' can't find value 'b'"},
		{"drive=a,queue-size=3", "invalid queue-size property (3), must be a power of 2 (max 1024)"},
		{"drive=a,queue-size=0", "invalid queue-size property (0), must be > 2"},
		{"drive=a,num-queues=0", "num-queues property must be larger than 0"},
		{"drive=a,logical_block_size=100", "Property .logical_block_size doesn't take value 100 (minimum: 512, maximum: 2097152)"},
		{"drive=a,logical_block_size=4096,physical_block_size=512", "logical_block_size > physical_block_size not supported"},
		{"drive=a,min_io_size=100", "min_io_size must be a multiple of logical_block_size"},
		{"drive=a,opt_io_size=100", "opt_io_size must be a multiple of logical_block_size"},
		{"drive=a,discard_granularity=100", "discard_granularity must be a multiple of logical_block_size"},
		{"drive=a,max-discard-sectors=0", "invalid max-discard-sectors property (0), must be between 1 and 4194303"},
		{"drive=a,cyls=1", "heads must be between 1 and 255"},
		{"drive=a,cyls=70000,heads=1,secs=1", "cyls must be between 1 and 65535"},
		{"drive=a,foo=1", "Property 'virtio-blk-pci.foo' not found"},
		{"drive=a,disable-legacy=on,disable-modern=on",
			"device cannot work as neither modern nor legacy mode is enabled\nSet either disable-modern or disable-legacy to off"},
		{"drive=a,write-cache=foo", "Parameter 'write-cache' does not accept value 'foo'"},
		{"drive=a", ""},
		{"drive=a", "Drive 'a' is already in use by another device"},
	} {
		var pairs []string
		for _, p := range strings.Split(c.props, ",") {
			if k, v, ok := strings.Cut(p, "="); ok {
				pairs = append(pairs, k, v)
			}
		}
		_, err := m.Add("virtio-blk-pci", pairs...)
		if got := fmt.Sprint(err); got != c.want && !(err == nil && c.want == "") {
			t.Errorf("%s: %s\nwant %s", c.props, got, c.want)
		}
	}
	m.Close()
}

// TestFile runs against a real image.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.img")
	if err := os.WriteFile(path, pattern(1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	g := driver.NewDrives()
	defer g.Close()
	drv, err := g.AddDrive("if=none,id=x,format=raw,file="+path, "ide")
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, newBlkOver(t, drv.Backend), allFeatures)
	if st, _ := c.do(t, typeIn, 7, in(65536)); st != statusOK {
		t.Fatal(st)
	}
	got := make([]byte, 65536)
	c.Mem.Read(dataAt, got)
	if !bytes.Equal(got, pattern(1 << 20)[7*512:7*512+65536]) {
		t.Error("wrong data")
	}
}

// FuzzDevice lets a fuzzer write registers, rings and notifications.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("\x14\x01\x0f\x00\x00\x30\x02\x00\x01\x00\x20\x04\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, script []byte) {
		fn := newBlk(t, &ramDisk{b: make([]byte, 1<<16), cached: len(script)%2 == 0})
		defer fn.Mem.View().Find(0).RAM.Free()
		start(t, fn, allFeatures)
		for len(script) >= 8 {
			at, size, v := uint64(le.Uint16(script)), 1<<(script[2]&3), uint64(le.Uint32(script[4:]))
			switch script[3] & 3 {
			case 0:
				fn.Mem.Store(fn.Modern+at&0x3fff, size, v)
			case 1:
				fn.IO.Store(fn.Legacy+at&0x7f, min(size, 4), v)
			case 2:
				fn.Mem.Store(ringAt+at&0x3fff, size, v)
			case 3:
				fn.SetConfig(devfn, uint32(at)&0xfc, 4, uint32(v))
				fn.Mem.Load(fn.Modern+uint64(v)&0x3fff, size)
				fn.IO.Load(fn.Legacy+uint64(v)&0x7f, min(size, 4))
			}
			script = script[8:]
		}
		fn.Close()
	})
}

func BenchmarkRead4K(b *testing.B) {
	for _, cached := range []bool{true, false} {
		b.Run(map[bool]string{true: "inline", false: "worker"}[cached], func(b *testing.B) {
			d := &ramDisk{b: make([]byte, 1<<20), cached: cached}
			c := start(b, newBlk(b, d), allFeatures)
			c.submit(0, typeIn, 0, in(4096))
			c.Kick(0)
			c.wait(b)
			b.ReportAllocs()
			for b.Loop() {
				c.submit(0, typeIn, 0, in(4096))
				c.Kick(0)
				c.wait(b)
			}
		})
	}
}

// TestThrottledStop: a machine that stops waits for its requests, but not for the limits of their speed.
func TestThrottledStop(t *testing.T) {
	const writes = 3
	d := &ramDisk{b: make([]byte, 1<<20), wce: true}
	b := d.backend(t)
	g, limits := block.NewThrottleGroup("g"), block.NewThrottleConfig()
	limits.Buckets[block.BytesWrite].Avg = 1
	require.NoError(t, g.SetConfig(limits))
	b.SetThrottle(g)
	f := newBlkOver(t, b)
	c := start(t, f, allFeatures)
	c.Mem.Write(dataAt, []byte("kept"))
	for i := range writes { // the first one fills the bucket for minutes
		c.submit(i, typeOut, uint64(i), out(512))
	}
	c.Kick(0)
	c.wait(t)
	f.Bus.Function(devfn).(interface{ VirtioDevice() *Model }).VirtioDevice().SetRunning(false)
	for i := range writes {
		if st, _ := c.Mem.Load(hdrAt+uint64(64*i)+32, 1); st == statusOK && string(d.b[512*i:512*i+4]) != "kept" {
			t.Errorf("write %d was not made", i)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Write(ctx, 0, make([]byte, 512), 0), context.Canceled, "the limits hold again")
}
