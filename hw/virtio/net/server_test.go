package net

import (
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/hw/virtio"
	"goemu/hw/virtio/ring"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/chardev"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/netdev"
	"goemu/internal/netdev/vhostuser"
	"goemu/qapi"
)

// echo is a process that serves rings, as far as the test is concerned: it sends what the guest sends back to it.
type echo struct {
	t    *testing.T
	c    *net.UnixConn
	done chan struct{}

	mem    *memory.AddressSpace
	mu     sync.Mutex  // the rest is guarded by it
	users  [][3]uint64 // of each region: address there, guest address, size
	rings  [2]*ring.Queue
	cfg    [2]ring.Config
	calls  [2]int
	bases  [2]uint16
	log    []byte
	frames atomic.Int32
}

const (
	echoFeatures = 1<<26 | 1<<30 | 1<<32 | mergeable
	echoProtocol = 1<<1 | 1<<3
)

// serve answers messages until the connection ends.
func (e *echo) serve() {
	defer close(e.done)
	defer e.c.Close()
	h, oob := make([]byte, 12), make([]byte, 256)
	for {
		_, n, _, _, err := e.c.ReadMsgUnix(h, oob)
		if err != nil {
			return
		}
		var fds []int
		if list, _ := unix.ParseSocketControlMessage(oob[:n]); len(list) > 0 {
			fds, _ = unix.ParseUnixRights(&list[0])
		}
		b := make([]byte, le.Uint32(h[8:]))
		if len(b) > 0 {
			if k, err := e.c.Read(b); err != nil || k < len(b) {
				return
			}
		}
		if r := e.message(le.Uint32(h), b, fds); r != nil || le.Uint32(h[4:])&8 != 0 {
			if r == nil {
				r = make([]byte, 8)
			}
			m := le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, le.Uint32(h)), 5), uint32(len(r)))
			if _, err := e.c.Write(append(m, r...)); err != nil {
				return
			}
		}
	}
}

func (e *echo) message(request uint32, b []byte, fds []int) (reply []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := 0
	if len(b) >= 8 && (request == 18 || request >= 8 && request <= 13) {
		i = int(le.Uint32(b) & 1)
	}
	switch request {
	case 1:
		return le.AppendUint64(nil, echoFeatures)
	case 15:
		return le.AppendUint64(nil, echoProtocol)
	case 5:
		e.users = nil
		for k := range le.Uint32(b) {
			r := b[8+32*k:]
			guest, size, user, off := le.Uint64(r), le.Uint64(r[8:]), le.Uint64(r[16:]), le.Uint64(r[24:])
			if guest != off || guest+size > shared {
				e.t.Errorf("memory at %#x, %#x bytes, is at %#x of the file", guest, size, off)
			}
			e.users = append(e.users, [3]uint64{user, guest, size})
		}
	case 6:
		e.log, _ = unix.Mmap(fds[0], 0, int(le.Uint64(b)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return []byte{}
	case 8:
		e.cfg[i].Num = uint16(le.Uint32(b[4:]))
	case 9:
		e.cfg[i].Desc, e.cfg[i].Used, e.cfg[i].Avail = e.guest(le.Uint64(b[8:])), e.guest(le.Uint64(b[16:])), e.guest(le.Uint64(b[24:]))
	case 10:
		e.bases[i] = uint16(le.Uint32(b[4:]))
	case 11:
		n := e.rings[i].Position().Avail.Index
		e.rings[i].Reset()
		return le.AppendUint32(le.AppendUint32(nil, uint32(i)), uint32(n))
	case 12:
		e.rings[i] = ring.New(e.mem)
		if err := e.rings[i].Setup(e.cfg[i]); err != nil {
			e.t.Error(err)
		}
		if err := e.rings[i].Restore(ring.Position{Avail: ring.Place{Index: e.bases[i]}}, 0); err != nil {
			e.t.Error(err)
		}
		if i == 1 {
			go e.work(fds[0])
		}
	case 13:
		e.calls[i] = fds[0]
	}
	return nil
}

func (e *echo) guest(user uint64) uint64 {
	for _, u := range e.users {
		if user-u[0] < u[2] {
			return u[1] + user - u[0]
		}
	}
	e.t.Errorf("address %#x", user)
	return 0
}

// work echoes frames whenever it is told of new ones, until the event is closed or the connection is over.
func (e *echo) work(fd int) {
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(p, 10)
		select {
		case <-e.done:
			return
		default:
		}
		if n < 1 {
			continue
		}
		var b [8]byte
		_, _ = unix.Read(fd, b[:])
		for e.one() {
		}
	}
}

// one echoes a frame if there is one, and room for it.
func (e *echo) one() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	out, err := e.rings[1].Pop()
	if out == nil || err != nil {
		return false
	}
	in, err := e.rings[0].Pop()
	if in == nil || err != nil {
		e.rings[1].Unpop(out)
		return false
	}
	var data []byte
	for _, s := range out.Out {
		data = append(data, s...)
	}
	data[hdrBuffers] = 1
	copy(in.In[0], data)
	if e.log != nil {
		in.EachIn(func(addr, _ uint64) { e.log[addr/4096/8] |= 1 << (addr / 4096 % 8) })
	}
	e.rings[0].Push(in, uint32(len(data)))
	e.rings[1].Push(out, 0)
	e.frames.Add(1)
	for _, c := range e.calls {
		_, _ = unix.Write(c, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
	return true
}

// shared is the size of the memory that the guest and the server have in common.
const shared = 8 << 20

func shareMemory(t *testing.T, fd int) *memory.Region {
	t.Helper()
	b, err := memory.MapRAMBlock("shared", shared, memory.Mapping{FD: fd, Shared: true})
	require.NoError(t, err)
	return memory.NewRAMFrom(b)
}

// dial connects a server to the emulator's socket.
func dial(t *testing.T, path string, fd int) *echo {
	t.Helper()
	var c net.Conn
	require.Eventually(t, func() bool {
		var err error
		c, err = net.Dial("unix", path)
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
	e := &echo{t: t, c: c.(*net.UnixConn), done: make(chan struct{}), mem: memory.NewAddressSpace("server", shareMemory(t, fd))}
	go e.serve()
	return e
}

// TestServer lets another process, a connection of this one, serve the rings: frames go there and back, writes are logged while somebody
// tracks memory, the rings go on where they stood when the machine stops and runs, and after the server was lost.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	chars := chardev.NewSet(mainloop.Main, chardev.Hooks{})
	t.Cleanup(chars.Close)
	_, err := chars.Open(chardev.NewSpec("c", "socket", map[string]string{"path": path, "server": "on", "wait": "off"}))
	require.NoError(t, err)
	vhostuser.FindChardev = chars.Find
	set := netdev.NewSet()
	set.Warn = func(text string) { t.Log(text) }
	netdev.Main = set
	fd, err := unix.MemfdCreate("ram", unix.MFD_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Ftruncate(fd, shared))
	ram := shareMemory(t, fd)
	block := ram.RAM()
	first := dial(t, path, fd)
	require.NoError(t, vhostuser.Open(set, &qapi.Netdev{Id: "n", Type: "vhost-user", VhostUser: &qapi.NetdevVhostUserOptions{Chardev: "c"}}, nil))

	m, _ := newModel(t, set, "netdev", "n")
	m.Mem.Root().Add(ram, 0, 1)
	g := &guest{Function: m.Map(devfn), t: t, at: map[uint16]uint64{}, size: rxStep}
	g.start(mergeable | eventIdx)
	g.refill(16)
	there := func(i int) {
		t.Helper()
		want := frameOf(i, 100+i)
		g.send(want, [hdrLong]byte{}, 0)
		_, got := g.next()
		require.Equal(t, want, got)
		g.sent(1)
		g.refill(1)
	}
	for i := range 5 {
		there(i)
	}
	require.EqualValues(t, 5, first.frames.Load())

	block.Track(memory.DirtyMigration)
	written := make([]uint64, shared/4096/64)
	block.Collect(memory.DirtyMigration, written)
	there(6)
	block.Collect(memory.DirtyMigration, written)
	marked := false
	for page := uint64(rxData / 4096); page < (rxData+bufs*rxStep)/4096; page++ {
		marked = marked || written[page/64]>>(page%64)&1 != 0
	}
	require.True(t, marked, "no page of a receive buffer")
	block.Untrack(memory.DirtyMigration)

	virtiotest.Locked(func() { virtio.SetMachineRunning(false) })
	g.send(frameOf(7, 200), [hdrLong]byte{}, 0) // waits
	virtiotest.Locked(func() { virtio.SetMachineRunning(true) })
	_, got := g.next()
	require.Equal(t, frameOf(7, 200), got)
	g.sent(1)

	first.c.Close()
	up := func() bool {
		mainloop.Main.RunPending()
		v, _ := g.Mem.Load(g.Modern+virtiotest.DeviceCfg+cfgStatus, 2)
		return v&statusLinkUp != 0
	}
	require.Eventually(t, func() bool { return !up() }, 10*time.Second, time.Millisecond)
	second := dial(t, path, fd)
	require.Eventually(t, up, 10*time.Second, time.Millisecond)
	g.Kick(0)
	for i := range 3 {
		there(i)
	}
	require.EqualValues(t, 3, second.frames.Load())
	second.c.Close()
	<-first.done
	<-second.done
}
