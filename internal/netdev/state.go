package netdev

import "goemu/migration/vmstate"

// Stateful is a port with a state that migrates.
type Stateful interface{ State() vmstate.State }

// States are the states of all clients that have one, in the order of their making.
func (s *Set) States() (list []vmstate.State) {
	for _, c := range s.Clients() {
		if p, ok := c.port.(Stateful); ok {
			list = append(list, p.State())
		}
	}
	return list
}
