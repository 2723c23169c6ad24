package char

import (
	"fmt"
	"math/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"goemu/hw/isa"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/internal/chardev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/testprog"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

// rig is an ISA bus with a chardev set whose callbacks run when the test says so.
type rig struct {
	ports *memory.AddressSpace
	tree  *qdev.Tree
	bus   *isa.Bus
	level [isa.Lines]bool
	set   *chardev.Set
	links qdev.Links

	pciLevel bool // of the PCI bus's interrupt line
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{tree: qdev.NewTree(qdev.NewRegistry(Classes))}
	mem, io := memory.NewContainer("mem", memory.Whole), memory.NewContainer("io", 0x10000)
	r.ports = memory.NewAddressSpace("io", io)
	host := &qdev.Class{Name: "host", New: func() qdev.Device { return new(qdev.Base) }}
	h, err := r.tree.Create(host, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.bus = isa.NewBus(h, "isa.0", mem, io)
	r.bus.SetIRQs(qdev.NewIRQs(func(n int, level bool) { r.level[n] = level }, isa.Lines))
	r.set = chardev.NewSet(mainloop.Main, chardev.Hooks{})
	t.Cleanup(r.set.Close)
	qdev.Link(&r.links, r.set.Find)
	return r
}

func (r *rig) add(t testing.TB, c *qdev.Class, args ...string) (qdev.Device, error) {
	t.Helper()
	d := qdev.New(c)
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		if err := qdev.Set(d, &r.links, k, v); err != nil {
			return nil, err
		}
	}
	return d, qdev.Realize(d, r.bus)
}

func (r *rig) chardev(t testing.TB, text string) *chardev.Backend {
	t.Helper()
	s, err := chardev.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.set.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (r *rig) in(port uint16) uint8 {
	v, _ := r.ports.Load(uint64(port), 1)
	return uint8(v)
}

func (r *rig) out(port uint16, v uint8) { r.ports.Store(uint64(port), 1, uint64(v)) }

// TestAgainstQEMU holds random conversations with QEMU's chip and with ours, in loopback mode often enough that data flows.
func TestAgainstQEMU(t *testing.T) {
	q := qtest.Start(t, "-M", "pc", "-nodefaults", "-serial", "null")
	r := newRig(t)
	clock.Virtual.SetFake(0)
	r.chardev(t, "null,id=c")
	if _, err := r.add(t, &SerialClass, "chardev=c"); err != nil {
		t.Fatal(err)
	}
	const base = 0x3f8
	rnd := rand.New(rand.NewSource(1))
	var log []string
	for step := range 3000 {
		reg := uint16(rnd.Intn(8))
		if rnd.Intn(2) == 0 {
			v := uint8(rnd.Intn(256))
			switch reg {
			case regLCR:
				v &^= lcrBreak // the break length has a timer of its own on the host
				if rnd.Intn(4) != 0 {
					v &^= lcrDLAB
				}
			case regMCR:
				v |= uint8(rnd.Intn(2)) * mcrLoop
			}
			q.Out(base+reg, 1, uint32(v))
			r.out(base+reg, v)
			log = append(log, fmt.Sprintf("out %d %#x", reg, v))
			continue
		}
		want, got := uint8(q.In(base+reg, 1)), r.in(base+reg)
		log = append(log, fmt.Sprintf("in %d: %#x", reg, want))
		if got != want {
			t.Fatalf("step %d: register %d is %#x, QEMU's is %#x, after\n%s", step, reg, got, want, strings.Join(log[max(0, len(log)-30):], "\n"))
		}
	}
}

// TestTimeout waits for the character timeout: four characters of 10 bits at 9600 baud are 4.17 ms.
func TestTimeout(t *testing.T) {
	r := newRig(t)
	clock.Virtual.SetFake(0)
	if _, err := r.add(t, &SerialClass); err != nil {
		t.Fatal(err)
	}
	for reg, v := range map[uint16]uint8{regLCR: 3, regIIR: 0xc1, regIER: ierRDI, regMCR: mcrLoop} {
		r.out(0x3f8+reg, v)
	}
	r.out(0x3f8, 0x41)
	for _, c := range []struct {
		ns  int64
		iir uint8
	}{{4_100_000, 0xc1}, {100_000, 0xcc}} {
		clock.Virtual.Advance(c.ns)
		mainloop.Main.RunPending()
		if got := r.in(0x3fa); got != c.iir || r.level[4] != (c.iir == 0xcc) {
			t.Errorf("after another %d ns IIR is %#x, line %v", c.ns, got, r.level[4])
		}
	}
	if r.in(0x3f8) != 0x41 || r.in(0x3fa) != 0xc1 || r.level[4] {
		t.Error("the timeout is not over after the byte was read")
	}
}

func TestInput(t *testing.T) {
	r := newRig(t)
	clock.Virtual.SetFake(0)
	dir := t.TempDir()
	r.chardev(t, "file,id=c,path="+filepath.Join(dir, "out"))
	d, err := r.add(t, &SerialClass, "chardev=c")
	if err != nil {
		t.Fatal(err)
	}
	l := line{&d.(*Serial).uart}
	if n := l.CanRead(); n != 1 {
		t.Errorf("without FIFO it takes %d bytes", n)
	}
	r.out(0x3fa, 0xc1)
	r.out(0x3f9, ierRDI)
	if n := l.CanRead(); n != 14 {
		t.Fatalf("with a trigger level of 14 it takes %d bytes", n)
	}
	l.Read([]byte("0123456789abcd"))
	if iir := r.in(0x3fa); iir != 0xc4 || !r.level[4] {
		t.Errorf("IIR %#x line %v", iir, r.level[4])
	}
	for _, c := range []byte("0123456789abcd") {
		if got := r.in(0x3f8); got != c || r.in(0x3fd)&lsrDR == 0 != (c == 'd') {
			t.Fatalf("read %q, want %q", got, c)
		}
	}
	l.Event(chardev.Break)
	if lsr := r.in(0x3fd); lsr&lsrBI == 0 || r.in(0x3fd)&lsrBI != 0 {
		t.Errorf("break: LSR %#x", lsr)
	}
}

func TestProperties(t *testing.T) {
	r := newRig(t)
	for i, want := range []string{"3f8", "2f8", "3e8", "2e8"} {
		d, err := r.add(t, &SerialClass)
		if err != nil {
			t.Fatal(err)
		}
		if s := d.(*Serial); fmt.Sprintf("%x", s.IOBase) != want || s.IRQ != serialIRQs[i] {
			t.Errorf("port %d at %#x, irq %d", i, s.IOBase, s.IRQ)
		}
	}
	if _, err := r.add(t, &SerialClass); err == nil || err.Error() != "Max. supported number of ISA serial ports is 4." {
		t.Errorf("fifth port: %v", err)
	}
	if _, err := r.add(t, &SerialClass, "index=0", "irq=16"); err == nil || err.Error() != "Maximum value for \"irq\" is: 15" {
		t.Errorf("irq 16: %v", err)
	}
	if _, err := r.add(t, &DebugconClass); err == nil || err.Error() != "Can't create debugcon device, empty char device" {
		t.Errorf("debugcon: %v", err)
	}
	if _, err := r.add(t, &SerialClass, "chardev=nope"); err == nil || err.Error() != "Property 'isa-serial.chardev' can't find value 'nope'" {
		t.Errorf("chardev: %v", err)
	}
}

// TestHelp compares -device X,help with QEMU's, less the lines of links and children.
func TestHelp(t *testing.T) {
	qemu := testprog.QEMU(t)
	for _, c := range Classes {
		out, err := exec.Command(qemu, "-device", c.Name+",help").Output()
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for _, l := range strings.SplitAfter(string(out), "\n") {
			if !strings.Contains(l, "<child<") && !strings.Contains(l, "<link<") {
				want.WriteString(l)
			}
		}
		if got := qdev.Help(c); got != want.String() {
			t.Errorf("got\n%swant\n%s", got, want.String())
		}
	}
}

func TestDebugcon(t *testing.T) {
	r := newRig(t)
	b := r.chardev(t, "ringbuf,id=c")
	if _, err := r.add(t, &DebugconClass, "chardev=c", "iobase=0x402"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []byte("hello") {
		r.out(0x402, c)
	}
	if got := string(b.Ring().Read(10)); got != "hello" || r.in(0x402) != 0xe9 {
		t.Errorf("output %q, readback %#x", got, r.in(0x402))
	}
}

func TestState(t *testing.T) {
	vmstatetest.Compare(t, "pc", "isa-serial", serialState.Layout())
	r := newRig(t)
	clock.Virtual.SetFake(0)
	d, err := r.add(t, &SerialClass)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range []uint8{0, 0x0f, 0xc7, 0x03, 0x1b} {
		r.out(0x3f8+uint16(i), v)
	}
	r.out(0x3f8, 'x') // loops back
	r.out(0x3f8, 'y')
	u := &d.(*Serial).uart
	saved := u.uartRegs
	var w vmstate.Writer
	d.Dev().State().Save(&w)
	qdev.Reset(d)
	if u.uartRegs == saved {
		t.Fatal("reset changed nothing")
	}
	if err := d.Dev().State().Load(vmstate.NewReader(w.Bytes()), 3); err != nil {
		t.Fatal(err)
	}
	saved.fcrSaved = saved.fcr
	saved.xmit = u.xmit // an empty FIFO is not sent
	saved.thr, saved.tsr = u.thr, u.tsr
	if u.uartRegs != saved || u.trigger != 14 || !u.timeout.Pending() {
		t.Errorf("loaded %+v\nsaved  %+v", u.uartRegs, saved)
	}
}

// FuzzSerialCard accesses the ports of a card and loads states of it.
func FuzzSerialCard(f *testing.F) {
	f.Add([]byte{0x14, 0x1f, 0x12, 0xc7, 0x11, 0x0f, 0x3c, 0x10, 0x39, 0x0f, 0x20, 3, 0x40, 80})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRig(t)
		d := r.addPCI(t, &PCISerial4Class)
		u := &d.(*PCISerial4).uarts
		for i := 0; i+1 < len(b); i += 2 {
			port := pciPorts + uint64(b[i]&31)
			switch b[i] >> 5 {
			case 0, 1, 2:
				r.ports.Store(port, 1<<(b[i+1]%3), uint64(b[i+1]))
			case 3, 4:
				r.ports.Load(port, 1<<(b[i+1]%3))
			case 5:
				if l := (line{&u[b[i]&3]}); l.CanRead() > 0 {
					l.Read(make([]byte, l.CanRead()))
				}
			case 6:
				var w vmstate.Writer
				d.Dev().State().Save(&w)
				s := w.Bytes()
				s[int(b[i+1])*5%len(s)] ^= b[i]
				_ = d.Dev().State().Load(vmstate.NewReader(s), 1)
			default:
				qdev.Reset(d)
			}
		}
	})
}

// TestSerialCard: the interrupts of a card's ports share a line, and its state is whole.
func TestSerialCard(t *testing.T) {
	r := newRig(t)
	clock.Virtual.SetFake(0)
	b := r.chardev(t, "ringbuf,id=c")
	d := r.addPCI(t, &PCISerial2Class, "chardev2=c")
	out := func(port, reg uint64, v byte) { r.ports.Store(pciPorts+8*port+reg, 1, uint64(v)) }
	out(0, regIER, ierTHRI)
	out(1, regIER, ierTHRI)
	for _, c := range []byte("ok") {
		out(1, regData, c)
	}
	if got := string(b.Ring().Read(10)); got != "ok" {
		t.Errorf("printed %q", got)
	}
	if !r.pciLevel {
		t.Error("no interrupt")
	}
	var w vmstate.Writer
	d.Dev().State().Save(&w)
	out(0, regIER, 0)
	if !r.pciLevel {
		t.Error("the other port's interrupt is gone, too")
	}
	out(1, regIER, 0)
	if r.pciLevel {
		t.Error("an interrupt without a cause")
	}
	if err := d.Dev().State().Load(vmstate.NewReader(w.Bytes()), 1); err != nil {
		t.Fatal(err)
	}
	var again vmstate.Writer
	d.Dev().State().Save(&again)
	if string(w.Bytes()) != string(again.Bytes()) {
		t.Error("the state is another one after loading")
	}
}

// pciPorts is where addPCI puts a card's ports.
const pciPorts = 0xc000

// addPCI puts a card on a PCI bus.
func (r *rig) addPCI(t testing.TB, c *qdev.Class, args ...string) qdev.Device {
	t.Helper()
	h, err := r.tree.Create(&qdev.Class{Name: "pci-host", New: func() qdev.Device { return new(qdev.Base) }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.NewContainer("pci", memory.Whole)
	bus := pci.NewBus(h, "pci.0", mem, mem, r.bus.Ports(), 0)
	bus.SetIRQs([]*qdev.IRQ{qdev.NewIRQ(func(_ int, level bool) { r.pciLevel = level }, 0)}, func(uint8, int) int { return 0 })
	var set []qdev.Setting
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		set = append(set, qdev.Setting{Name: k, Value: v})
	}
	r.tree.Links = r.links
	d, err := r.tree.Create(c, bus, set...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.tree.Remove(d) })
	qdev.Reset(d)
	f := d.(pci.Function).PCI()
	f.DefaultWriteConfig(pci.RegBAR0, 4, pciPorts)
	f.DefaultWriteConfig(pci.RegCommand, 2, pci.CommandIO)
	return d
}

func FuzzSerial(f *testing.F) {
	f.Add([]byte{0x12, 0xc7, 0x13, 0x03, 0x14, 0x1f, 0x10, 0x55, 0x00, 0x02, 0x20, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRig(t)
		d, err := r.add(t, &SerialClass)
		if err != nil {
			t.Fatal(err)
		}
		l := line{&d.(*Serial).uart}
		for i := 0; i+1 < len(b); i += 2 {
			reg := 0x3f8 + uint16(b[i]&7)
			switch b[i] >> 4 & 3 {
			case 0:
				r.in(reg)
			case 1:
				r.out(reg, b[i+1])
			case 2:
				if n := l.CanRead(); n > 0 {
					l.Read(make([]byte, n))
				}
			default:
				l.Event(chardev.Event(b[i+1] % 5))
			}
		}
		var w vmstate.Writer
		d.Dev().State().Save(&w)
		if err := d.Dev().State().Load(vmstate.NewReader(w.Bytes()), 3); err != nil {
			t.Fatal(err)
		}
	})
}
