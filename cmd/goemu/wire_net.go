package main

import (
	"goemu/internal/chardev"
	"goemu/internal/netdev"
	"goemu/internal/netdev/socket"
	"goemu/internal/netdev/tap"
	"goemu/internal/netdev/user"
	"goemu/internal/netdev/vhostuser"
)

// netKinds is the process's network with the kinds of back ends that there are; chars is where they make character devices.
func netKinds(chars *chardev.Set) *netdev.Set {
	s := netdev.Main
	user.Chardevs = chars
	s.Kinds = map[string]netdev.Opener{
		"user":       user.Open,
		"tap":        tap.Open,
		"bridge":     tap.OpenBridge,
		"socket":     socket.Open,
		"stream":     socket.OpenStream,
		"dgram":      socket.OpenDgram,
		"hubport":    netdev.OpenHubPort,
		"vhost-user": vhostuser.Open,
	}
	return s
}
