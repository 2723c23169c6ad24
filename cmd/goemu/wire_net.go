package main

import (
	"goemu/internal/netdev"
	"goemu/internal/netdev/socket"
)

// netKinds is the process's network with the kinds of back ends that there are.
func netKinds() *netdev.Set {
	s := netdev.Main
	s.Kinds = map[string]netdev.Opener{
		"socket":  socket.Open,
		"stream":  socket.OpenStream,
		"dgram":   socket.OpenDgram,
		"hubport": netdev.OpenHubPort,
	}
	return s
}
