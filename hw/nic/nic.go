// Package nic is what all network devices share: their options and their place in the network.
package nic

import (
	"errors"
	"fmt"
	"strings"

	"goemu/hw/qdev"
	"goemu/internal/netdev"
)

// Props are the options of every network device.
type Props struct {
	MAC       qdev.MACAddr   `prop:"mac" help:"Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56"`
	Netdev    *netdev.Peer   `prop:"netdev" help:"ID of a netdev to use as a backend"`
	BootIndex qdev.BootIndex `prop:"bootindex"`

	held bool // the address
}

// New makes the device's part of the network, a client for each port; owner and model are the names of the type that
// has the properties and of the model as people are told. Release undoes it.
func (p *Props) New(d qdev.Device, owner, model string, ports []netdev.Port) (*netdev.NIC, error) {
	mac := [6]byte(p.MAC)
	if p.Netdev.InUse() {
		return nil, fmt.Errorf("Property '%s.netdev' can't take value '%s', it's in use", owner, p.Netdev.ID())
	}
	if p.Netdev.Kind() == "vhost-user" && !strings.HasPrefix(owner, "virtio-net-") {
		return nil, errors.New("vhost-user requires frontend driver virtio-net-*")
	}
	netdev.Main.UseMAC(&mac)
	n := netdev.Main.NewNIC(model, d.Dev().ID(), mac, p.Netdev, ports)
	p.MAC, p.held = qdev.MACAddr(mac), true
	return n, nil
}

// Release gives the address back.
func (p *Props) Release() {
	if p.held {
		netdev.Main.FreeMAC(p.MAC)
		p.held = false
	}
}

// BootPlace implements qdev.Bootable for the device that has the options.
func (p *Props) BootPlace() (index int32, suffix string, ok bool) {
	return p.BootIndex.N, "/ethernet-phy@0", p.BootIndex.Set
}
