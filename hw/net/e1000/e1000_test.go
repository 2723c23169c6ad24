package e1000

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/net/nettest"
	"goemu/hw/qdev/qtest"
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

func newRig(t testing.TB, props ...string) *rig {
	t.Helper()
	r, d := nettest.New(t, Classes(), "e1000", props...)
	nettest.Map(r, 0x10)
	return &rig{r, d.(*Device)}
}

func (r *rig) set(reg int, v uint32) { r.Mem.Store(nettest.MMIO+uint64(reg)<<2, 4, uint64(v)) }
func (r *rig) get(reg int) uint32 {
	v, _ := r.Mem.Load(nettest.MMIO+uint64(reg)<<2, 4)
	return uint32(v)
}

// start sets both rings up, with buffers of 2048 bytes.
func (r *rig) start() {
	r.set(regTDBAL, ring)
	r.set(regTDLEN, slots*descSize)
	r.set(regTCTL, tctlEN)
	r.set(regRDBAL, rxRing)
	r.set(regRDLEN, slots*descSize)
	for i := range uint64(slots) {
		r.Mem.Store(rxRing+descSize*i, 8, rxBufs+2048*i)
	}
	r.set(regRDT, slots-1)
	r.set(regRCTL, rctlEN|rctlBAM|rctlSECRC)
	r.d.settle.Del()
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
	r.Mem.Store(uint64(ring+descSize*i), 8, addr)
	r.Mem.Store(uint64(ring+descSize*i+8), 4, uint64(lower))
	r.Mem.Store(uint64(ring+descSize*i+12), 4, uint64(upper))
	r.set(regTDT, (i+1)%slots)
}

func TestTransmit(t *testing.T) {
	r := newRig(t)
	r.start()
	f := nettest.Frame(0xff, 300)
	r.queue(f[:100], 0, 0)
	require.Empty(t, r.Frames)
	r.queue(f[100:], txEOP|txRS, 0)
	require.Equal(t, [][]byte{f}, r.Frames)
	v, _ := r.Mem.Load(ring+descSize+12, 1)
	require.EqualValues(t, txDone, v)
	require.EqualValues(t, irqTXDW|irqTXQE, r.get(regICS))
	require.True(t, r.Line(1)) // slot 5, pin A
	require.EqualValues(t, irqTXDW|irqTXQE, r.get(regICR))
	require.False(t, r.Line(1))
	require.EqualValues(t, 1, r.get(regGPTC))
	require.Zero(t, r.get(regGPTC))
	require.EqualValues(t, 304, r.get(regTOTL))
	require.EqualValues(t, 1, r.get(regPTC64+3))
	require.EqualValues(t, 1, r.get(regBPTC))
	// With a VLAN tag.
	r.set(regCTRL, r.get(regCTRL)|ctrlVLAN)
	r.queue(f, txEOP|txVLE, 7<<16)
	require.Equal(t, append(append(bytes.Clone(f[:12]), 0x81, 0, 0, 7), f[12:]...), r.Frames[1])
}

// TestSegmentation checks packets that the device cuts into segments.
func TestSegmentation(t *testing.T) {
	r := newRig(t)
	r.start()
	const mss, payload = 1000, 2500
	p := nettest.Frame(0x52, 54+payload)
	ip, tcp := p[14:], p[34:]
	clear(p[14:54])
	p[12], p[13] = 8, 0
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	tcp[12], tcp[13] = 0x50, 0x19 // FIN, PSH, ACK
	be.PutUint32(tcp[4:], 5000)
	pseudo := func(n uint32) uint32 {
		return netdev.Sum(netdev.Sum(0, ip[12:20]), []byte{0, 6, byte(n >> 8), byte(n)})
	}
	be.PutUint16(tcp[16:], uint16(pseudo(0)))
	ctx := make([]byte, descSize)
	ctx[0], ctx[1] = 14, 24
	le.PutUint16(ctx[2:], 33)
	ctx[4], ctx[5] = 34, 50
	r.descriptor(le.Uint64(ctx), payload|txDEXT|txTSE|txIP|txTCP, mss<<16|54<<8)
	r.queue(p[:54], txDEXT|txData|txTSE, (popIXSM|popTXSM)<<8)
	r.queue(p[54:], txDEXT|txData|txTSE|txEOP|txRS, (popIXSM|popTXSM)<<8)
	require.Len(t, r.Frames, 3)
	var got []byte
	for i, f := range r.Frames {
		n := uint32(len(f) - 34)
		require.EqualValues(t, len(f)-14, be.Uint16(f[16:]))
		require.EqualValues(t, i, be.Uint16(f[18:]))
		require.Zero(t, netdev.Fold(netdev.Sum(0, f[14:34])), "IP checksum")
		require.Zero(t, netdev.Fold(netdev.Sum(pseudo(n), f[34:])), "TCP checksum")
		require.EqualValues(t, 5000+1000*i, be.Uint32(f[38:]))
		require.Equal(t, i == 2, f[47]&9 == 9)
		got = append(got, f[54:]...)
	}
	require.Equal(t, p[54:], got)
	require.EqualValues(t, 1, r.get(regTSCTC))
}

func TestReceive(t *testing.T) {
	r := newRig(t)
	r.start()
	f := nettest.Frame(0xff, 100)
	r.Receive(f)
	var desc [descSize]byte
	r.Mem.Read(rxRing, desc[:])
	require.EqualValues(t, 100, le.Uint16(desc[8:]))
	require.EqualValues(t, rxDone|rxEOP|rxIXSM, desc[12])
	got := make([]byte, 100)
	r.Mem.Read(rxBufs, got)
	require.Equal(t, f, got)
	require.True(t, r.Line(1))
	r.Receive(nettest.Frame(0x10, 100)) // for somebody else
	require.EqualValues(t, 1, r.get(regRDH))
	r.Receive(append([]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, make([]byte, 20)...)) // short: filled up
	r.Mem.Read(rxRing+descSize, desc[:])
	require.EqualValues(t, minFrame, le.Uint16(desc[8:]))
	require.EqualValues(t, 2, r.get(regGPRC))
	// The ring runs full; frames wait until there is room again.
	for range 10 {
		r.Receive(f)
	}
	require.Equal(t, r.get(regRDT), r.get(regRDH))
	r.set(regRDT, 4)
	mainloop.Main.RunPending()
	require.EqualValues(t, 4, r.get(regRDH))
	// A long frame takes several buffers.
	r.set(regRDT, 3)
	mainloop.Main.RunPending()
	r.set(regRCTL, rctlEN|rctlBAM|rctlSECRC|rctlLPE)
	r.d.settle.Del()
	r.set(regRDT, (r.get(regRDH)+7)%slots)
	mainloop.Main.RunPending()
	h := r.get(regRDH)
	r.set(regRDT, (h+7)%slots)
	big := nettest.Frame(0xff, 5000)
	r.Receive(big)
	require.Equal(t, (h+3)%slots, r.get(regRDH))
}

func TestLink(t *testing.T) {
	r := newRig(t)
	r.start()
	mdic := func(v uint32) uint32 {
		r.set(regMDIC, v|1<<mdicPHY)
		return r.get(regMDIC)
	}
	require.EqualValues(t, 0x141, mdic(mdicRead|phyID1<<mdicReg)&mdicData)
	require.NotZero(t, mdic(mdicWrite|phyID1<<mdicReg)&mdicError)
	require.NotZero(t, r.get(regSTATUS)&statusLU)
	require.NoError(t, netdev.Main.SetLink("w", false))
	require.Zero(t, r.get(regSTATUS)&statusLU)
	require.NotZero(t, r.get(regICS)&irqLSC)
	require.NoError(t, netdev.Main.SetLink("w", true))
	require.True(t, r.d.autonegTimer.Pending())
	r.d.autonegDone()
	require.NotZero(t, r.get(regSTATUS)&statusLU)
}

// TestRegisters makes the same accesses to QEMU's device and to ours and compares all answers.
func TestRegisters(t *testing.T) {
	for _, name := range []string{"e1000", "e1000-82544gc", "e1000-82545em"} {
		t.Run(name, func(t *testing.T) {
			q := nettest.QEMU(t, name)
			m, _ := nettest.New(t, Classes(), name)
			for reg := uint32(0); reg < 256; reg += 4 {
				require.Equal(t, q.Config(nettest.Devfn, reg, 4), m.Config(nettest.Devfn, reg, 4), "configuration %#x", reg)
			}
			for reg := uint32(0x10); reg < 0x18; reg += 4 {
				m.SetConfig(nettest.Devfn, reg, 4, ^uint32(0))
				q.SetConfig(nettest.Devfn, reg, 4, ^uint32(0))
				require.Equal(t, q.Config(nettest.Devfn, reg, 4), m.Config(nettest.Devfn, reg, 4), "size of BAR at %#x", reg)
			}
			nettest.Map(m, 0x10)
			nettest.Map(q, 0x10)
			check := func(off uint64) {
				t.Helper()
				got, _ := m.Mem.Load(nettest.MMIO+off, 4)
				if want := q.Load(nettest.MMIO+off, 4); got != want {
					t.Errorf("register %#x: %#x, want %#x", off, got, want)
				}
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			for round := range 2 {
				for _, r := range regTable {
					for i := r.from; i <= min(r.to, r.from+3); i++ {
						off := uint64(i) << 2
						if round == 1 && i != regTCTL && i != regTDT && i != regRCTL {
							v := rnd.Uint64() & 0xffffffff
							m.Mem.Store(nettest.MMIO+off, 4, v)
							q.Store(nettest.MMIO+off, 4, v)
						}
						check(off)
						check(off)
					}
				}
			}
			for off := uint64(0); off < 0x6000; off += 0x34 { // registers that are none, too
				check(off)
			}
			// The EEPROM, bit by bit.
			eecd := func(v uint64) {
				m.Mem.Store(nettest.MMIO+regEECD<<2, 4, v)
				q.Store(nettest.MMIO+regEECD<<2, 4, v)
				check(regEECD << 2)
			}
			for _, word := range []uint64{0, 11, romChecksum} {
				eecd(0)
				eecd(eecdCS)
				cmd := 0x180 | word
				for bit := 8; bit >= 0; bit-- {
					di := cmd >> bit & 1 * eecdDI
					eecd(eecdCS | di)
					eecd(eecdCS | di | eecdSK)
				}
				for range 16 {
					eecd(eecdCS)
					eecd(eecdCS | eecdSK)
				}
			}
			for i := range uint64(66) {
				m.Mem.Store(nettest.MMIO+regEERD<<2, 4, i<<eerdAddr|eerdStart)
				q.Store(nettest.MMIO+regEERD<<2, 4, i<<eerdAddr|eerdStart)
				check(regEERD << 2)
			}
			for i := range uint64(numPHY) {
				v := 1<<mdicPHY | i<<mdicReg | mdicRead
				m.Mem.Store(nettest.MMIO+regMDIC<<2, 4, v)
				q.Store(nettest.MMIO+regMDIC<<2, 4, v)
				check(regMDIC << 2)
			}
			_, _ = m.Mem.Load(nettest.MMIO+1, 1)
		})
	}
}

func TestLayout(t *testing.T) {
	vmstatetest.Compare(t, "pc", "e1000", state.Layout())
}

func TestRoundTrip(t *testing.T) {
	a, b := newRig(t), newRig(t)
	a.start()
	a.queue(nettest.Frame(0xff, 100), 0, 0)
	vmstatetest.RoundTrip(t, 2, a.d.State(), b.d.State())
	require.Equal(t, a.d.mac, b.d.mac)
	require.Equal(t, a.d.tx.n, b.d.tx.n)
	b.queue(nil, txEOP, 0)
	require.Len(t, b.Frames, 1)
}

// FuzzDevice lets a fuzzer write registers and descriptors while frames arrive.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("\x18\x38\x00\x00\x05\x00\x00\x00\x00\x04\x00\x00\x02\x00\x00\x00"))
	f.Add([]byte("\x08\x00\x00\x01\x00\x10\x00\x2d\x18\x38\x00\x00\x01\x00\x00\x00\x64\x00\x00\x02\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newRig(t)
		defer r.Mem.View().Find(0).RAM.Free()
		r.start()
		for ; len(script) >= 8; script = script[8:] {
			at, v := uint64(le.Uint32(script)&0x1fffc), uint64(le.Uint32(script[4:]))
			switch script[3] & 3 {
			case 0:
				r.Mem.Store(nettest.MMIO+at&0x1fffc, 4, v)
			case 1:
				r.Mem.Store(ring+at&0x1ffff, 4, v)
			case 2:
				r.Receive(nettest.Frame(byte(v), int(at&0x7fff)+6))
			case 3:
				r.SetConfig(nettest.Devfn, uint32(at)&0xfc, 4, uint32(v))
				r.Mem.Load(nettest.MMIO+at, 4)
			}
		}
		r.Tree.Close()
	})
}

func TestHelp(t *testing.T) { qtest.CompareHelp(t, Classes()) }
