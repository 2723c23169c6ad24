package serial

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/chardev"
	"goemu/internal/mainloop"
)

const devfn = 5 << 3

// rig is a virtio-serial-pci with a console on a socket and a named port on another, driven by a guest with all queues set up.
type rig struct {
	*virtiotest.Function
	t    testing.TB
	set  *chardev.Set
	q    []*virtiotest.Driver
	path string
	sent int
}

const (
	ringsAt  = 0x20000
	bufsAt   = 0x100000
	bufSize  = 256
	queues   = 8 // of ports 0, 1, 2 and control
	features = 1<<32 | 1<<29 | 1<<featureMultiport | 1<<featureEmergency
)

func newRig(t testing.TB) *rig {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = mainloop.Main.Run(ctx); close(done) }()
	m := virtiotest.NewMachine(t, Classes())
	r := &rig{t: t, set: chardev.NewSet(mainloop.Main, chardev.Hooks{}), path: t.TempDir()}
	qdev.Link(&m.Tree.Links, r.set.Find)
	t.Cleanup(func() {
		m.Close()
		r.set.Close()
		stop()
		<-done
	})
	for _, name := range []string{"con", "prt"} {
		spec, err := chardev.Parse("socket,id=" + name + ",server=on,wait=off,path=" + filepath.Join(r.path, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.set.Open(spec); err != nil {
			t.Fatal(err)
		}
	}
	virtiotest.Locked(func() {
		for _, d := range [][]string{
			{"virtio-serial-pci", "addr", "5", "max_ports", "3"}, {"virtconsole", "chardev", "con"}, {"virtserialport", "chardev", "prt", "name", "org.test"},
		} {
			if _, err := m.Add(d[0], d[1:]...); err != nil {
				t.Fatal(err)
			}
		}
		r.Function = m.Map(devfn)
		r.start()
	})
	return r
}

// start sets the device up as a driver does, with 8 buffers in each receive queue.
func (r *rig) start() {
	r.EnableMSIX(2)
	r.Negotiate(features)
	r.q = nil
	for i := range queues {
		d := virtiotest.NewDriver(r.Mem, uint64(ringsAt+0x10000*i/2), 32, true)
		r.SetupQueue(i, d, 1)
		r.q = append(r.q, d)
		if i%2 == 0 {
			for k := range 8 {
				d.Add(virtiotest.Buf{Addr: r.buffer(i, k), Len: bufSize, Write: true})
			}
		}
	}
	r.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
}

func (r *rig) buffer(queue, slot int) uint64 { return uint64(bufsAt + (queue*32+slot)*bufSize) }

// receive waits for a chain from the device and returns its bytes; buffers come back in order.
func (r *rig) receive(queue int) string {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var text string
		var ok bool
		virtiotest.Locked(func() {
			var n uint32
			var head uint16
			if head, n, ok = r.q[queue].Next(); !ok {
				return
			}
			b := make([]byte, n)
			r.Mem.Read(r.buffer(queue, int(head)), b)
			text = string(b)
		})
		if ok {
			return text
		}
	}
	r.t.Fatalf("nothing in queue %d (used %d)", queue, r.q[queue].UsedIdx)
	return ""
}

// transmit sends bytes through a queue.
func (r *rig) transmit(queue int, text string) {
	virtiotest.Locked(func() {
		r.sent++
		at := r.buffer(queue, r.sent%32) // the device may not have read the last one yet
		r.Mem.Write(at, []byte(text))
		r.q[queue].Add(virtiotest.Buf{Addr: at, Len: uint32(len(text))})
	})
	r.Kick(queue)
}

func ctl(id uint32, event, value uint16) string {
	return string(le.AppendUint16(le.AppendUint16(le.AppendUint32(nil, id), event), value))
}

// handshake goes through the conversation that makes the ports known.
func (r *rig) handshake() {
	r.t.Helper()
	r.transmit(3, ctl(0, evDeviceReady, 1))
	r.expect(ctl(0, evPortAdd, 1), ctl(1, evPortAdd, 1))
	r.transmit(3, ctl(0, evPortReady, 1))
	r.expect(ctl(0, evConsole, 1), ctl(0, evPortOpen, 1))
	r.transmit(3, ctl(1, evPortReady, 1))
	r.expect(ctl(1, evPortName, 1) + "org.test\x00")
	r.transmit(3, ctl(0, evPortOpen, 1))
	r.transmit(3, ctl(1, evPortOpen, 1))
}

func (r *rig) expect(msgs ...string) {
	r.t.Helper()
	for _, want := range msgs {
		if got := r.receive(2); got != want {
			r.t.Fatalf("control message %x, want %x", got, want)
		}
	}
}

func (r *rig) dial(name string) net.Conn {
	r.t.Helper()
	c, err := net.Dial("unix", filepath.Join(r.path, name))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func readString(t testing.TB, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestConsole(t *testing.T) {
	r := newRig(t)
	r.handshake()
	c := r.dial("con")
	time.Sleep(20 * time.Millisecond) // output to nobody is dropped
	r.transmit(1, "hello from the guest")
	if got := readString(t, c, 20); got != "hello from the guest" {
		t.Errorf("%q", got)
	}
	long := strings.Repeat("0123456789", 60)
	io.WriteString(c, long)
	var got string
	for len(got) < len(long) {
		got += r.receive(0)
	}
	if got != long {
		t.Errorf("input %q", got)
	}
	virtiotest.Locked(func() { r.Mem.Store(r.Modern+virtiotest.DeviceCfg+cfgEmergency, 4, 'E') })
	if got := readString(t, c, 1); got != "E" {
		t.Errorf("emergency write: %q", got)
	}
}

func TestPortOpenClose(t *testing.T) {
	r := newRig(t)
	r.handshake()
	r.transmit(5, "nobody listens") // completes all the same
	if got := r.receive(5); got != "" {
		t.Errorf("%q", got)
	}
	c := r.dial("prt")
	r.expect(ctl(1, evPortOpen, 1))
	r.transmit(5, "data")
	if got := readString(t, c, 4); got != "data" {
		t.Errorf("%q", got)
	}
	c.Close()
	r.expect(ctl(1, evPortOpen, 0))
}

// TestBackpressure: a reader that does not read stops the guest, and nothing is lost.
func TestBackpressure(t *testing.T) {
	r := newRig(t)
	r.handshake()
	c := r.dial("con")
	time.Sleep(20 * time.Millisecond)
	const chunk, count = 64 << 10, 64
	var total int
	done := make(chan int)
	go func() {
		time.Sleep(50 * time.Millisecond)
		n := 0
		for buf := make([]byte, 1<<16); n < chunk*count; {
			k, err := c.Read(buf)
			if err != nil {
				break
			}
			n += k
		}
		done <- n
	}()
	for range count {
		virtiotest.Locked(func() { r.q[1].Add(virtiotest.Buf{Addr: 0x200000, Len: chunk}) })
		r.Kick(1)
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
			var ok bool
			virtiotest.Locked(func() { _, _, ok = r.q[1].Next() })
			if ok {
				break
			}
		}
		total += chunk
	}
	if n := <-done; n != total {
		t.Errorf("%d bytes of %d arrived", n, total)
	}
}

func TestReset(t *testing.T) {
	r := newRig(t)
	r.handshake()
	virtiotest.Locked(func() {
		r.SetCom(virtiotest.ComStatus, 1, 0)
		r.start()
	})
	r.handshake()
}

func TestOptionErrors(t *testing.T) {
	m := virtiotest.NewMachine(t, Classes())
	busCount = 0
	for _, c := range []struct {
		driver, prop, value, want string
	}{
		{"virtconsole", "", "", "No 'virtio-serial-bus' bus found for device 'virtconsole'"},
		{"virtio-serial-pci", "max_ports", "0", "Maximum number of serial ports not specified"},
		{"virtio-serial-pci", "max_ports", "1000", "maximum ports supported: 511"},
		{"virtio-serial-pci", "", "", ""},
		{"virtserialport", "nr", "0", "Port number 0 on virtio-serial devices reserved for virtconsole devices for backward compatibility."},
		{"virtserialport", "nr", "40", "virtio-serial-bus: Out-of-range port id specified, max. allowed: 30"},
		{"virtserialport", "nr", "4", ""},
		{"virtserialport", "nr", "4", "virtio-serial-bus: A port already exists at id 4"},
		{"virtserialport", "name", "x", ""},
		{"virtserialport", "name", "x", "virtio-serial-bus: A port already exists by name x"},
		{"virtserialport", "chardev", "none", "Property 'virtserialport.chardev' can't find value 'none'"},
	} {
		var pairs []string
		if c.prop != "" {
			pairs = []string{c.prop, c.value}
		}
		if _, err := m.Add(c.driver, pairs...); (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s %s=%s: %v, want %s", c.driver, c.prop, c.value, err, c.want)
		}
	}
	if b := m.Tree.FindBus("virtio-serial-bus.0"); b == nil || len(b.Devices()) != 2 {
		t.Error("the bus is not called virtio-serial-bus.0")
	}
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes()) }

// FuzzControl lets the fuzzer send control messages and set registers.
func FuzzControl(f *testing.F) {
	f.Add([]byte(ctl(0, evDeviceReady, 1) + ctl(1, evPortReady, 1) + ctl(0, evPortOpen, 1)))
	f.Fuzz(func(t *testing.T, msgs []byte) {
		m := virtiotest.NewMachine(t, Classes())
		defer m.Mem.View().Find(0).RAM.Free()
		for _, d := range []string{"virtio-serial-pci", "virtconsole", "virtserialport"} {
			pairs := map[string][]string{"virtio-serial-pci": {"addr", "5", "max_ports", "3"}}[d]
			if _, err := m.Add(d, pairs...); err != nil {
				t.Fatal(err)
			}
		}
		r := &rig{Function: m.Map(devfn), t: t}
		r.start()
		for len(msgs) >= 9 {
			r.Mem.Write(r.buffer(3, 0), msgs[:8])
			q := r.q[int(msgs[8])%queues]
			if q.Free() == 0 {
				break
			}
			q.Add(virtiotest.Buf{Addr: r.buffer(3, 0), Len: uint32(msgs[8]%16) + 1, Write: msgs[8]&0x80 != 0})
			r.Kick(int(msgs[8]) % queues)
			r.Mem.Store(r.Modern+virtiotest.DeviceCfg+uint64(msgs[0]%16), 4, uint64(msgs[1]))
			mainloop.Main.RunPending()
			msgs = msgs[9:]
		}
		m.Close()
	})
}
