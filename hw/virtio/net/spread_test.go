package net

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/virtio"
	"goemu/hw/virtio/virtiotest"
	"goemu/internal/netdev"
	"goemu/migration/vmstate"
)

// rssKey is the key of the published test vectors for receive-side scaling, and rssFrame the frame of the first, whose hashes these are.
var rssKey = []byte{
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
}

const rssHashIP, rssHashTCP = 0x323e8fc2, 0x51ccc178

func rssFrame() []byte {
	b := tcpFrame(10)
	copy(b[26:], []byte{66, 9, 149, 187, 161, 142, 100, 80})
	binary.BigEndian.PutUint16(b[34:], 2794)
	binary.BigEndian.PutUint16(b[36:], 1766)
	return b
}

// spreadCommand is the argument of mqRSS and mqHash.
func spreadCommand(types uint32, table []uint16, fallback, pairs uint16, key []byte) []byte {
	b := le.AppendUint32(nil, types)
	b = le.AppendUint16(b, uint16(len(table)-1))
	b = le.AppendUint16(b, fallback)
	for _, v := range table {
		b = le.AppendUint16(b, v)
	}
	b = append(le.AppendUint16(b, pairs), byte(len(key)))
	return append(b, key...)
}

const spreadFeatures = 1<<featCtrlVQ | 1<<featRSS | 1<<featHashReport | 1<<featMergeable

// newPairs makes a guest with two pairs at a back end with two queues; its receive queues are the second result.
func newPairs(t *testing.T) (g *guest, m *Model, rx [2]*virtiotest.Driver, w *wire) {
	s, w := newWire(true)
	s.Add(&netdev.Client{Name: "w", Kind: "wire", Model: "wire", Index: 1}, &wire{resume: make(chan struct{}, 1)}, nil)
	machine, m := newModel(t, s, "netdev", "w", "rss", "on", "hash", "on")
	g = &guest{Function: machine.Map(devfn), t: t, at: map[uint16]uint64{}, size: 1600, hdr: hdrHashed}
	g.EnableMSIX(6)
	g.Negotiate(spreadFeatures | 1<<virtio.FeatureVersion1)
	for i := range rx {
		rx[i] = virtiotest.NewDriver(g.Mem, rxRing+uint64(i)*0x40000, bufs, false)
		g.SetupQueue(2*i, rx[i], uint16(2*i))
		for n := range uint64(4) {
			rx[i].Add(virtiotest.Buf{Addr: rxData + (4*uint64(i)+n)*rxStep, Len: g.size, Write: true})
		}
	}
	g.cv = virtiotest.NewDriver(g.Mem, ctlRing, bufs, false)
	g.SetupQueue(4, g.cv, 4)
	g.ctrl = 4
	g.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
	return g, m, rx, w
}

// took waits for the frame that pair i takes.
func (g *guest) took(i int, q *virtiotest.Driver) (hash uint32, report uint16, frame []byte) {
	g.wait(q, func(head uint16, n uint32) bool {
		frame = make([]byte, n)
		g.Mem.Read(rxData+uint64(4*i+int(head))*rxStep, frame)
		return true
	})
	return le.Uint32(frame[hdrHash:]), le.Uint16(frame[hdrHashOf:]), frame[hdrHashed:]
}

// TestSpread: frames go to the pair that the table names for their hash, of which the driver is told.
func TestSpread(t *testing.T) {
	g, m, rx, w := newPairs(t)
	require.EqualValues(t, hashAll, g.Com(virtiotest.DeviceCfg+cfgHashes, 4))
	require.EqualValues(t, maxSpread, g.Com(virtiotest.DeviceCfg+cfgTable, 2))
	require.EqualValues(t, len(rssKey), g.Com(virtiotest.DeviceCfg+cfgKey, 1))

	other := frameOf(1, 100) // neither IPv4 nor IPv6
	for _, c := range []struct {
		types    uint32
		table    []uint16
		fallback uint16
		frame    []byte
		pair     int
		hash     uint32
		report   uint16
	}{
		{hashTCPv4 | hashIPv4, []uint16{0, 1}, 0, rssFrame(), rssHashTCP & 1, rssHashTCP, 2},
		{hashTCPv4 | hashIPv4, []uint16{1, 0}, 0, rssFrame(), rssHashTCP&1 ^ 1, rssHashTCP, 2},
		{hashIPv4, []uint16{0, 0, 1, 0}, 0, rssFrame(), 1, rssHashIP, 1},
		{hashIPv6 | hashUDPv4, []uint16{0}, 1, rssFrame(), 1, 0, 0},
		{hashAll, []uint16{0}, 1, other, 1, 0, 0},
	} {
		require.EqualValues(t, ctrlOK, g.command(ctrlMQ, mqRSS, spreadCommand(c.types, c.table, c.fallback, 2, rssKey)...))
		require.True(t, w.c.Send(c.frame, nil))
		hash, report, got := g.took(c.pair, rx[c.pair])
		require.Equal(t, c.frame, got)
		require.Equal(t, []uint32{c.hash, uint32(c.report)}, []uint32{hash, uint32(report)})
	}

	var saved vmstate.Writer
	m.SaveDevice(&saved)
	_, again, _, _ := newPairs(t)
	require.NoError(t, again.LoadDevice(vmstate.NewReader(saved.Bytes())))
	require.Equal(t, m.spread.Load(), again.spread.Load())

	require.EqualValues(t, ctrlOK, g.command(ctrlMQ, mqHash, spreadCommand(hashTCPv4, []uint16{0}, 0, 0, rssKey)...))
	require.True(t, w.c.Send(rssFrame(), nil))
	hash, report, _ := g.took(0, rx[0])
	require.Equal(t, []uint32{rssHashTCP, 2}, []uint32{hash, uint32(report)})
}

// TestSpreadWaits: a frame that waits for room in another pair's queue comes once there is some.
func TestSpreadWaits(t *testing.T) {
	g, _, rx, w := newPairs(t)
	require.EqualValues(t, ctrlOK, g.command(ctrlMQ, mqRSS, spreadCommand(hashAll, []uint16{1}, 1, 2, rssKey)...))
	for range 4 {
		require.True(t, w.c.Send(rssFrame(), nil))
		g.took(1, rx[1])
	}
	require.False(t, w.c.Send(rssFrame(), nil))
	rx[1].Add(virtiotest.Buf{Addr: rxData + 4*rxStep, Len: g.size, Write: true})
	g.Kick(2)
	<-w.resume
	require.True(t, w.c.Send(rssFrame(), nil))
}

// TestSpreadErrors: what is wrong is refused, and ends the spreading that there was.
func TestSpreadErrors(t *testing.T) {
	g, m, _, _ := newPairs(t)
	good := spreadCommand(hashAll, []uint16{0, 1}, 0, 2, rssKey)
	for name, arg := range map[string][]byte{
		"no data":               nil,
		"table of three":        spreadCommand(hashAll, []uint16{0, 1, 0}, 0, 2, rssKey),
		"long table":            spreadCommand(hashAll, make([]uint16, 2*maxSpread), 0, 2, rssKey),
		"short table":           good[:10],
		"unknown fallback":      spreadCommand(hashAll, []uint16{0, 1}, 2, 2, rssKey),
		"no pair":               spreadCommand(hashAll, []uint16{0, 1}, 0, 0, rssKey),
		"too many pairs":        spreadCommand(hashAll, []uint16{0, 1}, 0, 3, rssKey),
		"long key":              spreadCommand(hashAll, []uint16{0, 1}, 0, 2, bytes.Repeat(rssKey, 2)),
		"no key":                spreadCommand(hashAll, []uint16{0, 1}, 0, 2, nil),
		"key that is not there": good[:len(good)-1],
	} {
		require.EqualValues(t, ctrlOK, g.command(ctrlMQ, mqRSS, good...))
		require.NotNil(t, m.spread.Load())
		require.EqualValues(t, ctrlErr, g.command(ctrlMQ, mqRSS, arg...), name)
		require.Nil(t, m.spread.Load(), name)
	}
	require.EqualValues(t, ctrlOK, g.command(ctrlMQ, mqRSS, spreadCommand(0, []uint16{0, 1}, 0, 2, nil)...))
	require.Nil(t, m.spread.Load())
	require.Error(t, m.LoadDevice(vmstate.NewReader(nil)))
}
