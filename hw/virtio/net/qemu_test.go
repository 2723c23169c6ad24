package net

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/qdev"
	"goemu/hw/virtio/transport"
	"goemu/hw/virtio/virtiotest"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
)

// TestStream compares what QEMU's device saves and ours after the same configuration.
func TestStream(t *testing.T) {
	const all = ^uint64(0) &^ (1<<33 | 1<<34 | 1<<40)
	for name, features := range map[string]uint64{"plain": 0, "all": all &^ (1<<featRSS | 1<<featHashReport), "spread": all} {
		t.Run(name, func(t *testing.T) {
			set := newHub(t)
			c := virtiotest.StreamTest{DevFn: devfn, Section: "virtio-net", QEMU: []string{"-netdev", "hubport,id=a,hubid=0",
				"-device", "virtio-net-pci,addr=5,netdev=a,romfile=,rss=on,hash=on,mac=52:54:00:12:34:99"}}
			c.New = func() (*virtiotest.Machine, virtiotest.Stopper, vmstate.State) {
				m := virtiotest.NewMachine(t, Classes())
				qdev.Link(&m.Tree.Links, set.Peer)
				d, err := m.Add("virtio-net-pci", "addr", "5", "romfile", "", "rss", "on", "hash", "on", "mac", "52:54:00:12:34:99")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(m.Close)
				if features>>featRSS&1 != 0 { // where Drive takes the control queue
					ctl := virtiotest.NewDriver(m.Mem, ctlRing, bufs, true)
					m.Mem.Store(ctl.Cfg.Avail+2, 2, 1)
					m.Mem.Store(ctl.Cfg.Used+2, 2, 1)
				}
				return m, d.(interface{ VirtioDevice() *Model }).VirtioDevice(), d.Dev().State()
			}
			c.Drive = func(f *virtiotest.Function, _ func(uint64, int, uint64)) {
				f.EnableMSIX(4)
				f.Negotiate(features | 1<<32)
				var ctl *virtiotest.Driver
				for i, at := range []uint64{rxRing, txRing, ctlRing} {
					ctl = virtiotest.NewDriver(f.Mem, at, bufs, features != 0)
					f.SetupQueue(i, ctl, uint16(i))
				}
				f.SetCom(virtiotest.ComStatus, 1, virtiotest.StatusReady)
				if features>>featRSS&1 != 0 {
					g := &guest{Function: f, t: t, ctrl: 2, cv: ctl}
					require.EqualValues(t, ctrlOK, g.command(ctrlMQ, mqRSS, spreadCommand(hashAll, []uint16{0, 0, 0, 0}, 0, 1, rssKey)...))
				}
			}
			c.Mask = func(saved []byte) { // the flag that QEMU's transmitter is busy: it is, as QEMU does not run here
				if i := bytes.LastIndex(saved, []byte{0x52, 0x54, 0x00, 0x12, 0x34, 0x99}); i >= 0 {
					saved[i+9] = 0
				}
			}
			c.Run(t)
		})
	}
}

func TestLayout(t *testing.T) {
	d := qdev.New(transport.DeviceClass[Model]())
	vmstatetest.Compare(t, "pc", "virtio-net-device", d.Dev().State().Layout())
}
