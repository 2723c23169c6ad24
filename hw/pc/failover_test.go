package pc

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/bridge"
	"goemu/hw/char"
	"goemu/hw/ide/ahci"
	"goemu/hw/net/e1000e"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/virtio/net"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/netdev"
	"goemu/qapi"
)

// Modern virtio through the window in the configuration space: type of the capability and places in it, registers of the common structure.
const (
	windowType                          = 5
	capType, capOffset, capLen, capData = 3, 8, 12, 16
	regFeatureSel, regFeature           = 8, 12

	standbyHigh, version1High = 1 << 30, 1 << 0 // bits 62 and 32
)

// acceptStandby is a driver that takes the modern interface and the pair.
func acceptStandby(d qdev.Device) {
	c := d.(pci.Function).PCI()
	at := int(c.Config[pci.RegCapabilities])
	for c.Config[at] != 9 || c.Config[at+capType] != windowType {
		at = int(c.Config[at+1])
	}
	w := d.(pci.ConfigWriter)
	for _, reg := range [][2]uint32{{regFeatureSel, 1}, {regFeature, standbyHigh | version1High}} {
		w.WriteConfig(at+4, 1, uint32(c.Config[c.FindCapability(9)+4])) // the BAR of the structures
		w.WriteConfig(at+capOffset, 4, reg[0])
		w.WriteConfig(at+capLen, 4, 4)
		w.WriteConfig(at+capData, 4, reg[1])
	}
}

// TestFailover: the primary of a virtio-net comes when the driver knows of pairs, goes when a migration begins, and is back if that fails.
func TestFailover(t *testing.T) {
	var events []string
	netdev.Main.Emit = func(e qapi.Event) { events = append(events, e.EventName()) }
	t.Cleanup(func() { netdev.Main.Emit = nil })
	m, err := build(t, "q35", 1, func(c *Config) {
		c.Registry = qdev.NewRegistry(char.Classes, ahci.Classes(), bridge.Classes(), net.Classes(), e1000e.Classes())
	})
	require.NoError(t, err)
	device := func(option string) qdev.Device {
		t.Helper()
		d, err := add(t, m, option)
		require.NoError(t, err, option)
		return d
	}
	device("pcie-root-port,id=root0,chassis=1")
	device("pcie-root-port,id=root1,chassis=2")
	const primary = "e1000e,id=primary0,bus=root1,failover_pair_id=standby0,romfile="
	standby := device("virtio-net-pci,id=standby0,bus=root0,failover=on,romfile=")
	require.Nil(t, device(primary), "the primary waits for the driver")
	for option, want := range map[string]string{
		"e1000e,bus=root1,failover_pair_id=standby0":               "Device with failover_pair_id needs to have id",
		"e1000e,id=other,bus=root1,failover_pair_id=standby0":      "Cannot attach more than one primary device to 'standby0': 'primary0' and 'other'",
		"e1000e,id=other,bus=root1,addr=0.1,failover_pair_id=none": "failover: primary device must be in its own PCI slot",
		"pcie-root-port,bus=root1,id=r,failover_pair_id=none":      "failover primary device is not an Ethernet device",
	} {
		_, err := add(t, m, option)
		require.EqualError(t, err, want, option)
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	require.NoError(t, m.Ready(context.Background()))

	require.Nil(t, m.Tree.Find("primary0"))
	acceptStandby(standby)
	p := m.Tree.Find("primary0")
	require.NotNil(t, p)
	require.Equal(t, []string{"FAILOVER_NEGOTIATED"}, events)
	saved := func() bool {
		return slices.ContainsFunc(m.Tree.Sections(), func(s qdev.Section) bool { return strings.HasSuffix(s.Name, "/e1000e") })
	}
	require.True(t, saved())

	m.Tree.WithdrawPrimaries()
	require.Equal(t, "UNPLUG_PRIMARY", events[1])
	require.True(t, m.Tree.Withdrawing())
	require.False(t, saved())
	ports := memory.NewAddressSpace("ports", m.io)
	defer ports.Close()
	const select_, eject, up = 0xcc0 + 0x10, 0xcc0 + 8, 0xcc0
	bus := p.Dev().Parent().(*pci.Bus)
	ports.Store(select_, 4, uint64(bus.Selector()))
	ports.Load(up, 4)
	ports.Store(eject, 4, 1)
	require.False(t, m.Tree.Withdrawing())
	require.Same(t, p, m.Tree.Find("primary0"), "it stays in the machine")
	require.True(t, p.Dev().Withdrawn())

	m.Tree.RestorePrimaries()
	v, _ := ports.Load(up, 4)
	require.EqualValues(t, 1, v, "the guest hears of a new device")
	require.False(t, p.Dev().Withdrawn())
	require.True(t, saved())

	m.Tree.Migrating = func() bool { return true }
	require.EqualError(t, m.Tree.RequestUnplug(standby, "standby0"), "device_del not allowed while migrating")
	require.NoError(t, m.Tree.RequestUnplug(p, "primary0"))
	_, err = m.AddDevice([]qdev.Setting{{Name: "driver", Value: "e1000e"}, {Name: "bus", Value: "root1"}})
	require.EqualError(t, err, "device_add not allowed while migrating")
}
