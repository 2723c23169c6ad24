package rtl8139

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/net/nettest"
	"goemu/hw/qdev"
	"goemu/hw/qdev/qtest"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
	"goemu/migration/vmstate/vmstatetest"
)

const (
	rings  = 0x10000 // of the C+ mode: transmitter, then receiver
	rxRing = rings + 0x1000
	tallyA = rings + 0x2000
	txBufs = 0x40000
	rxBufs = 0x80000
)

// rig is a driver of the device in a machine of its own.
type rig struct {
	*nettest.Rig
	d *Device
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r, d := nettest.New(t, []*qdev.Class{&Class}, "rtl8139")
	nettest.Map(r, 0x14)
	return &rig{r, d.(*Device)}
}

func (r *rig) set(reg, size int, v uint32) { r.Mem.Store(nettest.MMIO+uint64(reg), size, uint64(v)) }
func (r *rig) get(reg, size int) uint32 {
	v, _ := r.Mem.Load(nettest.MMIO+uint64(reg), size)
	return uint32(v)
}

// start sets both directions up, as 8139too does, with a ring of 8 KiB.
func (r *rig) start() {
	r.set(regCmd, 1, cmdReset)
	r.set(regRxBuf, 4, rxBufs)
	r.set(regCmd, 1, cmdRx|cmdTx)
	r.set(regRxConfig, 4, rxNoWrap|rxAcceptMine|rxAcceptBroad)
	for i := range 4 {
		r.set(regTxAddr+4*i, 4, uint32(txBufs+0x2000*i))
	}
	r.set(regIntrMask, 2, irqRxOK|irqTxOK|irqOverflow|irqLink)
}

func TestTransmit(t *testing.T) {
	r := newRig(t)
	r.start()
	for i := range 5 {
		f := nettest.Frame(byte(i), 100+i)
		r.Mem.Write(uint64(txBufs+0x2000*(i%4)), f)
		r.set(regTxStatus+4*(i%4), 4, uint32(len(f)))
		require.Equal(t, f, r.Frames[i])
		require.EqualValues(t, txOwn|txOK|len(f), r.get(regTxStatus+4*(i%4), 4))
		require.True(t, r.Line(1)) // slot 5, pin A
		r.set(regIntr, 2, irqTxOK)
		require.False(t, r.Line(1))
	}
	require.EqualValues(t, 0xf00f, r.get(regTxSummary, 2))
}

func TestReceive(t *testing.T) {
	r := newRig(t)
	r.start()
	require.NotZero(t, r.get(regCmd, 1)&cmdEmpty)
	r.Receive(nettest.Frame(0x10, 100)) // for somebody else
	require.NotZero(t, r.get(regCmd, 1)&cmdEmpty)
	f := nettest.Frame(0xff, 102)
	r.Receive(f)
	require.Zero(t, r.get(regCmd, 1)&cmdEmpty)
	got := make([]byte, 4+len(f))
	r.Mem.Read(rxBufs, got)
	require.EqualValues(t, headOK|headBroad|(102+4)<<16, le.Uint32(got))
	require.Equal(t, f, got[4:])
	require.EqualValues(t, 112, r.get(regRxWritten, 2))
	require.True(t, r.Line(1))
	// The ring runs full: what does not fit waits for the driver.
	big := nettest.Frame(0xff, 1500)
	for range 8 {
		r.Receive(big)
	}
	full := r.get(regRxWritten, 2)
	require.NotZero(t, r.get(regIntr, 2)&irqOverflow)
	require.NotZero(t, r.get(regRxMissed, 4))
	r.set(regRxRead, 2, full-readBias)
	mainloop.Main.RunPending()
	require.NotEqual(t, full, r.get(regRxWritten, 2))
	require.NoError(t, netdev.Main.SetLink("w", false))
	require.Zero(t, r.get(regBMSR, 2)&bmsrLink)
	require.EqualValues(t, mediaReset|4, r.get(regMedia, 1))
	require.NotZero(t, r.get(regIntr, 2)&irqLink)
}

// twin is our device and QEMU's, which are asked the same.
type twin struct {
	t *testing.T
	q *qtest.QEMU
	r *rig
}

func newTwin(t *testing.T) twin {
	q := nettest.QEMU(t, "rtl8139")
	w := twin{t, q, newRig(t)}
	w.r.SetConfig(nettest.Devfn, 0x14, 4, 0)
	w.r.SetConfig(nettest.Devfn, 4, 2, 0)
	return w
}

func (w twin) enable() {
	w.config(0x14, 4, nettest.MMIO)
	w.config(4, 2, 6)
}

func (w twin) config(reg uint32, size int, v uint32) {
	w.r.SetConfig(nettest.Devfn, reg, size, v)
	w.q.SetConfig(nettest.Devfn, reg, size, v)
}

func (w twin) set(reg, size int, v uint32) {
	w.r.set(reg, size, v)
	w.q.Store(nettest.MMIO+uint64(reg), size, uint64(v))
}

func (w twin) check(reg, size int) {
	w.t.Helper()
	if got, want := w.r.get(reg, size), uint32(w.q.Load(nettest.MMIO+uint64(reg), size)); got != want {
		w.t.Errorf("register %#x of %d bytes: %#x, want %#x", reg, size, got, want)
	}
}

func (w twin) checkAll() {
	w.t.Helper()
	for reg := 0; reg < regsSize; reg += 4 {
		if reg == regTimer {
			continue
		}
		for _, size := range []int{4, 2, 1} {
			for at := reg; at < reg+4; at += size {
				w.check(at, size)
			}
		}
	}
}

func (w twin) write(at uint64, b []byte) {
	w.r.Mem.Write(at, b)
	w.q.Write(at, b)
}

func (w twin) checkMemory(at uint64, n int, what string) {
	w.t.Helper()
	got := make([]byte, n)
	w.r.Mem.Read(at, got)
	want := w.q.Read(at, n)
	for i := range got {
		if got[i] != want[i] {
			w.t.Fatalf("%s: byte %#x: % x, want % x", what, i, got[i:min(i+16, n)], want[i:min(i+16, n)])
		}
	}
}

// TestRegisters makes the same accesses to QEMU's device and to ours and compares all answers.
func TestRegisters(t *testing.T) {
	w := newTwin(t)
	for reg := uint32(0); reg < 256; reg += 4 {
		require.Equal(t, w.q.Config(nettest.Devfn, reg, 4), w.r.Config(nettest.Devfn, reg, 4), "configuration %#x", reg)
	}
	for reg := uint32(0x10); reg < 0x18; reg += 4 {
		w.config(reg, 4, ^uint32(0))
		require.Equal(t, w.q.Config(nettest.Devfn, reg, 4), w.r.Config(nettest.Devfn, reg, 4), "size of BAR at %#x", reg)
	}
	w.enable()
	w.checkAll()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		for reg := range regsSize {
			size := 1 << rnd.IntN(3)
			if at := reg &^ (size - 1); at != regTimer && at != regTimerInt && !(size == 4 && at == regTxStatus) {
				w.set(at, size, rnd.Uint32())
			}
		}
		w.checkAll()
		w.set(reg9346, 1, eepromUnlock)
		w.set(regCmd, 1, cmdTx)
	}
	// The EEPROM, bit by bit.
	line := func(v uint32) {
		w.set(reg9346, 1, eepromProgram|v)
		w.check(reg9346, 1)
	}
	const di, sk, cs = 2, 4, 8
	for _, word := range []uint32{0, 1, 2, 7, 9, 63} {
		line(0)
		line(cs)
		cmd := 6<<6 | word
		for bit := 8; bit >= 0; bit-- {
			d := cmd >> bit & 1 * di
			line(cs | d)
			line(cs | d | sk)
		}
		for range 18 {
			line(cs)
			line(cs | sk)
		}
	}
	w.set(reg9346, 1, eepromAutoload)
	w.checkAll()
}

// TestRings has both devices send frames to themselves through the buffers and ring of the RTL8139, and compares memory and registers.
func TestRings(t *testing.T) {
	w := newTwin(t)
	w.enable()
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, config := range []uint32{rxAcceptBroad | rxAcceptMine, rxAcceptAll | rxNoWrap, rxAcceptMulti | rxNoWrap | 1<<rxSizeShift, 0} {
		w.set(regCmd, 1, cmdReset)
		w.set(regRxBuf, 4, rxBufs)
		w.set(regCmd, 1, cmdRx|cmdTx)
		w.set(regRxConfig, 4, config)
		w.set(regTxConfig, 4, loopback)
		w.set(regMAR, 4, 0x5555aaaa)
		w.set(regIntrMask, 2, 0xffff)
		for i := range 60 {
			f := nettest.Frame([]byte{0xff, 0x52, 0x33, 0x01}[rnd.IntN(4)], 14+rnd.IntN(1500))
			if f[0] == 0x52 {
				copy(f, w.r.d.MAC[:])
			}
			f[5] ^= byte(rnd.IntN(2) * i)
			at := txBufs + 0x2000*uint64(i%4)
			w.write(at, f)
			w.set(regTxAddr+i%4*4, 4, uint32(at))
			w.set(regTxStatus+i%4*4, 4, uint32(len(f)))
			for _, reg := range []int{regRxWritten, regIntr, regTxSummary} {
				w.check(reg, 2)
			}
			w.check(regTxStatus+i%4*4, 4)
			w.check(regCmd, 1)
			if rnd.IntN(4) == 0 {
				w.set(regRxRead, 2, w.r.get(regRxWritten, 2)-readBias)
				w.set(regIntr, 2, 0xffff)
			}
		}
		w.checkMemory(rxBufs, 0x4800, "receive ring")
	}
}

// tcpFrame is a frame with a TCP or UDP packet of n bytes in IPv4.
func tcpFrame(proto byte, n int) []byte {
	f := nettest.Frame(0xff, 54+n)
	clear(f[14:54])
	f[12], f[13] = 8, 0
	ip, tcp := f[14:], f[34:]
	ip[0], ip[8], ip[9] = 0x45, 64, proto
	be.PutUint16(ip[2:], uint16(40+n))
	be.PutUint16(ip[4:], 0xfffe)
	copy(ip[12:], []byte{10, 0, 2, 15, 10, 0, 2, 2})
	tcp[12], tcp[13] = 0x50, 0x10
	be.PutUint32(tcp[4:], 5000)
	return f
}

// TestDescriptors does the same in C+ mode, with checksums, VLAN tags and segmentation.
func TestDescriptors(t *testing.T) {
	w := newTwin(t)
	w.enable()
	start := func(cp uint32) {
		w.set(regCmd, 1, cmdReset)
		w.set(regCpCmd, 2, cp)
		w.set(regCmd, 1, cmdRx|cmdTx)
		w.set(regTxAddr, 4, rings)
		w.set(regTxAddr+4, 4, 0)
		w.set(regRxRingLow, 4, rxRing)
		w.set(regRxConfig, 4, rxAcceptBroad)
		w.set(regTxConfig, 4, loopback)
		for i := range uint64(16) {
			desc := make([]byte, descSize)
			le.PutUint32(desc, descOwn|0x600|uint32(i/15*descEnd))
			le.PutUint64(desc[8:], rxBufs+0x800*i)
			w.write(rxRing+descSize*i, desc)
		}
	}
	next := uint64(0)
	queue := func(b []byte, w0, w1 uint32) {
		desc := make([]byte, descSize)
		le.PutUint32(desc, descOwn|w0|uint32(len(b)))
		le.PutUint32(desc[4:], w1)
		le.PutUint64(desc[8:], txBufs+0x4000*next)
		w.write(txBufs+0x4000*next, b)
		w.write(rings+descSize*next, desc)
		next++
	}
	for _, cp := range []uint32{cpRx | cpTx, cpRx | cpTx | cpVLAN} {
		start(cp)
		next = 0
		f := tcpFrame(protoTCP, 200)
		queue(f, descFirst|descLast, 0)
		queue(f[:60], descFirst, 0)
		queue(f[60:], descLast|txDescIP|txDescTCP, 0)
		queue(tcpFrame(protoUDP, 33), descFirst|descLast|txDescIP|txDescUDP, 0)
		queue(tcpFrame(protoUDP, 33), descFirst|descLast|txDescTCP, 0)
		for _, n := range []int{20, 61, 300} {
			tagged := nettest.Frame(0xff, n)
			copy(tagged[12:], []byte{0x81, 0, 0x12, 0x34})
			queue(tagged, descFirst|descLast|txDescTCP, 0)
		}
		queue(tcpFrame(protoTCP, 2500), descFirst|descLast|txDescLarge|700<<txDescMSSShift, 0)
		queue(nettest.Frame(0xff, 1600), descFirst|descLast, 0) // more than a buffer holds
		w.set(regTxPoll, 1, pollNormal)
		w.set(regTxStatus+4, 4, 0)
		w.set(regTxStatus, 4, tallyA|dumpTally)
		for _, reg := range []int{regTxStatus, regIntr &^ 3, regRxMissed} {
			w.check(reg, 4)
		}
		w.check(regIntr, 2)
		w.checkMemory(rings, 0x400, "transmit ring")
		w.checkMemory(rxRing, 0x100, "receive ring")
		w.checkMemory(tallyA, 64, "statistics")
		for i := range uint64(16) {
			w.checkMemory(rxBufs+0x800*i, 0x600, "frame")
		}
	}
}

// TestTag checks the VLAN tag of sent frames. (QEMU's loopback cuts the end of such frames off.)
func TestTag(t *testing.T) {
	r := newRig(t)
	r.start()
	r.set(regCpCmd, 2, cpRx|cpTx)
	r.set(regTxAddr, 4, rings)
	r.set(regTxAddr+4, 4, 0)
	f := tcpFrame(protoTCP, 100)
	r.Mem.Write(txBufs, f)
	r.Mem.Store(rings, 4, uint64(descOwn|descFirst|descLast|descEnd|len(f)))
	r.Mem.Store(rings+4, 4, txTagged|0x3412)
	r.Mem.Store(rings+8, 8, txBufs)
	r.set(regTxPoll, 1, pollNormal)
	require.Equal(t, [][]byte{append(append(bytes.Clone(f[:12]), 0x81, 0, 0x12, 0x34), f[12:]...)}, r.Frames)
}

// TestFIN checks that the last segment of a packet, and only that, ends the connection.
func TestFIN(t *testing.T) {
	f := tcpFrame(protoTCP, 1500)
	f[47] = 0x19
	p, ok := parseIPv4(f)
	require.True(t, ok)
	var flags []byte
	require.True(t, p.segments(600, func(b []byte) { flags = append(flags, b[47]) }))
	require.Equal(t, []byte{0x10, 0x10, 0x19}, flags)
}

func TestLayout(t *testing.T) { vmstatetest.Compare(t, "pc", "rtl8139", state.Layout()) }

func TestRoundTrip(t *testing.T) {
	a, b := newRig(t), newRig(t)
	a.start()
	a.set(regTimerInt, 4, 1000)
	a.set(regTxStatus, 4, 60)
	vmstatetest.RoundTrip(t, 5, a.d.State(), b.d.State())
	a.d.timerValue, b.d.timerValue = 0, 0
	require.Equal(t, a.d.regs, b.d.regs)
	require.Equal(t, a.d.eeprom, b.d.eeprom)
}

// FuzzDevice lets a fuzzer write registers and descriptors while frames arrive.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("\x10\x04\x00\x00\x3c\x00\x00\x00\x00\x00\x00\x02\x64\x00\x00\x00"))
	f.Add([]byte("\xe0\x02\x00\x00\x03\x00\x00\x00\x20\x04\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\xff\xff\xff\xff\xd9\x01\x00\x00\x40\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newRig(t)
		defer r.Mem.View().Find(0).RAM.Free()
		r.start()
		for ; len(script) >= 8; script = script[8:] {
			at, size, v := uint64(script[0]), int(script[1]), uint64(le.Uint32(script[4:]))
			size = 1 << (size & 3 % 3)
			switch script[3] & 3 {
			case 0:
				r.Mem.Store(nettest.MMIO+at, size, v)
			case 1:
				r.Mem.Store(rings+uint64(le.Uint16(script)), 4, v)
			case 2:
				r.Receive(nettest.Frame(byte(v), int(v>>8&0x7fff)+6))
			case 3:
				r.SetConfig(nettest.Devfn, uint32(at)&0xfc, 4, uint32(v))
				r.Mem.Load(nettest.MMIO+at, size)
			}
		}
		r.Tree.Close()
	})
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, []*qdev.Class{&Class}) }
