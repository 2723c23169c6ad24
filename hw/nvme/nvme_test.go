package nvme

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/hostmem"
	"goemu/internal/mainloop"
	"goemu/internal/userobj"
)

const (
	barAt = 0xfd000000

	asqAt, acqAt, sqAt, cqAt = 0x10000, 0x11000, 0x12000, 0x13000
	prpAt, dataAt            = 0x14000, 0x20000
	dataMax                  = 0x8000
	diskBytes                = 4 << 20
)

// image makes a disk of which the second half is a hole.
func image(t testing.TB) string { return virtiotest.Image(t, diskBytes/2, diskBytes) }

const uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

// newOurs makes our machine with devices.
func newOurs(t testing.TB, path string, devices ...string) virtiotest.Ours {
	t.Helper()
	lent := newMemory(t) // goes after the machine
	m := virtiotest.NewOurs(t, path, Classes())
	qdev.Link(&m.Tree.Links, func(string) (*hostmem.Backend, bool) { return lent, true })
	qdev.Link(&m.Tree.Links, func(id string) (*Subsystem, bool) {
		s, ok := m.Tree.Find(id).(*Subsystem)
		return s, ok
	})
	m.Plug(devices...)
	return m
}

// newMemory is memory of 64 KiB that the host lends.
func newMemory(t testing.TB) *hostmem.Backend {
	t.Helper()
	types := hostmem.Types(func() hostmem.Defaults { return hostmem.Defaults{CPUs: 1} })
	typ := types[slices.IndexFunc(types, func(t *userobj.Type) bool { return t.Name == "memory-backend-ram" })]
	b := typ.New("p").(*hostmem.Backend)
	size := typ.Props[slices.IndexFunc(typ.Props, func(p userobj.Property) bool { return p.Name == "size" })]
	if err := size.Set(b, uint64(64<<10)); err != nil {
		t.Fatal(err)
	}
	if err := b.Complete(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func newQEMU(t testing.TB, path string, devices ...string) virtiotest.Theirs {
	return virtiotest.Theirs{QEMU: qtest.Start(t, virtiotest.PCArgs(path, devices...)...)}
}

// TestConfig compares the configuration space.
func TestConfig(t *testing.T) {
	for _, d := range []string{"nvme", "nvme,use-intel-id=on,max_ioqpairs=4,msix_qsize=5", "nvme,msix-exclusive-bar=on", "nvme,cmb_size_mb=4", "nvme,max_ioqpairs=2000,msix_qsize=2001"} {
		t.Run(d, func(t *testing.T) {
			d += ",drive=d,serial=S,addr=5"
			o, q := newOurs(t, image(t), d), newQEMU(t, image(t), d)
			for reg := uint32(0); reg < 256; reg += 4 {
				if got, want := o.Config(reg, 4), q.Config(reg, 4); got != want {
					t.Errorf("config %02x: %08x, want %08x", reg, got, want)
				}
			}
			for reg := uint32(0x10); reg < 256; reg += 4 {
				if reg == 0x88 {
					continue // resets
				}
				o.SetConfig(reg, 4, ^uint32(0))
				q.SetConfig(reg, 4, ^uint32(0))
				if got, want := o.Config(reg, 4), q.Config(reg, 4); got != want {
					t.Errorf("config %02x after writing ones: %08x, want %08x", reg, got, want)
				}
			}
		})
	}
}

// client drives a controller.
type client struct {
	virtiotest.Guest
	t          testing.TB
	tail, head [2]uint32 // of the admin and the I/O queue
	phase      [2]uint16
}

const queueLen = 8

// start brings the controller up with admin queues.
func start(t testing.TB, g virtiotest.Guest) *client { return startSets(t, g, setNVM) }

// startSets is start for a choice of command sets.
func startSets(t testing.TB, g virtiotest.Guest, sets uint64) *client {
	c := &client{Guest: g, t: t, phase: [2]uint16{1, 1}}
	g.SetConfig(pci.RegBAR0, 4, barAt)
	g.SetConfig(pci.RegBAR0+4, 4, 0)
	g.SetConfig(pci.RegCommand, 2, pci.CommandMemory|pci.CommandMaster)
	g.Write(asqAt, make([]byte, prpAt-asqAt))
	g.Store(barAt+regAQA, 4, (queueLen-1)<<16|(queueLen-1))
	g.Store(barAt+regASQ, 8, asqAt)
	g.Store(barAt+regACQ, 4, acqAt)
	g.Store(barAt+regACQ+4, 4, 0)
	g.Store(barAt+regCC, 4, sets<<ccSetsAt|ccEnable|sqEntryBits<<ccSQEntryAt|cqEntryBits<<ccCQEntryAt)
	return c
}

// cmd is a command; a prp of zero gets dataAt.
type cmd struct {
	queue      int
	op, flags  uint8
	nsid       uint32
	prp1, prp2 uint64
	dw         [6]uint32
	data       []byte // put at dataAt first
	in         int    // bytes to compare
	post       bool   // its completion comes later
}

// send submits a command and describes its completion.
func (c *client) send(m cmd) string {
	q := m.queue
	at := []uint64{asqAt, sqAt}[q] + uint64(c.tail[q])*sqEntry
	b := make([]byte, sqEntry)
	b[0], b[1] = m.op, m.flags
	le.PutUint16(b[2:], uint16(0x100+c.tail[q]))
	le.PutUint32(b[4:], m.nsid)
	if m.prp1 == 0 {
		m.prp1 = dataAt
	}
	le.PutUint64(b[24:], m.prp1)
	le.PutUint64(b[32:], m.prp2)
	for i, v := range m.dw {
		le.PutUint32(b[40+4*i:], v)
	}
	c.Write(dataAt, bytes.Repeat([]byte{0xa5}, dataMax))
	if m.data != nil {
		c.Write(dataAt, m.data)
	}
	c.Write(at, b)
	c.tail[q] = (c.tail[q] + 1) % queueLen
	c.Store(barAt+doorbells+uint64(q)*8, 4, uint64(c.tail[q]))
	if m.post {
		return "pending"
	}
	out := c.completion(q)
	if m.in > 0 {
		out += fmt.Sprintf(" % x", c.Read(dataAt, m.in))
	}
	return out
}

// completion waits for the next completion of a queue.
func (c *client) completion(q int) string {
	c.t.Helper()
	at := []uint64{acqAt, cqAt}[q] + uint64(c.head[q])*cqEntry
	for end := time.Now().Add(20 * time.Second); ; {
		if _, ok := c.Guest.(virtiotest.Ours); ok {
			mainloop.Main.RunPending()
		}
		b := c.Read(at, cqEntry)
		if le.Uint16(b[14:])&1 == c.phase[q] {
			if c.head[q]++; c.head[q] == queueLen {
				c.head[q], c.phase[q] = 0, c.phase[q]^1
			}
			c.Store(barAt+doorbells+uint64(q)*8+4, 4, uint64(c.head[q]))
			return fmt.Sprintf("%x status %x", b[:14], le.Uint16(b[14:])>>1)
		}
		if time.Now().After(end) {
			c.t.Fatal("no completion")
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// queues makes the I/O queues.
func (c *client) queues() []string {
	return []string{c.send(cmd{op: admCreateCQ, prp1: cqAt, dw: [6]uint32{(queueLen-1)<<16 | 1, 3}}),
		c.send(cmd{op: admCreateSQ, prp1: sqAt, dw: [6]uint32{(queueLen-1)<<16 | 1, 1<<16 | 1}})}
}

func list(n int, f func(i int) []byte) (b []byte) {
	for i := range n {
		b = append(b, f(i)...)
	}
	return b
}

func sgl(typ uint8, addr uint64, n uint32) []byte {
	return append(le.AppendUint32(le.AppendUint64(nil, addr), n), 0, 0, 0, typ<<4)
}

// conversation is sent to both controllers.
func conversation() (all []cmd) {
	for _, cns := range []uint32{0, 1, 2, 3, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x1a, 0x1b, 0x42} {
		for _, id := range []uint32{0, 1, 2, 300, allNamespaces} {
			all = append(all, cmd{op: admIdentify, nsid: id, dw: [6]uint32{cns}})
		}
	}
	for _, cns := range []uint32{2, 3, 5, 7, 0x10, 0x1b} {
		all = append(all, cmd{op: admIdentify, nsid: 1, dw: [6]uint32{cns}, in: 4096})
	}
	for fid := range uint32(0x20) {
		for sel := range uint32(4) {
			if fid == featTimestamp && sel == 0 {
				continue
			}
			all = append(all, cmd{op: admGetFeatures, nsid: 1, dw: [6]uint32{sel<<8 | fid}}, cmd{op: admGetFeatures, dw: [6]uint32{sel<<8 | fid, 1 << 20}})
		}
	}
	for fid := range uint32(0x20) {
		for _, id := range []uint32{0, 1, allNamespaces} {
			all = append(all, cmd{op: admSetFeatures, nsid: id, dw: [6]uint32{fid, 0x150}}, cmd{op: admSetFeatures, nsid: id, dw: [6]uint32{1<<31 | fid}})
		}
		all = append(all, cmd{op: admGetFeatures, nsid: 1, dw: [6]uint32{fid, 1 << 20}, in: map[uint32]int{featHostBehavior: 512}[fid]})
		if fid == featTimestamp {
			all = all[:len(all)-1]
		}
	}
	for id := range uint32(8) {
		for _, n := range []uint32{0, 15, 127} {
			in := int(n+1) * 4
			if id == logEffects {
				in = min(in, 4*0x1c) // QEMU has virtualization management behind
			}
			all = append(all, cmd{op: admGetLog, nsid: allNamespaces, dw: [6]uint32{n<<16 | id}, in: in},
				cmd{op: admGetLog, nsid: 1, dw: [6]uint32{n<<16 | id, 0, 64}}, cmd{op: admGetLog, nsid: 1, dw: [6]uint32{n<<16 | id, 0, 2}})
		}
	}
	admin := func(op uint8, prp uint64, dw10, dw11 uint32) {
		all = append(all, cmd{op: op, prp1: prp, dw: [6]uint32{dw10, dw11}})
	}
	admin(admAbort, 0, 0, 0)
	admin(admAbort, 0, 9, 0)
	for _, q := range [][2]uint32{{0, 1}, {1, 1}, {65, 1}, {7 << 16, 1}, {0x1000<<16 | 2, 1}, {7<<16 | 2, 0}, {7<<16 | 2, 1<<16 | 1}, {7<<16 | 2, 200<<16 | 1}} {
		admin(admCreateCQ, cqAt, q[0], q[1])
		admin(admCreateSQ, sqAt, q[0], q[1])
	}
	admin(admCreateCQ, cqAt+8, 7<<16|2, 1)
	admin(admCreateCQ, 0x18000, 7<<16|2, 1)
	admin(admCreateSQ, 0x19000, 7<<16|2, 2<<16|1)
	admin(admCreateSQ, 0x19000, 7<<16|3, 9<<16|1)
	for _, id := range []uint32{2, 9} {
		admin(admDeleteCQ, 0, id, 0)
		admin(admDeleteSQ, 0, id, 0)
		admin(admDeleteCQ, 0, id, 0)
	}
	all = append(all, cmd{op: 0x55}, cmd{op: admIdentify, flags: 0x40}, cmd{op: admIdentify, flags: 1}, cmd{op: admAttach, nsid: 1}, cmd{op: admAttach})
	io := func(m cmd) { m.queue = 1; all = append(all, m) }
	const lba = 512
	for _, op := range []uint8{cmdRead, cmdWrite, cmdCompare, cmdZeroes, cmdVerify, 0x77} {
		for _, id := range []uint32{0, 1, 2, 999, allNamespaces} {
			io(cmd{op: op, nsid: id, dw: [6]uint32{0, 0, 0}})
		}
		io(cmd{op: op, nsid: 1, dw: [6]uint32{diskBytes/lba - 1, 0, 1}})
		io(cmd{op: op, nsid: 1, dw: [6]uint32{1, 1 << 31, 1}})
		io(cmd{op: op, nsid: 1, dw: [6]uint32{0, 0, 0xffff}})
		io(cmd{op: op, nsid: 1, flags: 1})
	}
	pattern := bytes.Repeat([]byte("goemu!!!"), 512)
	io(cmd{op: cmdWrite, nsid: 1, dw: [6]uint32{8, 0, 7}, data: pattern})
	io(cmd{op: cmdRead, nsid: 1, dw: [6]uint32{7, 0, 2}, in: 2048})
	io(cmd{op: cmdCompare, nsid: 1, dw: [6]uint32{8, 0, 7}, data: pattern})
	io(cmd{op: cmdCompare, nsid: 1, dw: [6]uint32{9, 0, 7}, data: pattern})
	io(cmd{op: cmdVerify, nsid: 1, dw: [6]uint32{8, 0, 7}})
	io(cmd{op: cmdFlush, nsid: 1})
	io(cmd{op: cmdFlush, nsid: 2})
	io(cmd{op: cmdFlush, nsid: allNamespaces})
	// Pages: an offset in the first, a list, a list with an offset, wrong ones.
	io(cmd{op: cmdRead, nsid: 1, prp1: dataAt + 0x800, prp2: dataAt + 0x1000, dw: [6]uint32{6, 0, 7}, in: 0x2000})
	io(cmd{op: cmdRead, nsid: 1, prp1: dataAt + 0x800, prp2: dataAt + 0x1800, dw: [6]uint32{6, 0, 7}})
	prp := list(6, func(i int) []byte { return le.AppendUint64(nil, dataAt+uint64(6-i)*0x1000) })
	io(cmd{op: cmdRead, nsid: 1, prp1: dataAt + 0x7000, prp2: dataAt, dw: [6]uint32{3, 0, 31}, data: prp, in: dataMax})
	io(cmd{op: cmdRead, nsid: 1, prp1: dataAt + 0x7000, prp2: dataAt + 8, dw: [6]uint32{3, 0, 23}, data: prp, in: dataMax})
	io(cmd{op: cmdRead, nsid: 1, prp1: dataAt + 0x7000, prp2: dataAt, dw: [6]uint32{3, 0, 31}, data: list(6, func(i int) []byte { return le.AppendUint64(nil, dataAt+uint64(i)) })})
	io(cmd{op: cmdRead, nsid: 1, prp1: dataAt + 0x6000, prp2: dataAt + 0xff8, dw: [6]uint32{3, 0, 31},
		data: append(make([]byte, 0xff8), list(1, func(int) []byte { return le.AppendUint64(nil, dataAt+1) })...)})
	for _, op := range []uint8{cmdRead, cmdWrite} { // lists where no memory is
		io(cmd{op: op, nsid: 1, prp1: dataAt, prp2: 0xf0000000, dw: [6]uint32{3, 0, 31}})
		io(cmd{op: op, nsid: 1, flags: 0x40, prp1: 0xf0000000, prp2: 3<<60 | 32, dw: [6]uint32{3, 0, 1}})
		for _, at := range []uint64{barAt, barAt + 0x1ff8, 0xf0000000} { // and data, the controller's registers among it
			io(cmd{op: op, nsid: 1, prp1: at, prp2: dataAt, dw: [6]uint32{3, 0, 1}})
		}
	}
	// Scatter/gather lists.
	raw := func(b []byte) (p1, p2 uint64) { return le.Uint64(b), le.Uint64(b[8:]) }
	lists := [][]byte{sgl(0, dataAt+0x1000, 1024), sgl(0, dataAt+0x1000, 512), sgl(0, dataAt+0x1000, 4096), sgl(1, dataAt, 1024), sgl(2, dataAt, 16), sgl(3, dataAt, 32),
		sgl(3, dataAt, 48), sgl(2, dataAt, 48), sgl(2, dataAt, 0), sgl(3, dataAt, 8), sgl(3, ^uint64(0), 32)}
	segments := [][]byte{append(sgl(0, dataAt+0x2000, 600), sgl(0, dataAt+0x3000, 424)...), append(sgl(0, dataAt+0x2000, 600), sgl(3, dataAt+0x100, 16)...)}
	for _, l := range lists {
		for _, s := range segments {
			s = append(append(s, make([]byte, 0x100-len(s))...), sgl(0, dataAt+0x4000, 424)...)
			p1, p2 := raw(l)
			io(cmd{op: cmdRead, flags: 0x40, nsid: 1, prp1: p1, prp2: p2, dw: [6]uint32{5, 0, 1}, data: s, in: 0x5000})
		}
	}
	// Deallocation, zeroes, copies.
	dsm := func(r ...[2]uint32) []byte {
		return list(len(r), func(i int) []byte { return le.AppendUint64(le.AppendUint32(make([]byte, 4), r[i][1]), uint64(r[i][0])) })
	}
	io(cmd{op: cmdDSM, nsid: 1, dw: [6]uint32{2, 4}, data: dsm([2]uint32{128, 64}, [2]uint32{1 << 20, 8}, [2]uint32{256, 0})})
	io(cmd{op: cmdDSM, nsid: 1, dw: [6]uint32{0, 0}})
	io(cmd{op: cmdRead, nsid: 1, dw: [6]uint32{127, 0, 1}, in: 1024})
	io(cmd{op: cmdZeroes, nsid: 1, dw: [6]uint32{16, 0, 3}})
	io(cmd{op: cmdZeroes, nsid: 1, dw: [6]uint32{24, 0, 1<<25 | 3}})
	io(cmd{op: cmdRead, nsid: 1, dw: [6]uint32{14, 0, 7}, in: 4096})
	ranges := func(r ...[2]uint32) []byte {
		return list(len(r), func(i int) []byte {
			b := make([]byte, copyRange)
			le.PutUint64(b[8:], uint64(r[i][0]))
			le.PutUint16(b[16:], uint16(r[i][1]))
			return b
		})
	}
	io(cmd{op: cmdCopy, nsid: 1, dw: [6]uint32{512, 0, 1}, data: ranges([2]uint32{8, 3}, [2]uint32{1, 1})})
	io(cmd{op: cmdRead, nsid: 1, dw: [6]uint32{511, 0, 7}, in: 4096})
	io(cmd{op: cmdCopy, nsid: 1, dw: [6]uint32{512, 0, 200}})
	io(cmd{op: cmdCopy, nsid: 1, dw: [6]uint32{512, 0, 2 << 8}})
	io(cmd{op: cmdCopy, nsid: 1, dw: [6]uint32{512, 0, 1 << 8}})
	// Reads of deallocated blocks.
	all = append(all, cmd{op: admSetFeatures, nsid: 1, dw: [6]uint32{featRecovery, recoverDeallocated}})
	for _, op := range []uint8{cmdRead, cmdCompare, cmdVerify} {
		io(cmd{op: op, nsid: 1, dw: [6]uint32{6000, 0, 7}})
		io(cmd{op: op, nsid: 1, dw: [6]uint32{1000, 0, 7}})
	}
	// Formatting.
	all = append(all, cmd{op: admFormat, nsid: 2}, cmd{op: admFormat, nsid: 1, dw: [6]uint32{9}}, cmd{op: admFormat, nsid: 1, dw: [6]uint32{4}}, cmd{op: admIdentify, nsid: 1, in: 27})
	io(cmd{op: cmdRead, nsid: 1, dw: [6]uint32{1, 0, 0}, in: 4096})
	return all
}

// TestConversation holds the same conversation with QEMU's controller and ours.
func TestConversation(t *testing.T) {
	devices := []string{"nvme,id=n,serial=ABC,addr=5,aer_max_queued=2", "nvme-ns,drive=d,bus=n,nsid=1,uuid=" + uuid + ",eui64=0x5254001122334455"}
	paths := []string{image(t), image(t)}
	a, b := start(t, newOurs(t, paths[0], devices...)), start(t, newQEMU(t, paths[1], devices...))
	for at := uint64(0); at < 0x60; at += 4 {
		if got, want := a.Load(barAt+at, 4), b.Load(barAt+at, 4); got != want {
			t.Errorf("register %02x: %x, want %x", at, got, want)
		}
	}
	got, want := a.queues(), b.queues()
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("queue %d: %s, want %s", i, got[i], want[i])
		}
	}
	for i, m := range conversation() {
		got, want := a.send(m), b.send(m)
		if got != want {
			n := 0
			for n < min(len(got), len(want)) && got[n] == want[n] {
				n++
			}
			n = max(0, n-20)
			t.Errorf("%d: %+v: at %d: %.100s, want %.100s", i, cmd{queue: m.queue, op: m.op, flags: m.flags, nsid: m.nsid, dw: m.dw}, n, got[n:], want[n:])
		}
	}
	for _, c := range []*client{a, b} {
		c.Store(barAt+regCC, 4, c.Load(barAt+regCC, 4)|1<<ccShut)
	}
	if got, want := a.Load(barAt+regCSTS, 4), b.Load(barAt+regCSTS, 4); got != want {
		t.Errorf("status after shutting down: %x, want %x", got, want)
	}
	x, _ := os.ReadFile(paths[0])
	y, _ := os.ReadFile(paths[1])
	if !bytes.Equal(x, y) {
		t.Error("the disks differ")
	}
}

// TestCopyErrors: QEMU takes a wrong range for an error of its own.
func TestCopyErrors(t *testing.T) {
	c := start(t, newOurs(t, image(t), "nvme,id=n,serial=ABC,addr=5", "nvme-ns,drive=d,bus=n"))
	c.queues()
	for want, r := range map[status][2]uint64{sizeLimit: {8, 200}, lbaRange: {1 << 20, 1}} {
		b := make([]byte, copyRange)
		le.PutUint64(b[8:], r[0])
		le.PutUint16(b[16:], uint16(r[1]))
		if s := c.send(cmd{queue: 1, op: cmdCopy, nsid: 1, dw: [6]uint32{512}, data: b}); !strings.HasSuffix(s, fmt.Sprintf("status %x", uint16(want))) {
			t.Errorf("%v: %s", r, s)
		}
	}
}

// TestIdentify compares what the driver sees of a controller with a drive of its own.
func TestIdentify(t *testing.T) {
	device := "nvme,drive=d,serial=ABC,addr=5,mdts=3,aerl=7,vsl=5"
	a, b := start(t, newOurs(t, image(t), device)), start(t, newQEMU(t, image(t), device))
	for _, m := range []cmd{{op: admIdentify, dw: [6]uint32{cnsController}, in: 4096}, {op: admIdentify, nsid: 1, in: 4096}, {op: admIdentify, nsid: 1, dw: [6]uint32{cnsSetController}, in: 16}} {
		got, want := a.send(m), b.send(m)
		g, w := strings.Fields(got)[3:], strings.Fields(want)[3:]
		for i := range w {
			formats := m.dw[0] == 0 && (i == 27 || i == 28 || i >= nsFormat0 && i < nsFormat0+64) // without metadata
			firmware := m.dw[0] == cnsController && i >= idFirmware && i < idFirmware+8
			if g[i] != w[i] && !formats && !firmware {
				t.Errorf("CNS %d byte %d: %s, want %s", m.dw[0], i, g[i], w[i])
			}
		}
	}
}

// TestEvents: wrong doorbells and the temperature cause events, each type once until its log is read.
func TestEvents(t *testing.T) {
	device := "nvme,drive=d,serial=ABC,addr=5"
	var all [2][]string
	for i, g := range []virtiotest.Guest{newOurs(t, image(t), device), newQEMU(t, image(t), device)} {
		c := start(t, g)
		out := &all[i]
		c.send(cmd{op: admAsyncEvent, post: true})
		c.send(cmd{op: admAsyncEvent, post: true})
		c.Store(barAt+doorbells+8*9, 4, 1)
		*out = append(*out, c.completion(0))
		c.Store(barAt+doorbells, 4, 99)
		*out = append(*out, c.send(cmd{op: admSetFeatures, dw: [6]uint32{featEvents, 0xff}}))
		*out = append(*out, c.send(cmd{op: admGetLog, dw: [6]uint32{15<<16 | logErrors}}))
		*out = append(*out, c.completion(0))
		c.send(cmd{op: admAsyncEvent, post: true})
		*out = append(*out, c.send(cmd{op: admSetFeatures, dw: [6]uint32{featTemperature, 0x100}}))
		*out = append(*out, c.completion(0))
		for range 4 {
			c.send(cmd{op: admAsyncEvent, post: true})
		}
		*out = append(*out, c.send(cmd{op: admAsyncEvent}))
	}
	for i := range all[1] {
		if all[0][i] != all[1][i] {
			t.Errorf("%d: %s, want %s", i, all[0][i], all[1][i])
		}
	}
}

// TestHealth: the driver sees in the log what people warn of, and is told of what is new.
func TestHealth(t *testing.T) {
	device := "nvme,id=n,drive=d,serial=ABC,addr=5,smart_critical_warning=5"
	o := newOurs(t, image(t), device)
	log := cmd{op: admGetLog, nsid: allNamespaces, dw: [6]uint32{15<<16 | logSmart}, in: 3}
	a, b := start(t, o), start(t, newQEMU(t, image(t), device))
	if got, want := a.send(log), b.send(log); got != want || !strings.HasSuffix(got, " 05 43 01") {
		t.Errorf("%s, want %s", got, want)
	}
	a.send(cmd{op: admSetFeatures, dw: [6]uint32{featEvents, 0xff}})
	a.send(cmd{op: admAsyncEvent, post: true})
	virtiotest.Locked(func() {
		n := o.Tree.Find("n").Dev().QOM()
		for _, v := range []any{int64(0x20), int64(256), "x"} {
			if n.Set(propHealth, v) == nil {
				t.Errorf("%v was taken", v)
			}
		}
		if err := n.Set(propHealth, int64(7)); err != nil { // 1 and 4 were there
			t.Error(err)
		}
	})
	if got, want := a.completion(0), fmt.Sprintf("%02x%02x%02x", eventSmart, eventTemperature, logSmart); !strings.HasPrefix(got, want) {
		t.Errorf("event %s, want %s…", got, want)
	}
	if got := a.send(log); !strings.HasSuffix(got, " 07 43 01") {
		t.Error(got)
	}
}

// TestShadowDoorbells drives queues through memory alone but for the first doorbell of each event index.
func TestShadowDoorbells(t *testing.T) {
	c := start(t, newOurs(t, image(t), "nvme,drive=d,serial=ABC,addr=5"))
	c.queues()
	const values, events = 0x1a000, 0x1b000
	if s := c.send(cmd{op: admDoorbells, prp1: values, prp2: events}); !strings.HasSuffix(s, "status 0") {
		t.Fatal(s)
	}
	for i := range uint32(20) {
		c.Store(values+8, 4, uint64((c.tail[1]+1)%queueLen))
		if s := c.send(cmd{queue: 1, op: cmdRead, nsid: 1, dw: [6]uint32{i, 0, 0}, in: 4}); !strings.Contains(s, "status 0") {
			t.Fatal(i, s)
		}
		c.Store(values+12, 4, uint64(c.head[1]))
		if e := c.Load(events+8, 4); e != uint64(c.tail[1]) {
			t.Errorf("event index %d, tail %d", e, c.tail[1])
		}
	}
	c.Store(values+8, 4, 12345) // beyond the queue: as if it had not been written
	if s := c.send(cmd{queue: 1, op: cmdFlush, nsid: 1}); !strings.Contains(s, "status 0") {
		t.Error(s)
	}
}

// TestMemoryBuffer keeps a submission queue in the controller.
func TestMemoryBuffer(t *testing.T) {
	c := start(t, newOurs(t, image(t), "nvme,drive=d,serial=ABC,addr=5,cmb_size_mb=1"))
	const at = 0xfc000000
	c.SetConfig(pci.RegCommand, 2, 0)
	c.SetConfig(pci.RegBAR0+8, 4, at)
	c.SetConfig(pci.RegCommand, 2, pci.CommandMemory|pci.CommandMaster)
	c.Store(barAt+regCMBMSC, 8, 0x7000000000|mscShow|mscMap)
	if v := c.Load(barAt+regCMBSZ, 4); v != 1<<12|cmbMiB|cmbSupports {
		t.Errorf("size %x", v)
	}
	c.send(cmd{op: admCreateCQ, prp1: cqAt, dw: [6]uint32{(queueLen-1)<<16 | 1, 3}})
	if s := c.send(cmd{op: admCreateSQ, prp1: 0x7000000000, dw: [6]uint32{(queueLen-1)<<16 | 1, 1<<16 | 1}}); !strings.HasSuffix(s, "status 0") {
		t.Fatal(s)
	}
	b := make([]byte, sqEntry)
	b[0] = cmdRead
	le.PutUint32(b[4:], 1)
	le.PutUint64(b[24:], 0x7000001000)
	c.Write(at, b)
	c.Store(barAt+doorbells+8, 4, 1)
	if s := c.completion(1); !strings.HasSuffix(s, "status 0") {
		t.Fatal(s)
	}
	if got := c.Read(at+0x1000, 4); !bytes.Equal(got, []byte{0, 5, 10, 15}) {
		t.Errorf("data % x", got)
	}
}

// TestPersistentMemory turns the region on and off, moves its window, and compares its registers with QEMU's.
func TestPersistentMemory(t *testing.T) {
	const option = "nvme,drive=d,serial=S,addr=5,pmrdev=p"
	const pmrAt = 0xfe000000
	path := image(t)
	o := newOurs(t, path, option)
	q := virtiotest.Theirs{QEMU: qtest.Start(t, append(virtiotest.PCArgs(image(t), option), "-object", "memory-backend-ram,id=p,size=64k")...)}
	for _, g := range []virtiotest.Guest{o, q} {
		g.SetConfig(0x10, 4, barAt)
		g.SetConfig(0x20, 4, pmrAt)
		g.SetConfig(4, 2, 6)
	}
	equal := func(what string, f func(virtiotest.Guest) uint64) {
		t.Helper()
		if got, want := f(o), f(q); got != want {
			t.Errorf("%s: %x, want %x", what, got, want)
		}
	}
	equal("capabilities", func(g virtiotest.Guest) uint64 { return g.Load(barAt, 8) })
	for _, v := range []struct{ at, v uint64 }{{0, 0}, {regPMRCTL, 1}, {regPMRMSCU, 0xffffffff}, {regPMRMSCL, 0xffff0002}, {regPMRMSCL, 0xfffff002}, {regPMRMSCU, 0}, {regPMRMSCL, 0x80000002}, {regPMRCTL, 0}, {regPMRSTS, 0}} {
		if v.at != 0 {
			o.Store(barAt+v.at, 4, v.v)
			q.Store(barAt+v.at, 4, v.v)
		}
		for at := uint64(regPMRCAP); at < 0xe20; at += 4 {
			equal(fmt.Sprintf("register %x after %x", at, v), func(g virtiotest.Guest) uint64 { return g.Load(barAt+at, 4) })
		}
		equal("memory", func(g virtiotest.Guest) uint64 {
			g.Store(pmrAt+0x100, 4, 0x12345678)
			return g.Load(pmrAt+0x100, 4)
		})
	}
}

func TestOptionErrors(t *testing.T) {
	m := newOurs(t, image(t)).Machine
	add := func(pairs ...string) (err error) {
		virtiotest.Locked(func() { _, err = m.Add("nvme", pairs...) })
		return err
	}
	for _, c := range []struct{ option, value, want string }{
		{"serial", "", "serial property not set"},
		{"subsys", "nosuch", "Device 'nosuch' not found"},
		{"max_ioqpairs", "0", "max_ioqpairs must be between 1 and 65535"},
		{"msix_qsize", "0", "msix_qsize must be between 1 and 2048"},
		{"vsl", "0", "vsl must be non-zero"},
	} {
		if err := add("serial", "x", c.option, c.value); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", c.option, err)
		}
	}
	if err := add("serial", "x", "id", "n"); err != nil {
		t.Fatal(err)
	}
	virtiotest.Locked(func() {
		if _, err := m.Add("nvme-ns", "nsid", "1"); err == nil || err.Error() != "block backend not configured" {
			t.Error(err)
		}
		if _, err := m.Add("nvme-ns", "drive", "d", "nsid", "257"); err == nil || err.Error() != "invalid namespace id (must be between 0 and 256)" {
			t.Error(err)
		}
		if _, err := m.Add("nvme-ns", "drive", "d", "detached", "on"); err == nil || err.Error() != "detached requires that the nvme device is linked to an nvme-subsys device" {
			t.Error(err)
		}
		if n := m.Tree.Unmigratable(); n != "0000:00:01.0/nvme" && n != "0000:00:00.0/nvme" {
			t.Error(n)
		}
	})
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes()) }

// FuzzController writes registers, memory and doorbells as the input says.
func FuzzController(f *testing.F) {
	f.Add([]byte("\x00\x10\x02\x01\x01\x00\x00\x00"), []byte("\x06"))
	write := make([]byte, 3*sqEntry) // to a zone, which is then finished and reset
	for i, op := range []byte{cmdZoneAppend, cmdZoneSend, cmdZoneSend} {
		b := write[i*sqEntry:]
		b[0], b[cmdNSID], b[52] = op, 1, []byte{0, actionFinish, actionReset}[i]
		le.PutUint64(b[cmdPRP1:], dataAt)
	}
	f.Add([]byte("\x08\x00\x02\x01\x03\x00\x00\x00"), write)
	f.Fuzz(func(t *testing.T, script, queue []byte) {
		devices, sets := []string{"nvme,drive=d,serial=ABC,addr=5,cmb_size_mb=1"}, uint64(setNVM)
		if len(queue)%2 == 0 {
			devices, sets = []string{"nvme-subsys,id=s", "nvme,id=n,serial=ABC,addr=5,subsys=s", "nvme,serial=ABC,addr=6,subsys=s",
				"nvme-ns,drive=d,bus=n,zoned=on,zoned.zone_size=64K,zoned.max_open=2,zoned.zrwas=8K,zoned.descr_ext_size=64"}, setMany
		}
		m := newOurs(t, image(t), devices...)
		ram := m.Mem.View().Find(0).RAM
		defer func() {
			m.Close() // waits for what is under way
			_ = ram.Free()
		}()
		c := startSets(t, m, sets)
		c.queues()
		c.Write(asqAt, queue[:min(len(queue), 0x1000)])
		c.Write(sqAt, queue[:min(len(queue), 0x1000)])
		for len(script) >= 8 {
			at, size, v := uint64(le.Uint16(script)), 1<<(script[2]&3), uint64(le.Uint32(script[4:]))
			switch script[3] & 3 {
			case 0:
				m.Store(barAt+at&0xff, size, v)
			case 1:
				m.Store(barAt+doorbells+at&0x1f, 4, v)
			case 2:
				m.Store(asqAt+at&0x7fff, size, v)
			case 3:
				m.SetConfig(uint32(at)&0xfc, 4, uint32(v))
				m.Load(barAt+uint64(v)&0x1fff, size)
			}
			mainloop.Main.RunPending()
			script = script[8:]
		}
	})
}
