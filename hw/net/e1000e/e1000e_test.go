package e1000e

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/net/nettest"
	"goemu/hw/qdev/qtest"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/netdev"
	"goemu/migration/vmstate/vmstatetest"
)

const (
	ring   = 0x10000 // of the transmitter
	rxRing = 0x20000
	txBufs = 0x40000
	rxBufs = 0x80000
	slots  = 8
)

// rig is a driver of the device in a machine of its own.
type rig struct {
	*nettest.Rig
	d *Device
}

func newRig(t testing.TB) *rig {
	t.Helper()
	clock.Virtual.SetFake(0)
	r, d := nettest.New(t, Classes(), "e1000e")
	nettest.Map(r, 0x10)
	return &rig{r, d.(*Device)}
}

func (r *rig) set(reg int, v uint32) { r.Mem.Store(nettest.MMIO+uint64(reg)<<2, 4, uint64(v)) }
func (r *rig) get(reg int) uint32 {
	v, _ := r.Mem.Load(nettest.MMIO+uint64(reg)<<2, 4)
	return uint32(v)
}

// start sets both rings of queue 0 up, with buffers of 2048 bytes.
func (r *rig) start() {
	r.set(regTDBAL, ring)
	r.set(regTDLEN, slots*unit)
	r.set(regTCTL, tctlEN)
	r.set(regRDBAL, rxRing)
	r.set(regRDLEN, slots*unit)
	for i := range uint64(slots) {
		r.Mem.Store(rxRing+unit*i, 8, rxBufs+2048*i)
	}
	r.set(regRDT, slots-1)
	r.set(regRCTL, rctlEN|rctlBAM|rctlSECRC)
	r.set(regIMS, irqRXT0|irqTXDW)
}

// queue puts a descriptor into the transmitter's ring.
func (r *rig) queue(data []byte, lower, upper uint32) {
	i := r.get(regTDT)
	at := uint64(txBufs + 0x2000*i)
	r.Mem.Write(at, data)
	r.descriptor(at, uint32(len(data))|lower, upper)
}

func (r *rig) descriptor(addr uint64, lower, upper uint32) {
	i := r.get(regTDT)
	r.Mem.Store(uint64(ring+unit*i), 8, addr)
	r.Mem.Store(uint64(ring+unit*i+8), 4, uint64(lower))
	r.Mem.Store(uint64(ring+unit*i+12), 4, uint64(upper))
	r.set(regTDT, (i+1)%slots)
}

// packet is an IPv4 packet of TCP to everybody, with n bytes of data.
func packet(n int) []byte {
	p := nettest.Frame(0xff, 54+n)
	clear(p[14:54])
	p[12], p[13] = 8, 0
	ip, tcp := p[14:], p[34:]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	be.PutUint16(ip[2:], uint16(40+n))
	copy(ip[12:], []byte{66, 9, 149, 187, 161, 142, 100, 80})
	be.PutUint16(tcp, 2794)
	be.PutUint16(tcp[2:], 1766)
	tcp[12], tcp[13] = 0x50, 0x19 // FIN, PSH, ACK
	be.PutUint32(tcp[4:], 5000)
	return p
}

// pseudo is the sum of the pseudo header of TCP over n bytes.
func pseudo(p []byte, n int) uint32 {
	return netdev.Sum(netdev.Sum(0, p[26:34]), []byte{0, 6, byte(n >> 8), byte(n)})
}

// fixed gives a packet its checksums.
func fixed(p []byte) []byte {
	be.PutUint16(p[24:], netdev.Fold(netdev.Sum(0, p[14:34])))
	be.PutUint16(p[50:], netdev.Fold(netdev.Sum(pseudo(p, len(p)-34), p[34:])))
	return p
}

func TestTransmit(t *testing.T) {
	r := newRig(t)
	r.start()
	f := nettest.Frame(0xff, 300)
	r.queue(f[:100], 0, 0)
	require.Empty(t, r.Frames)
	r.queue(f[100:], txEOP|txRS, 0)
	require.Equal(t, [][]byte{f}, r.Frames)
	v, _ := r.Mem.Load(ring+unit+12, 1)
	require.EqualValues(t, txDone, v)
	require.EqualValues(t, irqTXDW|irqTXQE|irqAsserted, r.get(regICS))
	require.True(t, r.Line(1))
	require.EqualValues(t, irqTXDW|irqTXQE|irqAsserted, r.get(regICR))
	require.False(t, r.Line(1))
	require.EqualValues(t, 1, r.get(regGPTC))
	require.Zero(t, r.get(regGPTC))
	r.set(regCTRL, r.get(regCTRL)|ctrlVLAN)
	r.queue(f, txEOP|txVLE, 7<<16)
	require.Equal(t, append(append(bytes.Clone(f[:12]), 0x81, 0, 0, 7), f[12:]...), r.Frames[1])
}

// TestSegmentation checks packets that the device cuts into segments.
func TestSegmentation(t *testing.T) {
	r := newRig(t)
	r.start()
	const mss, payload = 1000, 2500
	p := packet(payload)
	be.PutUint16(p[50:], uint16(pseudo(p, 0)>>16+pseudo(p, 0)&0xffff))
	ctx := make([]byte, unit)
	ctx[0], ctx[1] = 14, 24
	le.PutUint16(ctx[2:], 33)
	ctx[4], ctx[5] = 34, 50
	r.descriptor(le.Uint64(ctx), payload|txDEXT|txTSE|txIP|txTCP, mss<<16|54<<8)
	r.queue(p[:54], txDEXT|txData|txTSE, (popIXSM|popTXSM)<<8)
	r.queue(p[54:], txDEXT|txData|txTSE|txEOP|txRS, (popIXSM|popTXSM)<<8)
	require.Len(t, r.Frames, 3)
	var got []byte
	for i, f := range r.Frames {
		require.EqualValues(t, len(f)-14, be.Uint16(f[16:]))
		require.EqualValues(t, i, be.Uint16(f[18:]))
		require.Zero(t, netdev.Fold(netdev.Sum(0, f[14:34])), "IP checksum")
		require.Zero(t, netdev.Fold(netdev.Sum(pseudo(f, len(f)-34), f[34:])), "TCP checksum")
		require.EqualValues(t, 5000+1000*i, be.Uint32(f[38:]))
		require.Equal(t, i == 2, f[47]&9 == 9)
		got = append(got, f[54:]...)
	}
	require.Equal(t, p[54:], got)
}

func TestReceive(t *testing.T) {
	r := newRig(t)
	r.start()
	f := fixed(packet(100))
	r.Receive(f)
	var desc [maxDesc]byte
	r.Mem.Read(rxRing, desc[:unit])
	require.EqualValues(t, len(f), le.Uint16(desc[8:]))
	require.EqualValues(t, rxDone|rxEOP|rxIPSum|rxL4Sum, desc[12])
	require.Zero(t, desc[13])
	got := make([]byte, len(f))
	r.Mem.Read(rxBufs, got)
	require.Equal(t, f, got)
	require.True(t, r.Line(1))
	r.Receive(nettest.Frame(0x10, 100)) // for somebody else
	require.EqualValues(t, 1, r.get(regRDH))
	f[60]++
	r.Receive(f)
	r.Mem.Read(rxRing+unit, desc[:unit])
	require.EqualValues(t, rxL4Bad>>24, desc[13])
	// The ring runs full; frames wait until there is room again.
	for range 10 {
		r.Receive(f)
	}
	require.Equal(t, r.get(regRDT), r.get(regRDH))
	r.set(regRDT, 4)
	mainloop.Main.RunPending()
	require.EqualValues(t, 4, r.get(regRDH))
}

// TestSplit checks extended descriptors with several buffers, and the spreading of frames.
func TestSplit(t *testing.T) {
	r := newRig(t)
	r.start()
	r.set(regRFCTL, rfctlExtended)
	r.set(regRXCSUM, rxcsumPCSD|rxcsumIP|rxcsumL4)
	r.set(regMRQC, 1|mrqcTCP4)
	key := []byte{0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
		0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa}
	for i := range 10 {
		r.set(regRSSRK+i, le.Uint32(key[4*i:]))
	}
	r.set(regPSRCTL, 2|4<<8)
	for i, at := range []uint64{rxBufs, rxBufs + 0x1000} {
		r.Mem.Store(rxRing+uint64(8*i), 8, at)
	}
	r.set(regRCTL, rctlEN|rctlBAM|rctlSECRC|rctlPS)
	f := fixed(packet(700))
	r.Receive(f)
	var desc [maxDesc]byte
	r.Mem.Read(rxRing, desc[:])
	require.EqualValues(t, 0x51ccc178, le.Uint32(desc[4:])) // of the specification of receive-side scaling
	require.EqualValues(t, hashTCP4, le.Uint32(desc[:]))
	require.EqualValues(t, rxDone|rxEOP|rxIPSum|rxL4Sum|rxACK|2<<rxPacketType, le.Uint32(desc[8:]))
	require.EqualValues(t, 54, le.Uint16(desc[12:]))
	require.EqualValues(t, 54|rxSplit, le.Uint16(desc[16:]))
	require.EqualValues(t, 700, le.Uint16(desc[18:]))
	got := make([]byte, 700)
	r.Mem.Read(rxBufs+0x1000, got)
	require.Equal(t, f[54:], got)
	require.EqualValues(t, 2, r.get(regRDH))
}

// TestVectors checks MSI-X: which vectors are sent, and how often.
func TestVectors(t *testing.T) {
	r := newRig(t)
	const msixAddr = 0xfd100000
	r.SetConfig(nettest.Devfn, 0x1c, 4, msixAddr)
	for n := range uint64(numVectors) {
		r.Mem.Store(msixAddr+16*n, 4, 0xfee00000)
		r.Mem.Store(msixAddr+16*n+8, 4, 0x40+n)
		r.Mem.Store(msixAddr+16*n+12, 4, 0)
	}
	r.SetConfig(nettest.Devfn, msixAt+2, 2, 0x8000)
	r.start()
	r.set(regIVAR, 8|1|(8|2)<<8|(8|3)<<16)
	r.set(regIMS, irqRXQ0|irqTXQ0|irqOther|irqLSC)
	r.Receive(nettest.Frame(0xff, 100))
	r.queue(nettest.Frame(0xff, 100), txEOP|txRS, 0)
	mainloop.Main.RunPending()
	require.True(t, r.d.eitr[1].running)
	require.True(t, r.d.eitr[2].running)
	require.False(t, r.d.eitr[3].running)
	r.set(regICS, irqLSC)
	require.True(t, r.d.eitr[3].running)
}

// newBoth is QEMU's device and ours, with their registers mapped.
func newBoth(t *testing.T) (*qtest.QEMU, *rig) {
	q := nettest.QEMU(t, "e1000e")
	r := newRig(t)
	nettest.Map(q, 0x10)
	return q, r
}

func TestConfig(t *testing.T) {
	q, r := newBoth(t)
	for reg := uint32(0); reg < 0x100; reg += 4 {
		require.Equal(t, q.Config(nettest.Devfn, reg, 4), r.Config(nettest.Devfn, reg, 4), "configuration %#x", reg)
	}
	for reg := uint32(0x10); reg < 0x20; reg += 4 {
		r.SetConfig(nettest.Devfn, reg, 4, ^uint32(0))
		q.SetConfig(nettest.Devfn, reg, 4, ^uint32(0))
		require.Equal(t, q.Config(nettest.Devfn, reg, 4), r.Config(nettest.Devfn, reg, 4), "size of BAR at %#x", reg)
	}
}

// TestRegisters makes the same accesses to QEMU's device and to ours and compares all answers.
func TestRegisters(t *testing.T) {
	q, r := newBoth(t)
	check := func(off uint64) {
		t.Helper()
		got, _ := r.Mem.Load(nettest.MMIO+off, 4)
		if want := q.Load(nettest.MMIO+off, 4); got != want {
			t.Errorf("register %#x: %#x, want %#x", off, got, want)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var offs []uint64
	for i := range uint64(numRegs) {
		if off := i << 2; off < 0x6000 && (off < 0x200 || off%0x40 < 0x20 || off > 0x4000 && off < 0x4200 || off >= 0x5800) || off >= 0xb600 && off < 0xb640 || off%0x400 == 0 {
			offs = append(offs, off)
		}
	}
	for round := range 2 {
		for _, off := range offs {
			switch i := int(off >> 2); i {
			case regTCTL, regTDT, 0x438 >> 2, regRCTL, regTDT + queueStep, regICS, regIMS:
			default:
				if round == 1 {
					v := rnd.Uint64() & 0xffffffff
					r.Mem.Store(nettest.MMIO+off, 4, v)
					q.Store(nettest.MMIO+off, 4, v)
				}
			}
			check(off)
			check(off)
		}
	}
	for i := range uint64(66) {
		r.Mem.Store(nettest.MMIO+regEERD<<2, 4, i<<nvmAddr|nvmStart)
		q.Store(nettest.MMIO+regEERD<<2, 4, i<<nvmAddr|nvmStart)
		check(regEERD << 2)
	}
	for _, page := range []uint64{0, 2, 3, 5, 6, 9} {
		for i := range uint64(phyPageRegs) {
			for _, v := range []uint64{phyPage<<mdicReg | mdicWrite | page, i<<mdicReg | mdicRead, i<<mdicReg | mdicWrite | i<<8 | 3, i<<mdicReg | mdicRead} {
				r.Mem.Store(nettest.MMIO+regMDIC<<2, 4, v|1<<mdicPHY)
				q.Store(nettest.MMIO+regMDIC<<2, 4, v|1<<mdicPHY)
				check(regMDIC << 2)
			}
		}
	}
}

func TestLayout(t *testing.T) { vmstatetest.Compare(t, "pc", "e1000e", state.Layout()) }

func TestRoundTrip(t *testing.T) {
	a, b := newRig(t), newRig(t)
	a.start()
	a.queue(nettest.Frame(0xff, 100), 0, 0)
	vmstatetest.RoundTrip(t, 1, a.d.State(), b.d.State())
	require.Equal(t, a.d.mac, b.d.mac)
	require.Equal(t, a.d.phy, b.d.phy)
}

// FuzzDevice lets a fuzzer write registers and descriptors while frames arrive.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("\x18\x38\x00\x00\x05\x00\x00\x00\x00\x04\x00\x00\x02\x00\x00\x00"))
	f.Add([]byte("\x08\x00\x00\x01\x00\x10\x00\x2d\x18\x38\x00\x00\x01\x00\x00\x00\x64\x00\x00\x02\x00\x00\x00\x00"))
	f.Add([]byte("\x08\x50\x00\x00\x00\x80\x00\x00\x00\x01\x00\x00\x02\x84\x00\x04\x64\x00\x00\x02\xff\x00\x00\x00"))
	f.Add([]byte("\x00\x01002\x8400\bP000\x800000021000")) // descriptors get several buffers after the receiver was switched on
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newRig(t)
		defer r.Mem.View().Find(0).RAM.Free()
		r.start()
		for ; len(script) >= 8; script = script[8:] {
			at, v := uint64(le.Uint32(script)&0x1fffc), uint64(le.Uint32(script[4:]))
			switch script[3] & 7 {
			case 0, 4:
				r.Mem.Store(nettest.MMIO+at&0x1fffc, 4, v)
			case 1:
				r.Mem.Store(ring+at&0x1ffff, 4, v)
			case 2:
				r.Receive(nettest.Frame(byte(v), int(at&0x7fff)+6))
			case 3:
				r.SetConfig(nettest.Devfn, uint32(at)&0xfc, 4, uint32(v))
				r.Mem.Load(nettest.MMIO+at, 4)
			case 5:
				r.Receive(packet(int(at & 0xfff)))
			case 6:
				clock.Virtual.Advance(int64(v))
				mainloop.Main.RunPending()
			}
		}
		r.Tree.Close()
	})
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes()) }
